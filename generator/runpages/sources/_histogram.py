"""A histogram as a few numbers: what a chart of a distribution over time can show."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["summarised"]

_QUANTILES = (("p05", 0.05), ("p50", 0.5), ("p95", 0.95))


def summarised(edges: ArrayLike, counts: ArrayLike) -> dict[str, float]:
    """Mean, quantiles and ends of the values that were counted; empty if none were.

    `edges` has one entry more than `counts`. Values are taken as spread evenly within a bucket,
    so all but the ends are estimates. Raises ValueError for lengths that do not fit or counts
    that are negative or not finite.
    """
    edge = np.asarray(edges, dtype=np.float64).ravel()
    count = np.asarray(counts, dtype=np.float64).ravel()
    if len(edge) != len(count) + 1:
        raise ValueError(f"{len(edge)} edges do not enclose {len(count)} buckets")
    if not (np.isfinite(count).all() and (count >= 0).all()):
        raise ValueError("a count of the histogram is negative or no number")
    filled = np.flatnonzero(count)
    if not len(filled):
        return {}
    first, last = filled[0], filled[-1]
    edge, count = edge[first : last + 2], count[first : last + 1]
    middle = (edge[1:] + edge[:-1]) / 2
    total = count.sum()
    reached = np.concatenate([[0.0], np.cumsum(count)]) / total
    found = {"min": float(edge[0]), "max": float(edge[-1])}
    found["mean"] = float((middle * count).sum() / total)
    for name, share in _QUANTILES:
        found[name] = float(np.interp(share, reached, edge))
    return found
