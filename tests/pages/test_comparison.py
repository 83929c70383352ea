"""A run against its baseline on its page, and a comparison as strict JSON."""

from __future__ import annotations

import json

import pytest

from pages import factory
from pages.test_run import ATTACK, Seen, html_of, page_of
from runpages.analysis import compare, group_contender, run_contender
from runpages.markup import json_bytes
from runpages.model import Attempt
from runpages.pages import comparison_json, render
from runpages.pages.comparison import spread_text
from siblings import judged, write_sibling


@pytest.fixture(scope="module")
def worse():
    base = factory.healthy(name="base", config={"lr": 1, "batch": 8})
    end = factory.START + 299
    only = Attempt(number=1, start=factory.START, end=end, first_step=0, last_step=299)
    return factory.report(
        {"train/loss": factory.rows(0, 300, lambda s: factory.falling(s) + 1)},
        run_id="two", config={"lr": 2, "batch": 16}, baseline=base, state="crashed",
        start=factory.START, end=end, attempts=(only,),
    )  # fmt: skip


def test_the_page_leads_to_the_comparison_with_the_baseline(worse):
    links = [value for _, name, value in page_of(worse).attributes if name == "href"]
    own, base = worse.run.slug, worse.baseline.run.slug
    assert f"../compare/?runs={own},{base}&base={base}" in links


def test_cost_and_speed_stand_beside_the_baselines_with_their_direction(worse):
    text = page_of(worse).text
    assert "Against the baseline This run Baseline Difference" in text
    assert "Steps 299 199 ▲ 100" in text
    assert "Elapsed 4.98 min 3.32 min ▲ 1.67 min worse" in text


def test_what_hinders_the_comparison_is_told_before_it(worse):
    text = page_of(worse).text
    assert "the batch size differs: config.batch is 8 in base, 16 in plain" in text
    assert "plain is not a finished run: crashed" in text
    assert "one run each of base, plain" in text


def test_differences_are_of_configuration_data_code_and_environment():
    base = factory.healthy(config={"lr": 1}, environment={"torch": "2.5"})
    other = factory.report(
        {"train/loss": factory.rows(0, 9, factory.falling)},
        run_id="two", config={"lr": 1}, environment={"torch": "2.6"}, baseline=base,
    )  # fmt: skip
    assert "environment.torch 2.6 2.5" in page_of(other).text
    assert "config.lr" not in page_of(other).text


def test_foreign_text_of_the_baseline_is_not_active():
    base = factory.healthy(name=ATTACK, config={ATTACK: ATTACK, "batch": ATTACK})
    other = factory.report(
        {"train/loss": factory.rows(0, 9, factory.falling)},
        run_id="two", config={"batch": "b"}, baseline=base,
    )  # fmt: skip
    page = Seen(html_of(render(other).markdown))
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on")]


def test_a_run_that_ends_in_nan_is_not_better_than_its_baseline():
    def diverging(step: int) -> float:
        return 0.5 if step < 195 else float("nan")

    base = factory.healthy(name="base")
    other = factory.report(
        {"train/loss": factory.rows(0, 200, diverging)}, run_id="two", baseline=base
    )
    text = page_of(other).text
    assert "not compared: the last value is NaN" in text
    assert "better" not in text


def test_without_a_baseline_there_is_no_comparison():
    assert "Against the baseline" not in page_of(factory.healthy()).text


def test_the_json_is_strict_and_says_why_a_number_is_absent(tmp_path):
    for seed, final in enumerate((2.0, float("nan"))):
        write_sibling(tmp_path / "set" / f"s{seed}", seed=seed, final=final, group="set")
    write_sibling(tmp_path / "one" / "r", config={"lr": float("inf")})
    group = group_contender("set", "set-1", list(judged(tmp_path / "set").values()))
    (report,) = judged(tmp_path / "one").values()
    made = comparison_json(compare(group, [run_contender(report)]))
    document = json.loads(json_bytes(made), parse_constant=pytest.fail)
    row = next(m for m in document["metrics"] if m["name"] == "val/loss")
    assert row["values"]["set-1"]["n"] == 1
    assert list(row["values"]["set-1"]["missing"].values()) == ["its last value is NaN"]
    why = {"value": None, "why": "one run: no variance known"}
    assert row["values"]["set-1"]["sd"] == row["ci95"] == row["p_holm"] == why
    (lr,) = [d for d in document["differences"] if d["key"] == "config.lr"]
    assert list(lr["values"].values()) == [0.1, "Infinity"]
    usd = next(f for f in document["figures"] if f["name"] == "usd")
    assert usd["delta"] == {report.run.slug: {"value": None, "why": "not known on both sides"}}


@pytest.mark.parametrize(
    ("mean", "sd", "told"),
    [
        (3.2785025, 0.0023633, ("3.2785", "0.0024")),
        (117.70566, 10.8188, ("118", "11")),
        (2.0, 0.0, ("2.0000", "0")),
        (-0.05, 0.3, ("\N{MINUS SIGN}0.050", "0.30")),
    ],
)
def test_a_mean_has_the_decimals_of_its_sd(mean, sd, told):
    assert spread_text(mean, sd) == told
