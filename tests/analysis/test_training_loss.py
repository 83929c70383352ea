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
