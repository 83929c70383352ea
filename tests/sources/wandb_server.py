"""A W&B server on the loopback interface, for the real client and for the reader alike.

It takes runs as the real client uploads them (`wandb sync`, online runs) and gives them back
through the schema of `wandb_schema`. `faults` lets any request fail in the ways of a network.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from graphql import graphql_sync

from sources.wandb_schema import Root, StoredRun, schema

__all__ = ["KEY", "Fault", "Request", "WandbLoopback", "serving"]

KEY = "k3y0" * 10
"""The only key that the server lets in."""

_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How a request fails: with a status, or while the answer is on its way."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Instead of the true answer."""
    reset: bool = False
    cut: bool = False
    """Only half of the bytes that Content-Length promises."""
    drip_seconds: float = 0.0
    """Pause after every byte."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in."""

    operation: str
    """Of GraphQL; else the method and the path."""
    variables: Mapping[str, Any]
    query: str
    agent: str
    authorization: str


class WandbLoopback:
    """The server's store and its log of requests."""

    def __init__(self) -> None:
        self.root = Root()
        self.schema = schema()
        self.requests: list[Request] = []
        self.faults: Callable[[Request, int], Fault | None] = lambda _request, _count: None
        """Asked with each request and how many of its operation there were before."""
        self.key: str | None = KEY
        """None: everybody may read."""
        self.url = ""

    def asked(self, operation: str) -> list[Request]:
        return [request for request in self.requests if request.operation == operation]

    def run(self, path: str) -> StoredRun:
        entity, project, name = path.split("/")[:3]
        return self.root.projects[entity, project].by_name[name]


@contextmanager
def serving(server: WandbLoopback | None = None) -> Iterator[WandbLoopback]:
    server = server or WandbLoopback()
    handler = type("Handler", (_Handler,), {"loopback": server})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    server.url = server.root.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: WandbLoopback

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        data = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _take(self, body: bytes) -> tuple[Request, Fault | None]:
        sent: dict[str, Any] = {}
        if self.path.endswith("/graphql"):
            sent = json.loads(body)
        query = sent.get("query", "")
        named = _OPERATION.search(query)
        request = Request(
            operation=named[1] if named else f"{self.command} {urlsplit(self.path).path}",
            variables=sent.get("variables") or {},
            query=query,
            agent=self.headers.get("User-Agent", ""),
            authorization=self.headers.get("Authorization", ""),
        )
        count = len(self.loopback.asked(request.operation))
        self.loopback.requests.append(request)
        return request, self.loopback.faults(request, count)

    def _answer(self, data: bytes, fault: Fault | None = None, *, status: int = 200) -> None:
        fault = fault or Fault(status=status)
        data = data if fault.body is None else fault.body
        if fault.reset:
            # closed with unsent data dropped: the client's side sees a reset
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(fault.status)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault.cut:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif fault.drip_seconds:
            self._drip(data, fault.drip_seconds)
        else:
            self.wfile.write(data)

    def _drip(self, data: bytes, seconds: float) -> None:
        try:
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(seconds)
        except OSError:  # the client has gone, as it should
            self.close_connection = True

    def _let_in(self) -> bool:
        key = self.loopback.key
        if key is None:
            return True
        wanted = "Basic " + base64.b64encode(f"api:{key}".encode()).decode()
        return self.headers.get("Authorization") == wanted

    def do_POST(self) -> None:
        body = self._body()
        request, fault = self._take(body)
        if not self._let_in():
            self._answer(b'{"errors":[{"message":"user is not logged in"}]}', status=401)
        elif fault is not None and (fault.status != 200 or fault.reset):
            self._answer(fault.body or b"{}", fault)
        elif self.path.endswith("/graphql"):
            self._answer(*self._graphql(request, body, fault))
        elif self.path.endswith("/file_stream"):
            self._stream(json.loads(body))
        else:
            self._answer(b"{}")

    def _graphql(self, request: Request, body: bytes, fault: Fault | None) -> Any:
        result = graphql_sync(
            self.loopback.schema,
            request.query,
            root_value=self.loopback.root,
            context_value={"url": self.loopback.url},
            variable_values=dict(request.variables),
            operation_name=json.loads(body).get("operationName") or None,
        )
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [{"message": error.message} for error in result.errors]
            if result.data is None and fault is None:
                fault = Fault(status=400)
        return json.dumps(answer).encode(), fault

    def _stream(self, sent: Mapping[str, Any]) -> None:
        """What the client's core sends while a run is logged."""
        run = self.loopback.run(urlsplit(self.path).path.removeprefix("/files/"))
        for name, chunk in (sent.get("files") or {}).items():
            content = chunk["content"]
            if name == "wandb-history.jsonl":
                run.rows[chunk["offset"] :] = content
            elif name == "wandb-events.jsonl":
                run.system[chunk["offset"] :] = content
            elif name == "output.log":
                run.lines[chunk["offset"] :] = content
            elif name == "wandb-summary.json":
                run.summaryMetrics = content[-1]
        if sent.get("complete"):
            run.state = "finished" if not sent.get("exitcode") else "failed"
        self._answer(b"{}")

    def do_PUT(self) -> None:
        where = unquote(urlsplit(self.path).path).removeprefix("/upload/")
        entity, project, name, file = where.split("/", 3)
        self.loopback.run(f"{entity}/{project}/{name}").stored[file] = self._body()
        self._answer(b"")

    def do_GET(self) -> None:
        _, fault = self._take(b"")
        if not self._let_in():
            self._answer(b"", status=401)
            return
        if fault is not None and fault.status != 200:
            self._answer(b"", fault)
            return
        where = unquote(urlsplit(self.path).path).removeprefix("/files/")
        try:
            entity, project, name, file = where.split("/", 3)
            data = self.loopback.run(f"{entity}/{project}/{name}").stored[file]
        except (KeyError, ValueError):
            self._answer(b"", status=404)
            return
        self._answer(data, fault)
