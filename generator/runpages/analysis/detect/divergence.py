"""Divergence: the loss leaves its level upwards and is not back when the track ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Floats, Track, running_median

__all__ = ["DivergenceOptions", "find_divergence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceOptions:
    min_points: int = 8
    min_relative: float = 0.10
    """Least rise at the end over the best level before, as a share of it (analysis.md 3)."""
    least_k: float = 8.0
    """Least rise in robust standard deviations of the run's noise."""
    few_points: int = 3
    """An end of fewer points than this must rise by `few_relative`: one tall point is no end."""
    few_relative: float = 1.0
    close_relative: float = 0.05
    """Back within this share of the best level = recovered; the onset is searched after it."""


def find_divergence(
    track: Track, options: DivergenceOptions = DivergenceOptions()
) -> Iterator[Candidate]:
    """At most one: from the last time the curve was at its level to the end."""
    y = track.y
    size = len(y)
    if size < options.min_points:
        return
    smooth = running_median(y, 5)
    wide = running_median(y, int(np.clip(size // 16, 5, 65)) | 1)
    ends_nonfinite = track.finite[-1] < len(track.values) - 1
    reference = np.minimum.accumulate(wide)
    best = float(reference[-1])
    noise = _noise(y)
    allowed = max(options.close_relative * abs(best), 3 * noise)
    at_level = np.flatnonzero(smooth <= np.maximum(reference, best) + allowed)
    onset = int(at_level[-1]) + 1 if len(at_level) else size
    if onset >= size:
        # the median of five hides an end of one or two points
        last = np.flatnonzero(y <= smooth + allowed)
        onset = int(last[-1]) + 1 if len(last) else size
        if onset >= size:
            return
    end = y[onset:]
    level = float(reference[max(onset - 1, 0)])
    tail = float(np.median(end[-max(1, len(end) // 2) :]))
    rise = tail - level
    few = len(end) < options.few_points and not ends_nonfinite
    relative = options.few_relative if few else options.min_relative
    if rise < max(relative * abs(level), options.least_k * noise):
        return
    if onset < max(3, size // 100):
        return  # never was at a level to leave
    while onset > 1 and y[onset - 1] > level + allowed:
        onset -= 1
    peak = onset + int(np.argmax(y[onset:]))
    yield Candidate(
        kind="divergence",
        start=int(track.finite[onset]),
        end=len(track.values) - 1,
        peak=int(track.finite[peak]),
        level=float(track.sign * level),
        threshold=float(track.sign * (level + max(relative * abs(level), options.least_k * noise))),
        recovered=False,
        severity="critical",
    )


def _noise(y: Floats) -> float:
    """Robust sd of the curve around its local level, from first differences."""
    if len(y) < 3:
        return 0.0
    steps = np.diff(y)
    return float(1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))
