"""The compare page in a real browser: its numbers are those of `runpages compare --json`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runpages import builder, log, units
from runpages.config import load_settings
from siblings import write_sibling

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ENV = {**os.environ, "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"}
OLD = (2.000, 2.100, 2.300)
NEW = (1.900, 2.005, 2.190)
HOSTILE = "<img src=x onerror=window.hit=1> | `run`"
PREFIX = "team/docs"


def write_sweep(folder: Path, number: int) -> None:
    """A run with tokens, an evaluation, samples and settings of its own."""
    config = {
        "lr": 0.1 * 2**number,
        "batch_size": 16 if number else 32,
        "optimizer": "ab"[number % 2],
    }
    name = HOSTILE if number == 3 else f"sweep {number}"
    with log.start(folder, name=name, project="sweep", config=config) as run:
        for step in range(60):
            loss = 3 - step / (30 + number)
            run.metrics(
                step, {"train/loss": loss, "tokens": 1000 * (step + 1), "eval/acc": step / 80}
            )
        run.sample(59, f"the end of {number} <b>", prompt="once")


def write_priced(folder: Path, devices: int) -> None:
    """A run of one step a minute on accelerators with a known price."""
    name = folder.name.replace("-", " ")
    write_sibling(folder, name=name, device="NVIDIA H100 80GB HBM3", devices=devices)
    for file in ("metrics.jsonl", "events.jsonl"):
        rows = [json.loads(line) for line in (folder / file).read_text().splitlines()]
        for row in rows:
            ended = row.get("event") not in {None, "start"}
            row["time"] = 1_780_000_000 + 60 * row.get("step", 40 * ended)
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


class Site:
    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.slugs = {
            row["name"]: row["slug"]
            for row in builder.rows(load_settings(folder / "runpages.toml"))
        }
        self.groups = {
            p.stem.rpartition("-")[0]: p.stem for p in (folder / "docs/runs/groups").glob("*.json")
        }

    def document(self, *names: str) -> dict:
        """What the command line says."""
        command = [sys.executable, "-m", "runpages", "compare", *names, "--json"]
        done = subprocess.run(
            command, cwd=self.folder, env=ENV, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def query(self, *names: str, **more: str) -> str:
        runs = ",".join(self.groups.get(n) or self.slugs.get(n) or n for n in names)
        return "?" + "&".join([f"runs={runs}", *(f"{k}={v}" for k, v in more.items())])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("compare")
    for group, finals, lr in (("old", OLD, 0.1), ("new", NEW, 0.2)):
        for seed, final in enumerate(finals):
            write_sibling(
                folder / "logs" / f"{group}-{seed}",
                final=final, seed=seed, group=group, config={"lr": lr, "seed": seed},
            )  # fmt: skip
    facts = {"config": {"lr": 0.3, "tokenizer": "gpt2", "notes": None, "layers": [1, 2]}}
    write_sibling(folder / "logs" / "lone", final=1.5, name="lone", steps=60, **facts)
    write_sibling(folder / "logs" / "nan", final=float("nan"), name="broken", state="crashed",
                  config={"lr": 3e-5, "tokenizer": "llama"})  # fmt: skip
    for number, devices in enumerate((8, 16)):
        write_priced(folder / "logs" / f"priced-{number}", devices)
    for name in ("alpha", "beta"):
        write_sibling(folder / "logs" / name, name=f"labs/one/experiments/{name}/long")
    for number in range(6):
        write_sweep(folder / "logs" / f"sweep-{number}", number)
    with served(folder, tmp_path_factory.mktemp("served")) as address:
        yield Site(address, folder)


@contextmanager
def served(folder: Path, root: Path) -> Iterator[str]:
    """Builds the site of the logs below `folder`; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/{PREFIX}/"
        builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
        settings = load_settings(folder / "runpages.toml")
        builder.pull(settings)
        builder.build(settings)
        config = folder / "mkdocs.yml"
        config.write_text(f"site_url: {address}\n{config.read_text()}")  # for instant navigation
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d"]
        command.append(str(root / PREFIX))
        subprocess.run(command, cwd=folder, env=ENV, check=True, capture_output=True)
        yield address
        server.shutdown()
        thread.join()


@pytest.fixture
def visit(browser, site):
    """Opens the page for a query and waits; afterwards nothing may have complained."""
    contexts, complaints = [], []

    def open_(query: str = "", *, path: str = "runs/compare/", tolerate: str = "never", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda r: page.asked.append(r.url))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("console", lambda m: complaints.append(m.text)
                if m.type == "error" and tolerate not in m.text else None)  # fmt: skip
        page.goto(f"{site.address}{path}{query}")
        if options.get("java_script_enabled", True) and "compare" in path:
            page.wait_for_selector("[data-rp-compare][data-rp-ready]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


JUDGED = """async ([section, slugs]) => {
  const rp = new URL("assets/rp/", section).href;
  const { side, rules } = await import(rp + "rp-compare-data.js");
  const { judge } = await import(rp + "rp-compare-judge.js");
  return judge(await Promise.all(slugs.map((s) => side(section, s))), await rules(section));
}"""


def judged(page, site: Site, *names: str) -> dict:
    slugs = [site.groups.get(n) or site.slugs[n] for n in names]
    return page.evaluate(JUDGED, [f"{site.address}runs/", slugs])


def close(found, expected, path: str = ""):
    """Equal, numbers to twelve digits; what the page keeps beside the document's keys is its own."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), (path, found, expected)
        for key, value in expected.items():
            close(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), (path, found, expected)
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            close(one, other, f"{path}[{place}]")
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-15), (path, found, expected)
    else:
        assert found == expected, path


def as_on_the_page(document: dict) -> dict:
    """The page keeps why there is no verdict and no interval apart from them."""
    for row in document["metrics"]:
        if isinstance(row["ci95"], dict):
            row["ci95"] = None
        if isinstance(row["verdict"], dict):
            row["verdict"] = ""
    return document


CASES = [
    ("old", "new"),
    ("new", "old", "lone"),
    ("lone", "broken"),
    ("sweep 0", "sweep 1", "sweep 4"),
    ("lone", "sweep 2", "new"),
]


@pytest.mark.parametrize("names", CASES, ids=" ".join)
def test_the_page_judges_as_the_command_line_does(visit, site, names):
    page = visit()
    expected = as_on_the_page(site.document(*names))
    found = judged(page, site, *names)
    for key in ("base", "tests", "metrics", "figures", "findings", "verdicts", "warnings"):
        close(found[key], expected[key], key)


@pytest.mark.parametrize(
    "names", [("lone", "broken"), ("sweep 0", "sweep 1", "sweep 4")], ids=" ".join
)
def test_settings_that_differ_are_those_of_the_command_line(visit, site, names):
    expected = site.document(*names)["differences"]
    wanted = [d["key"] for d in expected if not d["key"].startswith("environment.")]
    assert [d["key"] for d in judged(visit(), site, *names)["differences"]] == wanted


def test_numbers_in_the_table_are_the_command_lines_as_pages_write_them(visit, site):
    page = visit(site.query("lone", "sweep 1", "sweep 4"))
    document = site.document("lone", "sweep 1", "sweep 4")
    table = page.locator("#figures + div table")
    seen = 0
    for row in document["metrics"]:
        if row["role"] not in {"loss", "val_loss"} or isinstance(row["delta"], dict):
            continue
        seen += 1
        place = [s["slug"] for s in document["runs"]].index(row["run"])
        cells = table.locator(
            "tbody tr", has=page.get_by_role("rowheader", name=row["name"])
        ).locator("td")
        text = cells.nth(place).inner_text()
        assert units.number(row["values"][row["run"]]["value"]) in text
        assert units.number(abs(row["delta"])) in text
        assert ("▲" if row["delta"] > 0 else "▼") in text
        assert ("worse" if row["delta"] > 0 else "better") in text
    assert seen == 2
    shown = page.locator(".rp-story").all_inner_texts()
    assert shown == list(document["verdicts"].values())


def test_seed_groups_get_a_verdict_with_its_interval(visit, site):
    page = visit(site.query("old", "new"))
    (sentence,) = page.locator(".rp-story").all_inner_texts()
    assert sentence.startswith("new is better than old: val/loss is 0.1017 lower, 95 % interval")
    assert page.locator("#figures + div .rp-ci").count() == 1
    assert "2.13 ± 0.15" in page.locator("#figures + div").inner_text()


def test_one_run_a_side_gets_no_verdict_and_care_comes_before_any_table(visit, site):
    page = visit(site.query("lone", "sweep 1"))
    assert "no variance known" in page.locator(".rp-story").inner_text()
    care, table = (page.locator(s).first.bounding_box()["y"] for s in (".rp-care", ".rp-cmp"))
    assert care < table


def test_what_is_not_measured_alike_is_not_called_better(visit, site):
    page = visit(site.query("lone", "broken"))
    row = page.locator("#figures + div tr", has=page.get_by_role("rowheader", name="train/loss"))
    assert "not measured alike" in row.inner_text()
    assert "better" not in row.inner_text()
    assert "worse" not in row.inner_text()


def test_an_unknown_run_is_a_sentence_and_the_others_are_compared(visit, site):
    page = visit(site.query("lone", "gone-0123456789", "sweep 1"), tolerate="404")
    assert (
        "There is no run or group gone-0123456789 here" in page.locator(".rp-warned").inner_text()
    )
    assert page.locator(".rp-legend > div").count() == 2


def test_the_empty_page_says_how_to_come_here_and_the_picker_fills_it(visit, site):
    page = visit()
    assert "No runs chosen yet" in page.locator(".rp-empty").inner_text()
    search = page.get_by_label("Find a run to compare")
    for words in ("lone", "sweep 1"):
        search.fill(words)
        page.get_by_role("checkbox", name=words).check()
    page.locator("#figures").wait_for()
    assert page.url.endswith(site.query("lone", "sweep 1"))
    assert page.locator(".rp-prebuilt").is_hidden()


def test_the_picker_offers_groups_too(visit, site):
    page = visit(site.query("lone"))
    page.get_by_label("Find a run to compare").fill("old group")
    page.get_by_role("checkbox", name="old").check()
    page.locator("#figures").wait_for()
    assert f"runs={site.slugs['lone']},{site.groups['old']}" in page.url


def test_another_base_turns_the_differences_round_and_stays_in_the_address(visit, site):
    page = visit(site.query("lone", "sweep 1"))
    page.get_by_role("button", name="make base: sweep 1").click()
    page.locator(".rp-legend > div", has_text="base").filter(has_text="sweep 1").wait_for()
    assert f"base={site.slugs['sweep 1']}" in page.url
    again = visit(page.url.partition("compare/")[2])
    assert again.locator(".rp-story").inner_text().startswith("No verdict on lone")


def test_a_run_can_be_taken_out(visit, site):
    page = visit(site.query("lone", "sweep 1", "sweep 2"))
    page.get_by_role("button", name="remove: sweep 1").click()
    page.wait_for_function("() => document.querySelectorAll('.rp-legend > div').length === 2")
    assert site.slugs["sweep 1"] not in page.url


def test_charts_move_to_tokens_and_flop_is_refused_with_its_reason(visit, site):
    page = visit(site.query("sweep 0", "sweep 1"))
    page.locator("input[name=rp-cmp-ax][value=tokens]").check(force=True)
    page.wait_for_function(
        "() => document.querySelector('#curves ~ div .rp-svg').textContent.includes('60k')"
    )
    assert "ax=tokens" in page.url
    assert page.locator("input[name=rp-cmp-ax][value=flop]").is_disabled()
    assert page.locator("label", has=page.locator("input[value=flop]")).get_attribute("title")


def test_long_names_are_told_apart_where_there_is_little_room(visit, site):
    page = visit(site.query("labs/one/experiments/alpha/long", "labs/one/experiments/beta/long"))
    heads = page.locator("table.rp-t thead").first.inner_text()
    assert "…/alpha/long" in heads
    assert "…/beta/long" in heads
    assert page.locator(".rp-legend a").first.inner_text() == "labs/one/experiments/alpha/long"


def test_charts_over_cost_end_at_what_each_run_cost(visit, site):
    page = visit(site.query("priced 0", "priced 1", ax="usd"))
    assert page.locator("#curves ~ div").get_by_text("over cost in USD").first.is_visible()
    told = site.document("priced 0", "priced 1")["runs"]
    usd = [show(site, run["slug"])["figures"]["usd"]["value"] for run in told]
    assert usd[1] > 0
    assert usd[0] > 0
    reach = page.evaluate(ENDS)
    # the dearer run reaches to the right edge, the other as far as its share of the money
    assert max(reach) == pytest.approx(1, abs=0.02)
    assert min(reach) == pytest.approx(min(usd) / max(usd), abs=0.05)
    page = visit(site.query("sweep 0", "sweep 1"))
    assert page.locator("input[name=rp-cmp-ax][value=usd]").is_disabled()


def show(site: Site, slug: str) -> dict:
    folder = site.folder / "docs/runs/assets/runs" / slug
    return json.loads((folder / "run.json").read_text())


ENDS = """() => { const svg = document.querySelector('#curves ~ div .rp-svg svg, #curves ~ div svg.rp-svg');
const width = svg.viewBox.baseVal.width || svg.getBoundingClientRect().width;
const lines = [...svg.querySelectorAll('path, polyline')].map(e => e.getBBox()).filter(b => b.width > 0 && b.height > 0);
const right = Math.max(...lines.map(b => b.x + b.width)); const left = Math.min(...lines.map(b => b.x));
return lines.map(b => (b.x + b.width - left) / (right - left)); }"""


def test_a_run_without_the_axis_is_named_not_dropped_in_silence(visit, site):
    page = visit(site.query("sweep 0", "lone", ax="tokens"))
    assert (
        "Not drawn: lone: no metric counts tokens"
        in page.locator("#curves ~ div").all_inner_texts()[1]
    )


def test_the_difference_to_the_base_leaves_the_base_out(visit, site):
    page = visit(site.query("sweep 0", "sweep 1", show="delta"))
    chart = page.locator(".rp-charts .rp-chart").first
    assert "difference to base" in chart.inner_text()
    assert chart.locator(".rp-clip path").count() == 1


def test_the_pointer_reads_values_and_a_drag_zooms_all_charts(visit, site):
    page = visit(site.query("sweep 0", "sweep 1"))
    svg = page.locator(".rp-charts .rp-svg").first
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    read = page.locator(".rp-readout").first
    # step 29.5: rows 29 and 30 of the run; both lines are straight
    assert re.search(r"sweep 0\s+2\.0(33|00)", read.inner_text())
    assert "sweep 1" in read.inner_text()
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=4)
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('x=')")
    page.get_by_role("button", name="Show everything").click()
    page.wait_for_function("() => !location.search.includes('x=')")


def test_pointing_at_a_run_dims_the_lines_of_the_others(visit, site):
    page = visit(site.query("sweep 0", "sweep 1", "sweep 2"))
    page.locator(".rp-legend > div", has_text="sweep 1").hover()
    shown = page.locator(".rp-clip path:not(.off)")
    assert set(shown.evaluate_all("all => all.map(p => p.dataset.side)")) == {"1"}
    page.locator("h1").hover()
    assert page.locator(".rp-clip path.off").count() == 0


def test_arrow_keys_read_values(visit, site):
    page = visit(site.query("sweep 0", "sweep 1"))
    page.locator(".rp-charts .rp-chart").first.focus()
    page.keyboard.press("ArrowRight")
    assert "sweep 1" in page.locator(".rp-readout").first.inner_text()


def test_samples_are_fetched_when_their_section_opens_and_only_then(visit, site):
    page = visit(site.query("sweep 0", HOSTILE))
    assert not [u for u in page.asked if "samples.json" in u]
    page.get_by_text("Samples of 2 of 2 runs").click()
    page.locator(".rp-sample pre").first.wait_for()
    assert len([u for u in page.asked if "samples.json" in u]) == 2
    assert page.locator(".rp-sample pre").all_inner_texts() == [
        "the end of 0 <b>",
        "the end of 3 <b>",
    ]


def test_environments_are_fetched_when_opened_and_show_what_differs(visit, site):
    page = visit(site.query("sweep 0", "sweep 1"))
    assert not [u for u in page.asked if "run.json" in u]

    def with_torch(route):
        document = route.fetch().json()
        document["environment"]["torch"] = f"2.{document['name'][-1]}"
        route.fulfill(json=document)

    page.route("**/run.json", with_torch)  # run directories record no packages
    page.get_by_text("Environment of 2 of 2 runs").click()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="environment.torch"))
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["2.0", "2.1"]
    assert page.get_by_role("rowheader", name="environment.python").count() == 0


def test_equal_environments_are_said_to_be_equal(visit, site):
    page = visit(site.query("sweep 0", "sweep 1"))
    page.get_by_text("Environment of 2 of 2 runs").click()
    page.get_by_text("All that they recorded of it is equal.").wait_for()


def test_many_runs_show_settings_against_results(visit, site):
    names = [n for n in site.slugs if n.startswith("sweep")] + [HOSTILE]
    page = visit(site.query(*names))
    assert page.locator(".rp-par").count() == 6
    assert page.locator(".rp-dot").count() == 6
    page.get_by_label("Setting").select_option("lr")
    page.locator(".rp-dot").first.hover()
    assert re.search(r"lr \d", page.locator(".rp-said").inner_text())
    assert (
        page.locator(".rp-story").inner_text() == f"Of 5 against {names[0]}: 5 without a verdict."
    )


def test_markdown_holds_verdict_care_and_tables_and_no_live_markup(visit, site):
    page = visit(site.query("sweep 0", HOSTILE))
    page.get_by_role("button", name="Copy as Markdown").click()
    page.get_by_text("copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.index("No verdict on") < text.index("Read with care") < text.index("## Figures")
    assert "| train/loss ↓ |" in text
    assert r"\<img src=x onerror=window.hit=1\> \| \`run\`" in text


def test_a_hostile_name_is_text_everywhere(visit, site):
    page = visit(site.query("sweep 0", HOSTILE))
    assert page.locator("article img").count() == 0
    assert page.evaluate("window.hit") is None
    assert page.locator(".rp-legend").get_by_text(HOSTILE).is_visible()


@pytest.mark.parametrize(
    "names",
    [("lone", "broken", "old"), (HOSTILE, *(f"sweep {n}" for n in range(3)), "lone", "old")],
)
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_screen(visit, site, width, names):
    page = visit(site.query(*names), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_the_ready_comparisons_are_listed(visit):
    page = visit(java_script_enabled=False)
    assert "runpages compare A B" in page.locator(".rp-prebuilt").inner_text()
    assert (
        page.locator(".rp-prebuilt a", has_text="old")
        .get_attribute("href")
        .startswith("../by/group/old-")
    )


def test_a_group_page_leads_to_the_comparison_of_its_runs(visit, site):
    page = visit(path=f"runs/by/group/{site.groups['old']}/")
    page.get_by_role("link", name="Compare its runs").click()
    page.locator("#figures").wait_for()
    assert page.locator(".rp-legend > div").count() == 3


def test_a_run_page_leads_to_a_comparison_with_it(visit, site):
    page = visit(path=f"runs/{site.slugs['lone']}/")
    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_text("One run is no comparison").wait_for()


def test_instant_navigation_leaves_and_comes_back(visit, site):
    page = visit(site.query("lone", "sweep 1"))
    page.locator(".rp-legend a", has_text="lone").click()
    page.locator("#summary, .rp-figs").first.wait_for()
    page.go_back()
    page.locator("#figures").wait_for()
    assert page.locator(".rp-legend > div").count() == 2


def test_colours_follow_the_palette(visit, site):
    light, dark = (visit(site.query("lone", "sweep 1"), color_scheme=s) for s in ("light", "dark"))
    stroke = "getComputedStyle(document.querySelector('.rp-clip path.run')).stroke"
    assert light.evaluate(stroke) != dark.evaluate(stroke)


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "family", ["textlogs/AGNDM+build-nanogpt", "hf_trainer", "wandb", "algoperf"]
)
def test_real_runs_are_judged_as_the_command_line_does(browser, shared, tmp_path, family):
    (tmp_path / "team").mkdir()
    shutil.copytree(shared / "data/logs" / family, tmp_path / "team/logs")
    with served(tmp_path / "team", tmp_path / "served") as address:
        settings = load_settings(tmp_path / "team/runpages.toml")
        slugs = [row["slug"] for row in builder.rows(settings)][:6]
        expected = as_on_the_page(Site(address, tmp_path / "team").document(*slugs))
        page = browser.new_page()
        page.goto(f"{address}runs/compare/")
        found = page.evaluate(JUDGED, [f"{address}runs/", slugs])
        page.close()
    assert len(slugs) > 1
    for key in ("base", "tests", "metrics", "figures", "findings", "verdicts", "warnings"):
        close(found[key], expected[key], key)
