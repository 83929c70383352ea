from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze
from runpages.model import Checkpoint


def summary(metrics, name="loss", options=None, **facts):
    return analyze(make_run({1: metrics}, **facts), options).metrics[name]


def test_smoothing_is_debiased_and_by_steps_whatever_was_logged():
    steps = np.arange(2001)
    values = 5 - steps / 1000
    dense = summary({"loss": (steps, values)})
    assert dense.half_life == pytest.approx(20.0)
    # an exponential mean of a straight line lags by half-life / ln 2 steps
    assert dense.smoothed == pytest.approx(3.0 + 20 / math.log(2) / 1000, abs=6e-4)
    thin = summary({"loss": (steps[::5], values[::5])})
    assert thin.smoothed == pytest.approx(dense.smoothed, abs=3e-3)
    flat = summary({"loss": (steps[:3], np.array([2.0, 2.0, 2.0]))})
    assert flat.smoothed == pytest.approx(2.0)


def test_the_area_is_over_tokens_where_they_were_counted():
    steps = np.arange(0, 101, 10)
    loss = {"loss": (steps, 4 - steps / 50)}
    over_steps = summary(loss)
    assert (over_steps.area, over_steps.area_over) == (pytest.approx(300.0), "steps")
    assert over_steps.mean == pytest.approx(3.0)
    # the batch doubles half-way: 50 steps of 100 tokens, 50 of 200
    tokens = np.where(steps < 50, 100.0 * steps, 5000 + 200.0 * (steps - 50))
    over_tokens = summary(loss | {"tokens": (steps, tokens)})
    assert over_tokens.area_over == "tokens"
    assert over_tokens.area == pytest.approx(5000 * 3.5 + 10000 * 2.5)
    assert over_tokens.mean == pytest.approx(42500 / 15000)


def test_tokens_that_do_not_cover_the_curve_are_not_extrapolated():
    steps = np.arange(0, 101, 10)
    half = steps[:6]
    found = summary({"loss": (steps, 4 - steps / 50), "tokens": (half, 100.0 * half)})
    assert found.area_over == "steps"


def test_the_slope_is_that_of_the_last_quarter_whatever_its_outliers():
    steps = np.arange(1000)
    values = np.where(steps < 750, 9 - steps / 100, 1.5 - (steps - 750) * 1e-4)
    values[800::50] += 10
    assert summary({"loss": (steps, values)}).slope == pytest.approx(-1e-4, rel=0.02)
    assert summary({"loss": (steps[:20], values[:20])}).slope is None


def test_values_at_checkpoints_and_at_the_steps_asked_for():
    steps, evaluations = np.arange(1000), np.arange(99, 1000, 100)
    metrics = {
        "loss": (steps, steps / 1000),
        "val/loss": (evaluations, evaluations / 1000),
        "lr": (steps, np.ones(1000)),
    }
    run = make_run({1: metrics}, checkpoints=(Checkpoint(step=250), Checkpoint(step=5000)))
    found = analyze(run, AnalysisOptions(at_steps=(499,))).metrics
    assert [(a.step, a.row_step, a.rows) for a in found["val/loss"].at] == [
        (250, 199, 1),
        (499, 499, 1),
    ]
    assert [a.value for a in found["val/loss"].at] == [0.199, 0.499]
    assert found["loss"].at[0].rows == 32
    assert found["loss"].at[0].value == pytest.approx(0.25, abs=1e-3)
    assert found["lr"].at == ()


def test_the_error_of_an_accuracy_by_its_examples():
    """HellaSwag has 10,042 examples: 29.09 % has a 95 % interval of 0.89 points."""
    steps = np.arange(0, 500, 50)
    options = AnalysisOptions(examples={"eval/acc": 10042})
    share = summary({"eval/acc": (steps, np.full(10, 0.2909))}, "eval/acc", options)
    assert 1.96 * share.standard_error == pytest.approx(0.0089, abs=5e-5)
    percent = summary({"eval/acc": (steps, np.full(10, 29.09))}, "eval/acc", options)
    assert percent.standard_error == pytest.approx(100 * share.standard_error)
    assert percent.standard_error_from == "10,042 examples"


@pytest.mark.parametrize("value", [-0.2, 340.0])
def test_what_is_no_proportion_has_no_such_error(value):
    options = AnalysisOptions(examples={"eval/acc": 1000})
    steps = np.arange(5)
    assert (
        summary({"eval/acc": (steps, np.full(5, value))}, "eval/acc", options).standard_error
        is None
    )


def test_a_loss_is_no_proportion_though_it_lies_below_one():
    options = AnalysisOptions(examples={"val/loss": 1000})
    found = summary({"val/loss": (np.arange(5), np.full(5, 0.3))}, "val/loss", options)
    assert found.standard_error is None


def test_without_the_number_of_examples_no_error_is_known():
    steps = np.arange(5)
    assert summary({"eval/acc": (steps, np.full(5, 0.3))}, "eval/acc").standard_error is None


@pytest.mark.parametrize(
    ("name", "error"),
    [("eval/acc", "eval/acc_stderr"), ("eval/acc,none", "eval/acc_stderr,none")],
)
def test_an_error_that_was_logged_comes_first(name, error):
    steps = np.arange(5)
    metrics = {name: (steps, np.full(5, 0.3)), error: (steps, np.full(5, 0.0123))}
    found = summary(metrics, name, AnalysisOptions(examples={name: 10}))
    assert (found.standard_error, found.standard_error_from) == (0.0123, f"logged as {error}")


def test_a_metric_of_nothing_but_nan_has_no_statistic():
    steps = np.arange(50)
    found = summary({"loss": (steps, np.full(50, np.nan))})
    assert (found.smoothed, found.area, found.slope, found.mean) == (None, None, None, None)
    assert math.isnan(found.final)


def test_statistics_do_not_depend_on_scale():
    steps = np.arange(1000)
    one = summary({"loss": (steps, falling(steps))})
    ten = summary({"loss": (steps, 10 * falling(steps))})
    for name in ("final", "best", "smoothed", "area", "mean", "slope"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name))


def test_the_final_value_of_what_only_rises_is_its_last():
    steps = np.arange(1000)
    noise = np.random.default_rng(0).normal(0, 0.01, 1000)
    found = {
        "tokens": summary({"tokens": (steps, 512.0 * (steps + 1))}, "tokens"),
        "loss": summary({"loss": (steps, 2 + noise)}),
    }
    assert (found["tokens"].final, found["tokens"].final_points) == (512_000, 1)
    assert (found["loss"].final_points, found["loss"].final) == (32, np.median(2 + noise[-32:]))
