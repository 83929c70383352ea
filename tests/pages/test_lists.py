"""Pages and files about many runs: columns, listings, dashboard, feed, llms.txt."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from browser.browse_entries import SEED_SETS, entries
from pages import factory
from pages.test_run import ATTACK, Seen, html_of
from runpages.pages import list_row
from runpages.pages.browse import render_browse
from runpages.pages.by import listings, month_of, render_listing, render_overview
from runpages.pages.columns import index_files, row_order
from runpages.pages.dashboard import dashboard, needs_verdict, regressed
from runpages.pages.feed import render_feed, render_llms
from runpages.pages.listing import listed_facts
from runpages.pages.table import told_apart

SITE = SimpleNamespace(title="Training runs", section="runs", url="")
ATOM = "{http://www.w3.org/2005/Atom}"


def entry(report) -> dict:
    return {**list_row(report), **listed_facts(report)}


def files_of(rows, seed_sets=()) -> dict:
    return {
        path.removeprefix("assets/index/"): json.loads(data)
        for path, data in index_files(rows, seed_sets).items()
    }


def decoded(files, kind, name) -> dict:
    """Slug -> value of a key's column."""
    (key,) = [k for k in files["keys.json"]["keys"] if (k["kind"], k["name"]) == (kind, name)]
    column = files[key["file"]]
    slugs = files["runs.json"]["columns"]["slug"]["values"]
    rows = column["rows"] if column["rows"] is not None else range(len(slugs))
    return {slugs[row]: value for row, value in zip(rows, column["values"], strict=True)}


def test_the_facts_of_a_real_report_are_those_of_its_page():
    report = factory.healthy(config={"optim": {"lr": 3e-4}, "name": "x" * 500}, tags=("b", "a"))
    facts = entry(report)
    assert facts["config"]["optim.lr"] == 3e-4
    assert len(facts["config"]["name"]) == 120
    assert facts["tags"] == ["a", "b"]
    assert facts["roles"]["loss"] == report.metrics["train/loss"].final
    assert facts["metrics"]["train/loss"] == report.metrics["train/loss"].final
    assert facts["figures"]["usd"]["why"]
    json.dumps(facts, allow_nan=False)


def test_a_run_without_anything_has_facts_too():
    facts = entry(factory.report())
    assert facts["roles"] == {}
    assert facts["direction"] is None
    assert facts["figures"]["device_hours"]["why"]
    assert facts["figures"]["goodput"]["why"]


@pytest.mark.parametrize(("factor", "worse"), [(1.005, False), (1.02, True), (0.9, False)])
def test_worse_than_the_baseline_by_more_than_one_percent_is_regressed(factor, worse):
    base = factory.report({"train/loss": factory.rows(0, 100, lambda _: 2.0)})
    columns = {"train/loss": factory.rows(0, 100, lambda _: 2.0 * factor)}
    facts = entry(factory.report(columns, baseline=base))
    assert math.isclose(facts["regression"], factor - 1)
    assert regressed(facts) is worse


def test_another_project_is_no_baseline_to_regress_from():
    base = factory.report({"train/loss": factory.rows(0, 100, lambda _: 2.0)}, project="other")
    columns = {"train/loss": factory.rows(0, 100, lambda _: 4.0)}
    facts = entry(factory.report(columns, baseline=base))
    assert facts["regression"]["why"] == "the pinned baseline is of another project"


def test_rows_are_oldest_first_and_undated_before_all():
    names = [row["name"] for row in row_order(entries())]
    assert names == ["empty", "hostile <b>x</b>", "crashed", "fam-0", "fam-1", "fam-2", "wide"]


def test_a_new_run_leaves_older_columns_as_they_are():
    rows = entries()
    before = index_files(rows[1:])
    after = index_files(rows)
    same = [path for path, data in before.items() if after.get(path) == data]
    (steps,) = [p for p in before if "runs.json" in p]
    assert steps not in same
    old = next(
        k["file"]
        for k in json.loads(before["assets/index/keys.json"])["keys"]
        if k["name"].startswith("<script>")
    )
    assert f"assets/index/{old}" in same


def test_a_missing_value_keeps_its_reason():
    runs = files_of(entries())["runs.json"]
    value = runs["columns"]["value"]
    missing = [row for row, v in enumerate(value["values"]) if v is None]
    reasons = [value["why"]["texts"][code] for code in value["why"]["codes"]]
    assert dict(zip(missing, reasons, strict=True)) == {0: "no loss was logged"}


def test_nan_is_a_value_and_no_gap():
    runs = files_of(entries())["runs.json"]
    assert runs["columns"]["value"]["values"][1] == "NaN"


def test_whole_numbers_are_exact_and_others_rounded():
    rows = entries()
    rows[0] = {**rows[0], "steps": 123_456_789, "value": 3.123456789}
    columns = files_of(rows)["runs.json"]["columns"]
    assert columns["steps"]["values"][-1] == 123_456_789
    assert columns["value"]["values"][-1] == 3.123457


def test_settings_and_metrics_have_a_file_each():
    files = files_of(entries())
    assert decoded(files, "config", "optim.lr")["wide-0000000000"] == 0.001
    assert decoded(files, "metric", "train/acc") == {"wide-0000000000": 0.9}
    assert decoded(files, "role", "val_loss")["fam-1-0000000000"] == 2.9


def test_a_setting_and_a_metric_of_one_name_do_not_share_a_file():
    rows = entries()
    rows[0] = {**rows[0], "config": {"x": 1}, "metrics": {"x": 2}}
    files = files_of(rows)
    assert decoded(files, "config", "x") == {"wide-0000000000": 1}
    assert decoded(files, "metric", "x") == {"wide-0000000000": 2}


def test_of_very_many_keys_the_rarest_are_left_out_and_counted():
    rows = entries()
    rows[0] = {**rows[0], "metrics": {f"m{i}": i for i in range(2500)}}
    files = files_of(rows)
    assert files["keys.json"]["left_out"] > 0
    assert len([p for p in files if p.startswith("columns/")]) < 2100
    assert decoded(files, "config", "optim.lr")


def test_a_seed_set_names_rows():
    runs = files_of(entries(), SEED_SETS)["runs.json"]
    (found,) = runs["seed_sets"]
    assert [runs["columns"]["name"]["values"][row] for row in found["rows"]] == [
        "fam-0",
        "fam-1",
        "fam-2",
    ]


def test_runs_of_one_name_are_told_apart_by_the_shortest_end_of_their_ids():
    rows = [{"name": "n", "id": i} for i in ("a/x/1", "b/x/1", "b/2")] + [{"name": "m", "id": "z"}]
    assert told_apart(rows) == ["a/x/1", "b/x/1", "2", ""]


@pytest.mark.parametrize(
    ("start", "month"), [(1_767_225_599, "2025-12"), (1_767_225_600, "2026-01")]
)
def test_months_are_utc(start, month):
    assert month_of({"start": start}) == month


def test_every_run_is_in_its_listings():
    found = {(one.kind, one.name): len(one.entries) for one in listings(entries())}
    assert found["project", "llm"] == 6
    assert found["month", "2026-01"] == 2
    assert found["month", "no date"] == 1
    assert found["tag", "sweep"] == 2
    assert found["dataset", "fineweb"] == 1


def board(rows):
    return dashboard(rows, up="../../../")


def test_the_best_so_far_is_told_newest_first():
    rows = [row for row in entries() if row["project"] == "llm"]
    records = [(r["name"], r["value"]) for r in board(rows).records]
    assert records == [("fam-0", "2.8000")]
    rows[1]["value"] = 2.5
    records = [(r["name"], r["value"]) for r in board(rows).records]
    assert records == [("fam-2", "2.5000"), ("fam-0", "2.8000")]


def test_the_better_direction_of_a_metric_is_kept():
    rows = [{**row, "direction": "higher"} for row in entries() if row["group"]]
    assert [r["value"] for r in board(rows).records] == ["3.0000", "2.9000", "2.8000"]


def test_sums_say_of_how_many_runs_they_are():
    shown = {label: (value, note) for label, value, note in board(entries()).figures}
    assert shown["Device-hours"] == ("28.0", "of 7 of 7 runs")
    assert shown["Cost, USD"] == ("n/a", "no run tells it")


def test_without_a_baseline_no_run_is_said_to_have_held():
    rows = [{**row, "regression": {"value": None, "why": "none pinned"}} for row in entries()]
    (one,) = [o for o in listings(rows) if (o.kind, o.name) == ("project", "llm")]
    assert "no pinned baseline" in Seen(html_of(render_listing(one).markdown)).text
    assert "Regressed" not in Seen(html_of(render_browse(rows).markdown)).text


def test_a_run_that_is_over_and_unjudged_needs_a_verdict():
    needing = [row["name"] for row in entries() if needs_verdict(row)]
    assert "wide" not in needing
    assert "crashed" in needing
    assert not needs_verdict({"verdict": None, "state": "running"})


@pytest.mark.parametrize("kind", ["project", "month", "tag", "dataset"])
def test_hostile_text_in_listings_is_inert(kind):
    rows = [
        {**row, "name": ATTACK, "project": ATTACK, "tags": [ATTACK], "datasets": [ATTACK]}
        for row in entries()
    ]
    for one in listings(rows):
        if one.kind == kind:
            seen = Seen(html_of(render_listing(one).markdown))
            assert not {"script", "img", "iframe"} & set(seen.tags)
            assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
            assert not [v for _, n, v in seen.attributes if n == "href" and "javascript:" in v]
    for page in (render_overview(listings(rows), {ATTACK: 2}), render_browse(rows)):
        seen = Seen(html_of(page.markdown))
        assert "script" not in seen.tags
        assert "alert(1)" in seen.text


def test_a_long_listing_is_bounded_and_links_the_rest():
    rows = [{**entries()[0], "slug": f"r{i}-0000000000", "id": str(i)} for i in range(500)]
    (one,) = [one for one in listings(rows) if one.kind == "project"]
    seen = Seen(html_of(render_listing(one).markdown))
    assert seen.tags.count("svg") < 450
    assert "300 older runs" in seen.text
    assert ("a", "href", "../../../browse/?project=llm") in seen.attributes


def test_the_feed_is_atom_newest_first():
    root = ET.fromstring(render_feed(entries(), site=SITE))
    found = [e.find(f"{ATOM}title").text for e in root.iter(f"{ATOM}entry")]
    assert found[0] == "wide (finished)"
    assert found[-1] == "hostile <b>x</b> (failed)"
    assert len(found) == 6  # the run without a date cannot be in it
    assert root.find(f"{ATOM}updated").text == "2026-02-15T14:26:40Z"
    first = next(root.iter(f"{ATOM}entry"))
    assert first.find(f"{ATOM}link").get("href") == "wide-0000000000/"
    assert first.find(f"{ATOM}id").text == "urn:runpages:run:wide-0000000000"


def test_the_feed_of_a_site_with_an_address_has_absolute_links():
    site = SimpleNamespace(**{**vars(SITE), "url": "https://example.org/docs/"})
    root = ET.fromstring(render_feed(entries(), site=site))
    link = next(root.iter(f"{ATOM}entry")).find(f"{ATOM}link").get("href")
    assert link == "https://example.org/docs/runs/wide-0000000000/"


def test_a_feed_of_no_run_is_a_feed():
    root = ET.fromstring(render_feed([], site=SITE))
    assert list(root.iter(f"{ATOM}entry")) == []


def test_hostile_text_in_the_feed_stays_text():
    rows = [{**entries()[0], "name": f"{ATTACK}\x00\ud800]]>", "project": ATTACK}]
    root = ET.fromstring(render_feed(rows, site=SITE))
    (told,) = [e.find(f"{ATOM}title").text for e in root.iter(f"{ATOM}entry")]
    assert told.startswith("</title><script>alert(1)</script>")


def test_llms_txt_quotes_no_text_of_a_run():
    rows = [
        {**row, "name": ATTACK, "project": ATTACK, "metric": ATTACK, "verdict": ATTACK}
        for row in entries()
    ]
    text = render_llms(rows, site=SITE).decode()
    assert "alert" not in text
    assert "[wide-0000000000](wide-0000000000/): finished; final value 3.300" in text
    assert "> 7 training runs" in text


def test_the_program_in_the_documentation_reads_the_files(tmp_path):
    page = (Path(__file__).parents[2] / "docs/reference/runs-json.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    rows = entries()
    rows[0] = {**rows[0], "config": {"lr": 0.5}}
    for path, data in index_files(rows).items():
        target = tmp_path / "docs/runs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "{'wide-0000000000': 0.5}\n"


def test_every_standing_column_is_documented():
    page = (Path(__file__).parents[2] / "docs/reference/runs-json.md").read_text()
    for name in files_of(entries())["runs.json"]["columns"]:
        assert f"`{name}`" in page, name
