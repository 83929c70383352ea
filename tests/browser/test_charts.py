"""The charts in a real browser: a drawing first, live when touched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pages.factory import START, joined, make_run, rows
from runpages import analyze
from runpages.builder.assets import shared_assets
from runpages.markup import text
from runpages.model import SeriesSet
from runpages.pages.charts import Chart, build_charts

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>charts</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}assets/rp/rp.css"><style>html{{font-size:125%}}
body{{margin:1rem;background:var(--rp-bg);color:var(--rp-ink);font-family:sans-serif}}</style>
</head><body data-md-color-scheme="default"><main class="md-typeset"><div class="rp-page"></div>
<p><a class="rp-zoom" href="?x=1200..1210#curves">Show</a></p><h2 id="curves">Curves</h2>
<div class="rp-charts">{figures}</div></main><script src="{up}assets/rp/rp.js"></script></body></html>
"""


def figure(chart: Chart, source: str) -> str:
    wide = " rp-chart--wide" if chart.wide else ""
    legend = "".join(f'<span><i class="{c}"></i>{text(label)}</span>' for c, label in chart.legend)
    return (
        f'<figure class="rp-chart{wide}" data-rp-chart="{chart.id}" data-rp-src="{source}">'
        f"<figcaption><b>{text(chart.title)}</b> {text(chart.unit)} {text(chart.caption)}"
        f'<span class="rp-over">{text(chart.over)}</span>'
        f'<span class="rp-key">{legend}</span></figcaption>'
        f'<div class="rp-plot">{chart.svg}</div></figure>'
    )


def many(steps: int = 3000):
    """A run that spikes, is killed, goes on from a checkpoint and meets NaN; and its devices."""
    noise = np.random.default_rng(3).normal(0, 0.05, steps)

    def loss(step: int) -> float:
        value = 7 * np.exp(-step / 300) + 2 + noise[step]
        return float("nan") if step in {2500, 2501} else value + (2 if 1200 <= step < 1210 else 0)

    def redone(step: int) -> float:
        return loss(step) + (1.5 if 1690 <= step < 1700 else 0)

    first = rows(0, 1700, redone)
    second = rows(1500, steps, loss, attempt=2, begin=START + 1800)
    val = rows(0, steps // 100, lambda s: 7 * np.exp(-s / 3) + 2.1)
    val = val._replace(step=val.step * 100)
    norm = rows(0, steps, lambda s: 30 if s == 1200 else 0.5 + abs(noise[s]) * 4)
    lr = rows(0, steps, lambda s: 6e-4 * min(1, s / 200) * (1 - s / steps))
    made = {"train/loss": joined(first, second), "val/loss": val, "grad_norm": norm, "lr": lr}
    made["odd <b>name</b> $x$"] = rows(0, 40, lambda s: s % 7)
    made["gpu_util"] = rows(0, 300, lambda s: 90 + s % 5)
    series = SeriesSet.of(made, time_axis=frozenset({"gpu_util"}))
    run = replace(make_run(start=START), series=series)
    return analyze(run)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page with charts, two folders down as a run page is."""
    root = tmp_path_factory.mktemp("site")
    charts = build_charts(many())
    files = dict(shared_assets())
    files |= {f"assets/runs/one/{name}": data for name, data in charts.files.items()}
    figures = "".join(figure(c, "../../assets/runs/one/charts.json") for c in charts.charts)
    page = PAGE.format(up="../../", figures=figures)
    files["runs/one/index.html"] = page.encode()
    for name, data in files.items():
        path = root / "deep" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    handler = partial(_Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/deep"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page with all that it asked for and complained about."""

    def __init__(self, browser, url: str, **options) -> None:
        self.context = browser.new_context(viewport={"width": 1000, "height": 1400}, **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("pageerror", lambda e: self.problems.append(str(e)))
        self.page.on(
            "console",
            lambda m: self.problems.append(m.text) if m.type in {"error", "warning"} else None,
        )
        self.page.goto(url, wait_until="networkidle")

    def plot(self, chart: str):
        return self.page.locator(f'[data-rp-chart="{chart}"] .rp-plot')

    def live(self, chart: str):
        return self.page.locator(f'[data-rp-chart="{chart}"] .rp-live')

    def touch(self, chart: str) -> None:
        self.page.locator(f'[data-rp-chart="{chart}"] figcaption').hover()
        self.live(chart).locator(".nsewdrag").wait_for(state="attached")

    def hover(self, chart: str, across: float, down: float, words: str) -> None:
        """Points into a live chart, at shares of its width and height, until it says `words`."""
        box = self.live(chart).locator(".nsewdrag").bounding_box()
        x, y = box["x"] + box["width"] * across, box["y"] + box["height"] * down
        said = self.live(chart).locator(".hoverlayer").get_by_text(words)
        for move in range(40):
            self.page.mouse.move(x + move % 2, y)
            if said.count():
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"no hover text {words!r}")

    def colours(self, chart: str) -> dict[str, str]:
        script = "e => e._fullData.map(t => [t.name, t.fillcolor ?? t.line?.color])"
        return dict(self.live(chart).evaluate(script))


@pytest.fixture
def tab(browser, site: str) -> Iterator[Tab]:
    tab = Tab(browser, f"{site}/runs/one/")
    yield tab
    tab.context.close()


def test_a_page_that_nobody_touches_is_a_drawing(tab: Tab) -> None:
    assert tab.plot("loss").locator("path.run").first.is_visible()
    assert [u for u in tab.requests if "plotly" in u or "charts.json" in u] == []
    assert tab.problems == []


def test_a_live_chart_has_the_colours_of_the_drawing_in_both_palettes(tab: Tab, site: str) -> None:
    tab.touch("loss")

    def drawn(path: str) -> str:
        script = "p => getComputedStyle(p).stroke"
        return tab.plot("loss").locator(f"path.{path}").first.evaluate(script)

    light = tab.colours("loss")
    assert (light["train/loss"], light["val/loss"]) == (drawn("run"), drawn("s2"))
    assert light["train/loss, redone later"] == drawn("old")
    tab.page.evaluate("document.body.dataset.mdColorScheme = 'slate'")
    tab.page.wait_for_function(
        "was => document.querySelector('.rp-live')._fullData.find(t => t.name === 'train/loss')"
        ".line.color !== was",
        arg=light["train/loss"],
    )
    assert tab.colours("loss")["train/loss"] == drawn("run")
    away = [u for u in tab.requests if not u.startswith((site, "data:"))]
    assert (away, tab.problems) == ([], [])


def test_a_non_finite_value_is_named_under_the_pointer(tab: Tab) -> None:
    title = tab.plot("loss").locator("line.bad title").first
    assert title.text_content() == "NaN at step 2,500"
    tab.touch("loss")
    tab.hover("loss", 2500 / 2999, 0.96, "NaN at step 2,50")
    assert tab.problems == []


def test_hostile_names_stay_text(tab: Tab) -> None:
    tab.touch("m-1")
    tab.hover("m-1", 0.5, 0.5, "odd <b>name</b> $x$")
    assert tab.problems == []


def test_charts_by_time_follow_to_the_same_moments(tab: Tab) -> None:
    tab.touch("loss")
    tab.touch("gpu-util")
    tab.page.locator("a.rp-zoom").click()
    tab.page.wait_for_function(
        "document.querySelector('[data-rp-chart=loss] .rp-live').layout.xaxis.range[1] < 1300"
    )
    low, high = tab.live("gpu-util").evaluate("e => e.layout.xaxis.range.map(v => v * 60)")
    assert (low, high) == pytest.approx((1199.5, 1210.5))  # a step a second


def test_without_javascript_the_drawings_stand(browser, site: str) -> None:
    tab = Tab(browser, f"{site}/runs/one/", java_script_enabled=False)
    assert tab.page.locator(".rp-plot > svg").count() == 5
    assert tab.page.locator("path.run").first.is_visible()
    tab.context.close()
