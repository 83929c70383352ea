"""A loss that starts over: training began anew within one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .track import Candidate, Floats, Track

__all__ = ["Beginning", "beginnings", "begins_anew", "split"]

Steps = NDArray[np.int64]

LEAST_ROWS = 8
"""Rows that must follow the course of the first descent."""
MOST_ROWS = 32
"""Rows of a long descent that are compared."""
CLOSE = 0.1
"""Median difference from that course, in logarithms."""
LEAST_FALL = 1.5
"""Factor by which the loss falls in its first descent, and by which it must jump back."""
MOST_STARTS = 64
"""More are an oscillation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Where a loss shows that training began anew: after one row, at the latest at the next."""

    row: int
    after_step: int
    step: int


def beginnings(track: Track) -> list[Beginning]:
    """Of the trainings in a loss after the first; usually none."""
    rows = [int(track.finite[c]) for c in _starts(track)]
    step = track.steps
    return [Beginning(row=r, after_step=int(step[r - 1]), step=int(step[r])) for r in rows]


def split(track: Track, rows: Sequence[int]) -> list[Track]:
    """The series cut before each of the rows."""
    if not rows:
        return [track]
    bounds = [0, *rows, len(track.values)]
    parts = []
    for first, end in pairwise(bounds):
        values = track.values[first:end]
        finite = np.flatnonzero(np.isfinite(values))
        steps, times = track.steps[first:end], track.times[first:end]
        own = replace(track, steps=steps, values=values, times=times, finite=finite, known={})
        parts.append(own)
    return parts


def _starts(track: Track) -> list[int]:
    """Positions of rows that repeat the first descent, as planned restarts do (AlgoPerf's
    sequential submissions train several settings one after another in one log)."""
    y = track.y
    if len(y) < 3 * LEAST_ROWS or not y[0] > 0:
        return []
    fallen = int(np.argmax(y < y[0] / LEAST_FALL))
    if fallen == 0 or 2 * fallen > len(y):
        return []
    # random weights have a loss of their own: a blow-up seldom ends at just that
    high = np.flatnonzero(y > (1 - CLOSE) * y[0])
    high = high[(high >= LEAST_ROWS) & (y[high] < (1 + CLOSE) * y[0])]
    places = high[y[high] > LEAST_FALL * y[high - 1]][:MOST_STARTS]
    if not len(places):
        return []
    course = np.unique(np.linspace(0, max(fallen, LEAST_ROWS - 1), MOST_ROWS).astype(int))
    steps = track.steps[track.finite]
    return [int(p) for p in places if _repeats(y, steps, course, int(p))]


def _repeats(y: Floats, steps: Steps, course: Steps, at: int) -> bool:
    """Whether the rows from `at` on follow the rows `course` at the same distances in steps."""
    there = steps[course] - steps[0] + steps[at]
    known = there <= steps[-1]
    if np.sum(known) < max(LEAST_ROWS, len(course) // 2):
        return False
    end = int(np.searchsorted(steps, there[known][-1], side="right"))
    again = np.interp(there[known], steps[at:end], y[at:end])
    first = y[course[known]]
    if not (np.all(first > 0) and np.all(again > 0)):
        return False
    return float(np.median(np.abs(np.log(again / first)))) <= CLOSE


def begins_anew(track: Track, at: int) -> Candidate:
    """The restart at row `at` of the whole track."""
    before = track.finite[track.finite < at]
    return Candidate(
        kind="restart",
        start=at,
        end=at,
        peak=at,
        level=float(track.values[before[-1]]),
        threshold=None,
        recovered=None,
        severity="warning",
    )
