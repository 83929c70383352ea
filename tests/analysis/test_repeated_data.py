from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(6)


def loss(size, *, seed=0, noise=0.01):
    steps = np.arange(size)
    rng = np.random.default_rng(seed)
    return (2 + 4 * (1 + steps / (0.005 * size)) ** -0.4) * (1 + noise * rng.standard_t(8, size))


def with_epochs(size, epoch, *, height=0.05, seed=0):
    values = loss(size, seed=seed)
    values -= 2.5 * height * (np.arange(size) // epoch)
    return values


def found(values, steps=None):
    steps = np.arange(len(values)) if steps is None else steps
    return [e for e in find_events(steps, values) if e.kind == "repeated_data"]


@pytest.mark.parametrize("size", [200, 1000, 20_000])
def test_a_loss_without_epochs_gives_nothing(size):
    for seed in SEEDS:
        assert found(loss(size, seed=seed)) == []


@pytest.mark.parametrize(
    ("size", "parts"), [(1000, 3.3), (1000, 5.5), (20_000, 3.3), (20_000, 9.5)]
)
def test_even_steps_down_are_one_finding(size, parts):
    epoch = int(size / parts)
    for seed in SEEDS:
        (event,) = found(with_epochs(size, epoch, seed=seed))
        assert abs(event.start_step - epoch) <= size * 0.01
        assert abs(event.end_step - int(parts) * epoch) <= size * 0.01
        assert abs(event.peak_step - 2 * epoch) <= size * 0.01
        assert event.message.endswith("the data seem to repeat.")


def test_uneven_steps_down_are_none():
    values = loss(5000)
    for at in (1200, 1900, 4100):
        values[at:] -= 0.15
    assert found(values) == []


def test_one_step_down_is_none():
    values = loss(5000)
    values[3000:] -= 0.15
    assert found(values) == []


def test_the_fall_after_a_restart_from_scratch_is_none():
    one = loss(2000)
    assert found(np.concatenate([one, loss(2000, seed=1), loss(2000, seed=2)])) == []


def test_steps_below_the_floor_are_not_reported():
    assert found(with_epochs(5000, 1100, height=0.001)) == []


def test_the_spacing_is_in_steps_whatever_was_logged():
    (event,) = found(with_epochs(4000, 900), np.arange(4000) * 50)
    assert abs(event.peak_step - event.start_step - 45_000) <= 2000
