"""The gate: each rule passes, fails, and fails where its figure is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages import factory
from runpages.analysis import compare, run_contender
from runpages.model import Quantity
from runpages.review import CheckOptions, check

NEVER = CheckOptions(fail_on="never")


def ending(final: float, *, metric: str = "val/loss", run_id: str = "one", **facts):
    """A run whose evaluation ends at `final`."""
    columns = {"train/loss": factory.rows(0, 100, factory.falling),
               metric: factory.rows(0, 100, lambda _: final)}  # fmt: skip
    return factory.report(columns, run_id=run_id, name=run_id, **facts)


def rules(report, options, base=None, **given):
    met = compare(run_contender(base), [run_contender(report)]) if base else None
    return {rule.rule: rule for rule in check(report, options, comparison=met, **given)}


@pytest.mark.parametrize(
    ("state", "passed"),
    [("finished", True), ("ended", True), ("crashed", False), ("failed", False),
     ("killed", False), ("running", False)],
)  # fmt: skip
def test_a_run_that_did_not_end_well_fails(state, passed):
    assert rules(ending(2.0, state=state), NEVER)["state"].passed is passed


def test_which_states_pass_can_be_said():
    options = replace(NEVER, states=("killed",))
    assert rules(ending(2.0, state="killed"), options)["state"].passed
    assert not rules(ending(2.0), options)["state"].passed


@pytest.mark.parametrize(
    ("level", "failing"), [("critical", 0), ("warning", 1), ("info", 2), ("never", 0)]
)
def test_findings_from_the_level_on_fail(level, failing):
    report = factory.rolled_back()  # a warning and an info
    found = [r for r in check(report, CheckOptions(fail_on=level)) if r.rule == "fail_on"]
    failed = [r for r in found if not r.passed]
    assert [r.event for r in failed] == [e.id for e in report.events][:failing]
    assert len(found) == (0 if level == "never" else max(1, failing))


def test_a_run_of_which_nothing_can_be_judged_is_not_without_findings():
    found = rules(factory.report({}), CheckOptions())["fail_on"]
    assert not found.passed
    assert found.value == Quantity.unknown("nothing of what was logged could be judged")


@pytest.mark.parametrize(
    ("own", "base", "limit", "passed"),
    [
        (2.02, 2.00, 0.01, False),
        (2.005, 2.00, 0.01, True),
        (1.90, 2.00, 0.01, True),
        (0.31, 0.30, 0.01, True),  # 0.010000000000000009 as floats
        (2.00, 2.00, 0.0, True),
        (2.001, 2.00, 0.0, False),
    ],
)
def test_how_much_worse_a_metric_may_end(own, base, limit, passed):
    options = replace(NEVER, max_regression={"val_loss": limit})
    found = rules(ending(own), options, ending(base, run_id="base"))
    rule = found["max_regression.val_loss"]
    assert rule.passed is passed
    assert rule.value.value == pytest.approx(own - base)


def test_of_an_accuracy_less_is_worse():
    options = replace(NEVER, max_regression={"eval/acc": 0.01})
    base = ending(0.80, metric="eval/acc", run_id="base")
    worse = rules(ending(0.75, metric="eval/acc"), options, base)["max_regression.eval/acc"]
    better = rules(ending(0.85, metric="eval/acc"), options, base)["max_regression.eval/acc"]
    assert (worse.passed, better.passed) == (False, True)
    assert worse.value.value == pytest.approx(0.05)
    assert worse.message == "eval/acc is 0.05000 worse than the baseline, 0.01000 is allowed"


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (lambda: ending(float("nan")), "NaN"),
        (lambda: ending(2.0, metric="other/loss_a"), "not logged"),
        (lambda: ending(1.5, config={"tokenizer": "b"}), "not measured alike"),
    ],
)
def test_a_regression_that_cannot_be_told_fails_and_says_why(own, why):
    base = ending(2.0, run_id="base", config={"tokenizer": "a"})
    options = replace(NEVER, max_regression={"val/loss": 0.01})
    rule = rules(own(), options, base)["max_regression.val/loss"]
    assert not rule.passed
    assert rule.value.value is None
    assert why in rule.value.why


def test_without_a_baseline_a_regression_fails():
    options = replace(NEVER, max_regression={"val_loss": 0.01})
    rule = rules(ending(2.0), options)["max_regression.val_loss"]
    assert (rule.passed, rule.value.why) == (False, "there is no baseline")


def test_the_baseline_is_no_worse_than_itself():
    options = replace(NEVER, max_regression={"val_loss": 0.01})
    assert rules(ending(2.0), options, is_baseline=True)["max_regression.val_loss"].passed


@pytest.mark.parametrize(("usd", "passed"), [(9.99, True), (10.0, True), (10.01, False)])
def test_what_a_run_may_cost(usd, passed):
    report = ending(2.0)
    report = replace(report, cost=replace(report.cost, usd=Quantity(value=usd, unit="USD")))
    found = rules(report, replace(NEVER, max_cost_usd=10.0))["max_cost_usd"]
    assert (found.passed, found.limit) == (passed, 10.0)


def test_a_cost_that_is_not_known_fails_and_says_why():
    found = rules(ending(2.0), replace(NEVER, max_cost_usd=10.0))["max_cost_usd"]
    assert not found.passed
    assert found.value.why
    assert found.value.why in found.message


def test_without_a_limit_there_is_no_rule():
    assert set(rules(ending(2.0), CheckOptions())) == {"state", "fail_on"}
