"""NaN and infinities: every stretch of them is an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from runpages.analysis.roles import LOSSES

from .track import Candidate, Track, segments

__all__ = ["NonfiniteOptions", "find_nonfinite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NonfiniteOptions:
    merge_points: int = 32
    """Stretches with fewer finite points between them are one event."""


def find_nonfinite(
    track: Track, options: NonfiniteOptions = NonfiniteOptions()
) -> Iterator[Candidate]:
    """Stretches of non-finite values.

    Critical where a loss or gradient norm stays so to the end; a warning where a loss recovers or
    another metric does not; else an info: loss scaling skips a step with an infinite gradient norm
    on purpose, and a rate has no value at its first step.
    """
    bad = ~np.isfinite(track.values)
    if not bad.any():
        return
    merged: list[tuple[int, int]] = []
    for start, end in segments(bad):
        if merged and start - merged[-1][1] <= options.merge_points:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    for start, end in merged:
        before = track.finite[track.finite < start]
        recovered = end < len(bad) - 1
        yield Candidate(
            kind="nonfinite",
            start=start,
            end=end,
            peak=start,
            level=float(track.values[before[-1]]) if len(before) else None,
            threshold=None,
            recovered=recovered,
            severity=_severity(track.role, recovered=recovered),
        )


def _severity(role: str | None, *, recovered: bool) -> str:
    if role in LOSSES:
        return "warning" if recovered else "critical"
    if role == "grad_norm":
        return "info" if recovered else "critical"
    return "info" if recovered else "warning"
