"""compare.json: small whatever the run holds, whole in its values, and honest about what it leaves out."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from pages import factory
from runpages.model import Code
from runpages.pages import render
from runpages.pages.comparable import comparable_file

BUDGET = 8 * 1024


def document(report) -> dict:
    return json.loads(comparable_file(report))


@pytest.fixture(scope="module")
def heavy():
    """500 settings that compress badly, 100 evaluations, 12 curves of noise."""
    random = np.random.default_rng(3)
    config = {f"section_{n % 7}.option_{n}": f"{random.random():.17g}" for n in range(500)}
    config["tokenizer"] = "gpt2"
    noise = {
        f"eval/task_{n}/acc": factory.rows(0, 40, lambda s: random.random()) for n in range(100)
    }
    noise["train/loss"] = factory.rows(0, 4000, lambda s: 2 + random.random())
    noise["val/loss"] = factory.rows(0, 400, lambda s: 2 + random.random())
    noise["grad_norm"] = factory.rows(0, 4000, lambda s: random.random())
    return factory.report(noise, config=config, code=Code(commit="abc"))


def test_a_run_with_500_settings_and_100_metrics_stays_within_8_kilobytes(heavy):
    assert len(gzip.compress(comparable_file(heavy), 6)) <= BUDGET


def test_what_has_no_room_is_counted(heavy):
    found = document(heavy)
    assert found["facts_left"] > 0
    assert len(found["facts"]) + found["facts_left"] == 502
    assert found["metrics_left"] > 0
    assert len(found["metrics"]) + found["metrics_left"] == 102


def test_what_makes_runs_hard_to_compare_and_the_losses_are_kept_first(heavy):
    found = document(heavy)
    assert found["facts"]["config.tokenizer"] == "gpt2"
    assert found["facts"]["code.commit"] == "abc"
    assert {"train/loss", "val/loss"} <= {row[0] for row in found["metrics"]}
    assert [curve["key"] for curve in found["curves"]][:2] == ["loss", "val_loss"]


def test_final_values_are_not_rounded():
    report = factory.healthy()
    (row,) = document(report)["metrics"]
    assert row[0] == "train/loss"
    assert row[5] == report.metrics["train/loss"].final


def test_long_facts_are_cut_and_told_apart_by_their_digest():
    one, two = (
        document(factory.report(config={"prompt": "x" * 90 + end}))["facts"] for end in "ab"
    )
    assert one["config.prompt"]["cut"] == two["config.prompt"]["cut"] == "x" * 80
    assert one["config.prompt"]["digest"] != two["config.prompt"]["digest"]


def test_packages_stay_in_run_json_but_what_evaluated_the_model_does_not():
    found = document(factory.report(environment={"torch": "2.6", "lm_eval": "0.4.2"}))
    assert found["facts"] == {"environment.lm_eval": "0.4.2"}
    assert found["environment"] == 1


def test_a_figure_that_is_not_known_says_why():
    found = document(factory.report())["figures"]
    assert set(found["usd"]) == {"why"}
    assert found["usd"]["why"]


def test_the_file_stands_beside_the_page_and_is_the_same_every_time():
    report = factory.healthy()
    files = [render(report).files for _ in range(2)]
    path = f"runs/assets/runs/{report.run.slug}/compare.json"
    assert files[0][path] == files[1][path] == comparable_file(report)


def test_a_light_page_stays_within_its_files(heavy):
    page = render(heavy)
    light = [data for name, data in page.files.items() if name not in page.finer]
    assert len(light) + 1 <= 8
    assert sum(map(len, light)) + len(page.markdown) + 20_000 <= 300_000
