"""Plateau: for a quarter of the run or more a loss that had been falling does not get on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .track import Candidate, Floats, Track, running_median

__all__ = ["PlateauOptions", "find_plateau"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateauOptions:
    """Thresholds as shares of the level, of the run's steps and of the fall before.

    Where no other source is named they were measured: docs/reference/findings.md.
    """

    min_points: int = 64
    parts: int = 64
    """Equal parts of the run's steps, whose medians are looked at; fewer for few points and where
    the log is thin."""
    part_points: int = 4
    """Points that a part should hold."""
    least_parts: int = 12
    """With fewer the log is too thin somewhere to judge."""
    least_share: float = 0.25
    """Least length, as a share of the steps."""
    most_change: float = 0.02
    """Most rise or fall over the stretch, as a share of its level."""
    least_fall: float = 0.05
    """Least fall before, over the same ratio of steps, as a share of the level."""
    most_of_fall: float = 0.1
    """Most fall over the stretch, as a share of the fall over the same ratio of steps before it:
    a power law t^-a keeps 4^-a of it over a ratio of 4, an exponent of 1 still a quarter."""
    most_hidden: float = 0.25
    """The same for the fall with two standard errors added: what the noise may hide."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    level: Floats
    """Median of each part."""
    edges: Floats
    """Steps since the start, one more than parts; the first is the log's interval."""
    fall: Floats
    """(i, j): straight fall from the start of part i to the end of part j."""
    before: Floats
    """(i, j): fall before part i over the ratio of steps that i to j span."""

    @classmethod
    def of(cls, track: Track, options: PlateauOptions) -> _Parts | None:
        y, block = track.thin
        clock = track.steps[track.finite[::block]][: len(y)].astype(np.float64)
        clock -= clock[0] - 1
        count = min(options.parts, len(y) // options.part_points)
        edges, pieces = _cut(y, clock, count)
        while count > options.least_parts and sum(len(p) == 0 for p in pieces) > count // 8:
            count //= 2
            edges, pieces = _cut(y, clock, count)
        if clock[-1] <= count or count < options.least_parts:
            return None
        middle = (edges[1:] + edges[:-1]) / 2
        full = np.array([len(p) > 0 for p in pieces])
        level = np.interp(middle, middle[full], [float(np.median(p)) for p in pieces if len(p)])
        smooth = running_median(y, 5)
        smooth[:2] = y[:2]  # the first fall often lies between the first two rows
        # the best so far: to come back from a spike is no progress
        early = np.interp(_start_before(edges), clock, np.minimum.accumulate(smooth))
        return cls(level=level, edges=edges, fall=_falls(level), before=early - level[:, None])


def _cut(y: Floats, clock: Floats, count: int) -> tuple[Floats, list[Floats]]:
    """The edges of equal parts of the steps, and the values in each."""
    edges = np.linspace(1, clock[-1] + 1, count + 1)
    return edges, np.split(y, np.searchsorted(clock, edges[1:-1]))


def _start_before(edges: Floats) -> Floats:
    """(i, j): the step from which on to the start of part i the ratio is that of i to j."""
    return np.asarray(np.maximum(edges[:-1, None] ** 2 / edges[None, 1:], edges[0]))


def _falls(level: Floats) -> Floats:
    """(i, j): least-squares slope of the parts i to j, times their number; NaN under 3 parts."""
    size = len(level)
    number = np.arange(size, dtype=np.float64)

    def sums(values: Floats) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(total[None, 1:] - total[:-1, None])

    count = number[None, :] - number[:, None] + 1
    count = np.where(count >= 3, count, np.nan)
    level = level - np.median(level)
    mean = sums(number) / count
    cross = sums(number * level) - mean * sums(level)
    square = sums(number**2) - count * mean**2
    return -cross / square * count


def find_plateau(track: Track, options: PlateauOptions = PlateauOptions()) -> Iterator[Candidate]:
    """At most one: the longest stretch without a change, in steps, to the end or to a new fall.

    Whether anything could still be gained is not seen here: a run whose learning rate had annealed
    is told so by `analyze`. A log without a fall before (a run resumed from elsewhere, or one that
    has not begun to learn) is not judged, and neither is one whose noise could hide the progress.
    """
    if len(track.finite) < options.min_points:
        return
    parts = _Parts.of(track, options)
    if parts is None:
        return
    stretch = _longest(parts, options)
    if stretch is not None:
        yield _candidate(track, parts, stretch)


def _longest(parts: _Parts, options: PlateauOptions) -> tuple[int, int] | None:
    size = len(parts.level)
    least = int(np.ceil(options.least_share * size))
    number = np.arange(size)
    length = number[None, :] - number[:, None] + 1
    allowed = options.most_change * np.abs(parts.level)[:, None]
    fell = parts.before >= options.least_fall * np.abs(parts.level)[:, None]
    flat: NDArray[np.bool_] = (
        (length >= least)
        & fell
        & (parts.before > 0)
        & (np.abs(parts.fall) <= allowed)
        & (parts.fall <= options.most_of_fall * parts.before)
    )
    pairs = np.argwhere(flat)
    for first, last in pairs[np.argsort(-length[flat], kind="stable")]:
        own = parts.level[first : last + 1]
        sd = 1.4826 / np.sqrt(2) * float(np.median(np.abs(np.diff(own))))
        hidden = 2 * sd * np.sqrt(12 / len(own))
        most = min(options.most_hidden * parts.before[first, last], allowed[first, 0])
        wide = (
            np.mean(np.abs(own - np.median(own)) > allowed[first] + 3 * sd) > options.most_of_fall
        )
        if wide or max(parts.fall[first, last], 0) + hidden > most:
            continue
        after = parts.level[last + 1 :]
        if len(after) and np.median(after) > np.median(own) - allowed[first, 0]:
            continue
        high = (
            running_median(own, 3) - np.median(own) > 3 * sd + options.most_of_fall * allowed[first]
        )
        start = int(first) + (int(np.argmin(high)) if high[0] else 0)
        if last - start + 1 >= least:
            return start, int(last)
    return None


def _candidate(track: Track, parts: _Parts, stretch: tuple[int, int]) -> Candidate:
    first, last = stretch
    clock = track.steps[track.finite] - track.steps[track.finite[0]] + 1
    start = int(np.searchsorted(clock, parts.edges[first]))
    whole = last == len(parts.level) - 1
    end = len(clock) if whole else int(np.searchsorted(clock, parts.edges[last + 1]))
    end -= 1
    level = float(np.median(parts.level[first : last + 1]))
    peak = start + int(np.argmin(np.abs(track.y[start : end + 1] - level)))
    return Candidate(
        kind="plateau",
        start=int(track.finite[start]),
        end=int(track.finite[end]),
        peak=int(track.finite[peak]),
        level=track.sign * level,
        threshold=None,
        recovered=last < len(parts.level) - 1,
        severity="info",
    )
