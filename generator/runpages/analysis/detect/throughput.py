"""Stalls and slowdowns: a step took far longer than its neighbours, or all of a stretch did."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runpages.analysis.roles import RATES

from .periodic import PeriodicOptions, periodic_rows
from .track import Candidate, Floats, Track, level_of, running_median, segments, thinned

__all__ = [
    "THROUGHPUT",
    "SlowdownOptions",
    "StallOptions",
    "StepCosts",
    "find_slowdowns",
    "find_stalls",
    "is_mean_since_start",
    "step_costs",
    "tall_stretches",
]

THROUGHPUT = frozenset({"step_seconds", "step_milliseconds"}) | RATES

_SINCE_START = frozenset({"step_avg", "step_avg_ms"})
"""The mean since the start (modded-nanogpt): it tells neither when a step was slow nor how slow."""

Bools = NDArray[np.bool_]
Extent = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StallOptions:
    """Thresholds as factors over the local median time a step, shares of rows, and rows."""

    min_points: int = 8
    least_factor: float = 2.0
    """A step that takes twice as long as its neighbours."""
    tail_share: float = 0.02
    """Share of rows whose height is taken for the run's way; the tail is extrapolated from it as a
    Pareto tail, the heaviest that times have been seen to follow."""
    tail_rows: int = 3
    """The same in rows, for short series."""
    expected_false: float = 0.02
    """Rows of a run that may cross by that extrapolation."""
    longest_rows: int = 7
    """What is longer is a slowdown."""
    calm_rows: int = 8
    """Calm rows before the first stall: what is slow until then is start-up (compilation, cold
    caches). At least 3 and at most 1/8 of the rows where there are few."""
    warn_share: float = 0.01
    """Share of the recorded time that it must cost to be a warning."""
    periodic: PeriodicOptions = field(default_factory=PeriodicOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowdownOptions:
    """Thresholds as shares of the time a step and robust standard deviations."""

    min_points: int = 24
    least_rise: float = 0.05
    """Least rise of the median time a step: one bad node cost BLOOM 5 % (its chronicle)."""
    least_k: float = 6.0
    """The same in sd of the wander of medians."""
    least_rows: int = 8
    reference_share: float = 0.05
    """Length of the stretch, as a share of the rows, whose median can be the best speed so far;
    the same share of the steps at the start sets none."""
    warn_share: float = 0.01
    """Share of the recorded time that it must cost to be a warning."""
    stall: StallOptions = field(default_factory=StallOptions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepCosts:
    """Logarithm of the time a step takes, whatever was logged for it."""

    rows: NDArray[np.int64]
    """Positions in the track."""
    steps: NDArray[np.int64]
    cost: Floats
    level: Floats
    periodic: Bools
    rate: bool
    """Whether a rate was logged, not a time."""

    def logged(self, cost: float) -> float:
        return math.exp(-cost) if self.rate else math.exp(cost)


def is_mean_since_start(name: str) -> bool:
    """Whether a metric of a step's time is no time of a step, so that nothing is judged by it."""
    return name.rpartition("/")[2].lower() in _SINCE_START


def find_stalls(track: Track, options: StallOptions = StallOptions()) -> Iterator[Candidate]:
    """Rows far slower than their neighbours and than the run's own slow rows; no overhead."""
    times = step_costs(track, options)
    if times is None:
        return
    extents, needed = tall_stretches(track, times, options)
    for start, end in extents:
        if end - start < options.longest_rows:
            yield _candidate("stall", times, (start, end), needed, options.warn_share)


def find_slowdowns(
    track: Track, options: SlowdownOptions = SlowdownOptions()
) -> Iterator[Candidate]:
    """Stretches of at least 8 rows that are slower than the run had been before."""
    times = step_costs(track, options.stall)
    if times is None or len(times.cost) < options.min_points:
        return
    extents, needed = tall_stretches(track, times, options.stall)
    tall = [e for e in extents if e[1] - e[0] >= options.stall.longest_rows]
    slow = _slow(times, extents, options)
    for start, end in slow:
        yield _candidate("slowdown", times, (start, end), None, options.warn_share)
    for start, end in tall:
        if not any(start <= last and end >= first for first, last in slow):
            yield _candidate("slowdown", times, (start, end), needed, options.warn_share)


def step_costs(track: Track, options: StallOptions) -> StepCosts | None:
    """What a step took, by rows; None for a mean since the start and for a few rows."""
    return track.once(("step_costs", options), lambda: _step_costs(track, options))


def _step_costs(track: Track, options: StallOptions) -> StepCosts | None:
    values = track.values[track.finite]
    good = values > 0
    if is_mean_since_start(track.name) or int(good.sum()) < options.min_points:
        return None
    rate = track.sign < 0
    cost = np.log(values[good]) * (-1 if rate else 1)
    rows = track.finite[good]
    # step times keep their level: in a short series a wider window than a falling loss allows
    short = len(cost) < 8 * 65
    width = int(np.clip(len(cost) // 3, 9, 65)) | 1
    level = running_median(cost, width) if short else level_of(cost)
    return StepCosts(
        rows=rows,
        steps=track.steps[rows],
        cost=cost,
        level=level,
        periodic=periodic_rows(track.steps[rows], cost, level, options.periodic),
        rate=rate,
    )


def tall_stretches(
    track: Track, times: StepCosts, options: StallOptions
) -> tuple[list[Extent], float]:
    return track.once(("tall", options), lambda: _stretches(times, options))


def _stretches(times: StepCosts, options: StallOptions) -> tuple[list[Extent], float]:
    """Stretches of tall rows, and the least height (logarithm) of their tallest."""
    height = np.where(times.periodic, 0.0, times.cost - times.level)
    floor = math.log(options.least_factor)
    needed = max(floor, _tail(height, options))
    size = len(height)
    calm = np.cumsum(np.abs(height) < floor / 2)
    least = max(3, min(options.calm_rows, size // 8))
    out = []
    for start, end in segments(height > max(floor / 2, needed / 3)):
        # the last row of an attempt also holds its final evaluation and saving
        judged = start < size - 1 and start > 0 and calm[start - 1] >= least
        if judged and float(np.max(height[start : end + 1])) >= needed:
            out.append((start, end))
    return out, needed


def _tail(height: Floats, options: StallOptions) -> float:
    """The height that `expected_false` rows would reach if the tail went on as a Pareto tail.

    A stretch of tall rows counts once, else a long one would hide itself.
    """
    tall = height > math.log(options.least_factor)
    peaks = [float(np.max(height[a : b + 1])) for a, b in segments(tall)]
    once = np.concatenate([height[~tall], peaks])
    size = len(once)
    rank = max(options.tail_rows, int(options.tail_share * size)) + 1
    if rank >= size:
        return math.inf
    usual = float(np.partition(once, size - rank)[size - rank])
    factor = math.log(options.expected_false / size) / math.log(rank / size)
    return max(usual, 0.0) * factor


def _slow(times: StepCosts, tall: list[Extent], options: SlowdownOptions) -> list[Extent]:
    keep = ~times.periodic
    for start, end in tall:
        if end - start < options.stall.longest_rows:
            keep[start : end + 1] = False
    rows = np.flatnonzero(keep)
    thin, width = thinned(times.cost[rows])
    if len(thin) < options.min_points:
        return []
    smooth = running_median(thin, 9)
    wide = running_median(thin, max(9, int(options.reference_share * len(thin))) | 1)
    # a log is often denser at the start: its first rows are no stretch of the run
    at = times.steps[rows][::width][: len(thin)]
    early = at < at[0] + options.reference_share * (at[-1] - at[0])
    reference = np.minimum.accumulate(np.where(early, math.inf, wide))
    wander = 1.4826 / math.sqrt(2) * float(np.median(np.abs(smooth[9:] - smooth[:-9])))
    limit = max(math.log1p(options.least_rise), options.least_k * wander)
    rise = smooth - reference
    out: list[Extent] = []
    for start, end in _joined(segments(rise > limit / 2)):
        high = rise[start : end + 1] > limit
        if int(high.sum()) >= options.least_rows and start > 0:
            last = rows[min((end + 1) * width, len(rows)) - 1]
            out.append((int(rows[start * width]), int(last)))
    return out


def _joined(stretches: list[Extent]) -> list[Extent]:
    """A return of fewer than 9 points, or of a tenth of the stretch, is none."""
    out: list[Extent] = []
    for start, end in stretches:
        if out and start - out[-1][1] <= max(9, (out[-1][1] - out[-1][0]) // 10):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _candidate(
    kind: str,
    times: StepCosts,
    extent: Extent,
    needed: float | None,
    warn_share: float,
) -> Candidate:
    start, end = extent
    own = times.cost[start : end + 1]
    before = times.cost[max(0, start - 32) : start][~times.periodic[max(0, start - 32) : start]]
    level = float(np.median(before)) if len(before) else float(times.level[start])
    over = np.where(times.periodic[start : end + 1], -np.inf, own)
    peak = start + int(np.argmax(over))
    gaps = np.diff(times.steps, append=times.steps[-1] + 1)
    weight = np.maximum(gaps, 0)
    spent = np.exp(times.cost - times.cost.max()) * weight
    extra = np.clip(np.exp(own) - math.exp(level), 0, None) / math.exp(float(times.cost.max()))
    share = float(np.sum(extra * weight[start : end + 1])) / max(float(spent.sum()), 1e-300)
    return Candidate(
        kind=kind,
        start=int(times.rows[start]),
        end=int(times.rows[end]),
        peak=int(times.rows[peak]),
        level=times.logged(level),
        threshold=None if needed is None else times.logged(level + needed),
        recovered=end < len(times.cost) - 1,
        severity="warning" if share >= warn_share else "info",
    )
