"""A ClearML API and files server on the loopback, as far as the SDK and our reader ask.

It keeps what the real SDK sends and answers what the real SDK asks. How events are kept, sorted and
scrolled follows ClearML's own server: one event a (task, iteration, metric, variant, file), by
time, in no order within a millisecond, and an empty page at the end of a scroll.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import jwt

__all__ = ["ACCESS_KEY", "SECRET_KEY", "ClearmlApi", "serving"]

ACCESS_KEY, SECRET_KEY = "loopback-access", "loopback-secret-never-printed"
_SIGNING_KEY = "a key of the loopback server, long enough to sign"
_STATUS = {
    "started": "in_progress",
    "completed": "completed",
    "stopped": "stopped",
    "failed": "failed",
    "close": "closed",
    "publish": "published",
}


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class ClearmlApi:
    """The state of the server."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    projects: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Action -> what goes wrong with its next calls."""
    scrolls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    largest_page: int = 10_000
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def login(self) -> str:
        claims = {
            "exp": int(time.time()) + 3600,
            "api_version": "2.23",
            "server_version": "1.16.0",
            "feature_set": "basic",
            "jti": uuid.uuid4().hex,
        }
        token = jwt.encode(claims, _SIGNING_KEY, "HS256")
        self.tokens.add(token)
        return token

    def add_event(self, event: dict[str, Any]) -> None:
        names = ("task", "iter", "metric", "variant", "key")
        parts = [str(event[name]) for name in names if name in event]
        unique = uuid.uuid4().hex if event["type"] == "log" else "-".join(parts)
        self.events[hashlib.sha256(unique.encode()).hexdigest()] = event
        task = self.tasks.get(event["task"])
        if task:
            task["last_update"] = _now()
            task["last_iteration"] = max(task.get("last_iteration", 0), event.get("iter") or 0)

    def answer(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """The `data` of an answer; LookupError for what is not there."""
        service, _, name = action.partition(".")
        with self.lock:
            self.calls.append((action, body))
            handler = getattr(self, f"_{service}_{name}", None)
            if handler:
                return handler(body)
            if service == "tasks" and name in _STATUS:
                stamp = {"started": "started", "in_progress": ""}.get(name, "completed")
                change = {"status": _STATUS[name], "status_changed": _now()}
                self.tasks[body["task"]] |= change | ({stamp: _now()} if stamp else {})
                return {"updated": 1, "fields": change}
            return {"updated": 1, "fields": {}}

    def _tasks_create(self, body: dict[str, Any]) -> dict[str, Any]:
        key = uuid.uuid4().hex
        fixed = {"id": key, "status": "created", "created": _now(), "last_update": _now()}
        empty = {"execution": {}, "hyperparams": {}, "output": {"destination": ""}}
        self.tasks[key] = {**empty, **body, **fixed}
        return {"id": key}

    def _tasks_edit(self, body: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in body.items() if k not in {"task", "force"}}
        self.tasks[body["task"]] |= kept
        return {"updated": 1, "fields": kept}

    _tasks_update = _tasks_edit

    def _tasks_edit_hyper_params(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.tasks[body["task"]].setdefault("hyperparams", {})
        for entry in body["hyperparams"]:
            found.setdefault(entry["section"], {})[entry["name"]] = entry
        return {"updated": 1}

    def _tasks_edit_configuration(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.tasks[body["task"]].setdefault("configuration", {})
        found |= {entry["name"]: entry for entry in body["configuration"]}
        return {"updated": 1}

    def _tasks_add_or_update_artifacts(self, body: dict[str, Any]) -> dict[str, Any]:
        execution = self.tasks[body["task"]].setdefault("execution", {})
        execution["artifacts"] = [*execution.get("artifacts", []), *body["artifacts"]]
        return {"updated": 1}

    def _tasks_add_or_update_model(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.tasks[body["task"]].setdefault("models", {})
        found.setdefault(body["type"], []).append({"name": body["name"], "model": body["model"]})
        return {"updated": 1}

    def _tasks_get_by_id(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"task": self.tasks[body["task"]]}

    def _tasks_get_all(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = [
            task
            for task in self.tasks.values()
            if _fits(task.get("id"), body.get("id"))
            and _fits(task.get("project"), body.get("project"))
            and _fits(task.get("status"), body.get("status"))
            and _tagged(task.get("tags"), body.get("tags"))
            and _tagged(task.get("system_tags"), body.get("system_tags"))
        ]
        return {"tasks": _page(wanted, body)}

    def _projects_get_all(self, body: dict[str, Any]) -> dict[str, Any]:
        pattern = body.get("name")
        found = [p for p in self.projects.values() if not pattern or re.search(pattern, p["name"])]
        return {"projects": _page(found, body)}

    _projects_get_all_ex = _projects_get_all

    def _projects_create(self, body: dict[str, Any]) -> dict[str, Any]:
        key = uuid.uuid4().hex
        self.projects[key] = {**body, "id": key}
        return {"id": key}

    def _projects_get_by_id(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"project": self.projects[body["project"]]}

    def _models_create(self, body: dict[str, Any]) -> dict[str, Any]:
        key = uuid.uuid4().hex
        self.models[key] = {**body, "id": key, "created": _now()}
        return {"id": key, "created": True}

    def _models_edit(self, body: dict[str, Any]) -> dict[str, Any]:
        self.models[body["model"]] |= {k: v for k, v in body.items() if k != "model"}
        return {"updated": 1, "fields": {}}

    _models_update = _models_edit

    def _models_get_by_id(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"model": self.models[body["model"]]}

    def _models_get_all(self, body: dict[str, Any]) -> dict[str, Any]:
        found = [m for m in self.models.values() if _fits(m.get("id"), body.get("id"))]
        return {"models": _page(found, body)}

    def _events_get_task_events(self, body: dict[str, Any]) -> dict[str, Any]:
        scroll = body.get("scroll_id")
        if scroll == "FFFF":
            return {"events": [], "returned": 0, "total": 0, "scroll_id": "FFFF"}
        if scroll is None:
            scroll = uuid.uuid4().hex
            newest_first = body.get("order") == "desc"
            self.scrolls[scroll] = [
                event
                for _, event in sorted(
                    self.events.items(),
                    key=lambda item: (item[1]["timestamp"] * (-1 if newest_first else 1), item[0]),
                )
                if event["task"] == body["task"] and body.get("event_type") in {None, event["type"]}
            ]
            self.scrolls[f"{scroll}/size"] = [{}] * min(
                body.get("batch_size", 500), self.largest_page
            )
            self.scrolls[f"{scroll}/total"] = [{}] * len(self.scrolls[scroll])
        size, total = (len(self.scrolls[f"{scroll}/{what}"]) for what in ("size", "total"))
        page, self.scrolls[scroll] = self.scrolls[scroll][:size], self.scrolls[scroll][size:]
        next_scroll = scroll if page else "FFFF"
        return {"events": page, "returned": len(page), "total": total, "scroll_id": next_scroll}


def _fits(value: Any, wanted: Any) -> bool:
    return not wanted or value in wanted


def _tagged(tags: Any, wanted: Any) -> bool:
    tags = tags or []
    return all(t[1:] not in tags if t[:1] == "-" else t in tags for t in wanted or [])


def _page(found: list[Any], body: dict[str, Any]) -> list[Any]:
    size, page = body.get("page_size") or 500, body.get("page") or 0
    return found[page * size : (page + 1) * size]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: ClearmlApi

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        kind = headers.pop("kind", "application/json")
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _reply(self, data: dict[str, Any], status: int = 200, said: str = "OK") -> None:
        meta = {"result_code": status, "result_subcode": 0, "result_msg": said, "id": "1"}
        self._send(status, json.dumps({"meta": meta, "data": data}).encode())

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0].strip("/")
        if path.partition("/")[0] == "files":
            return self._file(path) if self.command == "GET" else self._upload(content)
        action = path.rpartition("/")[2]
        faults = self.api.faults[action]
        if faults and self._fault(faults.pop(0)):
            return None
        if action == "auth.login":
            return self._login()
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.api.tokens:
            return self._reply({}, 401, "Unauthorized (invalid token)")
        try:
            if action in {"events.add_batch", "events.add"}:
                lines = content.decode().splitlines() if "batch" in action else [content.decode()]
                with self.api.lock:
                    for line in lines:
                        self.api.add_event(json.loads(line))
                return self._reply({"added": len(lines), "errors": 0})
            return self._reply(self.api.answer(action, json.loads(content or b"{}")))
        except LookupError:
            return self._reply({}, 400, "Invalid task id")

    def _login(self) -> None:
        expected = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            return self._reply({}, 401, "Unauthorized (invalid credentials)")
        return self._reply({"token": self.api.login()})

    def _fault(self, fault: str) -> bool:
        """Whether the fault is all of the answer."""
        if fault.isdigit():
            self._reply({}, int(fault), "a fault of the test")
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"meta": {')
            self.close_connection = True
        elif fault == "trickle":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(b" ")
                    time.sleep(0.01)
            self.close_connection = True
        elif fault == "html":
            self._send(200, b"<!DOCTYPE html><title>ClearML</title>", kind="text/html")
        elif fault == "redirect":
            self._send(302, b"", Location=f"{self.api.address}/elsewhere")
        elif fault == "no data":
            self._send(200, b"[]")
        elif fault == "deep":
            self._send(200, b"[" * 200_000)
        elif fault == "stale":
            self.api.tokens.clear()
            return False
        return True

    def _file(self, path: str) -> None:
        path = unquote(path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.api.lock:
            self.api.calls.append(("file", {"path": path}))
        if token not in self.api.tokens or path not in self.api.files:
            return self._send(404, b"")
        return self._send(200, self.api.files[path], kind="application/octet-stream")

    def _upload(self, content: bytes) -> None:
        """The files server's form: one part a file, named by its path."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        for part in content.split(b"--" + boundary)[1:-1]:
            head, _, data = part.partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            self.api.files[f"files/{name.strip('/')}"] = data.removesuffix(b"\r\n")
        self._send(200, b"[]")

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - http.server's names


@contextlib.contextmanager
def serving() -> Iterator[ClearmlApi]:
    api = ClearmlApi()
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    api.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
