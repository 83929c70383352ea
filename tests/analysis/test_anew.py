from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages import find_events
from runpages.analysis import analyze


def told(values, metric="loss"):
    steps = np.arange(len(values)) * 100
    return [(e.kind, e.start_step) for e in find_events(steps, values, metric=metric)]


def trainings(*lengths):
    return np.concatenate([falling(np.arange(n), seed=seed) for seed, n in enumerate(lengths)])


@pytest.mark.parametrize("metric", ["loss", "val/loss"])
def test_a_loss_that_starts_over_is_a_restart_and_no_divergence(metric):
    assert told(trainings(300, 200, 250), metric) == [("restart", 30_000), ("restart", 50_000)]


def test_each_training_has_its_own_level():
    values = trainings(300, 300)
    values[450:455] += 4
    assert told(values) == [("restart", 30_000), ("spike", 45_000)]


def test_an_excursion_to_the_first_value_that_comes_back_faster_is_a_spike():
    values = falling(np.arange(600), noise=0.005)
    values[400:403] = values[0]
    assert told(values) == [("spike", 40_000)]


def test_a_blow_up_beyond_the_first_value_is_no_restart():
    values = falling(np.arange(600), noise=0.005)
    values[400:] = 1.5 * values[:200]
    assert ("restart", 40_000) not in told(values)


def test_the_sentence_tells_that_training_began_anew():
    values = np.tile(np.linspace(10, 2, 101), 2)
    (event,) = [e for e in find_events(np.arange(202), values) if e.kind == "restart"]
    assert event.message == (
        "Loss went from 2.000 back to its first value, 10.00, at step 101 and falls as it did at "
        "the start: training began anew."
    )


def test_a_training_that_one_loss_shows_parts_every_metric():
    steps = np.arange(600)
    evals = np.arange(0, 600, 12)
    # every 12th step the other loss; the second training learns less and ends far above the first
    values = np.where(evals < 300, falling(evals), 2 + falling(evals % 300))
    run = make_run({1: {"loss": (steps, trainings(300, 300)), "train/ctc_loss": (evals, values)}})
    events = analyze(run).events
    assert [(e.kind, e.metric, e.start_step) for e in events] == [("restart", "loss", 300)]


def test_the_level_before_an_event_is_of_its_own_training():
    steps, evals = np.arange(600), np.arange(0, 600, 4)
    values = np.where(evals < 300, falling(evals), 2 + falling(evals % 300))
    values[120:124] += 8
    run = make_run({1: {"loss": (steps, trainings(300, 300)), "val/loss": (evals, values)}})
    (event,) = [e for e in analyze(run).events if e.metric == "val/loss" and e.kind == "spike"]
    assert event.baseline_value > 3
