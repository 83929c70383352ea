from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(6)


def step_time(size, *, seed=0, noise=0.02):
    rng = np.random.default_rng(seed)
    return 2.0 * (1 + noise * rng.gamma(2.0, 1.0, size))


def jitter(values, metric="step_time"):
    found = find_events(np.arange(len(values)), values, metric=metric)
    return [e for e in found if e.kind == "jitter"]


@pytest.mark.parametrize("size", [64, 500, 8000])
def test_a_wide_spread_is_jitter(size):
    for seed in SEEDS:
        (event,) = jitter(step_time(size, seed=seed, noise=0.5))
        assert event.end_step - event.start_step >= 0.8 * size
        assert event.message.startswith("step_time jitters from step")


def test_a_narrow_spread_is_none():
    for seed in SEEDS:
        assert jitter(step_time(2000, seed=seed, noise=0.05)) == []


def test_slow_steps_at_random_places_are_jitter_by_what_they_cost():
    for share, expected in ((0.1, 1), (0.004, 0)):
        values = step_time(4000)
        values[np.random.default_rng(1).random(4000) < share] *= 2.5
        assert len(jitter(values)) == expected


def test_periodic_overhead_is_no_jitter():
    values = step_time(4000)
    values[49::50] += 20
    values[249::250] += 60
    assert jitter(values) == []


def test_a_slowdown_is_no_jitter():
    values = step_time(4000)
    values[2000:] *= 1.6
    assert jitter(values) == []


def test_jitter_of_a_part_says_which():
    values = step_time(4000)
    values[2000:] = step_time(2000, noise=0.6, seed=1)
    (event,) = jitter(values)
    assert abs(event.start_step - 2000) <= 250
    assert event.end_step == 3999


def test_a_rate_jitters_like_a_time():
    (event,) = jitter(1000 / step_time(1000, noise=0.5), "tokens_per_second")
    assert "fall to" in event.message


@pytest.mark.parametrize("size", [80, 120])
def test_one_stall_is_no_jitter(size):
    for seed in SEEDS:
        values = step_time(size, seed=seed)
        values[size // 2 : size // 2 + 3] *= 8
        assert jitter(values) == []
