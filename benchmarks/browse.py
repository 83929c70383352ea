"""The browse page with 10,000 runs x 20 columns in headless Chromium, beside three table libraries.

usage: browse.py [--runs 10000] [--repeats 5] [--folder build/browse]

Each page shows the same 20 columns of the same runs.json. Ours is measured in a bare page like the
others, and as the page of a Material site. Libraries come from npm into the folder. Figures:
bytes over the wire (gzip level 6, as static hosts send), CPU of the main thread (Chromium's
TaskDuration in thread ticks) until the first rows stand, of one sort and of one filter, JS heap
after a collection, elements in the document, and axe's violations in the table.
"""

from __future__ import annotations

import argparse
import gzip
import json
import mimetypes
import os
import shutil
import statistics
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from browse_site import make_site

PACKAGES = {
    "ag-grid-community": "36.2.0",
    "tabulator-tables": "6.5.3",
    "datatables.net": "3.1.5",
    "datatables.net-dt": "3.1.2",
    "jquery": "4.0.0",
    "axe-core": "4.14.1",
}
COLUMNS = (
    "name", "project", "group", "state", "verdict", "metric", "model", "author", "commit",
    "datasets", "tags", "start", "critical", "warning", "seed", "steps", "elapsed_seconds", "value",
    "usd", "goodput",
)  # fmt: skip
OURS = (
    "verdict", "curve", "value", "findings", "steps", "elapsed_seconds", "start", "project",
    "group", "model", "datasets", "tags", "author", "seed", "device_hours", "usd", "goodput",
    "regression", "commit",
)  # fmt: skip
"""With the name: 20."""
ROWS = """
const text = (c, i) => c.kind === "choice" ? (c.codes[i] < 0 ? "" : c.texts[c.codes[i]])
  : c.kind === "choices" ? c.codes[i].map((k) => c.texts[k]).join(", ") : c.values[i];
const data = await (await fetch("/runs/assets/index/runs.json")).json();
const names = COLUMNS;
const rows = Array.from({length: data.count}, (_, i) =>
  Object.fromEntries(names.map((n) => [n, text(data.columns[n], i)]))).reverse();
"""
PAGES = {
    "ag-grid": (
        '<script src="/npm/ag-grid-community/dist/ag-grid-community.min.js"></script>',
        """
const api = agGrid.createGrid(document.getElementById("t"), {rowData: rows,
  columnDefs: names.map((n) => ({field: n, colId: n, sortable: true})),
  onFirstDataRendered: () => { document.body.dataset.ready = ""; }});
window.sortIt = () => api.applyColumnState({state: [{colId: "value", sort: "asc"}]});
window.filterIt = () => api.setGridOption("quickFilterText", "seed3");
""",
    ),
    "tabulator": (
        """<link rel="stylesheet" href="/npm/tabulator-tables/dist/css/tabulator.min.css">
<script src="/npm/tabulator-tables/dist/js/tabulator.min.js"></script>""",
        """
const table = new Tabulator("#t", {data: rows, height: 700,
  columns: names.map((n) => ({title: n, field: n, width: 110}))});
table.on("tableBuilt", () => { document.body.dataset.ready = ""; });
window.sortIt = () => table.setSort("value", "asc");
window.filterIt = () => table.setFilter("name", "like", "seed3");
""",
    ),
    "datatables": (
        """<link rel="stylesheet" href="/npm/datatables.net-dt/css/dataTables.dataTables.min.css">
<script src="/npm/jquery/dist/jquery.min.js"></script>
<script src="/npm/datatables.net/js/dataTables.min.js"></script>""",
        """
document.getElementById("t").innerHTML = "<table id=d></table>";
const table = new DataTable("#d", {data: rows, pageLength: 50, deferRender: true, order: [],
  columns: names.map((n) => ({title: n, data: n,
    type: data.columns[n].kind === "number" ? "num" : "string"})),
  initComplete: () => { document.body.dataset.ready = ""; }});
window.sortIt = () => table.order([[names.indexOf("value"), "asc"]]).draw();
window.filterIt = () => table.search("seed3").draw();
""",
    ),
}
OUR_SORT = """() => [...document.querySelectorAll(".rp-grid__t thead button")]
  .find((b) => b.textContent.startsWith("Loss")).click()"""
OUR_FILTER = """() => { const i = document.querySelector(".rp-q input"); i.value = "seed3";
  i.dispatchEvent(new Event("input")); }"""


class Gzipping(BaseHTTPRequestHandler):
    """Files below `root`, compressed as static hosts do."""

    root: Path
    protocol_version = "HTTP/1.1"
    cache: dict[Path, bytes] = {}  # noqa: RUF012 - one server a process

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        path = self.root / self.path.partition("?")[0].lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path not in self.cache:
            self.cache[path] = gzip.compress(path.read_bytes(), 6)
        body = self.cache[path]
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fetch_packages(folder: Path) -> None:
    """npm's own client packs each pinned version; unpacked below `folder`/npm."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in PACKAGES.items():
        target = folder / "site/npm" / name
        archive = folder / f"{name}-{version}.tgz"
        if not archive.is_file():
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "unpacked", filter="data")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(folder / "unpacked/package", target)


def write_pages(site: Path) -> dict[str, str]:
    """Name of each contender -> path of its page."""
    for name, (head, body) in PAGES.items():
        script = ROWS.replace("COLUMNS", json.dumps(COLUMNS)) + body
        (site / f"{name}.html").write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>{head}'
            f'<main><div id="t" style="height:700px"></div></main>'
            f'<script type="module">{script}</script></html>'
        )
    (site / "ours").mkdir(exist_ok=True)
    (site / "ours/index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>ours</title>'
        '<link rel="stylesheet" href="/runs/assets/rp/rp.css"><body>'
        '<main class="md-typeset"><div class="rp-page rp-grid"'
        ' data-rp-browse="/runs/assets/index/runs.json" hidden></div></main>'
        '<script src="/runs/assets/rp/rp.js"></script></body></html>'
    )
    columns = f"?cols={','.join(OURS)}"
    names = {"ours": f"ours/{columns}", "ours in Material": f"runs/browse/{columns}"}
    names["Material's home page"] = "index.html"
    return {**names, **{name: f"{name}.html" for name in PAGES}}


class Measured:
    """One visit of one page."""

    def __init__(self, browser: Browser, url: str, axe: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.context.new_page()
        self.session = self.context.new_cdp_session(self.page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.session.send("Network.enable")
        self.bytes = 0.0
        self.session.on("Network.loadingFinished", self._count)
        self.page.goto(url)
        empty = url.endswith("/index.html")
        if empty:
            self.page.wait_for_timeout(500)
        else:
            self.page.wait_for_selector("[data-rp-ready], [data-ready]", state="attached")
        self.settle()
        self.figures: dict[str, Any] = {"cpu_ms": self.cpu(), "kb": self.bytes / 1000}
        if not empty:
            self.use("/ours" in url or "/runs/" in url, axe)
        self.context.close()

    def use(self, ours: bool, axe: str) -> None:  # noqa: FBT001
        """Sorts and filters."""
        self.figures["sort_ms"] = self.cost(OUR_SORT if ours else "() => { sortIt(); }")
        self.figures["filter_ms"] = self.cost(OUR_FILTER if ours else "() => { filterIt(); }")
        self.session.send("HeapProfiler.collectGarbage")
        self.figures["heap_mb"] = self.metrics()["JSHeapUsedSize"] / 1e6
        self.figures["nodes"] = self.page.evaluate("document.querySelectorAll('*').length")
        self.page.evaluate(axe)
        where = "[data-rp-browse]" if ours else "#t"
        found = self.page.evaluate(f"axe.run({where!r}).then((r) => r.violations.map((v) => v.id))")
        self.figures["axe"] = ", ".join(found) or "none"

    def _count(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"]

    def metrics(self) -> dict[str, float]:
        answer = self.session.send("Performance.getMetrics")["metrics"]
        return {entry["name"]: entry["value"] for entry in answer}

    def cpu(self) -> float:
        return 1000 * self.metrics()["TaskDuration"]

    def settle(self) -> None:
        self.page.evaluate(
            "new Promise((r) => requestAnimationFrame(() => requestIdleCallback(r)))"
        )

    def cost(self, script: str) -> float:
        """CPU of a script that returns nothing: Playwright would walk through what it returns."""
        before = self.cpu()
        self.page.evaluate(script)
        self.page.wait_for_timeout(400)
        self.settle()
        return self.cpu() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/browse"))
    options = parser.parse_args()
    folder = options.folder.resolve()
    site = make_site(folder / "project", options.runs)
    shutil.rmtree(folder / "site", ignore_errors=True)
    shutil.copytree(site, folder / "site")
    fetch_packages(folder)
    pages = write_pages(folder / "site")
    Gzipping.root = folder / "site"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gzipping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    axe = (folder / "site/npm/axe-core/axe.min.js").read_text()
    chromium = os.environ.get("RUNPAGES_CHROMIUM") or shutil.which("chromium")
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in pages}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(options.repeats):
            for name, path in pages.items():
                url = f"http://127.0.0.1:{server.server_port}/{path}"
                measured[name].append(Measured(browser, url, axe).figures)
        browser.close()
    server.shutdown()
    print("| page | KB | CPU ms | sort ms | filter ms | heap MB | elements | axe |")
    print("|---|---|---|---|---|---|---|---|")
    for name, several in measured.items():
        keys = ("kb", "cpu_ms", "sort_ms", "filter_ms", "heap_mb", "nodes")
        cells = [
            f"{statistics.median(one[key] for one in several):.0f}" if key in several[0] else ""
            for key in keys
        ]
        print("|", " | ".join([name, *cells, several[0].get("axe", "")]), "|")


if __name__ == "__main__":
    main()
