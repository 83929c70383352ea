"""The table of all runs: filters, facets, order, columns, seed sets, selection, address, export."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser.browse_entries import SEED_SETS, entries
from runpages.builder.assets import shared_assets
from runpages.builder.listings import index_pages
from runpages.builder.project import write_project
from runpages.config import SiteSettings
from runpages.pages.columns import index_files

pytestmark = pytest.mark.browser

NAMES = "e => [...e.querySelectorAll('tr[data-at] th')].map(t => t.firstChild.textContent)"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    """A small site by the builder's own functions; its address ends with a slash."""
    folder = tmp_path_factory.mktemp("browse")
    write_project(folder, title="Team", locations=("logs",))
    files = {**index_pages(entries(), SEED_SETS, site=SiteSettings()), **shared_assets()}
    for path, data in files.items():
        target = folder / "docs/runs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder / "site")))
    address = f"http://127.0.0.1:{server.server_port}/"
    config = folder / "mkdocs.yml"
    text = config.read_text().replace("  - runpages\n", "")
    config.write_text(f"site_url: {address}\n{text}")
    command = [sys.executable, "-m", "mkdocs", "build", "-q"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


class Tab:
    """The browse page and what it complained about."""

    def __init__(self, browser: Browser, address: str, query: str, **options) -> None:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(15_000)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("console", self._console)
        self.page.goto(f"{address}runs/browse/{query}")
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("[data-rp-ready]")

    def _console(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def names(self) -> list[str]:
        return self.page.locator(".rp-grid__t").evaluate(NAMES)

    def until(self, names: list[str]) -> None:
        """Waits until the table shows these rows."""
        script = f"([want]) => ({NAMES})(document.querySelector('.rp-grid__t')).join('|') === want"
        try:
            self.page.wait_for_function(script, arg=["|".join(names)], timeout=5000)
        except Exception as error:
            raise AssertionError(f"{self.names()} instead of {names}") from error

    def filter(self, words: str) -> None:
        self.page.fill(".rp-q input", words)

    def facet(self, name: str, value: str):
        fieldset = self.page.locator("fieldset", has=self.page.locator(f"legend:text-is('{name}')"))
        return fieldset.locator("label", has=self.page.locator(f"span:text-is('{value}')"))

    def cells(self, column: str) -> list[str]:
        """Texts of a column, by its heading."""
        heads = self.page.locator(".rp-grid__t thead th").all_inner_texts()
        at = next(i for i, head in enumerate(heads) if head.startswith(column))
        return self.page.locator(
            f".rp-grid__t tr[data-at] > :nth-child({at + 1})"
        ).all_inner_texts()


@pytest.fixture
def visit(browser, site):
    tabs: list[Tab] = []

    def open_(query: str = "", **options) -> Tab:
        tabs.append(Tab(browser, site, query, **options))
        return tabs[-1]

    yield open_
    for tab in tabs:
        away = [u for u in tab.requests if not u.startswith((site, "data:", "blob:"))]
        assert away == []
        assert tab.complaints == []
        tab.context.close()


ALL = ["wide", "fam", "crashed", "hostile <b>x</b>", "empty"]
"""Newest first, the seed set folded, the run without a date last."""


def test_every_run_is_listed_newest_first_and_the_undated_last(visit):
    visit().until(ALL)


def test_the_static_table_makes_way_for_the_live_one(visit):
    tab = visit()
    assert tab.page.locator("[data-rp-browse]").is_visible()
    assert not tab.page.locator(".rp-newest").is_visible()


def test_without_script_the_newest_runs_stand_in_a_table(visit):
    tab = visit(java_script_enabled=False)
    assert tab.page.locator(".rp-newest tbody tr").count() == 7
    assert tab.page.locator(".rp-newest a", has_text="wide").is_visible()


def test_words_filter_and_are_kept_in_the_address(visit):
    tab = visit()
    tab.filter("crash")
    tab.until(["crashed"])
    assert tab.page.url.endswith("?filter=crash")
    assert "1 of 7 runs" in tab.page.inner_text(".rp-active")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("lr>3e-4", ["wide"]),
        ("lr<=3e-4", ["fam", "crashed"]),
        ("val_loss<3", ["fam"]),
        ("optim.lr>3e-4", ["wide"]),
        ("optimizer:muon", ["wide"]),
        ("-wide -crashed -hostile -empty", ["fam"]),
        ('"all the data"', ["hostile <b>x</b>"]),
        ("train/acc>0.5", ["wide"]),
        ("start>=2026-02", ["wide", "fam"]),
        ("state=failed", ["hostile <b>x</b>"]),
        ("project:vision lr>0", ["crashed"]),
    ],
)
def test_the_filter_line(visit, words, names):
    tab = visit()
    tab.filter(words)
    tab.until(names)


def test_a_range_says_what_it_reads(visit):
    tab = visit("?filter=lr>3e-4")
    assert "lr>3e-4 reads setting optim.lr (5 runs have it)" in tab.page.inner_text(".rp-active")


def test_a_column_is_fetched_when_it_is_first_used_and_only_once(visit):
    tab = visit()
    assert not [u for u in tab.requests if "/columns/" in u or "keys.json" in u]
    tab.filter("lr>3e-4")
    tab.until(["wide"])
    tab.filter("lr>2e-4")
    tab.until(["wide", "fam", "crashed"])
    assert len([u for u in tab.requests if "keys.json" in u]) == 1
    assert len([u for u in tab.requests if "/columns/" in u]) == 1


def test_names_of_column_files_tell_nothing_of_the_keys(visit):
    tab = visit("?filter=lr>0")
    files = [u.rpartition("/")[2] for u in tab.requests if "/columns/" in u]
    assert files
    assert all(re.fullmatch(r"[0-9a-f]{16}\.json", name) for name in files)


def test_a_facet_narrows_and_the_counts_follow(visit):
    tab = visit()
    assert tab.facet("State", "failed").inner_text().split() == ["failed", "1"]
    tab.facet("State", "failed").locator("input").check()
    tab.until(["hostile <b>x</b>"])
    assert tab.page.url.endswith("?state=failed")
    assert tab.facet("State", "finished").inner_text().split() == ["finished", "5"]
    assert tab.facet("Project", "vision").inner_text().split() == ["vision", "0"]
    tab.facet("State", "crashed").locator("input").check()
    tab.until(["crashed", "hostile <b>x</b>"])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?verdict=worked", ["wide"]),
        ("?finding=critical", ["crashed"]),
        ("?flag=incomplete", ["crashed"]),
        ("?flag=regressed", ["wide"]),
        ("?month=2026-01", ["crashed", "hostile <b>x</b>"]),
        ("?tags=sweep", ["wide", "crashed"]),
        ("?datasets=fineweb&author=ada", ["wide"]),
        ("?model=vit", ["crashed"]),
        ("?project=llm&state=finished&group=0", ["wide", "fam-2", "fam-1", "fam-0", "empty"]),
        ("?sort=value", ["fam", "crashed", "wide", "hostile <b>x</b>", "empty"]),
        ("?sort=-value", ["wide", "crashed", "fam", "hostile <b>x</b>", "empty"]),
    ],
)
def test_an_address_is_a_view(visit, query, names):
    """Of the values the NaN stands behind all numbers, the missing one last, in both directions."""
    visit(query).until(names)


def test_a_heading_sorts_and_turns(visit):
    tab = visit()
    tab.page.click("thead button:text('Steps')")
    tab.until(["fam", "wide", "crashed", "hostile <b>x</b>", "empty"])
    assert tab.page.locator("th[aria-sort=descending]").inner_text().startswith("Steps")
    tab.page.click("thead button:text('Steps')")
    tab.until(["hostile <b>x</b>", "crashed", "wide", "fam", "empty"])
    assert "sort=steps" in tab.page.url


def test_a_seed_set_is_one_row_with_its_pages_mean_and_unfolds(visit):
    tab = visit()
    row = tab.page.locator("tr.grp")
    assert "2.9000" in row.inner_text()
    assert "± 0.10" in row.inner_text()
    assert "n = 3" in row.inner_text()
    tab.page.click(".rp-fold")
    tab.until(["wide", "fam", "fam-2", "fam-1", "fam-0", *ALL[2:]])
    assert tab.page.locator(".rp-fold").get_attribute("aria-expanded") == "true"
    tab.page.click("button:text('ungroup')")
    tab.until(["wide", "fam-2", "fam-1", "fam-0", *ALL[2:]])


def test_a_filtered_seed_set_says_how_many_of_its_runs_are_shown(visit):
    tab = visit("?filter=seed<2")
    tab.until(["fam"])
    assert "2 of 3 seeds" in tab.page.locator("tr.grp").inner_text()
    assert "n = 3" in tab.page.locator("tr.grp").inner_text()


def test_missing_values_say_why(visit):
    tab = visit()
    cell = tab.page.locator("tr[data-at='4'] td .rp-dim", has_text="n/a").first
    assert cell.get_attribute("title") == "no loss was logged"


def test_columns_are_chosen_among_figures_settings_and_metrics(visit):
    tab = visit("?group=0")
    tab.page.click("button:text-is('Columns')")
    tab.page.click(".rp-choose label:has-text('Device-hours')")
    tab.page.fill(".rp-choose input[type=search]", "lr")
    tab.page.click(".rp-choose label:has-text('optim.lr')")
    tab.page.wait_for_selector("thead th:has-text('optim.lr')")
    assert tab.cells("optim.lr")[:2] == ["0.001000", "0.0003000"]
    again = visit(tab.page.url.partition("browse/")[2])
    assert again.cells("optim.lr")[:2] == ["0.001000", "0.0003000"]
    assert "Device-hours" in again.page.inner_text("thead")


def test_ticked_runs_lead_to_their_comparison_and_stay_in_the_address(visit):
    tab = visit()
    tab.page.check("input[aria-label='Select wide']")
    assert "tick another" in tab.page.inner_text(".rp-sel")
    tab.page.check("input[aria-label='Select fam']")
    link = tab.page.locator(".rp-sel a.go")
    assert link.inner_text() == "Compare 4 runs →"
    slugs = link.get_attribute("href").partition("runs=")[2].split(",")
    assert slugs == ["wide-0000000000", "fam-2-0000000000", "fam-1-0000000000", "fam-0-0000000000"]
    again = visit(tab.page.url.partition("browse/")[2])
    assert again.page.inner_text(".rp-sel b") == "4 selected"
    again.page.click("button:text-is('clear')")
    assert not again.page.locator(".rp-sel").is_visible()
    assert "pick" not in again.page.url


def test_the_keyboard_moves_selects_unfolds_and_opens(visit, site):
    tab = visit()
    tab.page.focus(".rp-grid__box")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Space")
    assert tab.page.inner_text(".rp-sel b") == "1 selected"
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("Enter")
    tab.until(["wide", "fam", "fam-2", "fam-1", "fam-0", *ALL[2:]])
    tab.page.keyboard.press("End")
    assert tab.page.locator("tr.on th").inner_text().startswith("empty")
    tab.page.keyboard.press("Home")
    # the site of this test has no run pages to go to
    tab.page.evaluate(
        "addEventListener('click', (e) => { window.rpOpened = e.target.href;"
        " e.preventDefault(); e.stopPropagation(); }, true)"
    )
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("window.rpOpened") == f"{site}runs/wide-0000000000/"


def test_letters_in_the_filter_line_are_no_shortcuts_of_material(visit):
    tab = visit()
    tab.page.focus(".rp-q input")
    tab.page.keyboard.type("fsnp")
    assert tab.page.input_value(".rp-q input") == "fsnp"


def test_nothing_found_says_which_condition_to_drop(visit):
    tab = visit("?filter=lr>3e-4&project=vision")
    text = tab.page.inner_text(".rp-empty")
    assert "No run matches lr>3e-4 project: vision" in text
    assert "Without lr>3e-4: 1 runs." in text
    assert "Without project: vision: 1 runs." in text
    assert "2 of 7 runs have no value for lr>3e-4" in text
    tab.page.click(".rp-empty button:text('Remove')")
    tab.until(["crashed"])


def test_an_unknown_name_is_told(visit):
    tab = visit("?filter=nonsense<3")
    assert "no run has a setting or metric named nonsense" in tab.page.inner_text(".rp-active")
    tab.page.click(".rp-empty button:text('Clear all')")
    tab.until(ALL)


def test_the_export_holds_what_is_shown_and_no_formula(visit):
    tab = visit("?filter=hostile&cols=value,steps,author")
    with tab.page.expect_download() as download:
        tab.page.click("button:text-is('CSV')")
    text = Path(download.value.path()).read_text()
    (row,) = list(csv.DictReader(io.StringIO(text)))
    assert row["name"] == "hostile <b>x</b>"
    assert row["author"] == "'=cmd()"
    assert row["value"] == "NaN"
    assert row["steps"] == "5"


def test_hostile_text_stays_text(visit):
    tab = visit()
    tab.page.click("button:text-is('Columns')")
    tab.page.wait_for_selector(".rp-choose label:has-text('optim.lr')")
    assert tab.page.locator(".rp-grid b", has_text="x").count() == 0
    assert tab.page.locator(".rp-grid :is(script, img, iframe)").count() == 0
    assert tab.page.evaluate("window.pwned") is None


def test_a_link_of_the_page_changes_the_view_without_loading(visit):
    tab = visit()
    tab.page.evaluate("window.rpSame = true")
    tab.page.click("a[data-rp-view]:has-text('Regressed')")
    tab.until(["wide"])
    assert tab.page.evaluate("window.rpSame") is True
    assert tab.page.url.endswith("?flag=regressed")


def test_small_curves_come_by_their_own_file(visit):
    tab = visit()
    tab.page.wait_for_selector(".rp-grid__t svg.rp-spark")
    assert len([u for u in tab.requests if "sparks-" in u]) == 1


def test_a_phone_sees_name_value_and_findings_and_filters_behind_a_button(visit):
    tab = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    heads = tab.page.locator(".rp-grid__t thead th:visible").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Select", "Run", "Loss", "Findings"]
    assert not tab.page.locator(".rp-facets").is_visible()
    tab.page.click("button:text-is('Filters')")
    assert tab.page.locator(".rp-facets").is_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_instant_navigation_brings_the_table_back_once(visit, site):
    tab = visit()
    tab.page.evaluate("window.rpSame = true")
    tab.page.click(".rp-head__crumb a")
    tab.page.wait_for_url(f"{site}runs/")
    tab.page.click("a:text('Filter and sort all')")
    tab.page.wait_for_selector("[data-rp-ready]")
    tab.until(ALL)
    assert tab.page.evaluate("window.rpSame") is True
    assert tab.page.locator(".rp-q").count() == 1


def test_print_gets_the_pages_own_table(visit):
    tab = visit()
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator(".rp-newest tbody tr").count() == 7
    assert tab.page.locator(".rp-newest").is_visible()
    tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not tab.page.locator(".rp-newest").is_visible()


def test_without_data_the_newest_runs_stand_and_the_page_says_so(browser, site):
    context = browser.new_context()
    page = context.new_page()
    page.route("**/runs.json", lambda route: route.fulfill(status=503))
    page.goto(f"{site}runs/browse/")
    page.wait_for_selector(".rp-grid .rp-warned")
    assert page.locator(".rp-newest").is_visible()
    context.close()


def test_only_the_rows_in_sight_are_in_the_document(browser, site):
    rows = [
        {**entries()[0], "slug": f"r{i}-0000000000", "name": f"r{i}", "start": 1_767_700_000 - i}
        for i in range(1000)
    ]
    files = {path.rpartition("/")[2]: data for path, data in index_files(rows).items()}
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.route(
        "**/assets/index/*.json",
        lambda route: route.fulfill(
            body=files[route.request.url.rpartition("/")[2]], content_type="application/json"
        ),
    )
    page.goto(f"{site}runs/browse/")
    page.wait_for_selector("[data-rp-ready]")
    rows_in_document = "document.querySelectorAll('tr[data-at]').length"
    assert 10 < page.evaluate(rows_in_document) < 50
    page.evaluate("(b => b.scrollTop = b.scrollHeight)(document.querySelector('.rp-grid__box'))")
    page.wait_for_selector("tr[data-at='999'] th >> text=r999")
    assert page.locator("tr[data-at='0']").count() == 0
    assert 10 < page.evaluate(rows_in_document) < 50
    assert page.locator("table.rp-grid__t").get_attribute("aria-rowcount") == "1001"
    assert page.locator("tr[data-at='999']").get_attribute("aria-rowindex") == "1001"
    context.close()


def test_runs_json_has_one_row_number_for_every_file(site, tmp_path):
    from urllib.request import urlopen

    base = f"{site}runs/assets/index/"
    with urlopen(f"{base}runs.json") as answer:
        runs = json.load(answer)
    with urlopen(f"{base}keys.json") as answer:
        keys = json.load(answer)["keys"]
    lr = next(key for key in keys if key["kind"] == "config" and key["name"] == "optim.lr")
    with urlopen(f"{base}{lr['file']}") as answer:
        column = json.load(answer)
    slugs = runs["columns"]["slug"]["values"]
    found = {slugs[row]: value for row, value in zip(column["rows"], column["values"], strict=True)}
    assert found["wide-0000000000"] == 0.001
    assert found["crashed-0000000000"] == 0.0003
