"""A loss that starts over: training began anew within one series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .track import Candidate, Floats, Track

__all__ = ["begins_anew", "split"]

LEAST_ROWS = 8
"""Rows that must follow the same course as the first rows of the series."""
MOST_ROWS = 32
CLOSE = 0.1
"""Median difference from that course, in logarithms."""
LEAST_FALL = 1.5
"""Factor by which the first rows must fall, and by which the loss must jump back: without a descent
of its own there is no course to follow."""
MOST_STARTS = 64


def split(track: Track) -> list[Track]:
    """The series cut where it starts over; usually itself alone."""
    cuts = [int(track.finite[c]) for c in _starts(track.y, track.steps[track.finite])]
    if not cuts:
        return [track]
    bounds = [0, *cuts, len(track.values)]
    parts = []
    for first, end in zip(bounds[:-1], bounds[1:], strict=True):
        values = track.values[first:end]
        finite = np.flatnonzero(np.isfinite(values))
        steps, times = track.steps[first:end], track.times[first:end]
        own = replace(track, steps=steps, values=values, times=times, finite=finite, known={})
        parts.append(own)
    return parts


def _starts(y: Floats, steps: np.ndarray) -> list[int]:
    """Positions of rows that repeat the course of the first rows, as planned restarts do
    (AlgoPerf's sequential submissions, docs/reference/findings.md)."""
    head = y[:MOST_ROWS]
    if len(y) < 3 * LEAST_ROWS or not np.all(head > 0) or head[0] < LEAST_FALL * np.min(head):
        return []
    # random weights have a loss of their own: a blow-up seldom ends at just that
    jumps = (np.abs(y[1:] - head[0]) < CLOSE * head[0]) & (y[1:] > LEAST_FALL * y[:-1])
    out: list[int] = []
    for at in (np.flatnonzero(jumps) + 1)[:MOST_STARTS]:
        course = y[at : at + MOST_ROWS]
        if at < LEAST_ROWS or len(course) < LEAST_ROWS or not np.all(course > 0):
            continue
        passed = steps[at : at + len(course)] - steps[at]
        known = passed <= steps[len(head) - 1] - steps[0]
        first = np.interp(passed[known], steps[: len(head)] - steps[0], np.log(head))
        apart = np.abs(np.log(course[known]) - first)
        if len(apart) >= LEAST_ROWS and float(np.median(apart)) <= CLOSE:
            out.append(int(at))
    return out


def begins_anew(track: Track, at: int) -> Candidate:
    """The restart at row `at` of the whole track."""
    before = track.finite[track.finite < at]
    return Candidate(
        kind="restart",
        start=at,
        end=at,
        peak=at,
        level=float(track.values[before[-1]]),
        threshold=None,
        recovered=None,
        severity="warning",
    )
