"""Divergence: the loss leaves its level upwards and is not back when the track ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Departure, Floats, Track, stretches

__all__ = ["DivergenceOptions", "find_divergence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceOptions:
    """Thresholds as shares of the level, robust standard deviations (sd) and points.

    Where no other source is named they were measured: docs/reference/findings.md.
    """

    min_points: int = 8
    min_relative: float = 0.10
    """Least rise at the end over the best level before, as a share of it."""
    least_k: float = 8.0
    """Least rise in sd of the run's noise after few points; falls with the root of their number."""
    least_median_k: float = 2.0
    """Where that fall ends: long ends wander more than their median's noise."""
    few_points: int = 3
    """An end of fewer points than this must rise by `few_relative`: one tall point is no end."""
    few_relative: float = 1.0
    """A loss at twice its level is no noise (llm-foundry's KillLossSpike)."""
    close_relative: float = 0.05
    """Back within this share of the best level = recovered; the onset is searched after it."""
    returned: float = 0.1
    """Back to this share of an excursion's height = that excursion is over."""


def find_divergence(
    track: Track, options: DivergenceOptions = DivergenceOptions()
) -> Iterator[Candidate]:
    """At most one: from the last time the curve was at its level to the end.

    The end is the median of the last tenth since then, at least three points.
    A validation loss that does not come back is a warning: the model may only be over-fitting.
    """
    full = track.y
    if len(full) < options.min_points:
        return
    (y, width), gone = track.thin, track.departure
    allowed = max(
        options.close_relative * abs(float(gone.reference[-1])), 3 * float(gone.noise[-1])
    )
    onset = _onset(y, gone, allowed, options)
    if onset is None:
        return
    level = float(gone.reference[onset - 1])
    needed = _needed(track, gone, onset, options)
    if not float(np.median(y[onset:][-max(3, (len(y) - onset) // 10) :])) - level >= needed:
        return
    # a block is wider than a point: the first point in and before it that is up
    first = max(0, onset - 1) * width if width > 1 else onset
    start = first + int(np.argmax(full[first : (onset + 1) * width] > level + allowed))
    yield Candidate(
        kind="divergence",
        start=int(track.finite[start]),
        end=len(track.values) - 1,
        peak=int(track.finite[start + int(np.argmax(full[start:]))]),
        level=track.sign * level,
        threshold=track.sign * (level + needed),
        recovered=False,
        severity="warning" if track.role == "val_loss" else "critical",
    )


def _needed(track: Track, gone: Departure, onset: int, options: DivergenceOptions) -> float:
    """The rise over the level that is more than effect floor and noise."""
    points = len(gone.reference) - onset
    ends_nonfinite = len(track.finite) > 0 and track.finite[-1] < len(track.values) - 1
    few = points < options.few_points and not ends_nonfinite
    relative = options.few_relative if few else options.min_relative
    k = max(options.least_k * math.sqrt(3 / max(3, points // 2)), options.least_median_k)
    return max(relative * abs(float(gone.reference[onset - 1])), k * float(gone.noise[onset - 1]))


def _onset(y: Floats, gone: Departure, allowed: float, options: DivergenceOptions) -> int | None:
    """First point of the last departure, at least 1; None where the curve ends at its level."""
    best = float(gone.reference[-1])
    away = stretches(gone.smooth > np.maximum(gone.reference, best) + allowed)
    onset = away[-1][0] if away and away[-1][1] == len(y) - 1 else len(y)
    if onset >= len(y):
        # the median of five hides an end of one or two points
        calm = np.flatnonzero(y <= gone.smooth + allowed)
        onset = int(calm[-1]) + 1 if len(calm) else 1
        if onset >= len(y):
            return None
    onset = max(onset, 1)
    level = float(gone.reference[onset - 1])
    while onset > 1 and y[onset - 1] > level + allowed:
        onset -= 1
    # an excursion that came back before a greater one is another event
    tallest = np.maximum.accumulate(y[onset:])[:-1]
    greater = np.maximum.accumulate(y[:onset:-1])[::-1] > tallest
    back = np.flatnonzero(greater & (y[onset:-1] - level <= options.returned * (tallest - level)))
    return onset + int(back[-1]) + 1 if len(back) else onset
