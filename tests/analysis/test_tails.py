"""What the threshold of a spike is taken from: hard batches, few points, a steep start."""

from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events
from suite.noise import Noise

HARD = Noise(right=None, left=8.0)
SEEDS = range(30)


def noisy(points: int, seed: int) -> np.ndarray:
    return 3.0 + 0.06 * HARD.sample(np.random.default_rng(seed), points)


def test_the_noise_is_that_of_real_per_step_losses():
    sample = HARD.sample(np.random.default_rng(0), 400_000)
    sigma = 1.4826 * np.median(np.abs(sample))
    # 22 runs of KellerJordan/modded-nanogpt: +9.4 and -4.1
    assert np.quantile(sample, [0.001, 0.999]) / sigma == pytest.approx([-4.1, 9.4], abs=0.4)


@pytest.mark.parametrize("points", [1000, 1400, 3000])
def test_hard_batches_are_no_spikes(points):
    alarms = [len(find_events(np.arange(points), noisy(points, seed))) for seed in SEEDS]
    assert sum(alarms) <= 0.4 * len(alarms)


@pytest.mark.parametrize("points", [40, 60, 100])
def test_noise_on_a_steep_descent_is_no_spike(points):
    # a running median follows such a curve point by point and leaves no residual
    steps = np.arange(points)
    for seed in SEEDS:
        noise = np.random.default_rng(seed).standard_normal(points)
        values = (2 + 9 * (1 + steps / 30) ** -0.5) * (1 + 0.015 * noise)
        assert not any(e.kind == "spike" for e in find_events(steps, values))


@pytest.mark.parametrize("rows", [1, 6, 40])
def test_what_stands_out_of_hard_batches_is_found(rows):
    for seed in SEEDS:
        values = noisy(1000, seed)
        values[500 : 500 + rows] += 0.06 * 60
        found = find_events(np.arange(1000), values)
        assert any(e.start_step <= 500 and e.end_step >= 500 + rows - 1 for e in found)


@pytest.mark.parametrize("points", [1600, 10_000])
def test_a_steep_start_does_not_hide_what_comes_later(points):
    steps = np.arange(points)
    for seed in range(8):
        noise = np.random.default_rng(seed).standard_normal(points)
        values = (2 + 9 * (1 + steps / 40) ** -0.5) * (1 + 0.005 * noise)
        at = points * 3 // 4
        values[at] += 12 * 0.005 * values[at]
        found = [e.start_step for e in find_events(steps, values) if e.kind == "spike"]
        assert found == [at]
