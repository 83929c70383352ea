"""The charts in a real browser: a drawing first, live when touched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pages.factory import START, joined, report, rows

from runpages.builder.assets import shared_assets
from runpages.markup import text
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
    return report(made, start=START)


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
    broken = page.replace("one/charts.json", "none/charts.json").replace('"odd', '"')
    files["runs/broken/index.html"] = broken.encode()
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

    def wake(self, chart: str) -> None:
        self.page.locator(f'[data-rp-chart="{chart}"]').hover()
        self.plot(chart).locator(".js-plotly-plot .main-svg").first.wait_for()
        self.page.wait_for_function(
            "id => document.querySelector(`[data-rp-chart='${id}'] svg`).style.visibility",
            arg=chart,
        )

    def layout(self, chart: str) -> dict:
        script = "e => { const l = e._fullLayout; return {x: l.xaxis.range, y: l.yaxis.range} }"
        return self.plot(chart).locator(".js-plotly-plot").evaluate(script)

    def colour(self, chart: str) -> str:
        script = "e => e._fullData.find(t => t.meta === 'run').line.color"
        return self.plot(chart).locator(".js-plotly-plot").evaluate(script)


@pytest.fixture
def tab(browser, site: str) -> Iterator[Tab]:
    tab = Tab(browser, f"{site}/runs/one/")
    yield tab
    tab.context.close()


def test_a_page_that_nobody_touches_is_a_drawing(tab: Tab) -> None:
    assert tab.plot("loss").locator("svg path.run").first.is_visible()
    assert [u for u in tab.requests if "plotly" in u or "charts.json" in u] == []
    assert tab.problems == []


def test_pointing_at_a_chart_makes_it_live_in_its_place(tab: Tab, site: str) -> None:
    before = tab.plot("loss").bounding_box()
    tab.wake("loss")
    live = tab.plot("loss").locator(".js-plotly-plot").bounding_box()
    assert live == before == tab.plot("loss").bounding_box()
    assert live["width"] > 300
    script = """e => {
      const frame = e.querySelector('.nsewdrag').getBoundingClientRect();
      const svg = e.parentNode.querySelector(':scope > svg').getBoundingClientRect();
      return [frame.left - svg.left, frame.top - svg.top, frame.width - svg.width];
    }"""
    shift = tab.plot("loss").locator(".js-plotly-plot").evaluate(script)
    assert max(abs(v) for v in shift) <= 1
    assert tab.page.locator(".js-plotly-plot").count() == 1
    assert tab.problems == []
    assert [u for u in tab.requests if not u.startswith((site, "data:"))] == []
    assert len([u for u in tab.requests if "plotly.min.js" in u]) == 1


def test_nothing_offers_to_upload_the_data(tab: Tab) -> None:
    tab.wake("loss")
    context = tab.plot("loss").locator(".js-plotly-plot").evaluate("e => e._context")
    assert context["showSendToCloud"] is False
    assert context["plotlyServerURL"] == ""
    titles = (
        tab.plot("loss")
        .locator(".modebar-btn")
        .evaluate_all("all => all.map(b => b.dataset.title)")
    )
    assert titles
    assert not [t for t in titles if t and ("loud" in t or "hare" in t)]


def test_the_keyboard_reaches_a_chart(tab: Tab) -> None:
    plot = tab.plot("lr")
    plot.focus()
    plot.locator(".js-plotly-plot").wait_for()
    assert plot.get_attribute("role") == "group"
    assert "Learning rate" in plot.get_attribute("aria-label")


def test_the_palette_recolours_live_charts(tab: Tab) -> None:
    tab.wake("loss")
    light = tab.colour("loss")
    tab.page.evaluate("document.body.dataset.mdColorScheme = 'slate'")
    tab.page.wait_for_function(
        "was => document.querySelector('.js-plotly-plot')._fullData"
        ".find(t => t.meta === 'run').line.color !== was",
        arg=light,
    )
    assert (light, tab.colour("loss")) == ("rgb(11, 95, 165)", "rgb(107, 179, 245)")


def test_a_zoom_is_shared_kept_in_the_address_and_undone(tab: Tab) -> None:
    tab.wake("loss")
    tab.wake("lr")
    whole = tab.layout("lr")
    box = tab.plot("loss").locator(".nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    tab.page.mouse.move(box["x"] + box["width"] * 0.5, y)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=5)
    tab.page.mouse.up()
    tab.page.wait_for_function("location.search.startsWith('?x=')")
    zoomed = tab.layout("lr")
    assert zoomed["x"] == pytest.approx([1500, 1800], abs=10)
    assert zoomed["x"] == tab.layout("loss")["x"]
    assert zoomed["y"][1] < whole["y"][1] / 1.5  # y follows what is seen
    tab.page.reload(wait_until="networkidle")
    tab.plot("loss").locator(".js-plotly-plot").wait_for()
    assert tab.layout("loss")["x"] == pytest.approx(zoomed["x"], abs=1)
    tab.plot("loss").locator(".nsewdrag").dblclick()
    tab.page.wait_for_function("location.search === ''")
    assert tab.layout("loss")["x"] == [0, 2999]


def test_a_link_to_a_finding_zooms_all_charts(tab: Tab) -> None:
    tab.page.locator("a.rp-zoom").click()
    tab.plot("loss").locator(".js-plotly-plot").wait_for()
    tab.plot("grad-norm").locator(".js-plotly-plot").wait_for()
    assert tab.layout("loss")["x"] == [1180, 1230]
    assert tab.page.evaluate("location.search") == "?x=1180..1230"
    assert tab.problems == []


def test_hostile_names_stay_text(tab: Tab) -> None:
    tab.wake("m-1")
    plot = tab.plot("m-1").locator(".js-plotly-plot")
    box = plot.locator(".nsewdrag").bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = plot.locator(".hoverlayer")
    shown.get_by_text("odd <b>name</b> $x$").wait_for()
    assert tab.problems == []


def test_a_chart_whose_data_is_gone_stays_a_drawing(browser, site: str) -> None:
    tab = Tab(browser, f"{site}/runs/broken/")
    tab.page.locator('[data-rp-chart="loss"]').hover()
    note = tab.page.locator('[data-rp-chart="loss"] [role="status"]')
    note.wait_for()
    assert "(404)" in note.inner_text()
    assert tab.plot("loss").locator("svg path.run").first.is_visible()
    tab.context.close()


def test_without_javascript_the_drawings_stand(browser, site: str) -> None:
    tab = Tab(browser, f"{site}/runs/one/", java_script_enabled=False)
    assert tab.page.locator(".rp-plot > svg").count() == 5
    assert tab.page.locator("path.run").first.is_visible()
    tab.context.close()
