"""A built site in a real browser: static first, live on touch, one zoom for all charts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from runpages import builder
from runpages.config import load_settings
from runs import write_rundir

pytestmark = pytest.mark.browser

ENV = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
PREFIX = "team/docs"
LIVE = "figure.rp-chart--live .rp-live .main-svg"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Iterator[str]:
    """Serves an empty folder, which `root` fills: a site must know its address."""
    folder = tmp_path_factory.mktemp("served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/{PREFIX}/"
    _build(tmp_path_factory.mktemp("browser"), folder / PREFIX, address)
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def _build(folder: Path, site: Path, address: str) -> None:
    write_rundir(folder / "logs" / "spiked", steps=400, spike=280, group="g")
    write_rundir(folder / "logs" / "healthy", group="g")
    builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    builder.build(settings)
    config = folder / "mkdocs.yml"
    config.write_text(f"site_url: {address}\n{config.read_text()}")  # for instant navigation
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(site)]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def paths(base, browser) -> dict[str, str]:
    """Name in the table of runs -> path of its page."""
    page = browser.new_page()
    page.goto(f"{base}runs/")
    links = "all => all.map(a => [a.textContent, a.href])"
    found = dict(page.eval_on_selector_all("table.rp-runs a", links))
    page.close()
    return {name: href.removeprefix(base) for name, href in found.items()}


@pytest.fixture(scope="session")
def spiked(paths) -> str:
    """Path of the run page with a finding."""
    return paths["spiked"]


class Visit:
    """A page and what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("console", lambda m: m.type in {"error", "warning"} and self._note(m.text))

    def _note(self, text: str) -> None:
        self.complaints.append(text)

    def asked(self, name: str) -> int:
        return sum(name in url for url in self.requests)

    def live(self) -> int:
        return int(self.page.evaluate("document.querySelectorAll('.js-plotly-plot').length"))

    def touch(self, chart: str) -> None:
        """Moves the pointer onto a chart and waits until it is live."""
        figure = f"figure[data-rp-chart='{chart}']"
        self.page.hover(f"{figure} figcaption")
        # not wait_for_selector: its handles keep what they found, wherever it went
        self.page.locator(f"{figure}.rp-chart--live .main-svg").first.wait_for()
        self.page.locator(f"{figure} .nsewdrag").first.wait_for(state="attached")

    def range(self, chart: str, axis: str = "xaxis") -> list[float]:
        return self.page.evaluate(
            "([c, a]) => document.querySelector(`figure[data-rp-chart='${c}'] .rp-live`)"
            ".layout[a].range",
            [chart, axis],
        )

    def wait_range(self, chart: str, low: float, high: float) -> None:
        """Until the x axis of a chart shows about this window."""
        self.page.wait_for_function(
            "([c, a, b]) => { const g = document.querySelector("
            "`figure[data-rp-chart='${c}'] .js-plotly-plot`); const r = g?.layout?.xaxis?.range;"
            " return r && Math.abs(r[0] - a) < 5 && Math.abs(r[1] - b) < 5; }",
            arg=[chart, low, high],
        )


@pytest.fixture
def visit(browser, base):
    """Opens a page: visit(path, **context options). Afterwards nothing may have left the site."""
    opened: list[Visit] = []
    contexts = []

    def open_(path: str, **options) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        one = Visit(context.new_page())
        opened.append(one)
        one.page.goto(base + path, wait_until="load")
        return one

    yield open_
    origin = base[: base.index("/", 8) + 1]
    for one in opened:
        away = [u for u in one.requests if not u.startswith((origin, "data:", "blob:"))]
        assert away == []
        assert one.complaints == []
    for context in contexts:
        context.close()


@contextmanager
def allowed(one: Visit, pattern: str) -> Iterator[None]:
    """Complaints that match are expected inside, and at least one must come."""
    yield
    assert any(re.search(pattern, text) for text in one.complaints)
    one.complaints[:] = [text for text in one.complaints if not re.search(pattern, text)]


def test_the_library_is_fetched_at_the_first_touch_and_only_once(visit, spiked):
    one = visit(spiked)
    one.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    one.page.wait_for_timeout(300)
    assert (one.asked("plotly"), one.asked("charts.json"), one.live()) == (0, 0, 0)
    one.touch("loss")
    assert one.live() == 1
    one.touch("lr")
    assert (one.asked("plotly.min.js"), one.asked("charts.json")) == (1, 1)


def test_the_live_chart_lies_exactly_over_the_static_one(visit, spiked):
    one = visit(spiked)
    tall = one.page.evaluate("document.documentElement.scrollHeight")
    one.touch("loss")
    assert one.page.evaluate("document.documentElement.scrollHeight") == tall
    static = one.page.locator("figure[data-rp-chart=loss] .rp-svg").bounding_box()
    frame = one.page.locator("figure[data-rp-chart=loss] .nsewdrag").bounding_box()
    assert frame["width"] > 300
    for side in ("x", "y", "width", "height"):
        assert frame[side] == pytest.approx(static[side], abs=2)
    assert not one.page.locator("figure[data-rp-chart=loss] .rp-svg").is_visible()
    group = one.page.locator("figure[data-rp-chart=loss] [role=group]")
    assert group.get_attribute("aria-label").startswith("Loss over step")


def test_focus_makes_a_chart_live(visit, spiked):
    one = visit(spiked)
    one.page.wait_for_selector("figure[data-rp-chart=lr][tabindex]")
    one.page.focus("figure[data-rp-chart=lr]")
    one.page.wait_for_selector("figure[data-rp-chart=lr] .main-svg")
    assert one.live() == 1


def test_a_drag_zooms_every_chart_and_is_kept_in_the_address(visit, spiked):
    one = visit(spiked)
    one.touch("loss")
    one.touch("lr")
    full = one.range("lr")
    tall = one.range("loss", "yaxis")
    one.page.evaluate("document.getElementById('curves').scrollIntoView()")
    box = one.page.locator("figure[data-rp-chart=loss] .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    one.page.mouse.move(box["x"] + box["width"] * 0.25, y)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=4)
    one.page.mouse.up()
    one.wait_range("lr", full[1] / 4, full[1] / 2)
    assert one.range("lr") == pytest.approx(one.range("loss"))
    low, high = one.range("loss", "yaxis")
    assert high - low < (tall[1] - tall[0]) / 2
    assert re.search(r"\?x=[\d.]+\.\.[\d.]+$", one.page.url)
    one.page.mouse.dblclick(box["x"] + box["width"] / 2, y)
    one.wait_range("lr", *full)
    assert one.range("loss", "yaxis") == pytest.approx(tall)
    assert "?" not in one.page.url


def test_a_window_in_the_address_is_shown_on_a_cold_open(visit, spiked):
    one = visit(f"{spiked}?x=100..200#curves")
    one.wait_range("loss", 100, 200)
    one.wait_range("lr", 100, 200)


@pytest.mark.parametrize(
    "x", ["100..", "..", "a..b", "200..100", "1e999..2", "0x10..0x20", "1..2..3"]
)
def test_a_window_that_is_none_is_ignored(visit, spiked, x):
    one = visit(f"{spiked}?x={x}#curves")
    one.page.wait_for_timeout(200)
    assert one.asked("plotly") == 0


def test_a_finding_is_shown_in_the_curves(visit, spiked):
    one = visit(spiked)
    one.page.click("details.rp-ev > summary")
    one.page.click("a.rp-zoom")
    one.page.wait_for_selector(LIVE)
    one.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length >= 2")
    one.wait_range("loss", 276, 284)
    one.wait_range("lr", 276, 284)
    assert re.search(r"\?x=280\.\.280#curves$", one.page.url)
    top = one.page.locator("#curves").bounding_box()["y"]
    assert 0 <= top < 200


def test_a_finding_in_the_address_is_open(visit, spiked):
    one = visit(spiked)
    name = one.page.locator("details.rp-ev").first.get_attribute("id")
    assert name.startswith("event-")
    one.page.evaluate("name => { location.hash = name }", name)
    one.page.wait_for_selector(f"#{name}[open]")
    cold = visit(f"{spiked}#{name}")
    cold.page.wait_for_selector(f"#{name}[open]")


def test_the_palette_recolours_live_charts_as_the_static_ones(visit, spiked):
    one = visit(spiked, color_scheme="light")
    one.touch("loss")
    colour = "document.querySelector('.rp-live .scatterlayer .trace .js-line').style.stroke"
    static = (
        "getComputedStyle(document.querySelector('figure[data-rp-chart=loss] path.run')).stroke"
    )
    light = one.page.evaluate(colour)
    assert light == one.page.evaluate(static)
    one.page.evaluate("document.body.setAttribute('data-md-color-scheme', 'slate')")
    one.page.wait_for_function(f"() => {colour} !== {light!r}")
    assert one.page.evaluate(colour) == one.page.evaluate(static)


def test_a_phone_sees_no_page_wider_than_itself(visit, paths):
    for path in (paths["spiked"], "runs/", paths["g"]):
        one = visit(path, viewport={"width": 390, "height": 844})
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_live_chart_fits_a_phone_and_lets_a_finger_scroll(visit, spiked):
    one = visit(spiked, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    one.page.locator("figure[data-rp-chart=loss]").tap()
    one.page.wait_for_selector(LIVE)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    mode = "document.querySelector('.rp-live')._fullLayout.dragmode"
    one.page.wait_for_function(f"() => {mode} === false")


def test_without_script_the_page_says_everything(visit, spiked):
    one = visit(spiked, java_script_enabled=False)
    assert one.page.locator("figure[data-rp-chart] .rp-svg").count() >= 2
    box = one.page.locator("figure[data-rp-chart=loss] .rp-svg").bounding_box()
    assert box["width"] > 300
    assert box["height"] > 100
    assert one.page.locator(".rp-figs dd").count() >= 8
    one.page.click("details.rp-ev > summary")
    assert one.page.locator(".rp-ev__b").first.is_visible()


def test_no_button_sends_data_away(visit, spiked):
    one = visit(spiked)
    one.touch("loss")
    titles = one.page.eval_on_selector_all(
        ".rp-save button, .modebar-btn", "all => all.map(b => b.title || b.dataset.title)"
    )
    assert titles == [
        "Earlier", "Zoom out", "Zoom in", "Later", "Show everything", "Download as CSV",
        "Download as PNG", "Download as SVG",
    ]  # fmt: skip
    context = "(g => [g.showSendToCloud, g.plotlyServerURL])"
    found = one.page.evaluate(f"{context}(document.querySelector('.rp-live')._context)")
    assert found == [False, ""]


def test_instant_navigation_leaks_no_chart_and_still_makes_them_live(visit, spiked):
    one = visit(spiked)
    one.page.evaluate("window.rpSame = true")
    one.touch("loss")
    shape = "getComputedStyle(document.querySelector('.rp-live .main-svg')).position"
    assert one.page.evaluate(shape) == "absolute"
    one.page.click(".rp-head__crumb a")
    one.page.wait_for_selector("table.rp-runs")
    assert one.live() == 0
    one.page.click("table.rp-runs tbody th > a:text('spiked')")
    one.page.wait_for_selector("figure[data-rp-chart=loss]")
    assert one.live() == 0
    one.touch("loss")
    assert one.live() == 1
    assert one.page.evaluate(shape) == "absolute"
    assert one.page.evaluate("window.rpSame") is True
    assert one.asked("plotly.min.js") == 1


def test_going_back_shows_the_view_that_was_left(visit, spiked):
    one = visit(spiked)
    one.page.evaluate("window.rpSame = true")
    one.touch("loss")
    one.page.evaluate("document.getElementById('curves').scrollIntoView()")
    one.page.click(".rp-seg label:has-text('linear') + label")
    one.page.focus("figure[data-rp-chart=loss]")
    one.page.keyboard.press("+")
    one.page.wait_for_url(re.compile(r"x=.*y=log"))
    left = one.page.url
    # the address is written first; the chart follows
    low, high = (float(x) for x in re.search(r"x=([-\d.]+?)\.\.([-\d.]+)", left).groups())
    one.wait_range("loss", low, high)
    one.page.click(".rp-head__crumb a")
    one.page.wait_for_selector("table.rp-runs")
    one.page.go_back()
    one.page.wait_for_url(left)
    # charts become live where they are seen; whether the scroll is restored is the theme's business
    curves = "document.querySelector('figure[data-rp-chart=loss]')"
    one.page.wait_for_function(f"() => {curves} && ({curves}.scrollIntoView(), true)")
    one.wait_range("loss", low, high)
    assert one.page.is_checked("input[name=rp-y][value=log]")
    assert one.page.evaluate("window.rpSame") is True


def test_print_gets_the_static_charts(visit, spiked):
    one = visit(spiked)
    one.touch("loss")
    one.page.pdf()
    one.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 0")
    assert one.page.locator("figure[data-rp-chart=loss] .rp-svg").is_visible()


def test_on_paper_findings_are_open_and_long_tails_are_not(visit, spiked):
    one = visit(spiked)
    one.page.emulate_media(media="print")
    one.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert one.page.locator(".rp-ev__b p").first.is_visible()
    tails = one.page.locator("details.rp-more > :not(summary)")
    assert tails.count() > 3
    assert not any(tails.nth(n).is_visible() for n in range(tails.count()))
    assert one.page.locator("details.rp-more > summary").first.is_visible()


@pytest.mark.parametrize("name", ["plotly.min.js", "charts.json"])
def test_a_failed_load_leaves_the_static_chart_and_may_be_tried_again(visit, spiked, name):
    one = visit(spiked)
    with allowed(one, "Failed to load resource|^Error: no chart|^Error: no runpages"):
        one.page.route(f"**/{name}", lambda route: route.fulfill(status=503))
        one.page.hover("figure[data-rp-chart=loss]")
        one.page.wait_for_selector(".rp-failed")
    assert one.page.locator("figure[data-rp-chart=loss] .rp-svg").is_visible()
    one.page.unroute(f"**/{name}")
    one.page.mouse.move(1, 1)
    one.touch("loss")
    assert one.page.locator(".rp-failed").count() == 0


def to(page: Page, name: str, *, most: int = 80) -> None:
    """Presses Tab until the control of this name, role or text has the focus."""
    told = "e => [e.name, e.type, e.textContent.trim(), e.className].join(' | ')"
    for _ in range(most):
        page.keyboard.press("Tab")
        if name in page.evaluate(f"({told})(document.activeElement)"):
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_the_keyboard_alone_works_every_control(visit, spiked):
    one = visit(spiked, permissions=["clipboard-read", "clipboard-write"])
    page = one.page
    to(page, "Loss spike")
    page.keyboard.press("Enter")
    to(page, "Show in the curves")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("x="))
    page.locator("input[name=rp-ax]").first.wait_for(state="attached")
    page.locator("#curves").evaluate("e => { e.tabIndex = -1; e.focus(); }")
    to(page, "rp-ax")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("ax="))
    to(page, "range")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("sm="))
    to(page, "rp-y")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("y="))
    to(page, "Copy link")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('article').textContent.includes('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_visit_of_live_charts_leaves_nothing_behind(visit, spiked):
    """The theme itself keeps the old page: what a round costs with live charts is held against
    what it costs without."""
    one = visit(spiked)
    devtools = one.page.context.new_cdp_session(one.page)
    devtools.send("Performance.enable")

    def counted() -> dict[str, float]:
        for _ in range(3):
            devtools.send("HeapProfiler.collectGarbage")
        found = devtools.send("Performance.getMetrics")["metrics"]
        return {row["name"]: row["value"] for row in found}

    def rounds(number: int, *, live: bool) -> dict[str, float]:
        before = counted()
        for _ in range(number):
            if live:
                one.touch("loss")
                one.touch("lr")
            one.page.click(".rp-head__crumb a")
            one.page.locator("table.rp-runs").wait_for()
            one.page.click("table.rp-runs tbody th > a:text('spiked')")
            one.page.locator("figure[data-rp-chart=loss]").wait_for()
        after = counted()
        return {name: (after[name] - before[name]) / number for name in after}

    rounds(1, live=True)  # the library stays
    still, touched = rounds(4, live=False), rounds(4, live=True)
    assert touched["Nodes"] - still["Nodes"] < 20
    assert touched["JSEventListeners"] - still["JSEventListeners"] < 10
    assert touched["JSHeapUsedSize"] - still["JSHeapUsedSize"] < 1e6


AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def kinds(paths, base, browser) -> dict[str, str]:
    """One page of each kind -> its path."""
    page = browser.new_page()
    page.goto(f"{base}runs/by/")
    links = page.eval_on_selector_all("article a", "all => all.map(a => a.href)")
    page.close()
    by = {kind: next(a.removeprefix(base) for a in links if f"/by/{kind}/" in a)
          for kind in ("project", "month")}  # fmt: skip
    group = next(path for path in paths.values() if "/by/group/" in path)
    slugs = [paths[name].removeprefix("runs/").strip("/") for name in ("spiked", "healthy")]
    compare = f"runs/compare/?runs={','.join(slugs)}"
    return {"run": paths["spiked"], "index": "runs/", "browse": "runs/browse/", "by": "runs/by/",
            "group": group, "compare": compare, **by}  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["run", "index", "browse", "by", "group", "compare", "project", "month"]
)
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_axe_finds_no_violation_of_ours(visit, kinds, kind, width, scheme):
    """Inside the article: the search dialog without a name and the footer are the theme's."""
    one = visit(kinds[kind], viewport={"width": width, "height": 844}, color_scheme=scheme)
    one.page.wait_for_load_state("networkidle")
    if kind == "run":
        for chart in ("loss", "lr"):
            one.touch(chart)
    one.page.evaluate(
        "document.querySelectorAll('article details').forEach(d => { d.open = true; })"
    )
    one.page.wait_for_timeout(300)  # colours fade in
    one.page.evaluate(AXE)
    found = one.page.evaluate("axe.run('article', {resultTypes: ['violations']})")
    assert found["passes"], "axe judged nothing"
    told = [
        (v["id"], n["target"], n["html"][:200]) for v in found["violations"] for n in v["nodes"]
    ]
    assert told == []


def test_every_page_has_a_policy_and_it_stops_a_script(visit, kinds):
    one = visit(kinds["run"])
    policy = one.page.locator('meta[http-equiv="Content-Security-Policy"]').get_attribute("content")
    assert "script-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    one.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hit = 1';"
        " document.body.append(s); }"
    )
    with allowed(one, "Content Security Policy"):
        assert one.page.evaluate("window.hit") is None
