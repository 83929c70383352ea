"""Events of losses: spikes, divergences, shifts of level, plateaus, repeated data, NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from . import curves
from .case import Case
from .curves import Curve
from .noise import Floats
from .placing import Room, placed, ratio, shape

__all__ = ["divergence", "level_shift", "nonfinite", "plateau", "spike"]

Random = np.random.Generator


def spike(rng: Random, points: int, *, below: bool = False) -> Case:
    """One to eight excursions of 1 to 400 steps that come back.

    Floor: 2 % of the level and the k that 0.02 noise points of the run would cross, 7 to 30 sd
    (9.1 and more under 1,500 points). Below it: at most half of 2 % or of 6 sd, which two
    neighbours must reach.
    """
    curve = curves.loss(rng, points)
    values = curve.values.copy()
    k = 6.0 if below else _point_k(curve, points)
    floor = np.maximum(0.02 * curve.level, k * curve.sigma)
    count = 1 if points < 400 else int(rng.integers(1, 4 if points < 4000 else 9))
    truths = []
    for row, rows in placed(rng, curve, count, Room(most_steps=400)):
        size = ratio(rng, below=below)
        values[row : row + rows] += size * floor[row] * shape(rng, rows)
        truths.append(curve.truth("spike", row, row + rows - 1, size=size))
    return Case.of(replace(curve, values=values), "spike", tuple(truths))


def _point_k(curve: Curve, points: int) -> float:
    if points < 1500:
        return 1.3 * 7 * (1 + 8 / points)
    return min(max(curve.noise.tail(0.02 / points), 7.0), 30.0)


def divergence(rng: Random, points: int, *, below: bool = False) -> Case:
    """A rise that saturates and stays to the end: a slow one, or a sudden one that is high.

    Floor of a slow one: 10 % of the level and 8 sd; of a sudden one: half of the level, up to which
    it is a shift. Below it: a slow rise of at most half of 2 %.
    """
    curve = curves.loss(rng, points)
    start = int(rng.uniform(0.15, 0.7) * points)
    left = points - start
    size = ratio(rng, below=below)
    values = curve.values.copy()
    level, sigma = curve.level[start], curve.sigma[start]
    sudden = not below and rng.random() < 0.5
    if sudden:
        rate, floor = left / 500, max(0.5 * level, 8 * sigma)
    else:
        rate, floor = left * rng.uniform(0.15, 0.4), max(0.10 * level, 8 * sigma)
    rise = 1 - np.exp(-np.arange(1, left + 1) / rate)
    if below:
        values[start:] += size * 0.02 * level * rise
    else:
        # the fall that the level would still have had is made up for
        values[start:] += size * floor * rise / rise[-1] + level - curve.level[start:]
    half = min(points - 1, start + int(np.argmax(rise >= 0.5 * rise[-1])))
    truth = curve.truth("divergence", start, points - 1, size=size, half=half)
    return Case.of(replace(curve, values=values), "divergence", (truth,))


def level_shift(rng: Random, points: int, *, below: bool = False) -> Case:
    """A step up that stays while the loss goes on falling. Floor: 2 % of the level and 1.2 sd.

    It stays under half of the level, from where on it is a divergence. Short curves get quieter
    noise, so that both fit.
    """
    curve = curves.loss(rng, points, most_noise=0.025 if points > 4000 else 0.008)
    start = int(rng.uniform(0.25, 0.8) * points)
    floor = max(0.02 * curve.level[start], _shift_k(points) * curve.sigma[start])
    most = max(1.6, 0.33 * curve.level[start] / floor)
    size = min(ratio(rng, below=below), most)
    values = curve.values.copy()
    values[start:] += size * floor
    truth = curve.truth("level_shift", start, points - 1, size=size)
    return Case.of(replace(curve, values=values), "level_shift", (truth,))


def _shift_k(points: int) -> float:
    """Nine standard deviations of a median of 32 rows; of fewer in a short curve."""
    return 9 * 0.6 * 1.2533 / math.sqrt(min(32, max(4, points / 32)))


def plateau(rng: Random, points: int, *, below: bool = False) -> Case:
    """The loss stops falling: to the end, or to resume where it had stopped.

    Floor: a quarter of the run. What it would have gained in that time is at least 3 % of the level
    and six standard errors of a slope's gain.
    """
    share = min(0.7, ratio(rng, below=below) * 0.25)
    for _ in range(200):
        curve = curves.loss(rng, points, most_noise=0.025 if points > 400 else 0.006)
        rows = int(share * points)
        start = int(rng.uniform(0.1, max(0.11, 0.98 - share)) * points)
        if not below and rng.random() < 0.75:
            start = points - rows
        stop = min(points, start + rows)
        end = min(stop, points - 1)
        gained = curve.level[start] - curve.level[end]
        error = curve.sigma[start] * math.sqrt(12 / rows)
        if below or gained > max(0.03 * curve.level[start], 6 * error):
            break
    values = curve.values.copy()
    values[start:stop] += curve.level[start] - curve.level[start:stop]
    values[stop:] += curve.level[start] - curve.level[end]
    truth = curve.truth("plateau", start, end, size=share / 0.25)
    return Case.of(replace(curve, values=values), "plateau", (truth,))


def nonfinite(rng: Random, points: int) -> Case:
    """NaN or infinite for 1 or 3 rows, or to the end."""
    curve = curves.loss(rng, points)
    start = int(rng.integers(points // 10, points - 4))
    rows = int(rng.choice([1, 3, points - start]))
    values: Floats = curve.values.copy()
    values[start : start + rows] = rng.choice([np.nan, np.nan, np.inf])
    truth = curve.truth("nonfinite", start, start + rows - 1, size=math.nan)
    return Case.of(replace(curve, values=values), "nonfinite", (truth,))
