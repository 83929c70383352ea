"""Running MkDocs on a project, and serving what it built."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from runpages.errors import UsageError

from .shell import say, warn

__all__ = ["build_site", "serve_command", "serve_site"]


def build_site(folder: Path) -> Path:
    """Build the MkDocs project in `folder` in a process of its own; returns the site's folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(folder / "mkdocs.yml")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for line in done.stderr.splitlines():
        if line.strip():
            warn(line)
    if done.returncode:
        raise UsageError(f"mkdocs could not build {folder / 'mkdocs.yml'} (see above)")
    return folder / "site"


def serve_command(site: Path) -> str:
    """The command that serves the site, to print."""
    return f"{Path(sys.executable).name} -m http.server -d {site} 8000"


def serve_site(site: Path, *, port: int = 8000) -> None:
    """Serve until interrupted, on this machine only."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        say(f"Serving on http://127.0.0.1:{server.server_port}/ (stop with Ctrl-C)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say()
