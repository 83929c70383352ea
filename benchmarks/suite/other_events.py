"""Events of gradient norms, evaluations and step times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from . import curves
from .case import Case
from .curves import Curve
from .placing import Room, placed, ratio, shape

__all__ = ["drop", "grad_explosion", "grad_vanishing", "jitter", "overfit", "slowdown", "stall"]

Random = np.random.Generator


def grad_explosion(rng: Random, points: int, *, below: bool = False) -> Case:
    """Excursions of 1 to 200 steps. Floor: a factor of 4 and the run's own tail (see spike).

    Below it: at most half of the logarithm of 3, from which a spike of a norm is reported.
    """
    curve = curves.grad_norm(rng, points)
    k = 1.3 * 7 * (1 + 8 / points) if points < 1500 else curve.noise.tail(0.02 / points)
    sigma = float(curve.sigma[0])
    floor = math.log(3) if below else max(math.log(4), min(max(k, 7.0), 30.0) * sigma)
    values = curve.values.copy()
    count = 1 if points < 400 else int(rng.integers(1, 4 if points < 4000 else 7))
    truths = []
    for row, rows in placed(rng, curve, count, Room(most_steps=200)):
        size = ratio(rng, below=below)
        height = size * floor if below else floor + math.log(size)
        values[row : row + rows] *= np.exp(height * shape(rng, rows))
        truths.append(curve.truth("grad_explosion", row, row + rows - 1, size=size))
    return Case.of(replace(curve, values=values), "grad_explosion", tuple(truths))


def grad_vanishing(rng: Random, points: int, *, below: bool = False) -> Case:
    """The norm dies away to the end. Floor: under 1 % of its running maximum.

    Below it: a fall to between a half and a fifth.
    """
    curve = curves.grad_norm(rng, points)
    start = int(rng.uniform(0.2, 0.75) * points)
    left = points - start
    size = ratio(rng, below=below)
    deep = math.log(1 / size if below else 100 * size * 10 ** rng.uniform(0, 4))
    rate = math.exp(rng.uniform(math.log(max(1, left / 200)), math.log(max(2, left / 8))))
    # a falling norm before would be half of the way already
    ahead = np.maximum.accumulate(curve.level[::-1])[::-1][start] / curve.level[start:]
    fall = np.minimum(deep, np.arange(1, left + 1) / rate)
    values = curve.values.copy()
    values[start:] *= np.exp(-fall) * ahead
    half = min(points - 1, start + int(rate * deep / 2))
    truth = curve.truth("grad_vanishing", start, points - 1, size=size, half=half)
    return Case.of(replace(curve, values=values), "grad_vanishing", (truth,))


def overfit(rng: Random, points: int, *, below: bool = False) -> Case:
    """A validation loss turns and rises to the end. Floor: 1 % of its minimum and 4 sd."""
    curve = curves.val_loss(rng, points)
    start = int(rng.uniform(0.3, 0.7) * points)
    least, k = (0.01, 1.0) if below else (0.01, 4.0)
    floor = max(least * curve.level[start], k * curve.sigma[start])
    size = ratio(rng, below=below)
    done = np.arange(1, points - start + 1) / (points - start)
    rise = done ** rng.uniform(0.6, 1.5)
    values = curve.values.copy()
    values[start:] += size * floor * rise
    if not below:  # the fall that the level would still have had is made up for
        values[start:] += curve.level[start] - curve.level[start:]
    half = start + int(np.argmax(rise >= 0.5))
    truth = curve.truth("overfit", start, points - 1, size=size, half=half)
    return Case.of(replace(curve, values=values), "overfit", (truth,))


def drop(rng: Random, points: int, *, below: bool = False) -> Case:
    """An accuracy falls at one evaluation, for a while or for good.

    Floor: 5 % of it and 3 sd of its own first differences.
    """
    curve = curves.accuracy(rng, points)
    start = int(rng.uniform(0.35, 0.9) * points)
    differences = math.sqrt(2) * curve.sigma[start]
    floor = max(0.05 * curve.level[start], 3 * differences)
    most = max(1.6, 0.9 * curve.level[start] / floor)
    size = min(ratio(rng, below=below), most)
    if below:
        floor = max(0.05 * curve.level[start], differences)
    stays = rng.random() < 0.5
    end = points - 1 if stays else min(points - 1, start + int(rng.integers(1, points // 4 + 2)))
    values = curve.values.copy()
    values[start : end + 1] -= size * floor
    truth = curve.truth("drop", start, end, size=size)
    return Case.of(replace(curve, values=np.clip(values, 0, 1)), "drop", (truth,))


def stall(rng: Random, points: int, *, below: bool = False) -> Case:
    """One to five stretches of 1 to 6 slow rows off the periodic slots. Floor: twice as slow."""
    curve, rate = _times(rng, points)
    values = curve.values.copy()
    busy = np.flatnonzero(~curve.free) if curve.free is not None else np.zeros(0, dtype=int)
    count = 1 if points < 400 else int(rng.integers(1, 6))
    truths = []
    room = Room(most_steps=6 * curve.interval, most_share=1.0)
    for row, length in placed(rng, curve, count, room):
        rows = min(length, 6)
        if np.any((busy >= row - 1) & (busy <= row + rows)):
            continue
        size = ratio(rng, below=below) * (1 if below else 10 ** rng.uniform(0, 0.8))
        factor = 1 + size if below else 2 * size
        values[row : row + rows] *= factor ** (-1 if rate else 1)
        truths.append(curve.truth("stall", row, row + rows - 1, size=size))
    return Case.of(replace(curve, values=values), "stall", tuple(truths))


def slowdown(rng: Random, points: int, *, below: bool = False) -> Case:
    """A stretch of 2 to 25 % of the run is slower.

    Floor: 5 %, and 6 times the wander of the medians of 9 values a slowdown is looked for in, of
    which there are 2,048 or more in a long run; 16 of them long.
    """
    curve, rate = _times(rng, points)
    width = max(1, points // 2048)
    error = 6 * 0.42 * float(curve.sigma[0]) / math.sqrt(width)
    floor = max(math.log(1.05), error)
    size = ratio(rng, below=below)
    least = 16 * width / points
    rows = int(rng.uniform(max(0.02, least), max(0.25, least)) * points)
    start = int(rng.uniform(0.15, max(0.16, 0.97 - rows / points)) * points)
    end = min(points - 1, start + rows - 1)
    values = curve.values.copy()
    values[start : end + 1] *= math.exp(size * floor) ** (-1 if rate else 1)
    truth = curve.truth("slowdown", start, end, size=size)
    return Case.of(replace(curve, values=values), "slowdown", (truth,))


def jitter(rng: Random, points: int, *, below: bool = False) -> Case:
    """Step times stray all along. Floor: an interquartile range of 20 % of the median."""
    curve, rate = _times(rng, points)
    size = min(ratio(rng, below=below), 4.0)
    spread = size * 0.2 / 1.349
    noise = rng.standard_normal(points) * spread
    values = curve.values * np.exp(-noise if rate else noise)
    truth = curve.truth("jitter", 0, points - 1, size=size)
    return Case.of(replace(curve, values=values), "jitter", (truth,))


def _times(rng: Random, points: int) -> tuple[Curve, bool]:
    rate = bool(rng.random() < 0.4)
    return curves.step_seconds(rng, points, rate=rate), rate
