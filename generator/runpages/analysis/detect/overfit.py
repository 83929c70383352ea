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

    Looked at as medians of three, of more where there are many evaluations. The least of several
    medians lies below their level by chance: sqrt(2 ln m) standard errors for m of them (normal
    extreme value). Whether the training loss went on falling is not seen here: `analyze` asks it
    where it was recorded.
    """
    if len(track.finite) < options.min_points:
        return
    y, block = track.thin
    window = int(np.clip(len(y) // 32, 3, 65)) | 1
    smooth = running_median(y, window)
    lowest = int(np.argmin(smooth))
    level, rest = float(smooth[lowest]), smooth[lowest + 1 :]
    chance = math.sqrt(2 * math.log(len(y) / window))
    error = 1.2533 * _noise(y) / math.sqrt(window)
    needed = max(options.min_relative * abs(level), (options.least_errors + chance) * error)
    low = np.flatnonzero(rest <= level + needed)
    since = int(low[-1]) + 1 if len(low) else 0
    if len(rest) - since < max(options.least_evaluations, window // 2):
        return
    rise = float(np.median(rest[-max(options.least_evaluations, window) :])) - level
    if _at_once(y[lowest:], level, rise, window) > options.most_sudden * rise:
        return
    # what is told as the minimum is a row of the log, not a median
    least = int(np.argmin(track.y))
    start = min(max(lowest * block, least) + 1, len(track.y) - 1)
    peak = start + int(np.argmax(track.y[start:]))
    yield Candidate(
        kind="overfit",
        start=int(track.finite[start]),
        end=int(track.finite[-1]),
        peak=int(track.finite[peak]),
        level=track.sign * float(track.y[least]),
        threshold=track.sign * (level + needed),
        recovered=False,
        severity="warning",
    )


def _at_once(y: Floats, level: float, rise: float, window: int) -> float:
    """The rise over all evaluations before, in the one that first passes half the height; where
    there are many, in a window of them."""
    wide, apart = (y, 1) if window == 3 else (running_median(y, window), window)
    passed = int(np.argmax(wide > level + rise / 2))
    before, after = max(0, passed - (apart + 1) // 2), min(len(y) - 1, passed + apart // 2)
    return float(wide[after] - np.max(wide[: before + 1]))


def _noise(y: Floats) -> float:
    """Standard deviation of one evaluation about a smooth curve, from third differences."""
    return 1.4826 / math.sqrt(20) * float(np.median(np.abs(np.diff(y, n=3))))
