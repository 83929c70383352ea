"""Fewer points of a curve, none of its extremes lost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buckets", "bucketed"]

LEVEL_0 = 500
"""Buckets of the first view: 500 of min, mean and max weigh as much as 1,500 points."""


class Buckets(NamedTuple):
    """Equal lengths; NaN in mean marks a break of the line."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    width: int
    """Points a bucket; 1 = every point stands for itself."""


def bucketed(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    keep: NDArray[np.bool_] | None = None,
    limit: int = LEVEL_0,
) -> Buckets:
    """At most `limit` buckets of equally many points, plus each point of `keep` by itself.

    Only finite values; the lowest and highest of a bucket are the data's own.
    """
    finite = np.isfinite(y) & np.isfinite(x)
    x, y = x[finite], y[finite]
    size = len(y)
    if size <= limit:
        return Buckets(x, y, y, y, 1)
    width = -(-size // limit)
    edges = np.arange(0, size, width)
    if keep is not None:
        marked = np.flatnonzero(keep[finite])
        edges = np.unique(np.concatenate([edges, marked, marked + 1]))
        edges = edges[edges < size]
    counts = np.diff(np.append(edges, size))
    return Buckets(
        np.add.reduceat(x, edges) / counts,
        np.add.reduceat(y, edges) / counts,
        np.minimum.reduceat(y, edges),
        np.maximum.reduceat(y, edges),
        width,
    )
