"""A run page without MkDocs around it, served to a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pages.test_run import html_of
from runpages.builder.assets import SCRIPT, shared_assets
from runpages.builder.levels import full_list
from runpages.model import Report
from runpages.pages import render

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>run</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="../assets/rp/rp.css"><style>html{{font-size:125%}} body{{margin:.8rem}}
.md-typeset img{{max-width:100%;height:auto}}</style></head>
<body data-md-color-scheme="default"><main class="md-typeset">{body}</main>{script}</body></html>
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(report: Report, root: Path, *, full: bool = True) -> Iterator[str]:
    """Address of the page of `report`, as the site would have it below `runs/`."""
    page = render(report)
    script = f'<script src="../{SCRIPT}"></script>'
    files = {f"runs/{name}": data for name, data in shared_assets().items()} | dict(page.files)
    html = PAGE.format(body=html_of(page.markdown), script=script)
    listed = full_list([report.run.slug] if full else [])
    files |= {f"runs/{name}": data for name, data in listed.items()}
    files[f"runs/{report.run.slug}/index.html"] = html.encode()
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/runs/{report.run.slug}/"
        server.shutdown()
        thread.join()
