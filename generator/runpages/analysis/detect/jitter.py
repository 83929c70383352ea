"""Jitter: step times that spread widely without a period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .throughput import StallOptions, step_costs, tall_stretches
from .track import Candidate, Floats, Track, segments

__all__ = ["JitterOptions", "find_jitter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterOptions:
    """Thresholds as ratios of quantiles of the time a step, level and overhead taken out."""

    min_points: int = 64
    least_iqr: float = 0.2
    """Interquartile range over the median."""
    least_tail: float = 1.5
    """99 % quantile over the median..."""
    least_cost: float = 0.05
    """... where the time over the median costs at least this share: a few slow rows in a thousand
    are stalls, not jitter."""
    windows: int = 16
    least_window: int = 32
    """Rows a window has at least."""
    least_share: float = 0.25
    """Least share of the rows in one stretch of such windows."""
    warn_cost: float = 0.10
    """Share of the time over the median from which on it is a warning."""
    stall: StallOptions = field(default_factory=StallOptions)


def find_jitter(track: Track, options: JitterOptions = JitterOptions()) -> Iterator[Candidate]:
    """Stretches in which steps differ widely from the run's usual step, periodic overhead apart."""
    times = step_costs(track, options.stall)
    if times is None or len(times.cost) < options.min_points:
        return
    # stalls are told as such
    kept = ~times.periodic
    for first, last in tall_stretches(track, times, options.stall)[0]:
        kept[first : last + 1] = False
    height = np.where(kept, times.cost - times.level, 0.0)
    size = len(height)
    count = int(np.clip(size // options.least_window, 1, options.windows))
    # the first rows hold compilation and cold caches
    edges = np.linspace(min(options.stall.calm_rows, size // 8), size, count + 1).astype(int)
    costs = [
        _cost(height[a:b][kept[a:b]], options) for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    for first, last in segments(np.array([cost > 0 for cost in costs])):
        start, end = int(edges[first]), int(edges[last + 1]) - 1
        if (end - start + 1) / size < options.least_share:
            continue
        own = height[start : end + 1]
        # the row that stands for the slow ones: the nearest to their 99 % quantile
        tall = float(np.quantile(own, 0.99))
        peak = start + int(np.argmin(np.abs(own - tall)))
        level = float(np.median(times.level[start : end + 1]))
        serious = float(np.mean(costs[first : last + 1])) >= options.warn_cost
        yield Candidate(
            kind="jitter",
            start=int(times.rows[start]),
            end=int(times.rows[end]),
            peak=int(times.rows[peak]),
            level=times.logged(level),
            threshold=times.logged(level + float(np.log(options.least_tail))),
            recovered=end < size - 1,
            severity="warning" if serious else "info",
        )


def _cost(height: Floats, options: JitterOptions) -> float:
    """Share of the time that lies over the median, if the window's steps jitter; else 0."""
    if len(height) < options.least_window // 2:
        return 0.0
    ratio = np.exp(height - float(np.median(height)))
    low, high, tail = np.quantile(ratio, [0.25, 0.75, 0.99])
    over = float(np.sum(np.maximum(ratio - 1, 0))) / float(np.sum(ratio))
    wide = high - low > options.least_iqr
    return over if wide or (tail > options.least_tail and over >= options.least_cost) else 0.0
