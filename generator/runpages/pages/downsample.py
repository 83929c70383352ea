"""Fewer points of a curve, none of its extremes lost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buckets", "bucketed", "mean_times"]

MAX_GAPS = 100
"""Breaks of the line at non-finite values; beyond it only the longest ones break it."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Buckets(NamedTuple):
    """Equal lengths. A row whose mean, low and high are NaN breaks the line."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    width: int
    """Points a bucket; 1 = every point stands for itself."""


def bucketed(
    x: Floats,
    y: Floats,
    *,
    keep: Flags | None = None,
    breaks: Flags | None = None,
    limit: int,
) -> Buckets:
    """At most `limit` buckets of equally many points, plus each point of `keep`, the first and the
    last by itself.

    Only finite values count; the lowest and highest of a bucket are the data's own. The line
    breaks before each row that `breaks` marks and at non-finite values; no bucket spans a break.
    """
    rows = np.flatnonzero(np.isfinite(y) & np.isfinite(x))
    size = len(rows)
    if not size:
        none = np.empty(0)
        return Buckets(none, none, none, none, 1)
    x, y = x[rows], y[rows]
    cuts = _cuts(rows, breaks)
    width = max(1, -(-size // limit))
    edges = np.arange(0, size, width)
    if width > 1:
        marked = np.flatnonzero(keep[rows]) if keep is not None else edges[:0]
        ends = np.array([1, size - 1])
        edges = np.unique(np.concatenate([edges, marked, marked + 1, cuts, ends]))
        edges = edges[edges < size]
    counts = np.diff(np.append(edges, size))
    middle = np.add.reduceat(x, edges) / counts
    mean = np.add.reduceat(y, edges) / counts
    low, high = np.minimum.reduceat(y, edges), np.maximum.reduceat(y, edges)
    at = np.searchsorted(edges, cuts)
    mean, low, high = (np.insert(column, at, np.nan) for column in (mean, low, high))
    return Buckets(np.insert(middle, at, middle[at]), mean, low, high, width)


def mean_times(x: Floats, y: Floats, time: Floats, *, breaks: Flags, limit: int) -> Floats:
    """The mean time of each row of `bucketed`; all times must be known. A break takes the time
    after it."""
    known = np.where(np.isfinite(y), time, np.nan)
    out = bucketed(x, known, breaks=breaks, limit=limit).mean
    for at in np.flatnonzero(np.isnan(out))[::-1]:
        out[at] = out[at + 1]
    return out


def _cuts(rows: Ints, breaks: Flags | None) -> Ints:
    """Positions among the finite `rows` before which the line breaks."""
    gaps = np.diff(rows) - 1
    cut = gaps > 0
    if int(cut.sum()) > MAX_GAPS:
        cut = gaps > np.partition(gaps, -MAX_GAPS - 1)[-MAX_GAPS - 1]
    if breaks is not None:
        cut |= np.diff(np.cumsum(breaks)[rows]) > 0
    return np.flatnonzero(cut) + 1
