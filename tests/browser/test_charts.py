"""The charts in a real browser: a drawing first, live when touched."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pages.factory import START, joined, make_run, rows
from runpages import analyze
from runpages.builder.assets import shared_assets
from runpages.builder.levels import full_list
from runpages.model import Report, SeriesSet
from runpages.pages.charts import build_charts
from runpages.pages.comparable import comparable_file
from runpages.pages.room import LIGHT, Room
from runpages.pages.templating import render_template
from runpages.pages.words import group_slug

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>charts</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}assets/rp/rp.css"><style>html{{font-size:125%}}
body{{margin:1rem;background:var(--rp-bg);color:var(--rp-ink);font-family:sans-serif}}</style>
</head><body data-md-color-scheme="default"><main class="md-typeset"><div class="rp-page"></div>
<p><a class="rp-zoom" href="?x=1200..1210#curves">Show</a></p><h2 id="curves">Curves</h2>
{curves}</main><script src="{up}assets/rp/rp.js"></script></body></html>
"""


CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:"
)


def many(steps: int = 3000) -> Report:
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
    made["tokens"] = rows(0, steps, lambda s: 1000 * (s + 1))
    made |= {f"extra {n}": rows(0, 40, lambda s, n=n: (s + n) % 5) for n in range(90)}
    series = SeriesSet.of(made, time_axis=frozenset({"gpu_util"}))
    run = replace(make_run(start=START), series=series)
    other = make_run({"train/loss": rows(0, 2000, lambda s: 7 * np.exp(-s / 200) + 2)})
    return analyze(run, baseline=analyze(other))


def calm() -> Report:
    """Nothing to find in it, and too long for one level."""
    noise = np.random.default_rng(5).normal(0, 0.05, 4000)
    return analyze(make_run({"train/loss": rows(0, 4000, lambda s: 3 + noise[s])}))


def seeded(number: int, level: float, *, lr: bool = True) -> Report:
    """One of a group whose seeds end at different levels."""
    columns = {"train/loss": rows(0, 400, lambda s: level + np.exp(-s / 90))}
    if lr:
        columns["lr"] = rows(0, 400, lambda s: 1e-3 * (1 - s / 400))
    run = make_run(columns, group="seeds & <b>more</b>", start=START, name=f"<i>kin</i> {number}")
    return analyze(replace(run, ref=replace(run.ref, run_id=f"kin {number}")))


def kin() -> dict[str, bytes]:
    """Pages of a run with two siblings that have files and one that has none, and of one alone."""
    first, *others = [seeded(1, 2.0), seeded(2, 2.5), seeded(3, 1.5, lr=False)]
    slugs = [one.run.slug for one in (first, *others)]
    group = {"schema": "runpages.group/1", "slugs": [*slugs, "gone-0123456789"]}
    files = page_of("kin", first)
    files[f"groups/{group_slug(first.run.group)}.json"] = json.dumps(group).encode()
    for one in others:
        files[f"assets/runs/{one.run.slug}/compare.json"] = comparable_file(one)
    lonely = replace(calm(), run=replace(calm().run, group="lonely"))
    return files | page_of("lonely", lonely)


def page_of(name: str, report: Report, room: Room = LIGHT) -> dict[str, bytes]:
    """Files of a page with the charts of a run."""
    charts = build_charts(report, room=room)
    curves = render_template(
        "curves.md.jinja", charts=charts.charts, more=charts.more, absent=charts.absent,
        uncharted=charts.uncharted,
        no_step=charts.no_step, no_tokens=charts.no_tokens,
        no_time=charts.no_time, baseline=report.baseline,
        family=group_slug(report.run.group) if report.run.group else "", data=f"../../assets/runs/{name}",
    )  # fmt: skip
    page = PAGE.format(up="../../", curves=curves)
    files = {f"assets/runs/{name}/{file}": data for file, data in charts.files.items()}
    return files | {f"runs/{name}/index.html": page.encode()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page with charts, two folders down as a run page is."""
    root = tmp_path_factory.mktemp("site")
    files = dict(shared_assets()) | page_of("one", many()) | page_of("two", calm())
    columns = rows(0, 100, lambda s: s % 7)
    sampled = SeriesSet.of({"fan": columns, "heat": columns}, time_axis=frozenset({"fan", "heat"}))
    files |= page_of("hardware", analyze(replace(make_run(), series=sampled)))
    unclocked = columns._replace(time=np.full(100, np.nan))
    files |= page_of("blind", analyze(make_run({"train/loss": unclocked})))
    full = [report.run.slug for report in (many(), calm())]
    files |= full_list(full)
    light = calm()
    ref = replace(light.run.ref, run_id="light")
    light = replace(light, run=replace(light.run, ref=ref))
    assert light.run.slug not in full
    files |= page_of("light", light)
    crowded = analyze(replace(make_run(run_id="crowded"), series=many().run.series))
    files |= page_of("crowded", crowded, Room(1, 0))
    files |= kin()
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
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", CSP)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Tab:
    """A page with all that it asked for and complained about."""

    def __init__(self, browser, url: str, **options) -> None:
        self.context = browser.new_context(viewport={"width": 1000, "height": 1400}, **options)
        self.context.set_default_timeout(8_000)
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

    def hover(self, chart: str, across: float, down: float, words: str | re.Pattern[str]) -> None:
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

    def shown(self, chart: str) -> list:
        return self.live(chart).evaluate("e => [...e.layout.xaxis.range]")

    def wait(self, chart: str, condition: str) -> None:
        """Until a function of the live chart `e` holds."""
        self.page.wait_for_function(
            f"e => {{ e = document.querySelector('[data-rp-chart={chart}] .rp-live'); "
            f"return e?._fullData && ({condition}); }}"
        )

    def line(self, chart: str, name: str) -> dict[str, list]:
        """x and y of the line with this name (what lies behind a smoothed one has it too)."""
        script = "(e, n) => e.data.filter(t => t.name === n).map(t => ({x: t.x, y: t.y}))"
        return self.live(chart).evaluate(script, name)[-1]

    def fetched(self, part: str) -> list[str]:
        return [u.rpartition("/")[2] for u in self.requests if part in u]

    def colours(self, chart: str) -> dict[str, str]:
        script = "e => e._fullData.map(t => [t.name, t.fillcolor ?? t.line?.color])"
        return dict(self.live(chart).evaluate(script))


@pytest.fixture
def opened(browser, site: str) -> Iterator[Callable[..., Tab]]:
    """Opens the page with a query; in the end nothing may have gone wrong in it."""
    tabs: list[Tab] = []

    def open_(query: str = "", *, run: str = "one", **options) -> Tab:
        tabs.append(Tab(browser, f"{site}/runs/{run}/{query}", **options))
        return tabs[-1]

    yield open_
    for tab in tabs:
        assert tab.problems == []
        assert [u for u in tab.requests if not u.startswith((site, "data:", "blob:"))] == []
        tab.context.close()


@pytest.fixture
def tab(opened) -> Tab:
    return opened()


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


def test_the_attempt_is_named_under_the_pointer(tab: Tab) -> None:
    tab.touch("loss")
    tab.hover(
        "loss", 1000 / 2999, 0.5, re.compile(r"train/loss : [\d.]+ \([\d.]+ to [\d.]+\), attempt 1")
    )
    tab.hover("loss", 2000 / 2999, 0.5, re.compile(r", attempt 2"))


def test_hostile_names_stay_text(tab: Tab) -> None:
    tab.touch("m-1")
    tab.hover("m-1", 0.5, 0.5, "odd <b>name</b> $x$")
    assert tab.problems == []


def test_charts_by_time_follow_to_the_same_moments(tab: Tab) -> None:
    tab.touch("loss")
    tab.touch("gpu-util")
    tab.page.locator("a.rp-zoom").click()
    tab.page.wait_for_function(
        "() => document.querySelector('[data-rp-chart=loss] .rp-live').layout.xaxis.range[1] < 1300"
    )
    low, high = tab.live("gpu-util").evaluate("e => e.layout.xaxis.range.map(v => v * 60)")
    assert (low, high) == pytest.approx((1199.5, 1210.5))  # a step a second


def test_a_zoom_fetches_the_tiles_under_it_and_draws_every_row(opened) -> None:
    tab = opened("?x=900..1300", run="two")
    tab.wait("loss", "e.data.find(t => t.name === 'train/loss').x.length > 1000")
    assert tab.fetched("detail-") == [f"detail-0{n}.json" for n in (1, 2)]
    line = tab.line("loss", "train/loss")
    assert [x for x in line["x"] if 900 <= x <= 1300] == list(range(900, 1301))


def test_more_rows_than_there_is_room_for_are_means_with_their_extremes(opened) -> None:
    tab = opened("?x=800..2400", run="two")
    tab.wait("loss", "e.data[1].x.filter(x => x >= 800 && x <= 2400).length > 150")
    x, y = tab.live("loss").evaluate("e => [e.data[1].x, e.data[1].y]")
    inside = [n for n, step in enumerate(x) if 800 <= step <= 2400]
    assert len(inside) <= 300  # one for 4 of about 950 pixels, and the ends of files
    values = 3 + np.random.default_rng(5).normal(0, 0.05, 4000)[800:2401]
    band = "e => e.data[0].x.flatMap((x, i) => x >= 800 && x <= 2400 ? [e.data[0].y[i]] : [])"
    drawn = tab.live("loss").evaluate(band)
    assert (min(drawn), max(drawn)) == pytest.approx((values.min(), values.max()), rel=1e-4)
    assert np.mean([y[n] for n in inside]) == pytest.approx(values.mean(), abs=0.002)


def test_a_light_run_zooms_into_the_first_level_and_asks_for_no_other(opened) -> None:
    tab = opened(run="light")
    assert tab.fetched("full.json") == []  # only a zoom asks
    tab.touch("loss")
    assert tab.fetched("full.json") == []
    tab.page.locator("[data-rp-chart=loss]").get_by_title("Zoom in").click()
    tab.wait("loss", "e.layout.xaxis.range[0] > 900")
    tab.page.locator("[data-rp-chart=loss]").get_by_title("Zoom in").click()
    tab.wait("loss", "e.layout.xaxis.range[0] > 1400")
    tab.page.wait_for_load_state("networkidle")
    assert tab.fetched("full.json") == ["full.json"]
    assert (tab.fetched("detail-"), tab.fetched("window-")) == ([], [])
    assert 250 <= len(tab.line("loss", "train/loss")["x"]) <= 302
    assert tab.problems == []


def test_where_a_finer_file_cannot_be_had_the_first_level_stands(opened) -> None:
    tab = opened(run="two")
    tab.page.route("**/detail-*.json", lambda route: route.fulfill(status=404))
    tab.touch("loss")
    tab.page.locator("[data-rp-chart=loss]").get_by_title("Zoom in").click()
    tab.wait("loss", "e.layout.xaxis.range[0] > 900")
    tab.page.wait_for_timeout(300)
    assert 250 <= len(tab.line("loss", "train/loss")["x"]) <= 302
    assert tab.problems
    assert all("404" in problem for problem in tab.problems)
    tab.problems.clear()


def test_printing_loses_no_window(opened) -> None:
    tab = opened("?x=900..1300", run="two")
    tab.wait("loss", "e.data.find(t => t.name === 'train/loss').x.length > 1000")
    tab.page.pdf()
    tab.wait("loss", "e.data.find(t => t.name === 'train/loss').x.length > 1000")
    assert tab.shown("loss") == [900, 1300]


def test_around_a_finding_a_window_has_every_row(tab: Tab) -> None:
    tab.page.locator("a.rp-zoom").click()
    tab.wait("grad-norm", "e.data.find(t => t.name === 'grad_norm').x.length > 2500")
    line = tab.line("grad-norm", "grad_norm")
    assert dict(zip(line["x"], line["y"], strict=True))[1200] == 30
    assert len(tab.fetched("window-")) == 1


def test_back_at_everything_the_first_level_stands(opened) -> None:
    tab = opened("?x=300..600")
    tab.wait("loss", "e.data.find(t => t.name === 'train/loss').x.length > 700")
    tab.page.get_by_role("button", name="Show everything").first.click()
    tab.wait("loss", "e.layout.xaxis.range[1] === 2999")
    assert len(tab.line("loss", "train/loss")["x"]) < 700
    assert tab.page.url.endswith("/runs/one/")


@pytest.mark.parametrize(
    ("ax", "first", "last"),
    [("tokens", 1000, 3_000_000), ("elapsed", 0, (1800 + 1499) / 60),
     ("wall time", 1_767_225_600_000, 1_767_225_600_000 + 3_299_000)],
)  # fmt: skip
def test_x_may_count_otherwise(tab: Tab, ax: str, first: float, last: float) -> None:
    tab.page.get_by_label(ax, exact=True).check()
    tab.wait("loss", "!e.layout.xaxis.unifiedhovertitle.text.startsWith('step')")
    x = [v for v in tab.line("loss", "train/loss")["x"] if v is not None]
    width = last - first
    assert (x[0], x[-1]) == pytest.approx((first, last), abs=0.01 * width)
    assert f"ax={ax.split(maxsplit=1)[0]}" in tab.page.url


def test_redone_rows_stand_at_their_own_time(opened) -> None:
    tab = opened("?ax=elapsed")
    tab.wait("loss", "true")
    old = tab.line("loss", "train/loss, redone later")
    assert (old["x"][0], old["x"][-1]) == pytest.approx((1500 / 60, 1699 / 60), abs=0.2)
    new = [v for v in tab.line("loss", "train/loss")["x"] if v is not None]
    assert not [v for v in new if 25.1 < v < 29.9]  # nothing ran between 1500 s and 1800 s


def test_findings_stand_at_their_own_time(opened) -> None:
    tab = opened("?ax=wall")
    tab.wait("loss", "true")
    marks = "e => e.layout.shapes.map(s => (s.x0 - 1767225600000) / 1000)"
    places = tab.live("loss").evaluate(marks)
    assert 1200 in places
    assert all(0 <= place <= 3300 for place in places)


def test_the_baseline_has_no_place_in_wall_time_and_can_be_hidden(opened) -> None:
    tab = opened("?ax=elapsed")
    tab.wait("loss", "true")
    assert tab.line("loss", "train/loss, baseline")["x"][-1] == pytest.approx(1999 / 60, abs=0.2)
    tab.page.get_by_label("wall time").check()
    tab.wait("loss", "e.layout.xaxis.type === 'date'")
    assert set(tab.line("loss", "train/loss, baseline")["x"]) == {None}
    tab.page.get_by_label("baseline").uncheck()
    tab.wait("loss", "!e.data.some(t => t.name?.endsWith('baseline'))")
    assert tab.page.url.endswith("?ax=wall&base=0")


def test_a_window_keeps_its_place_when_x_counts_otherwise(opened) -> None:
    tab = opened("?x=300..600")
    tab.wait("loss", "e.layout.xaxis.range[1] === 600")
    tab.page.get_by_label("tokens", exact=True).check()
    tab.wait("loss", "e.layout.xaxis.range[1] > 1000")
    assert tab.shown("loss") == pytest.approx([301_000, 601_000])
    assert "x=301000..601000&ax=tokens" in tab.page.url


def test_smoothing_is_an_average_without_the_bias_of_its_start(opened) -> None:
    tab = opened("?sm=0.9")
    tab.wait("grad-norm", "e.data.length > 1")
    script = "e => e.data.filter(t => t.name === 'grad_norm').map(t => [t.y, t.opacity])"
    (raw, faint), (smooth, full) = tab.live("grad-norm").evaluate(script)
    expected, total, weight = [], 0.0, 0.0
    for value in raw:
        total, weight = 0.9 * total + 0.1 * value, 0.9 * weight + 0.1
        expected.append(total / weight)
    assert smooth == pytest.approx(expected)
    assert (smooth[0], faint, full) == (pytest.approx(raw[0]), 0.25, 1)


def test_evaluations_and_learning_rates_are_never_smoothed(opened) -> None:
    tab = opened("?sm=0.9")
    tab.wait("lr", "true")
    tab.wait("loss", "true")
    count = "(e, name) => e.data.filter(t => t.name === name).length"
    assert tab.live("lr").evaluate(count, "lr") == 1
    assert tab.live("loss").evaluate(count, "val/loss") == 1
    assert tab.live("loss").evaluate(count, "train/loss") == 2


@pytest.mark.parametrize("query", ["?sm=.5", "?y=log"])
def test_the_last_validation_loss_stands_at_its_height(opened, query: str) -> None:
    tab = opened(query)
    tab.wait("loss", "true")
    place = (
        "e => { const a = e._fullLayout.annotations.find(a => a.name === 'end');"
        " return [a.text, e._fullLayout.yaxis.r2c(a.y)]; }"
    )
    words, height = tab.live("loss").evaluate(place)
    value = tab.line("loss", "val/loss")["y"][-1]
    assert words == f"validation {value:.3f}"
    assert height == pytest.approx(value, rel=1e-3)


def test_log_is_for_charts_of_positive_values_only(opened) -> None:
    tab = opened("?y=log")
    tab.wait("loss", "e.layout.yaxis.type === 'log'")
    tab.touch("m-1")  # has zeros
    tab.wait("m-1", "e.layout.yaxis.type === 'linear'")
    tab.page.get_by_label("linear", exact=True).check()
    tab.wait("loss", "e.layout.yaxis.type === 'linear'")
    assert tab.page.url.endswith("?y=linear")


def test_the_copied_link_opens_the_same_view(opened, site: str) -> None:
    tab = opened(
        "?x=300..600&sm=0.6&ax=tokens&y=log#curves",
        permissions=["clipboard-read", "clipboard-write"],
    )
    tab.page.get_by_role("button", name="Copy link").click()
    tab.page.get_by_text("copied").wait_for()
    link = tab.page.evaluate("navigator.clipboard.readText()")
    assert link == f"{site}/runs/one/?x=300..600&sm=0.6&ax=tokens&y=log#curves"


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_chart_is_saved_as_a_picture(tab: Tab, kind: str, start: bytes) -> None:
    tab.touch("loss")
    with tab.page.expect_download() as download:
        tab.page.locator("[data-rp-chart=loss]").get_by_text(kind).click()
    saved = download.value
    assert saved.suggested_filename.endswith(f"-loss.{kind.lower()}")
    content = saved.path().read_bytes()
    assert content.startswith(start)
    assert len(content) > 10_000


def test_a_chart_is_saved_as_a_table(tab: Tab) -> None:
    tab.touch("m-1")
    with tab.page.expect_download() as download:
        tab.page.locator("[data-rp-chart=m-1]").get_by_text("CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "metric,line,step,elapsed_seconds,value,min,max"
    assert lines[1:3] == ["odd <b>name</b> $x$,curve,0,0,0,,", "odd <b>name</b> $x$,curve,1,1,1,,"]
    assert len(lines) == 41


def test_the_index_finds_and_opens_further_metrics(tab: Tab) -> None:
    assert tab.fetched("metrics-") == []
    tab.page.get_by_text("further metrics").click()
    names = tab.page.locator(".rp-names button")
    tab.page.get_by_label("Filter the further metrics").fill("82 EXTRA")
    tab.page.wait_for_function("() => document.querySelectorAll('.rp-names li').length === 1")
    assert names.all_text_contents() == ["extra 82"]
    names.first.click()
    tab.page.locator(".rp-opened .rp-live .main-svg").first.wait_for()
    assert tab.page.locator(".rp-opened figcaption b").all_text_contents() == ["extra 82"]
    assert tab.fetched("metrics-") == ["metrics-01.json"]
    chart = tab.page.url.partition("?m=")[2]
    assert chart.startswith("m-")
    tab.page.get_by_role("button", name="Close").click()
    assert tab.page.locator(".rp-opened figure").count() == 0
    assert "m=" not in tab.page.url


def test_a_light_run_says_which_curves_it_has_not(opened) -> None:
    tab = opened(run="crowded")
    tab.page.get_by_text("further metrics").click()
    tab.page.get_by_role("button", name="extra 44", exact=True).click()
    figure = tab.page.locator(".rp-opened figure")
    figure.get_by_text("kept of the site's newest runs only").wait_for()
    assert tab.fetched("metrics-") == []
    figure.get_by_role("button", name="Close").click()
    assert figure.count() == 0


def test_opened_metrics_are_part_of_the_link(opened) -> None:
    tab = opened("?m=m-84,r-1,zz-9,../x")
    tab.page.locator(".rp-opened .rp-live .main-svg").nth(1).wait_for()
    titles = tab.page.locator(".rp-opened figcaption b").all_text_contents()
    assert titles == ["extra 82", "tokens"]


def test_the_keyboard_alone_zooms_and_moves(tab: Tab) -> None:
    tab.page.locator("[data-rp-chart=loss]").focus()
    tab.live("loss").locator(".nsewdrag").wait_for(state="attached")
    tab.page.keyboard.press("+")
    tab.wait("loss", "e.layout.xaxis.range[0] > 700")
    assert tab.shown("loss") == pytest.approx([749.75, 2249.25])
    tab.page.keyboard.press("ArrowRight")
    tab.wait("loss", "e.layout.xaxis.range[0] > 1000")
    tab.page.keyboard.press("Escape")
    tab.wait("loss", "e.layout.xaxis.range[1] === 2999")
    reached = set()
    for _ in range(40):
        tab.page.keyboard.press("Shift+Tab")
        reached.add(
            tab.page.evaluate("document.activeElement.name || document.activeElement.textContent")
        )
    assert {"rp-ax", "rp-y", "Copy link"} <= reached


def test_a_finger_zooms_by_buttons(opened) -> None:
    tab = opened(has_touch=True, is_mobile=True)
    tab.page.locator("[data-rp-chart=loss]").tap()
    tab.live("loss").locator(".nsewdrag").wait_for(state="attached")
    tab.page.locator("[data-rp-chart=loss]").get_by_title("Zoom in").tap()
    tab.wait("loss", "e.layout.xaxis.range[0] > 700")


@pytest.mark.parametrize("query", ["?ax=elapsed&x=10..20", "?ax=tokens&x=10..20"])
def test_an_axis_that_the_log_does_not_have_is_not_offered(opened, query: str) -> None:
    tab = opened(query, run="blind")
    tab.wait("loss", "e.layout.xaxis.range[1] === 99")
    assert tab.page.get_by_label("wall time", exact=True).is_disabled()
    assert tab.page.locator("label[title='no clock in the log']").count() == 2
    assert tab.page.locator("label[title='no metric counts tokens row by row']").count() == 1


def test_a_hardware_log_alone_counts_time(opened) -> None:
    tab = opened(run="hardware")
    assert tab.fetched("plotly") == []
    assert tab.page.get_by_label("step", exact=True).is_disabled()
    assert tab.page.get_by_label("elapsed", exact=True).is_checked()
    tab.touch("r-1")
    tab.touch("r-2")
    tab.page.locator("[data-rp-chart=r-1]").get_by_title("Zoom in").click()
    tab.wait("r-2", "e.layout.xaxis.range[1] === 74.25")
    assert tab.page.url.endswith("?x=24.75..74.25")
    tab.page.get_by_label("wall time", exact=True).check()
    tab.wait("r-2", "e.layout.xaxis.type === 'date'")


def test_without_javascript_the_drawings_stand(browser, site: str) -> None:
    tab = Tab(browser, f"{site}/runs/one/", java_script_enabled=False)
    assert tab.page.locator(".rp-plot > svg").count() == 12
    assert tab.page.locator("path.run").first.is_visible()
    tab.context.close()


def sibling_lines(tab: Tab, chart: str) -> list[dict]:
    script = (
        "e => e.data.filter(t => (t.name ?? '').includes('kin')).map(t => ({n: t.name, y: t.y}))"
    )
    return tab.live(chart).evaluate(script)


def test_siblings_come_when_asked_for_and_go_again(opened) -> None:
    tab = opened(run="kin")
    tab.touch("loss")
    assert sibling_lines(tab, "loss") == []
    assert tab.fetched("/groups/") == []
    tab.page.get_by_label("siblings").check()
    tab.wait("loss", "e.data.some(t => t.name.includes('kin'))")
    lines = sibling_lines(tab, "loss")
    # the name of a run is no markup to Plotly
    assert [line["n"] for line in lines] == [
        "&#60;i&#62;kin&#60;/i&#62; 2",
        "&#60;i&#62;kin&#60;/i&#62; 3",
    ]
    assert [round(line["y"][-1], 1) for line in lines] == [2.5, 1.5]
    names = tab.live("loss").evaluate("e => e.data.map(t => t.name)")
    assert names[-1] == "train/loss"  # its own curve lies on top
    assert "(2 of 3)" in tab.page.locator(".rp-tools").inner_text()
    tab.touch("lr")
    tab.wait("lr", "e.data.some(t => t.name.includes('kin'))")
    assert len(sibling_lines(tab, "lr")) == 1
    tab.page.get_by_label("siblings").uncheck()
    tab.wait("loss", "!e.data.some(t => t.name.includes('kin'))")
    assert "sib" not in tab.page.url
    tab.problems = [p for p in tab.problems if "404" not in p]  # the one that has no file


def test_siblings_are_part_of_the_link_and_follow_the_axis(opened) -> None:
    tab = opened("?sib=1&ax=elapsed", run="kin")
    tab.wait("loss", "e.data.some(t => t.name.includes('kin'))")
    x = tab.live("loss").evaluate("e => e.data.find(t => t.name.includes('kin')).x")
    assert x[-1] == pytest.approx(399 / 60, rel=0.02)  # one row a second, in minutes
    tab.problems = [p for p in tab.problems if "404" not in p]


def test_siblings_that_cannot_be_had_leave_the_chart_as_it_was(opened) -> None:
    tab = opened("?sib=1", run="lonely")
    tab.page.get_by_text("could not be loaded").wait_for()
    tab.wait("loss", "e.data.some(t => t.name === 'train/loss')")
    tab.problems = [p for p in tab.problems if "404" not in p]


def test_a_run_without_a_group_is_not_asked_for_siblings(tab: Tab) -> None:
    assert tab.page.get_by_label("siblings").count() == 0
