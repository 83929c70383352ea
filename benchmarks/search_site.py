"""One site three times: our search, the theme's own over the same entries, and over whole pages."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from browse_site import make_site
from runpages.config import load_settings
from runpages.plugin.search import prepare_search
from search_data import index_entry

__all__ = ["SITES", "Served", "make_sites", "served"]

SITES = ("pagefind", "material", "stock", "stock-full")
"""Ours from 300 runs on, ours below that, the theme's alone, the theme's over whole pages."""
_COMPRESSED = {".html", ".js", ".css", ".json", ".svg", ".xml", ".txt"}
"""What GitHub Pages and the like send as gzip; Pagefind's own files are gzip already."""


def make_sites(folder: Path, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Sites below `folder` by name of SITES; returns CPU seconds of indexing: cold, one run new."""
    shutil.rmtree(folder / "project", ignore_errors=True)
    built = make_site(folder / "project", rows)
    index = "search/search_index.json"
    data = json.loads((built / index).read_text())
    for name in SITES:
        site = folder / name
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(built, site)
        entries = [index_entry(row, full=name == "stock-full") for row in rows]
        (site / index).write_text(json.dumps({**data, "docs": [*data["docs"], *entries]}))
    settings = folder / "project/runpages.toml"
    plain = settings.read_text()
    seconds = {}
    for name in ("material", "pagefind"):
        settings.write_text(plain.replace("[site]\n", f'[site]\nsearch = "{name}"\n'))
        begun = time.process_time() + _children()
        whole = (folder / name / index).read_text()
        prepare_search(folder / name, load_settings(settings))
        seconds[f"{name}, all"] = time.process_time() + _children() - begun
    changed = json.loads(whole)
    changed["docs"][-len(rows)]["text"] += "<p>Notes: changed</p>"
    (folder / name / index).write_text(json.dumps(changed))
    begun = time.process_time() + _children()
    prepare_search(folder / name, load_settings(settings))
    seconds["pagefind, one run changed"] = time.process_time() + _children() - begun
    settings.write_text(plain)
    return seconds


def _children() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Served:
    """What a server has sent: requests and bytes with their headers."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
        self.address = ""
        self.paths: list[str] = []


@cache
def _body(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.compress(data, 6, mtime=0) if path.suffix in _COMPRESSED else data


@contextmanager
def served(site: Path, *, policy: str = "") -> Iterator[Served]:
    """`site` below `/team/`, as a static host serves it; `policy` is sent with every answer."""
    counted = Served()

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].partition("#")[0].removeprefix("/team/")
            path = site / name
            path = path / "index.html" if name.endswith("/") or not name else path
            body = _body(path) if path.is_file() else b""
            head = [f"HTTP/1.1 {200 if body else 404} OK", f"Content-Length: {len(body)}"]
            head.append(f"Content-Type: {self.guess_type(path)}")
            if path.suffix in _COMPRESSED:
                head.append("Content-Encoding: gzip")
            if policy:
                head.append(f"Content-Security-Policy: {policy}")
            sent = "\r\n".join([*head, "", ""]).encode() + body
            counted.requests += 1
            counted.bytes += len(sent)
            counted.paths.append(name)
            self.wfile.write(sent)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        counted.address = f"http://127.0.0.1:{server.server_port}/team/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield counted
        server.shutdown()
        thread.join()
