from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(8)


def falling_until(stop, size, *, noise=0.003, seed=0):
    """A power law that stands still from `stop` on."""
    at = np.minimum(np.arange(size), stop)
    fall = 2 + 6 / np.sqrt(1 + 100 * at / size)
    return fall * (1 + noise * np.random.default_rng(seed).standard_normal(size))


def plateaus(steps, values, metric="loss"):
    return [e for e in find_events(steps, values, metric=metric) if e.kind == "plateau"]


@pytest.mark.parametrize("size", [64, 300, 5000, 100_000])
@pytest.mark.parametrize("noise", [0.001, 0.02])
def test_a_curve_that_goes_on_falling_has_none(size, noise):
    for seed in SEEDS:
        values = falling_until(size, size, noise=noise, seed=seed)
        assert plateaus(np.arange(size), values) == []


@pytest.mark.parametrize("size", [150, 1000, 50_000])
def test_one_to_the_end_is_found_where_it_begins(size):
    for seed in SEEDS:
        (event,) = plateaus(np.arange(size), falling_until(size // 3, size, seed=seed))
        assert abs(event.start_step - size // 3) <= 0.1 * size
        assert (event.end_step, event.recovered, event.severity) == (size - 1, False, "info")


def test_one_after_which_the_loss_falls_again():
    size = 2000
    at = np.arange(size)
    at = np.where(at < 600, at, np.maximum(600, at - 800))
    values = 2 + 6 / np.sqrt(1 + 100 * at / size)
    values *= 1 + 0.003 * np.random.default_rng(0).standard_normal(size)
    (event,) = plateaus(np.arange(size), values)
    assert event.recovered
    assert abs(event.start_step - 600) < 200
    assert abs(event.end_step - 1400) < 200


def test_a_tenth_of_the_run_is_too_short():
    assert plateaus(np.arange(3000), falling_until(2700, 3000)) == []


def test_length_is_counted_in_steps_not_in_rows():
    steps = np.concatenate([np.arange(300), np.arange(300, 9000, 300)])
    values = 2 + 6 / np.sqrt(1 + np.minimum(steps, 150) / 10)
    assert len(plateaus(steps, values)) == 1
    late = 2 + 6 / np.sqrt(1 + np.minimum(steps, 8000) / 10)
    assert plateaus(steps, late) == []


def test_noise_that_could_hide_the_progress_is_not_judged():
    assert plateaus(np.arange(100), falling_until(50, 100, noise=0.2)) == []


def test_a_log_without_a_fall_before_is_not_judged():
    values = 2 * (1 + 0.003 * np.random.default_rng(0).standard_normal(1000))
    assert find_events(np.arange(1000), values) == ()


def test_to_come_back_from_a_spike_is_no_fall():
    values = np.full(1000, 2.0)
    values[50:60] = 8.0
    assert plateaus(np.arange(1000), values) == []


def test_a_bottom_before_a_rise_is_none():
    values = falling_until(600, 2000)
    values[1400:] += np.linspace(0, 3, 600)
    assert plateaus(np.arange(2000), values) == []


def test_the_sentence_holds_level_and_extent():
    (event,) = plateaus(np.arange(1000), falling_until(300, 1000, noise=0))
    assert event.message == (
        f"Loss stayed at 3.078 from step {event.start_step} to step 999; the record ends there."
    )
