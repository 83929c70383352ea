from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import analyze

EVALS = np.arange(50, 1001, 50)
RISING = 2 + 0.002 * np.abs(EVALS - 400)


def run_with(train):
    return make_run({1: {"train/loss": (np.arange(1001), train), "val/loss": (EVALS, RISING)}})


def of_validation(run):
    (event,) = [e for e in analyze(run).events if e.metric == "val/loss"]
    return event


def test_a_training_loss_that_falls_bears_an_over_fitting_out():
    event = of_validation(run_with(falling(np.arange(1001))))
    assert (event.kind, event.severity, event.start_step) == ("overfit", "warning", 450)
    assert "train/loss fell meanwhile, from" in event.message


def test_the_training_loss_is_told_by_rows_that_the_log_holds():
    steps = np.arange(0, 1001, 50)
    train = 2 - 0.0015 * steps
    event = of_validation(
        make_run({1: {"train/loss": (steps, train), "val/loss": (EVALS, RISING)}})
    )
    assert "from 1.325 at step 450 to 0.5000 at step 1,000." in event.message


def test_rows_that_noise_moves_against_the_medians_are_not_told():
    train = np.linspace(2, 1, 1001)
    train[450], train[1000] = 0.9, 1.9
    message = of_validation(run_with(train)).message
    assert (
        "fell meanwhile, from a median of 1.522 over the first 55 of its rows there to" in message
    )


def test_a_training_loss_that_rises_as_well_makes_it_a_divergence():
    train = falling(np.arange(1001))
    train[420:] *= np.linspace(1, 1.5, 581)
    (event,) = [e for e in analyze(run_with(train)).events if e.severity != "info"]
    assert (event.kind, event.metric) == ("divergence", "train/loss")
    assert [metric for metric, _ in event.related] == ["val/loss"]


@pytest.mark.parametrize("rows", [0, 9])
def test_without_a_training_loss_the_rise_alone_is_told(rows):
    first = {"train/loss": (EVALS[-rows:], np.full(rows, 2.0))} if rows else {}
    event = of_validation(make_run({1: {**first, "val/loss": (EVALS, RISING)}}))
    assert event.kind == "overfit"
    assert "meanwhile" not in event.message
