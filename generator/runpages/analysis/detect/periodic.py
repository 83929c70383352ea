"""Periodic overhead: slow rows that evaluation, checkpoints or logging cause at even distances."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .track import Floats

__all__ = ["PeriodicOptions", "periodic_rows"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicOptions:
    """What is taken for a period. Shares are of the rows logged on its slots."""

    cuts: tuple[float, ...] = (1.2, 2.0, 5.0)
    """Factors over the local median from which on rows are looked at; each cut by itself, since
    noise may hide a period at a low one."""
    most_tall: float = 0.34
    """Share of rows over a cut beyond which it says nothing."""
    least_filled: float = 0.8
    """Share of a period's slots that must be slow."""
    least_hits: int = 3
    least_rows_apart: int = 3
    """Smallest period in logged rows: neighbours are one stretch, no period."""
    chance: float = 0.01
    """Probability with which rows at random places may look periodic."""
    most_on_slot: float = 5.0
    """A row on a slot is still a stall at this factor over what 90 % of the slot's rows cost."""
    uneven: float = 0.05
    """For what is triggered by the clock: spacings within this share of their median are even."""
    least_even: float = 0.8
    """Share of spacings that must be even."""
    least_uneven_hits: int = 5


def periodic_rows(
    steps: Ints, cost: Floats, level: Floats, options: PeriodicOptions = PeriodicOptions()
) -> Bools:
    """Which rows are periodic overhead. `cost` and its local `level` (n,) are logarithms.

    Slots are rows of one remainder modulo a period of steps; only slots that were logged count, so
    that a log of every tenth step is judged by what it shows. A row that costs far more than its
    slot usually does is none, unless such rows have a period of their own: a checkpoint that falls
    on every fourth evaluation.
    """
    height = cost - level
    interval = _interval(steps)
    found = np.zeros(len(steps), dtype=bool)
    allowed = np.full(len(steps), -np.inf)
    # half of the way up: rows around the limit would be a period with every other slot missing
    near = math.log(options.most_on_slot) / 2
    for cut in options.cuts:
        for _ in range(3):
            tall = (height > math.log(cut)) & ~(found & (height <= allowed - near))
            slots = list(_slots(steps, tall, interval, options))
            if not slots:
                break
            for rows, hits in slots:
                usual = float(np.quantile(height[hits], 0.9)) + math.log(options.most_on_slot)
                allowed[rows] = np.maximum(allowed[rows], usual)
                found[rows] = True
    found &= height <= allowed
    return found | _clocked(steps, height, found, options)


def _interval(steps: Ints) -> float:
    """The median distance of rows, in steps."""
    gaps = np.diff(steps)
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else 1.0


def _slots(
    steps: Ints, tall: Bools, interval: float, options: PeriodicOptions
) -> Iterator[tuple[Ints, Ints]]:
    """(rows on the slots of a period, those of them that are tall), the commonest spacing first."""
    size, at = len(steps), np.flatnonzero(tall)
    share = len(at) / max(size, 1)
    if len(at) < options.least_hits or share > options.most_tall:
        return
    left = tall.copy()
    for period in _candidates(steps[at]):
        apart = period / interval
        if apart < options.least_rows_apart:
            continue
        hits = np.flatnonzero(left)
        offsets, counts = np.unique(steps[hits] % period, return_counts=True)
        few = np.argsort(-counts)[:64]
        for offset in offsets[few][counts[few] >= options.least_hits]:
            own = hits[steps[hits] % period == offset]
            if _sparse(steps, own, period, interval) < options.least_filled:
                continue
            rows = _rows_at(steps, period, int(offset))
            within = rows[(rows >= own[0]) & (rows <= own[-1])]
            # nothing is evaluated or saved before the first step
            whole = len(rows[rows > 0]) <= len(within)
            filled = len(own) / len(within)
            missed = len(within) - len(own)
            surprise = len(own) * math.log(1 / share) - missed * math.log(1 + len(within))
            places = math.log(apart) if whole else 2 * math.log(size)
            if filled >= options.least_filled and surprise > places - math.log(options.chance):
                left[own] = False
                yield within, own


def _sparse(steps: Ints, own: Ints, period: int, interval: float) -> float:
    """Share of the slots between the first and the last of `own` that they fill; 1 if not known.

    Known without looking where every step at the logging interval was logged.
    """
    span = int(steps[own[-1]] - steps[own[0]])
    even = span == (own[-1] - own[0]) * interval and period % interval == 0
    return len(own) / (span // period + 1) if even else 1.0


def _rows_at(steps: Ints, period: int, offset: int) -> Ints:
    """Rows whose step has the remainder `offset`."""
    first = int(steps[0]) + (offset - int(steps[0])) % period
    if (steps[-1] - first) // period > len(steps):
        return np.flatnonzero(steps % period == offset)
    # looking the slots up is far less work than taking every row's remainder
    slots = np.arange(first, steps[-1] + 1, period)
    rows: Ints = np.searchsorted(steps, slots)
    rows = rows[steps[rows] == slots]
    again = np.minimum(rows + 1, len(steps) - 1)
    if np.any((steps[again] == steps[rows]) & (again > rows)):
        return np.flatnonzero(steps % period == offset)  # steps that were logged twice
    return rows


def _candidates(at: Ints) -> list[int]:
    """The commonest distances of slow rows to one of the next three, and what divides all."""
    distances = np.concatenate([at[lag:] - at[:-lag] for lag in (1, 2, 3)])
    values, counts = np.unique(distances[distances > 0], return_counts=True)
    commonest = values[np.argsort(-counts, kind="stable")][:8]
    return [int(p) for p in dict.fromkeys([*commonest, np.gcd.reduce(np.diff(at))]) if p > 0]


def _clocked(steps: Ints, height: Floats, known: Bools, options: PeriodicOptions) -> Bools:
    """Rows at nearly even distances: overhead that the clock triggers, not a count of steps."""
    out = np.zeros(len(steps), dtype=bool)
    for cut in options.cuts:
        at = np.flatnonzero((height > math.log(cut)) & ~known)
        if len(at) == 0:
            continue
        first = at[np.diff(at, prepend=at[0] - 9) > 2]
        apart = np.diff(first)
        if len(first) < options.least_uneven_hits or np.median(apart) < 10:
            continue
        even = np.abs(apart - np.median(apart)) <= options.uneven * np.median(apart)
        if np.mean(even) >= options.least_even:
            usual = float(np.median(height[at])) + math.log(options.most_on_slot)
            out[at[height[at] <= usual]] = True
    return out
