"""GitHub's and GitLab's comments on the loopback interface: real sockets, and their faults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "t0ken-" * 5


@dataclass
class Host:
    """What it holds and has been asked."""

    kind: str
    me: str = "github-actions[bot]"
    base: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Comments as the API gives them, oldest first."""
    asked: list[str] = field(default_factory=list)
    """`METHOD path`."""
    hidden: int = 0
    """So many comments are left out of each page that is followed by another."""
    faults: list[tuple[str, int | str]] = field(default_factory=list)
    """(beginning of `METHOD path`, status, `reset`, or `done` = it is done and then 502)."""

    def add(self, author: str, body: str, *, system: bool = False) -> dict[str, Any]:
        number = len(self.bodies) + 1
        item: dict[str, Any] = {"id": number, "body": body}
        if self.kind == "github":
            item |= {"user": {"login": author}, "html_url": f"https://gh.example/c/{number}"}
        else:
            item |= {"author": {"id": 7 if author == self.me else 8}, "system": system}
        self.bodies.append(item)
        return item

    def env(self) -> dict[str, str]:
        """As in a job of the host's CI."""
        if self.kind == "github":
            return {
                "GITHUB_API_URL": self.base,
                "GITHUB_GRAPHQL_URL": f"{self.base}/graphql",
                "GITHUB_REPOSITORY": "team/recipes",
                "GITHUB_REF": "refs/pull/12/merge",
                "GITHUB_TOKEN": TOKEN,
            }
        return {
            "CI_API_V4_URL": self.base,
            "CI_PROJECT_ID": "42",
            "CI_MERGE_REQUEST_IID": "12",
            "CI_MERGE_REQUEST_PROJECT_URL": "https://gl.example/team/recipes",
            "GITLAB_TOKEN": TOKEN,
        }


PLACES = {"github": "/repos/team/recipes/issues/12/comments",
          "gitlab": "/projects/42/merge_requests/12/notes"}  # fmt: skip
_EDITS = {"github": ("PATCH", r"/repos/team/recipes/issues/comments/(\d+)"),
          "gitlab": ("PUT", r"/projects/42/merge_requests/12/notes/(\d+)")}  # fmt: skip


class _Server(ThreadingHTTPServer):
    host: Host


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_args: object) -> None:
        pass

    def handle_any(self) -> None:
        host, parts = self.server.host, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        line = f"{self.command} {parts.path}"
        host.asked.append(line)
        sent = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        if sent.removeprefix("Bearer ") != TOKEN:
            self._answer(401, {"message": f"Bad credentials {sent}"})
            return
        fault = next((f for f in host.faults if line.startswith(f[0])), None)
        if fault is None:
            self._answer(*self._found(parts.path, body, parse_qs(parts.query)))
            return
        host.faults.remove(fault)
        self._fail(fault[1], body, sent)

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - as the base class asks

    def _fail(self, fault: int | str, body: Any, sent: str) -> None:
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "done":
            self.server.host.add(self.server.host.me, body["body"])
        status = fault if isinstance(fault, int) else 502
        self._answer(status, {"message": f"no {sent} <b>"}, {"Retry-After": "0"})

    def _found(self, path: str, body: Any, query: Any) -> tuple[int, object, dict[str, str]]:
        host = self.server.host
        method, pattern = _EDITS[host.kind]
        found = re.fullmatch(pattern, path)
        if (self.command, path) == ("POST", "/graphql"):
            return 200, {"data": {"viewer": {"login": host.me}}}, {}
        if (self.command, path) == ("GET", "/user"):
            return 200, {"id": 7, "username": host.me}, {}
        if (self.command, path) == ("POST", PLACES[host.kind]):
            return 201, host.add(host.me, body["body"]), {}
        if (self.command, path) == ("GET", PLACES[host.kind]):
            return self._page(int(query["per_page"][0]), int(query["page"][0]))
        if self.command == method and found:
            item = host.bodies[int(found[1]) - 1]
            item["body"] = body["body"]
            return 200, item, {}
        return 404, {"message": "Not Found"}, {}

    def _page(self, size: int, page: int) -> tuple[int, object, dict[str, str]]:
        host = self.server.host
        size = min(size, 100)
        items = host.bodies[(page - 1) * size : page * size]
        links = [f'<{host.base}/x?page=1>; rel="first"']
        if page * size < len(host.bodies):
            links.append(f'<{host.base}/x?page={page + 1}>; rel="next"')
            items = items[host.hidden :]
        return 200, items, {"Link": ", ".join(links)}

    def _answer(
        self, status: int, document: object, headers: Mapping[str, str] | None = None
    ) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(kind: str) -> Iterator[Host]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.host = Host(kind, base=f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
