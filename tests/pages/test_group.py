"""The group's page: the mean with its interval, who is missing from it, and what differs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pages.test_run import ATTACK, Seen, html_of
from runpages.analysis import analyze_group
from runpages.markup import json_bytes
from runpages.model import GroupReport, HardBatch, SeedOutlier
from runpages.pages import list_row, render_group
from siblings import judged, write_sibling

SITE = SimpleNamespace(title="Training runs", section="runs")


@pytest.fixture
def page(tmp_path):
    for seed, final in enumerate((2.0, 2.1, 2.3)):
        write_sibling(tmp_path / f"s{seed}", seed=seed, final=final, group="g", commit=str(seed))
    write_sibling(tmp_path / "s3", seed=3, final=float("nan"), group="g", commit="0")
    write_sibling(tmp_path / "other", group="g", config={"lr": 0.3, ATTACK: ATTACK}, commit="0")
    reports = list(judged(tmp_path).values())
    return render_group(analyze_group(reports), [list_row(r) for r in reports], site=SITE)


def test_it_shows_mean_sd_n_interval_and_who_is_missing(page):
    text = Seen(html_of(page.markdown)).text
    assert "4 runs have the same configuration but for the seed (seeds 0, 1, 2, 3)" in text
    assert "val/loss 2.13 0.15 3 1.7539 to 2.5128" in text
    assert "s3: its last value is NaN" in text


def test_it_says_what_differs_and_what_to_keep_in_mind(page):
    text = Seen(html_of(page.markdown)).text
    assert "the runs also differ in code.commit" in text
    assert "other is not in the mean: differs in " in text
    assert "config.lr 0.3 0.1 0.1 0.1 0.1" in text


def test_foreign_text_in_settings_is_not_active(page):
    seen = Seen(html_of(page.markdown))
    assert "script" not in seen.tags
    assert not [a for a in seen.attributes if a[1].startswith("on")]


def test_its_json_is_strict(page):
    (data,) = page.files.values()
    document = json.loads(data, parse_constant=pytest.fail)
    assert data == json_bytes(document)
    assert document["found_by"] == "configuration"
    (difference,) = [d for d in document["differences"] if d["key"] == "config.lr"]
    assert sorted(map(tuple, difference["values"].values())) == [(0.1,)] * 4 + [(0.3,)]


def test_it_shows_hard_batches_and_outliers_as_text():
    group = GroupReport(
        name="g",
        slugs=("a", "b"),
        seeds={},
        seed_set=("a", "b"),
        metrics=(),
        hard_batches=(
            HardBatch(
                metric=ATTACK, first_step=919, last_step=920, slugs=("a", "b"), recorded=3, height=1.4
            ),
        ),
        outliers=(
            SeedOutlier(
                slug="a", metric=ATTACK, value=2.6, n=5, rule="modified z score",
                low=1.5, high=2.5,
            ),
        ),
    )  # fmt: skip
    rendered = render_group(group, [], site=SITE)
    seen = Seen(html_of(rendered.markdown))
    assert "919–920" in seen.text
    assert "2 of 3 a, b" in seen.text
    assert "ends at 2.6000, outside 1.5000 to 2.5000 (modified z score, n = 5)" in seen.text
    assert "script" not in seen.tags
    assert not [a for a in seen.attributes if a[1].startswith("on")]


def test_further_sets_stand_below_the_largest(tmp_path):
    for lr, finals in ((0.1, (2.0, 2.1, 2.3)), (0.2, (1.9, 2.0))):
        for seed, final in enumerate(finals):
            config = {"lr": lr, "seed": seed}
            write_sibling(tmp_path / f"lr{lr}-{seed}", seed=seed, final=final, config=config)
    reports = list(judged(tmp_path).values())
    made = render_group(analyze_group(reports), [list_row(r) for r in reports], site=SITE)
    text = Seen(html_of(made.markdown)).text
    assert "lr 0.2 lr0.2-0, lr0.2-1" in text
    assert "val/loss 1.950 0.071 2 1.3147 to 2.5853" in text


def test_of_many_final_values_the_cell_has_the_extremes_and_a_fold_all(tmp_path):
    for seed in range(8):
        write_sibling(
            tmp_path / f"s{seed}", seed=seed, final=2 + seed / 10, group="g", name=f"a/b/{seed}"
        )
    reports = list(judged(tmp_path).values())
    rows = [list_row(report) for report in reports]
    page = render_group(analyze_group(reports), rows, site=SITE)
    text = Seen(html_of(page.markdown)).text
    assert "0: 2.0000, …, 7: 2.7000 all 8 0: 2.0000, 1: 2.1000, 2: 2.2000" in text
    assert page.markdown.count("h0") == 8  # a dot each; the training losses are equal
