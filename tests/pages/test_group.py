"""The group's page: the mean with its interval, who is missing from it, and what differs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pages.test_run import ATTACK, Seen, html_of
from runpages.analysis import analyze_group
from runpages.markup import json_bytes
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
    assert "4 runs differ in nothing but the seed (seeds 0, 1, 2, 3)" in text
    assert "val/loss 2.1333 0.15 3 1.7539 to 2.5128" in text
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
