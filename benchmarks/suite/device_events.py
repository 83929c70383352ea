"""Events of devices, and of the data: idle, under-used, nearly full, repeated, missing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from . import curves
from .case import Case
from .placing import ratio

__all__ = [
    "gpu_underuse",
    "idle_device",
    "memory_growth",
    "missing_data",
    "near_oom",
    "repeated_data",
]

Random = np.random.Generator


def idle_device(rng: Random, points: int, *, below: bool = False) -> Case:
    """A GPU at 0 to 3 % for a stretch. Floor: 12 samples and 5 % of them."""
    curve = curves.utilization(rng, points)
    floor = max(12, 0.05 * points)
    rows = min(int(ratio(rng, below=below) * floor), int(0.7 * points))
    start = int(rng.integers(points // 8, points - rows - max(1, points // 50)))
    values = curve.values.copy()
    values[start : start + rows] = rng.integers(0, 4, rows)
    truth = curve.truth("idle_device", start, start + rows - 1, size=rows / floor)
    return Case.of(replace(curve, values=values), "idle_device", (truth,))


def gpu_underuse(rng: Random, points: int, *, below: bool = False) -> Case:
    """A GPU at 15 to 55 % for a stretch. Floor: a quarter of the samples."""
    curve = curves.utilization(rng, points)
    share = min(1.0, ratio(rng, below=below) * 0.25)
    rows = int(share * points)
    start = int(rng.integers(0, points - rows + 1))
    values = curve.values.copy()
    usual = rng.uniform(15, 55)
    own = usual + rng.uniform(1, 5) * rng.standard_normal(rows)
    values[start : start + rows] = np.clip(np.round(own), 6, 66)
    truth = curve.truth("gpu_underuse", start, start + rows - 1, size=share / 0.25)
    return Case.of(replace(curve, values=values), "gpu_underuse", (truth,))


def memory_growth(rng: Random, points: int, *, below: bool = False) -> Case:
    """Memory grows without end. Floor: 2 % of the capacity, from a corner to the end."""
    curve = curves.memory(rng, points, most=60, grows_once=0.0)
    start = int(rng.uniform(0.12, 0.7) * points)
    size = ratio(rng, below=below)
    values = curve.values.copy()
    values[start:] += 2 * size * np.arange(1, points - start + 1) / (points - start)
    # its beginning is not seen until it has grown by something
    half = start + int(0.5 * (points - start) / max(1.0, size))
    truth = curve.truth("memory_growth", start, points - 1, size=size, half=half)
    return Case.of(replace(curve, values=values), "memory_growth", (truth,))


def near_oom(rng: Random, points: int, *, below: bool = False) -> Case:
    """Memory jumps to 97 to 100 %, or below the floor of 95 % stays at 88 to 93 %."""
    curve = curves.memory(rng, points, most=80)
    start = int(rng.uniform(0.2, 0.9) * points)
    rows = max(4, int(rng.uniform(0.02, 0.5) * (points - start)))
    top = rng.uniform(88, 93) if below else rng.uniform(97, 100)
    values = curve.values.copy()
    values[start : start + rows] = top
    end = min(points, start + rows) - 1
    truth = curve.truth("near_oom", start, end, size=top / 95)
    return Case.of(replace(curve, values=values), "near_oom", (truth,))


def repeated_data(rng: Random, points: int, *, below: bool = False) -> Case:
    """The loss falls at each of 2 to 6 boundaries of epochs.

    Floor: 0.5 % of the level, and 5 sd of the means of the hundredth of the run before and after.
    """
    curve = curves.loss(rng, points, most_noise=0.025 if points > 4000 else 0.008)
    epochs = int(rng.integers(3, 8))
    spacing = int(curve.steps[-1] / (epochs - rng.uniform(0.2, 0.8)))
    rows = [int(r) for r in np.searchsorted(curve.steps, spacing * np.arange(1, epochs))]
    rows = [r for r in rows if r < 0.93 * points]
    side = max(10, 0.01 * min(points, 2048)) * max(1, points // 2048)
    size = ratio(rng, below=below)
    values = curve.values.copy()
    for row in rows:
        floor = max(0.005 * curve.level[row], 5 * 1.25 * curve.sigma[row] * math.sqrt(5 / side))
        values[row:] -= size * floor / (1 if below else max(1.0, size * floor / 0.25))
    truth = curve.truth("repeated_data", rows[0], rows[-1], size=size)
    return Case.of(replace(curve, values=values), "repeated_data", (truth,))


def missing_data(rng: Random, points: int, *, below: bool = False) -> Case:
    """Rows that are not there. Floor: 5 rows."""
    curve = curves.loss(rng, points)
    size = ratio(rng, below=below)
    rows = max(1, min(round(5 * size), points // 4))
    # a change of the logging interval in it would be another matter
    start = int(rng.integers(max(12, points // 4), points - rows - 12))
    kept = np.r_[0:start, start + rows : points]
    truth = curve.truth("missing_data", start - 1, start + rows, size=rows / 5)
    case = Case.of(curve, "missing_data", (truth,))
    return replace(case, steps=curve.steps[kept], values=curve.values[kept])
