from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(8)


def accuracy(size, *, seed=0, noise=0.005):
    rising = 0.7 - 0.6 / (1 + 10 * np.arange(size) / size)
    return rising + noise * np.random.default_rng(seed).standard_normal(size)


def find(values, metric="val/accuracy"):
    return find_events(np.arange(len(values)) * 100, np.asarray(values), metric=metric)


@pytest.mark.parametrize("size", [8, 20, 100, 1000])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.05])
def test_a_healthy_metric_gives_nothing(size, noise):
    for seed in SEEDS:
        assert find(accuracy(size, seed=seed, noise=noise)) == ()


@pytest.mark.parametrize("size", [20, 100, 1000])
def test_a_fall_to_the_end_is_found_where_it_is(size):
    for seed in SEEDS:
        values = accuracy(size, seed=seed)
        values[size // 2 :] -= 0.2
        (event,) = find(values)
        assert (event.kind, event.start_step, event.recovered) == ("drop", size // 2 * 100, False)
        assert event.end_step == (size - 1) * 100
        assert event.peak_value < event.threshold < event.baseline_value


def test_one_that_came_back_is_told_so():
    values = accuracy(60)
    values[30:34] -= 0.3
    (event,) = find(values)
    assert (event.start_step, event.end_step, event.recovered) == (3000, 3300, True)
    assert "was back after step 3,300" in event.message


def test_a_fall_below_five_per_cent_is_not_reported():
    values = accuracy(100, noise=0.0001)
    values[60:] -= 0.02
    assert find(values) == ()


def test_one_low_evaluation_of_a_noisy_metric_is_not_reported():
    values = accuracy(100, noise=0.02)
    values[60] -= 0.08
    assert find(values) == ()


def test_where_lower_is_better_a_rise_is_a_drop():
    values = 1 - accuracy(60)
    values[40:] += 0.3
    (event,) = find(values, metric="val/wer")
    assert (event.kind, event.start_step) == ("drop", 4000)
    assert event.peak_value > event.threshold > event.baseline_value


def test_a_name_that_tells_the_wrong_direction_is_not_judged():
    log_perplexity = 2.7 + 4 / (1 + np.arange(24))  # MLPerf's eval_accuracy of GPT-3
    assert find(log_perplexity, metric="eval_accuracy") == ()


def test_returns_of_a_row_or_two_do_not_cut_it_in_pieces():
    values = accuracy(400)
    values[200:] -= 0.2
    values[[230, 231, 300]] += 0.2
    assert len(find(values)) == 1
