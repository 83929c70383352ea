"""What a run page weighs, in bytes and in the browser, for a run of 200,000 steps and 40 series.

    python benchmarks/page_weight.py [SITE RUN]
    python benchmarks/page_weight.py --among 1000
    python benchmarks/page_weight.py --plain

Without arguments the run is generated and its site built in a temporary folder; with --among it
is one of so many; with two names an existing site's run page is measured (SITE/runs/RUN/). Pages
are served with gzip, as hosts do. Bytes are what is transferred; CPU is the main thread's time by
Chromium's own account (Performance.getMetrics). With --plain the same charts as Plotly's own
`to_html` writes them, with all their points, are measured for comparison.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from runpages import analyze, builder
from runpages.builder.assets import shared_assets
from runpages.builder.levels import full_list
from runpages.builder.listings import index_pages
from runpages.config import load_settings
from runpages.model import Attempt, Columns, Report, Run, RunRef, SeriesSet
from runpages.pages import list_row, render
from runpages.pages.charts import build_charts
from runpages.pages.listing import listed_facts

STEPS = 200_000
_OTHER_PAGES = ("rp-browse", "rp-compare")
"""Files of ours that a run page never loads."""
START = 1_767_225_600.0


def generated(steps: int = STEPS) -> Report:
    """Loss, validation, norm, rate, throughput, 8 devices of 3 kinds, and others: 40 series."""
    random = np.random.default_rng(1)
    step = np.arange(steps, dtype=np.int64)
    time = START + np.cumsum(random.normal(0.4, 0.01, steps).clip(0.1))
    ones = np.ones(steps, dtype=np.int64)

    def noisy(level: np.ndarray | float, part: float) -> np.ndarray:
        return level * (1 + random.normal(0, part, steps))

    loss = noisy(2.2 + 8 * np.exp(-step / 4000), 0.02)
    norm = noisy(0.4, 0.2)
    for at in (40_000, 90_000, 150_000):
        loss[at : at + 30] += 2
        norm[at : at + 10] *= 30
    columns = {
        "train/loss": loss,
        "grad_norm": norm,
        "lr": 6e-4 * np.minimum(1, step / 2000) * (0.5 + 0.5 * np.cos(np.pi * step / steps)),
        "tokens": 524_288.0 * (step + 1),
        "tokens_per_second": noisy(1.3e6, 0.01),
    }
    columns |= {f"layer {n}/activation": noisy(n + 1.0, 0.1) for n in range(10)}
    every = {name: Columns(step, time, value, ones) for name, value in columns.items()}
    few = np.arange(0, steps, 1000)
    every["val/loss"] = Columns(few, time[few], loss[few] + 0.05, ones[few])
    ticks = np.arange(START, time[-1], 15.0)
    sampled = np.arange(len(ticks), dtype=np.int64)
    devices = {}
    for n in range(8):
        for name, level in (("gpu", 97.0), ("powerWatts", 640.0), ("memoryAllocated", 71.0)):
            value = level * (1 + random.normal(0, 0.02, len(ticks)))
            row = Columns(sampled, ticks, value, np.ones(len(ticks), dtype=np.int64))
            devices[f"system/gpu.{n}.{name}"] = row
    series = SeriesSet.of(every | devices, time_axis=frozenset(devices))
    ref = RunRef(source="logs", project="weight", run_id="one", name=f"{steps} steps",
                 state="finished", location="one", kind="rundir")  # fmt: skip
    only = Attempt(number=1, start=START, end=float(time[-1]), first_step=0, last_step=steps - 1)
    run = Run(ref=ref, name=ref.name, state="finished", start=START, end=float(time[-1]),
              attempts=(only,), series=series, config={"lr": 6e-4, "layers": 12})  # fmt: skip
    return analyze(run)


def neighbours(count: int) -> Iterator[Report]:
    """Other runs of the site, one a day, small but with all that search knows of a run."""
    for number in range(count):
        begin = START - 86_400.0 * (number + 1)
        step = np.arange(64, dtype=np.int64)
        time, ones = begin + step * 60.0, np.ones(64, dtype=np.int64)
        loss = Columns(step, time, 2 + number % 7 / 10 + 1 / (1 + step), ones)
        ref = RunRef(
            source="logs", project=f"project {number % 9}", run_id=f"run-{number}",
            name=f"neighbour-{number}", state="finished", location="x", kind="rundir",
        )  # fmt: skip
        run = Run(
            ref=ref, name=ref.name, state="finished", start=begin, end=begin + 3840,
            series=SeriesSet.of({"train/loss": loss}),
            config={"lr": 1e-4 * (1 + number % 40), "layers": number % 48},
        )  # fmt: skip
        yield analyze(run)


def site_of(report: Report, folder: Path, *, among: int = 1) -> tuple[Path, str]:
    """Builds the site of this run and others, `among` in all; (its folder, the run's slug)."""
    builder.write_project(folder, title="Weight", locations=("logs",))
    settings = load_settings(folder / "runpages.toml")
    files: dict[str, bytes] = {}
    rows = []
    for one in (report, *neighbours(among - 1)):
        page = render(one)
        files |= {f"docs/{name}": data for name, data in page.files.items()}
        files[f"docs/runs/{one.run.slug}.md"] = page.markdown.encode()
        rows.append({**list_row(one), **listed_facts(one)})
    shared = shared_assets() | full_list([report.run.slug])
    shared |= index_pages(rows, [], site=settings.site)
    files |= {f"docs/runs/{name}": data for name, data in shared.items()}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", "site"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "site", report.run.slug


class _Gzip(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            self.send_error(404)
            return
        data = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    handler = partial(_Gzip, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Meter:
    """A page and what it has transferred and spent."""

    def __init__(self, page: Page, devtools: CDPSession) -> None:
        self.page, self.devtools = page, devtools
        self.transferred = 0
        self.away: list[str] = []
        devtools.on("Network.loadingFinished", self._finished)
        devtools.send("Network.enable")
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _finished(self, event: dict[str, float]) -> None:
        self.transferred += int(event["encodedDataLength"])

    def now(self) -> dict[str, float]:
        self.devtools.send("HeapProfiler.collectGarbage")
        metrics = self.devtools.send("Performance.getMetrics")["metrics"]
        found = {m["name"]: m["value"] for m in metrics}
        return {"KB": self.transferred / 1000, "cpu_ms": 1000 * found["TaskDuration"],
                "heap_MB": found["JSHeapUsedSize"] / 2**20}  # fmt: skip


def measured(address: str, slug: str, browser: Browser) -> dict[str, object]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    away: list[str] = []
    page.on("request", lambda r: r.url.startswith((address, "data:")) or away.append(r.url))
    meter = Meter(page, page.context.new_cdp_session(page))
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => "
        "{ if (!e.hadRecentInput) window.shift += e.value; }))"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    page.goto(f"{address}/runs/{slug}/", wait_until="networkidle")
    out: dict[str, object] = {"first view": meter.now()}
    figures = page.locator("figure.rp-chart[data-rp-src]")
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        figures.nth(number).focus()
        page.locator(".rp-live .main-svg").nth(2 * number).wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    out["all charts live"] = {"charts": figures.count(), **meter.now()}
    before = meter.transferred
    page.evaluate("scrollTo(0, 0)")
    page.goto(f"{address}/runs/{slug}/?x=40000..48000#curves", wait_until="networkidle")
    page.wait_for_timeout(1500)
    out["zoomed, cold"] = {**meter.now(), "KB": (meter.transferred - before) / 1000}
    out["layout shift"] = page.evaluate("window.shift")
    out["requests elsewhere"] = away
    page.context.close()
    return out


def weights(site: Path, slug: str) -> dict[str, object]:
    """Bytes of the run's files, and of each chart."""

    def packed(data: bytes) -> float:
        return round(len(gzip.compress(data, 6)) / 1000, 1)

    folder = site / "runs" / "assets" / "runs" / slug
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    page = site / "runs" / slug / "index.html"
    kept = json.loads(files["charts.json"].read_bytes())
    packs = sorted(n for n in files if n.startswith("metrics-"))
    finer = [n for n in files if n.startswith(("detail-", "window-"))] + packs[
        kept["light_packs"] :
    ]
    light = [p for n, p in files.items() if n not in finer] + [page]
    charts = kept["charts"]
    own = [
        p
        for p in (site / "runs/assets/rp").iterdir()
        if p.name.startswith("rp") and not p.name.startswith(_OTHER_PAGES)
    ]
    return {
        "page, KB gz": packed(page.read_bytes()),
        "our JS and CSS, KB gz": round(sum(packed(p.read_bytes()) for p in own), 1),
        "charts.json, KB gz": packed(files["charts.json"].read_bytes()),
        "largest chart, KB gz": max(packed(json.dumps(c).encode()) for c in charts),
        "largest finer file, KB gz": max((packed(files[n].read_bytes()) for n in finer), default=0),
        "light": [len(light), round(sum(p.stat().st_size for p in light) / 1000, 1)],
        "full": [
            len(files) + 1,
            round(sum(p.stat().st_size for p in (*files.values(), page)) / 1000, 1),
        ],
    }


def plain_page(report: Report) -> bytes:
    """The charts of the page as `plotly.io.to_html` makes them, every point in the page."""
    import plotly.graph_objects as go
    import plotly.io as pio

    parts = []
    for chart in build_charts(report).charts:
        traces = []
        for name in chart.metrics:
            rows = report.run.series[name].effective
            x = rows.step if report.run.series.info(name).axis == "step" else rows.time - START
            traces.append(go.Scatter(x=x, y=rows.value, name=name, mode="lines"))
        first = not parts
        figure = go.Figure(data=traces, layout={"title": chart.title})
        parts.append(pio.to_html(figure, full_html=False, include_plotlyjs=first))
    return ("<!doctype html><meta charset=utf-8><body>" + "".join(parts)).encode()


def measured_plain(folder: Path, browser: Browser) -> dict[str, object]:
    (folder / "index.html").write_bytes(plain_page(generated()))
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(300_000)
        meter = Meter(page, page.context.new_cdp_session(page))
        page.goto(address, wait_until="load")
        page.wait_for_function("document.querySelectorAll('.main-svg').length >= 24")
        page.wait_for_timeout(2000)
        return {"all charts live": meter.now()}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        chromium = os.environ.get("RUNPAGES_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if sys.argv[1:] == ["--plain"]:
            found = measured_plain(Path(name), browser)
        else:
            among = int(sys.argv[2]) if sys.argv[1:2] == ["--among"] else 1
            site, slug = (
                (Path(sys.argv[1]), sys.argv[2])
                if len(sys.argv) == 3 and among == 1
                else site_of(generated(), Path(name), among=among)
            )
            with served(site) as address:
                found = {**weights(site, slug), **measured(address, slug, browser)}
        browser.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
