"""Samples taken by the clock, put on the run's steps: what a device did at which step."""

from __future__ import annotations

import numpy as np

from runpages.model import Attempt, Columns, Run, Series

from .intervals import dense_series

__all__ = ["samples_by_attempt"]


def samples_by_attempt(run: Run, series: Series) -> dict[int, Columns]:
    """Attempt -> the samples while it ran, each with the step that was done last before it.

    Samples before the first row of an attempt have the step of that row. Where the run has no row
    with a step and a time, the samples keep their own numbers.
    """
    rows = series.recorded
    rows = rows.take(np.isfinite(rows.time)) if np.isfinite(rows.time).any() else rows
    dense = dense_series(run)
    if dense is None:
        return {int(n): rows.take(rows.attempt == n) for n in np.unique(rows.attempt)}
    curve = run.series[dense.name]
    out = {}
    for attempt in run.attempts:
        found = _within(rows, attempt, curve)
        if found is not None:
            out[attempt.number] = found
    return out


def _within(rows: Columns, attempt: Attempt, curve: Series) -> Columns | None:
    own = curve.attempt(attempt.number)
    own = own.take(np.isfinite(own.time))
    if not len(own.step) or attempt.start is None or attempt.end is None:
        return None
    ran = rows.take((rows.time >= attempt.start) & (rows.time <= attempt.end))
    ran = ran.take(np.argsort(ran.time, kind="stable"))
    if not len(ran.step):
        return None
    # buffered writing may leave a row that is a little older than the one before it
    clock, steps = np.maximum.accumulate(own.time), np.maximum.accumulate(own.step)
    last = np.maximum(np.searchsorted(clock, ran.time, side="right") - 1, 0)
    number = np.full(len(ran.step), attempt.number)
    return Columns(steps[last], ran.time, ran.value, number)
