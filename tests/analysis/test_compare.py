"""Comparisons of real run directories: which test, what it says, and when it says nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from runpages.analysis import compare, group_contender, run_contender
from runpages.analysis.statistics import paired_t, welch_t
from runpages.model import Comparison
from siblings import judged, write_sibling

BASE = (2.00, 2.10, 2.30)
BETTER = (1.80, 1.93, 2.08)


def write_set(folder, finals, *, seeds=None, lr=0.1, config=None, **facts) -> None:
    """Runs of one configuration below `folder`, seeds 0, 1, 2... unless others are given."""
    for number, final in enumerate(finals):
        seed = number if seeds is None else seeds[number]
        settings = {"lr": lr, "seed": seed, **(config or {})}
        path = folder / f"{folder.name}{number}"
        write_sibling(path, final=final, seed=seed, config=settings, **facts)


def side(folder):
    return group_contender(folder.name, folder.name, list(judged(folder).values()))


def compared(folder, *names) -> Comparison:
    first, *others = (side(folder / name) for name in names)
    return compare(first, others)


def row_of(comparison: Comparison, name="val/loss"):
    return next(row for row in comparison.metrics if row.name == name)


def alone(folder, **facts):
    write_sibling(folder, **facts)
    (report,) = judged(folder).values()
    return run_contender(report)


def test_matching_seeds_are_paired(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, lr=0.2)
    row, test = row_of(compared(tmp_path, "a", "b")), paired_t(BASE, BETTER)
    assert (row.method, row.df) == ("paired", 2)
    assert row.delta.value == pytest.approx(test.delta)
    assert row.ci95 == pytest.approx(test.ci95)
    assert row.p.value == pytest.approx(test.p)


def test_pairs_go_by_seed_and_not_by_order(tmp_path):
    write_set(tmp_path / "a", BASE, seeds=(5, 6, 7))
    write_set(tmp_path / "b", BETTER[::-1], seeds=(7, 6, 5), lr=0.2)
    row = row_of(compared(tmp_path, "a", "b"))
    assert row.p.value == pytest.approx(paired_t(BASE, BETTER).p)


@pytest.mark.parametrize("seeds", [(3, 4, 5), (0, 1, 1), (None, None, None)])
def test_other_seeds_are_tested_by_welch(tmp_path, seeds):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, seeds=seeds, lr=0.2)
    row, test = row_of(compared(tmp_path, "a", "b")), welch_t(BASE, BETTER)
    assert row.method == "welch"
    assert (row.p.value, row.df) == pytest.approx((test.p, test.df))
    assert row.ci95 == pytest.approx(test.ci95)


def test_seeds_that_are_missing_on_a_side_are_named(tmp_path):
    write_set(tmp_path / "a", (*BASE, 2.2))
    write_set(tmp_path / "b", BETTER, seeds=(0, 1, 7), lr=0.2)
    warnings = compared(tmp_path, "a", "b").warnings
    assert "b has no run of seed 2, 3: no pairs are made" in warnings
    assert "a has no run of seed 7: no pairs are made" in warnings


@pytest.mark.parametrize("seeds", [(0, 1, 2), (3, 4, 5)])
def test_the_other_way_round_only_signs_change(tmp_path, seeds):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, seeds=seeds, lr=0.2)
    row, back = (row_of(compared(tmp_path, *names)) for names in (("a", "b"), ("b", "a")))
    assert back.delta.value == pytest.approx(-row.delta.value)
    assert back.ci95 == pytest.approx((-row.ci95[1], -row.ci95[0]))
    assert back.effect.value == pytest.approx(-row.effect.value)
    assert back.p.value == pytest.approx(row.p.value)


def test_a_clear_difference_is_a_verdict_with_its_interval(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", [v - 0.2 - 0.001 * k for k, v in enumerate(BASE)], lr=0.2)
    comparison = compared(tmp_path, "a", "b")
    assert row_of(comparison).verdict == "better"
    told = comparison.verdicts["b"]
    assert told.startswith("b is better than a: val/loss is 0.2010 lower, 95 % interval of the")
    assert "\N{MINUS SIGN}0.203 to \N{MINUS SIGN}0.199" in told
    assert "paired t test over 3 seeds" in told


def test_a_difference_within_the_noise_is_not_told_apart(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", (2.2, 1.9, 2.35), lr=0.2)
    comparison = compared(tmp_path, "a", "b")
    assert row_of(comparison).verdict == "not told apart"
    assert comparison.verdicts["b"].startswith(
        "b cannot be told from a: val/loss is 0.01667 higher"
    )


def test_higher_is_better_for_an_accuracy(tmp_path):
    write_set(tmp_path / "a", (0.50, 0.51, 0.53), metric="val/accuracy")
    write_set(tmp_path / "b", (0.60, 0.61, 0.631), metric="val/accuracy", lr=0.2)
    row = row_of(compared(tmp_path, "a", "b"), "val/accuracy")
    assert (row.direction, row.verdict) == ("higher", "better")


def test_one_run_a_side_is_never_a_verdict(tmp_path):
    comparison = compare(alone(tmp_path / "a"), [alone(tmp_path / "b", final=9.0)])
    row = row_of(comparison)
    assert row.delta.value == pytest.approx(7.0)
    assert (row.verdict, row.ci95) == ("", None)
    for absent in (row.p, row.p_holm, row.effect, row.values[comparison.base].sd):
        assert (absent.value, absent.why) == (None, "one run: no variance known")
    assert "no variance known" in next(iter(comparison.verdicts.values()))
    assert comparison.warnings[0].startswith("one run each of a, b: ")


def test_a_run_that_broke_where_the_other_did_not_is_named(tmp_path):
    good, bad = alone(tmp_path / "a"), alone(tmp_path / "b", final=math.nan)
    for base, other in ((good, bad), (bad, good)):
        told = compare(base, [other]).verdicts[other.slug]
        assert told.endswith(" b has a critical nonfinite at step 3.")
    assert "critical" not in compare(bad, [replace(bad, slug="c")]).verdicts["c"]


def test_a_set_against_one_run_is_no_verdict_either(tmp_path):
    write_set(tmp_path / "a", BASE)
    comparison = compare(side(tmp_path / "a"), [alone(tmp_path / "b", final=9.0)])
    row = row_of(comparison)
    assert row.values["a"].sd.value == pytest.approx(0.152753, abs=1e-6)
    assert (row.verdict, row.p.known) == ("", False)


def test_all_tests_of_a_comparison_are_adjusted_together(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, lr=0.2)
    write_set(tmp_path / "c", (2.21, 2.28, 2.5), lr=0.3)
    comparison = compared(tmp_path, "a", "b", "c")
    tested = [row for row in comparison.metrics if row.p.known]
    assert comparison.tests == len(tested) == 2  # train/loss is the same in all: no test
    small, large = sorted(tested, key=lambda row: row.p.value)
    assert small.p_holm.value == pytest.approx(2 * small.p.value)
    assert large.p_holm.value == pytest.approx(max(2 * small.p.value, large.p.value))
    assert "adjusted for 2 tests" in comparison.verdicts["b"]


def test_values_that_do_not_vary_have_no_test(tmp_path):
    write_set(tmp_path / "a", (2.0, 2.0))
    write_set(tmp_path / "b", (1.9, 1.9), lr=0.2)
    row = row_of(compared(tmp_path, "a", "b"))
    assert (row.p.why, row.verdict) == ("the values do not vary", "")


def test_a_diverged_member_is_named_and_its_seed_unpairs(tmp_path):
    write_set(tmp_path / "a", (*BASE, 2.2))
    write_set(tmp_path / "b", (*BETTER, math.nan), lr=0.2)
    comparison = compared(tmp_path, "a", "b")
    row = row_of(comparison)
    assert (row.values["b"].n, row.method) == (3, "welch")
    assert "b: b3 does not count for val/loss: its last value is NaN" in comparison.warnings


def test_a_run_that_ends_in_nan_has_no_difference(tmp_path):
    comparison = compare(alone(tmp_path / "a"), [alone(tmp_path / "b", final=math.nan)])
    row = row_of(comparison)
    assert row.values[row.run].value.why == "its last value is NaN"
    assert not row.delta.known
    assert row.change == ""


def test_a_group_of_several_settings_has_no_seed_spread(tmp_path):
    write_set(tmp_path / "a", BASE)
    for number, lr in enumerate((0.1, 0.2)):
        write_sibling(tmp_path / "b" / f"r{number}", config={"lr": lr}, seed=number)
    comparison = compared(tmp_path, "a", "b")
    assert row_of(comparison).p.why == "the runs of b differ in more than the seed"
    assert any("name its runs instead" in w for w in comparison.warnings)


def test_members_outside_the_largest_set_are_named(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, lr=0.2)
    write_sibling(tmp_path / "b" / "odd", config={"lr": 0.7, "seed": 9}, seed=9)
    comparison = compared(tmp_path, "a", "b")
    assert row_of(comparison).values["b"].n == 3
    assert "b: odd is left out: differs in lr" in comparison.warnings


def test_another_tokenizer_allows_no_verdict_on_a_loss(tmp_path):
    write_set(tmp_path / "a", BASE, config={"tokenizer": "gpt2"})
    shifted = [v - 0.2 - 0.001 * k for k, v in enumerate(BASE)]
    write_set(tmp_path / "b", shifted, config={"tokenizer": "llama"})
    comparison = compared(tmp_path, "a", "b")
    assert row_of(comparison).p_holm.value < 0.05
    assert row_of(comparison).verdict == ""
    assert comparison.verdicts["b"].startswith("No verdict on b: val/loss is 0.2010 lower, but the")


def test_another_tokenizer_leaves_an_accuracy_comparable(tmp_path):
    write_set(tmp_path / "a", (0.50, 0.51, 0.53), metric="val/accuracy", config={"tokenizer": "x"})
    write_set(tmp_path / "b", (0.60, 0.61, 0.631), metric="val/accuracy", config={"tokenizer": "y"})
    row = row_of(compared(tmp_path, "a", "b"), "val/accuracy")
    assert row.verdict == "better"


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ({"train": {"batch_size": 8}}, {"train": {"batch_size": 16}},
         "the batch size differs: config.train.batch_size is 8 in a, 16 in b"),
        ({"gradient_accumulation_steps": 1}, {"gradient_accumulation_steps": 4}, "the batch size"),
        ({"tokenizer": {"path": "x"}}, {"tokenizer": {"path": "y"}}, "the tokenizer differs"),
        ({"vocab_size": 50257}, {"vocab_size": 50304}, "the vocabulary's size differs"),
        ({"lm_eval_version": "0.4.2"}, {"lm_eval_version": "0.4.3"}, "the evaluation differs"),
        ({"num_fewshot": 0}, {"num_fewshot": 5}, "the evaluation differs"),
        ({"eval": {"eval_iters": 20}}, {"eval": {"eval_iters": 200}}, "the evaluation differs"),
        ({"block_size": 512}, {"block_size": 1024}, "the context length differs"),
        ({"data": {"dataset": "c4"}}, {"data": {"dataset": "pile"}}, "the data differ: config"),
        ({"n_params": 1000}, {"n_params": 2000}, "the size of the model differs"),
        ({"batch": 8}, {"other": 1}, "recorded by only one of a and b: the batch size"),
    ],
)  # fmt: skip
def test_settings_that_hinder_a_comparison_are_a_warning(tmp_path, one, two, told):
    comparison = compare(alone(tmp_path / "a", config=one), [alone(tmp_path / "b", config=two)])
    assert [w for w in comparison.warnings if w.startswith(told)]


@pytest.mark.parametrize(
    "config",
    [{"lr": 0.2}, {"eval_interval": 200}, {"eval_steps": 50}, {"warmup": 3}, {"log_every": 2}],
)
def test_other_settings_are_differences_but_no_warning(tmp_path, config):
    (key,) = config
    comparison = compare(
        alone(tmp_path / "a", config={key: 0}), [alone(tmp_path / "b", config=config)]
    )
    assert [d.key for d in comparison.differences] == [f"config.{key}"]
    assert len(comparison.warnings) == 1  # one run each


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"steps": 60}, "different length of training: steps 39 in a, 59 in b"),
        ({"device": "H100"},
         "the hardware differs (time, speed and cost are not comparable): hardware.device is A100"),
        ({"dataset": "other"}, "the data differ: data is c4 in a, other in b"),
        ({"state": "crashed"}, "b is not a finished run: crashed"),
        ({"metric": "valid/loss"}, "only b has valid/loss"),
    ],
)  # fmt: skip
def test_runs_that_are_hard_to_compare_are_a_warning(tmp_path, facts, told):
    base = alone(tmp_path / "a", device="A100", dataset="c4")
    other = alone(tmp_path / "b", **{"device": "A100", "dataset": "c4", **facts})
    assert [w for w in compare(base, [other]).warnings if w.startswith(told)]


def test_runs_alike_have_no_difference_and_equal_values(tmp_path):
    comparison = compare(alone(tmp_path / "a"), [alone(tmp_path / "b")])
    assert comparison.differences == ()
    assert row_of(comparison).delta.value == 0
    assert len(comparison.warnings) == 1


def test_seeds_are_a_difference_of_runs_and_not_of_sets(tmp_path):
    runs = compare(
        alone(tmp_path / "a", config={"seed": 1}), [alone(tmp_path / "b", config={"seed": 2})]
    )
    assert [d.key for d in runs.differences] == ["config.seed"]
    write_set(tmp_path / "c", BASE)
    write_set(tmp_path / "d", BETTER, lr=0.2)
    assert [d.key for d in compared(tmp_path, "c", "d").differences] == ["config.lr"]


def test_a_setting_of_none_is_recorded(tmp_path):
    comparison = compare(
        alone(tmp_path / "a", config={"clip": None}), [alone(tmp_path / "b", config={"clip": 1.0})]
    )
    (difference,) = comparison.differences
    assert tuple(difference.values.values()) == ((None,), (1.0,))


def test_a_metric_that_a_set_never_logged_is_told_once(tmp_path):
    write_set(tmp_path / "a", BASE)
    write_set(tmp_path / "b", BETTER, metric="val/accuracy")
    warnings = compared(tmp_path, "a", "b").warnings
    assert not [sentence for sentence in warnings if "does not count" in sentence]


def test_without_a_common_metric_there_is_no_verdict(tmp_path):
    one = alone(tmp_path / "a", metric="valid/loss")
    write_set(tmp_path / "b", (2.0,))
    for report in (*one.reports, *side(tmp_path / "b").reports):
        report.metrics.pop("train/loss")
    comparison = compare(one, [side(tmp_path / "b")])
    assert comparison.verdicts["b"] == (
        "No verdict on b: no metric of quality is known for both it and a."
    )


def test_findings_stand_side_by_side(tmp_path):
    from runs import write_rundir

    write_rundir(tmp_path / "a" / "spiked", spike=80)
    write_rundir(tmp_path / "b" / "calm")
    sides = [run_contender(*judged(tmp_path / name).values()) for name in "ab"]
    comparison = compare(sides[0], sides[1:])
    (row,) = [f for f in comparison.findings if f.kind == "spike"]
    spiked, calm = row.values.values()
    assert (spiked.count, spiked.steps, calm.count, calm.why) == (1, (80,), 0, "")


def test_cost_and_speed_have_deltas_but_no_test(tmp_path):
    comparison = compare(alone(tmp_path / "a"), [alone(tmp_path / "b", steps=60)])
    steps = next(row for row in comparison.figures if row.name == "steps")
    (delta,) = steps.deltas.values()
    assert (delta.value, steps.direction) == (20.0, None)
    usd = next(row for row in comparison.figures if row.name == "usd")
    assert all(value.value.why for value in usd.values.values())
