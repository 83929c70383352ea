"""A run of thousands of metrics and settings stays within what a light and a full run may weigh."""

from __future__ import annotations

import gzip
import html
import json

import numpy as np
import pytest

from pages import factory
from runpages.pages import render
from runpages.review.companions import COMPANIONS

FRAME = 20_000
"""Material's own part of a page."""


@pytest.fixture(scope="module", params=[100, 600, 2000])
def page(request):
    random = np.random.default_rng(1)
    columns = {"train/loss": factory.rows(0, 400, factory.falling)}
    for n in range(request.param):
        columns[f"block.{n // 9}/rms.{n % 9}"] = factory.rows(0, 400, lambda _: random.random())
    config = {f"part{n // 50}": {f"option_{k}": f"{n} {k}" for k in range(50)}
              for n in range(0, 2 * request.param, 50)}  # fmt: skip
    made = render(factory.report(columns, config=config))
    return request.param, made, {n.rpartition("/")[2]: d for n, d in made.files.items()}


def test_a_light_run_has_at_most_8_files_and_300_kilobytes(page):
    _, made, _ = page
    light = [data for name, data in made.files.items() if name not in made.finer]
    assert len(light) + 1 <= 8
    assert sum(map(len, light)) + len(made.markdown) + FRAME <= 300_000


def test_a_full_run_has_at_most_60_files_and_3_megabytes(page):
    _, made, _ = page
    assert len(made.files) + 1 + len(COMPANIONS) <= 60
    assert sum(map(len, made.files.values())) + len(made.markdown) + FRAME <= 3_000_000


def test_the_page_has_at_most_30_kilobytes(page):
    _, made, _ = page
    assert len(gzip.compress(made.markdown.encode())) <= 25_000  # Material's frame has 5 KB


def test_what_is_left_out_is_counted(page):
    count, made, files = page
    charts = json.loads(files["charts.json"])
    drawn = len(charts["charts"]) + len(charts["more"])
    if drawn < count + 1:
        assert f"{count + 1 - drawn:,} more metrics have no chart here" in html.unescape(
            made.markdown
        )
    run = json.loads(files["run.json"])
    assert len(run["metrics"]) + run["left"]["metrics"] == count + 1
    assert run["metrics"][0]["name"] == "train/loss"
    left = run.get("left", {}).get("config", 0)
    settings = sum(map(len, run["config"].values())) if not left else len(run["config"])
    assert settings + left == 2 * count


def test_light_runs_have_the_files_that_their_charts_name(page):
    _, made, files = page
    light = {n.rpartition("/")[2] for n in made.files if n not in made.finer}
    packs = json.loads(files["charts.json"])["light_packs"]
    assert {n for n in light if n.startswith("metrics-")} == {
        f"metrics-{n:02d}.json" for n in range(packs)
    }
