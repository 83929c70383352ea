from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(8)


def validation(size, turn, *, rise=0.5, noise=0.002, seed=0):
    """Falls to 2.0 at `turn`, then rises by `rise` in all."""
    at = np.arange(size)
    down = 2 + 2 * (1 - np.minimum(at, turn) / turn) ** 2
    up = rise * np.maximum(0, at - turn) / max(1, size - 1 - turn)
    return (down + up) * (1 + noise * np.random.default_rng(seed).standard_normal(size))


def find(values, metric="val/loss"):
    return find_events(np.arange(len(values)) * 250, values, metric=metric)


@pytest.mark.parametrize("size", [8, 12, 21, 100, 1000, 4000])
@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_a_validation_loss_that_levels_off_is_none(size, noise):
    for seed in SEEDS:
        values = validation(size, size - 1, noise=noise, seed=seed)
        assert "overfit" not in {e.kind for e in find(values)}


@pytest.mark.parametrize("size", [12, 21, 100, 1000])
def test_a_rise_to_the_end_is_one_finding_from_its_minimum_on(size):
    turn = size // 2
    for seed in SEEDS:
        (event,) = find(validation(size, turn, seed=seed))
        assert (event.kind, event.severity, event.recovered) == ("overfit", "warning", False)
        assert abs(event.start_step - turn * 250) <= max(2, size // 8) * 250
        assert event.baseline_value == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("size", [8, 21, 100, 6000])
def test_the_minimum_is_a_row_of_the_log_and_the_rise_begins_after_it(size):
    for seed in SEEDS:
        values = validation(size, size // 3, noise=0.01, seed=seed)
        for event in find(values):
            assert event.baseline_value == values.min()
            assert event.start_step > 250 * int(np.argmin(values))


def test_a_minimum_in_the_first_row_is_told():
    values = np.array([1.915, 1.978, 2.02, 2.1, 2.2, 2.28, 2.4, 2.5, 2.62, 2.749])
    (event,) = find(values)
    assert (event.kind, event.baseline_value, event.start_step) == ("overfit", 1.915, 250)


def test_a_rise_below_one_per_cent_is_not_reported():
    assert find(validation(40, 20, rise=0.012, noise=0)) == ()


def test_one_that_came_back_is_none():
    values = validation(60, 30)
    values[50:] = 1.95
    assert "overfit" not in {e.kind for e in find(values)}


def test_two_high_evaluations_are_too_few():
    values = validation(20, 17, rise=0.3)
    assert "overfit" not in {e.kind for e in find(values)}


def test_a_loss_that_broke_at_once_is_none():
    values = np.concatenate([np.linspace(3, 2, 10), np.full(10, 5.0)])
    assert [e.kind for e in find(values)] == ["divergence"]


def test_noise_at_its_height_is_no_break():
    values = validation(30, 5, rise=1.0)
    values[18] -= 0.6
    assert [e.kind for e in find(values)] == ["overfit"]


def test_a_training_loss_does_not_over_fit():
    assert "overfit" not in {e.kind for e in find(validation(40, 20), metric="train/loss")}
