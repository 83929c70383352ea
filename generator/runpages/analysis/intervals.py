"""The time between logged rows: how long how many steps took, attempt by attempt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.model import Run, SeriesInfo

__all__ = ["AttemptRows", "Intervals", "dense_series", "lost_seconds", "rows_by_attempt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TICKS = 20
"""An interval lasts at least this many ticks of the clock, so that its reading is right to 5 %."""
_CLOCKS = (60.0, 1.0, 1e-3)
"""Resolutions that logs write their times in, seconds."""
_CLOCK_SLACK_SECONDS = 1.0
"""A row may be this much older than the one before it (buffered writing); more is another clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Stretches of time between two rows of one attempt; all arrays have one length."""

    start: Floats
    """UTC seconds."""
    end: Floats
    first_step: Ints
    """Step of the row it begins at: its own steps are the ones after it."""
    last_step: Ints

    @property
    def seconds(self) -> Floats:
        return self.end - self.start

    @property
    def steps(self) -> Ints:
        return self.last_step - self.first_step

    def __len__(self) -> int:
        return len(self.start)

    def holding(self, times: Floats) -> Ints:
        """For each time the interval (start, end] it lies in; -1 where it lies in none."""
        if not len(self):
            return np.full(len(times), -1)
        at = np.searchsorted(self.end, times, side="left")
        at = np.minimum(at, len(self) - 1)
        inside = (times > self.start[at]) & (times <= self.end[at])
        return np.where(inside, at, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRows:
    """What the clock tells of one attempt."""

    number: int
    start: float
    end: float
    intervals: Intervals
    """Only of steps that no later attempt did again."""
    first_row: float | None
    """Time of its first row that stands; None if all was done again."""
    first_step: int
    row_steps: float
    """Steps that usually lie between two rows."""
    last_row: float
    """Time of its last row that stands; its start, if all was done again."""
    redone: bool
    """Whether a later attempt did its end again."""

    @property
    def redone_seconds(self) -> float:
        return self.end - self.last_row if self.redone else 0.0


def dense_series(run: Run) -> SeriesInfo | None:
    """The run's own metric with the most rows."""
    known = [i for i in run.series.whole if i.axis == "step" and i.points > 1]
    return max(known, key=lambda info: info.points, default=None)


def rows_by_attempt(run: Run) -> tuple[tuple[AttemptRows, ...], str]:
    """Every attempt's rows on the clock, or the reason why the clock cannot be used."""
    dense = dense_series(run)
    if dense is None:
        return (), "no metric has two rows"
    series = run.series[dense.name]
    out = []
    for attempt in run.attempts:
        if attempt.start is None or attempt.end is None:
            return (), "no clock in the log"
        rows = series.attempt(attempt.number)
        rows = rows.take(np.isfinite(rows.time))
        if len(rows.time) and np.min(np.diff(rows.time), initial=0.0) < -_CLOCK_SLACK_SECONDS:
            return (), f"the clock of {dense.name} goes back within attempt {attempt.number}"
        later = [span[0] for number, span in run.series.spans.items() if number > attempt.number]
        again = min(later, default=None)
        redone = again is not None and any(
            number == attempt.number and span[1] >= again
            for number, span in run.series.spans.items()
        )
        stands = rows if again is None else rows.take(rows.step < again)
        time = np.maximum.accumulate(stands.time) if len(stands.time) else stands.time
        out.append(
            AttemptRows(
                number=attempt.number,
                start=attempt.start,
                end=attempt.end,
                intervals=_between(time, stands.step),
                first_row=float(time[0]) if len(time) else None,
                first_step=int(stands.step[0]) if len(time) else 0,
                row_steps=_usual_distance(stands.step),
                last_row=float(time[-1]) if len(time) else attempt.start,
                redone=redone,
            )
        )
    if not any(len(rows.intervals) for rows in out):
        return (), f"no two rows of {dense.name} have a time"
    return tuple(out), ""


def lost_seconds(run: Run) -> dict[int, float | None]:
    """Attempt -> seconds of it that a later attempt did again; None where no clock tells."""
    rows, why = rows_by_attempt(run)
    if not why:
        return {found.number: found.redone_seconds for found in rows}
    out: dict[int, float | None] = {}
    for attempt in run.attempts:
        own = run.series.spans.get(attempt.number)
        later = [span[0] for number, span in run.series.spans.items() if number > attempt.number]
        again = own is not None and any(first <= own[1] for first in later)
        out[attempt.number] = None if again else 0.0
    return out


def _usual_distance(step: Ints) -> float:
    moved = np.diff(step)
    return float(np.median(moved[moved > 0])) if np.any(moved > 0) else 1.0


def _between(time: Floats, step: Ints) -> Intervals:
    """The stretches between rows, joined until each is long against the tick of the clock."""
    if len(time) > 1:
        tick = _tick(time)
        usual = float(time[-1] - time[0]) / (len(time) - 1)
        if tick and 0 < usual < _TICKS * tick:
            kept = np.arange(0, len(time), int(np.ceil(_TICKS * tick / usual)))
            kept = np.append(kept[:-1] if len(kept) > 1 else kept, len(time) - 1)
            time, step = time[kept], step[kept]
        moved = np.append(True, np.diff(step) > 0)
        # of several rows at one step the last: it was written when the step was done
        last = np.append(moved[1:], True)
        time, step = time[last], step[last]
    return Intervals(start=time[:-1], end=time[1:], first_step=step[:-1], last_step=step[1:])


def _tick(time: Floats) -> float:
    """Resolution of the clock in seconds; 0 where it is finer than milliseconds."""
    for tick in _CLOCKS:
        if np.all(np.abs(time / tick - np.round(time / tick)) * tick < 2e-6):
            return tick
    return 0.0
