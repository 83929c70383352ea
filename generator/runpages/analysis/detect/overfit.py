"""Over-fitting: the validation loss rises from its minimum, evaluation by evaluation, for good."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Floats, Track, running_median

__all__ = ["OverfitOptions", "find_overfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverfitOptions:
    """Thresholds as shares of the minimum, standard errors, evaluations and shares of the rise."""

    min_points: int = 8
    min_relative: float = 0.01
    """Least rise at the end over the minimum, as a share of it."""
    least_errors: float = 2.0
    """The same in standard errors of the difference between end and minimum."""
    least_evaluations: int = 3
    """Evaluations in a row, up to the last, that lie as high."""
    most_sudden: float = 0.5
    """Share of the rise that one evaluation may make: beyond it something broke at once, and that
    is no over-fitting."""


def find_overfit(track: Track, options: OverfitOptions = OverfitOptions()) -> Iterator[Candidate]:
    """At most one: from the evaluation after the minimum to the end.

    The noise of one evaluation is the robust standard deviation of second differences over the
    square root of 6, so that a straight rise is none. Whether the training loss went on falling
    is not seen here: `analyze` asks it where it was recorded.
    """
    if len(track.finite) < options.min_points:
        return
    y, block = track.thin
    smooth = running_median(y, 3)
    lowest = int(np.argmin(smooth))
    rest = smooth[lowest + 1 :]
    level = float(smooth[lowest])
    needed = max(options.min_relative * abs(level), options.least_errors * math.sqrt(2) * _noise(y))
    low = np.flatnonzero(rest <= level + needed)
    since = int(low[-1]) + 1 if len(low) else 0
    rise = float(np.median(rest[-options.least_evaluations :])) - level if len(rest) else 0.0
    if len(rest) - since < options.least_evaluations:
        return
    if float(np.max(np.diff(y[lowest:]))) > options.most_sudden * rise:
        return
    start = (lowest + 1) * block
    peak = start + int(np.argmax(track.y[start:]))
    yield Candidate(
        kind="overfit",
        start=int(track.finite[start]),
        end=int(track.finite[-1]),
        peak=int(track.finite[peak]),
        level=track.sign * level,
        threshold=track.sign * (level + needed),
        recovered=False,
        severity="warning",
    )


def _noise(y: Floats) -> float:
    """Standard deviation of one evaluation about a smooth curve."""
    bends = np.diff(y, n=2)
    return 1.4826 / math.sqrt(6) * float(np.median(np.abs(bends)))
