"""Where events go, how long and how large they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .curves import Curve
from .noise import Floats

__all__ = ["Room", "placed", "ratio", "shape"]

LEAST_SIZE, MOST_SIZE = 1.5, 12.0
"""Sizes of events in multiples of the documented floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of a curve events of 1 to `most_steps` steps may take up."""

    most_steps: int
    most_share: float = 0.08
    """Longest event as a share of the rows."""
    start_share: float = 0.1
    """Rows at the start that stay free of events."""


def ratio(rng: np.random.Generator, *, below: bool) -> float:
    """A size as a multiple of the floor: 1.5 to 12, or 0.2 to 0.5."""
    if below:
        return float(rng.uniform(0.2, 0.5))
    return math.exp(rng.uniform(math.log(LEAST_SIZE), math.log(MOST_SIZE)))


def placed(
    rng: np.random.Generator, curve: Curve, count: int, room: Room
) -> Iterator[tuple[int, int]]:
    """(first row, rows) of up to `count` events, by start, 3 % of the rows and 40 rows apart."""
    points = len(curve.steps)
    taken: NDArray[np.bool_] = np.zeros(points, dtype=bool)
    out = []
    for _ in range(200):
        if len(out) == count:
            break
        steps = math.exp(rng.uniform(0, math.log(room.most_steps)))
        rows = min(max(1, round(steps / curve.interval)), max(1, int(room.most_share * points)))
        apart = max(6, rows, min(40, points // 20), int(0.03 * points))
        least = max(5, int(room.start_share * points))
        if least >= points - rows - apart:
            continue
        start = int(rng.integers(least, points - rows - apart))
        if taken[max(0, start - apart) : start + rows + apart].any():
            continue
        taken[start : start + rows] = True
        out.append((start, rows))
    yield from sorted(out)


def shape(rng: np.random.Generator, rows: int) -> Floats:
    """Of an excursion, height 1: flat, decaying, or rising over a fifth and then decaying."""
    if rows <= 2:
        return np.ones(rows)
    way = rng.choice(["flat", "decay", "rise"])
    if way == "flat":
        return np.ones(rows)
    if way == "decay" or rows <= 20:
        return np.exp(-3 * np.arange(rows) / rows)
    up = rows // 5
    down = np.exp(-3 * np.arange(rows - up) / (rows - up))
    return np.concatenate([np.linspace(0.2, 1, up), down])
