"""Missing rows: steps that a metric was logged at before and after, and not between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Track

__all__ = ["MissingDataOptions", "find_missing_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDataOptions:
    """Thresholds in rows that fit into a gap, and in rows around it."""

    min_points: int = 20
    least_rows: int = 5
    """Rows that should have been in the gap, by the distances on both sides of it."""
    around: int = 8
    """Distances looked at on each side."""
    most_uneven: float = 2.0
    """The greatest of them may be so many times their median: what is logged when it happens has
    no gaps."""
    most_gaps: int = 8
    """A metric with more gaps than this is logged when it happens."""


def find_missing_data(
    track: Track, options: MissingDataOptions = MissingDataOptions()
) -> Iterator[Candidate]:
    """Gaps in the steps of a metric that is logged evenly on both sides of them.

    A change of the logging interval is none: the gap must be wide against the distances before it
    and against those after it.
    """
    steps = track.steps
    distances = np.diff(steps)
    if len(steps) < options.min_points or not np.any(distances > 0):
        return
    # rows at one step (two records of it) have no distance
    usual = float(np.median(distances[distances > 0]))
    wide = np.flatnonzero(distances > options.least_rows * usual)
    gaps = [int(gap) for gap in wide[: 64 * options.most_gaps] if _is_gap(distances, gap, options)]
    if len(gaps) > options.most_gaps:
        return
    for gap in gaps:
        yield Candidate(
            kind="missing_data",
            start=gap,
            end=gap + 1,
            # the row after it belongs to the attempt that went on
            peak=gap + 1,
            level=None,
            threshold=None,
            recovered=True,
            severity="info",
        )


def _is_gap(distances: np.ndarray, gap: int, options: MissingDataOptions) -> bool:
    sides = (distances[max(0, gap - options.around) : gap], distances[gap + 1 :][: options.around])
    for side in sides:
        near = side[side > 0]
        if len(near) < 3:
            return False
        usual = float(np.median(near))
        if distances[gap] <= (options.least_rows + 1) * usual:
            return False
        if float(np.max(near)) > options.most_uneven * usual:
            return False
    return True
