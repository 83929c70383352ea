from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages import find_events
from runpages.analysis import analyze


def found(steps, metric="anything"):
    return [
        (e.kind, e.start_step, e.end_step)
        for e in find_events(steps, np.ones(len(steps)), metric=metric)
    ]


@pytest.mark.parametrize("every", [1, 10, 500])
def test_a_gap_in_an_even_log_is_found(every):
    steps = np.delete(np.arange(100), slice(40, 60)) * every
    assert found(steps) == [("missing_data", 39 * every, 60 * every)]


def test_a_gap_of_few_rows_is_none():
    assert found(np.delete(np.arange(100), slice(40, 44))) == []


def test_another_logging_interval_is_no_gap():
    dense_first = np.concatenate([np.arange(100), np.arange(100, 10_000, 100)])
    assert found(dense_first) == []
    assert found(np.concatenate([np.arange(0, 5000, 100), np.arange(5000, 5200)])) == []


def test_what_is_logged_when_it_happens_has_no_gaps():
    steps = np.cumsum(np.random.default_rng(0).geometric(0.05, 400))
    assert found(steps) == []


def test_two_rows_at_each_step_are_no_matter():
    steps = np.repeat(np.delete(np.arange(100), slice(40, 60)), 2)
    assert found(steps) == [("missing_data", 39, 60)]


def test_steps_between_two_attempts_that_nobody_recorded():
    one, two = np.arange(200), np.arange(300, 600)
    metrics = {"train/loss": falling, "lr": np.ones_like}
    run = make_run(
        {
            number: {name: (steps, make(steps).astype(float)) for name, make in metrics.items()}
            for number, steps in ((1, one), (2, two))
        }
    )
    (event,) = [e for e in analyze(run).events if e.kind == "missing_data"]
    assert (event.start_step, event.end_step, event.attempt) == (199, 300, 2)
    assert len(event.related) == 1
