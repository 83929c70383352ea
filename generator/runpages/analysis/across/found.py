"""What a detector of several series gives back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from runpages.analysis.detect import Candidate, Floats, Track, event_of
from runpages.model import Event, Series

__all__ = ["Found", "told", "track_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    events: tuple[Event, ...] = ()
    judged: tuple[str, ...] = ()
    """Names of the metrics it was looked for in."""
    why_not: str = ""
    """Why nothing was judged; empty if something was."""


def track_of(series: Series, role: str | None = None) -> Track:
    """The effective curve as detectors take it; a rise is bad."""
    return Track(
        name=series.name,
        role=role or series.role,
        sign=1.0,
        steps=series.step,
        values=series.value,
        finite=np.flatnonzero(np.isfinite(series.value)),
        times=series.time,
    )


def told(
    series: Series,
    extent: tuple[int, int],
    message: str,
    *,
    kind: str,
    peak: int | None = None,
    peak_value: float | None = None,
    level: float | None = None,
    threshold: float | None = None,
    severity: str = "warning",
    recovered: bool | None = None,
    lost_seconds: float | None = None,
) -> Event:
    """An event of one effective curve by positions in it, with its sentence.

    `peak_value` replaces the value of the row at `peak`.
    """
    start, end = extent
    where = start if peak is None else peak
    candidate = Candidate(
        kind=kind,
        start=start,
        end=end,
        peak=where,
        level=level,
        threshold=threshold,
        recovered=recovered,
        severity=severity,
    )
    times: Floats = series.time
    event = event_of(
        track_of(series),
        candidate,
        times,
        attempt=int(series.effective.attempt[where]),
        rank=series.rank_number,
    )
    value = event.peak_value if peak_value is None else peak_value
    return replace(event, message=message, peak_value=value, lost_seconds=lost_seconds)
