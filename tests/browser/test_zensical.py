"""The charts in a site that Zensical built, which knows no plugins."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runpages import builder
from runpages.config import load_settings
from runs import write_rundir

pytestmark = pytest.mark.browser


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the run's page."""
    folder: Path = tmp_path_factory.mktemp("zensical")
    write_rundir(folder / "logs" / "one", steps=400, spike=280)
    builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    (slug,) = builder.build(settings).written
    command = [sys.executable, "-m", "zensical", "build", "-f", "mkdocs.yml"]
    subprocess.run(command, cwd=folder, env=os.environ, check=True, capture_output=True)
    handler = partial(_Quiet, directory=str(folder))  # the site stands below a path
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/site/runs/{slug}/"
        server.shutdown()
        thread.join()


def test_a_chart_becomes_live_at_the_first_touch(address: str, browser: Any) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address, wait_until="networkidle")
    assert not [url for url in asked if "plotly" in url]
    page.hover("figure[data-rp-chart=loss] figcaption")
    page.wait_for_selector("figure[data-rp-chart=loss].rp-chart--live .main-svg")
    box = page.locator("figure[data-rp-chart=loss] .nsewdrag").bounding_box()
    assert box is not None
    assert box["width"] > 300
    page.get_by_label("log", exact=True).check()
    kind = "() => document.querySelector('.rp-live')?.layout.yaxis.type === 'log'"
    page.wait_for_function(kind)
    page.close()


@pytest.mark.parametrize("page", ["browse", "compare"])
def test_pages_about_many_runs_work_without_our_plugin(
    address: str, browser: Any, page: str
) -> None:
    tab = browser.new_page()
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.goto(address.rpartition("/runs/")[0] + f"/runs/{page}/", wait_until="networkidle")
    if page == "browse":
        tab.locator(".rp-grid tbody th a").first.wait_for()
        assert tab.locator(".rp-grid tbody th a").first.inner_text() == "one"
    else:
        tab.get_by_role("button", name="+ Add run").wait_for()
    assert troubles == []
    tab.close()
