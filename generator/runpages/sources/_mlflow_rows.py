"""The rows of an MLflow run in the order of time, cut into attempts.

MLflow numbers no process lives: a resumed run goes on under its id. Rows are therefore put in the
order (time, step, value), the one that all of MLflow's stores can give. Where the steps of a
metric then fall, a restart lies between the two rows; the fewest moments that explain the falls of
all metrics are the restarts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runpages.model import Columns, SeriesSet

from ._mlflow_facts import MAX_MILLISECONDS, Tally
from .spool import Spool

__all__ = ["SYSTEM", "Lives", "arranged", "decoded"]

SYSTEM = "system/"
"""How the names of MLflow's own system metrics begin; they are sampled by the clock."""

_LARGEST = float(np.finfo(np.float64).max)
_MAX_RESTARTS = 1000
_MIN_FALLS = 16
_ROWS_A_LIFE = 8
"""Steps that fall more often than this do so because several processes log at once."""


def decoded(
    milliseconds: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """(UTC seconds or NaN, values, infinities among them) of rows of a SQL store.

    MLflow writes infinities as the greatest finite numbers there.
    """
    known = (milliseconds > 0) & (milliseconds < MAX_MILLISECONDS)
    infinite = np.abs(values) >= _LARGEST
    values = np.where(infinite, np.copysign(np.inf, values), values)
    return np.where(known, milliseconds / 1000, np.nan), values, int(infinite.sum())


@dataclass(slots=True, kw_only=True)
class Lives:
    """The restarts of a run, and what is known of each attempt."""

    restarts: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """UTC seconds of the first row of each attempt but the first, ascending."""
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    ties: int = 0
    """Rows at the same step and millisecond as another row of their metric."""

    def at(self, seconds: float | None) -> int:
        """The attempt of something by its time."""
        if seconds is None or np.isnan(seconds):
            return 1
        return int(np.searchsorted(self.restarts, seconds, side="right")) + 1

    @property
    def numbers(self) -> range:
        return range(1, len(self.restarts) + 2)


class _Metric(NamedTuple):
    rows: Columns
    by_clock: bool
    falls: NDArray[np.intp]
    """Positions of rows whose step is below the row's before."""
    unstepped: int
    """Position from which on the rows may have been logged without a step."""


def arranged(raw: SeriesSet, tally: Tally) -> tuple[SeriesSet, Lives]:
    """The series of `raw` in order, with attempts."""
    lives = Lives()
    lives.restarts = _restarts(raw, tally)
    spool = Spool()
    for name in sorted(raw):
        metric = _metric(name, raw[name].recorded)
        lives.ties += _ties(metric.rows)
        if metric.by_clock and not name.startswith(SYSTEM):
            tally.warn(f"{name[:80]}: logged without steps; its rows are read as samples in time")
        kept = _without_unstepped(name, metric, lives, tally)
        numbers = np.searchsorted(lives.restarts, kept.time, side="right") + 1
        numbers[np.isnan(kept.time)] = 1
        for attempt, rows in _of_attempts(kept, numbers, by_clock=metric.by_clock):
            spool.extend(name, *rows[:3], attempt=attempt, time_axis=metric.by_clock)
            _saw(lives, attempt, rows.time)
    return spool.finish(), lives


def _saw(lives: Lives, attempt: int, time: NDArray[np.float64]) -> None:
    known = time[~np.isnan(time)]
    if len(known):
        first, last = float(known.min()), float(known.max())
        lives.first[attempt] = min(lives.first.get(attempt, first), first)
        lives.last[attempt] = max(lives.last.get(attempt, last), last)


def _of_attempts(
    rows: Columns, numbers: NDArray[np.intp], *, by_clock: bool
) -> Iterator[tuple[int, Columns]]:
    """Each attempt's rows. Where steps fall that no restart explains, they are put in order."""
    if by_clock:
        rows = rows._replace(step=np.arange(len(rows.step)))
    elif len(rows.step) > 1:
        same = numbers[1:] == numbers[:-1]
        if (numbers[1:] < numbers[:-1]).any() or (same & (np.diff(rows.step) < 0)).any():
            order = np.lexsort((rows.step, numbers))
            rows, numbers = rows.take(order), numbers[order]
    for attempt in np.unique(numbers):
        yield int(attempt), rows.take(numbers == attempt)


def _metric(name: str, recorded: Columns) -> _Metric:
    rows = _ordered(recorded)
    step, time = rows.step, rows.time
    none = np.empty(0, np.intp)
    if name.startswith(SYSTEM) or _stepless(rows):
        return _Metric(rows, by_clock=True, falls=none, unstepped=len(step))
    falls = np.flatnonzero(step[1:] < step[:-1]) + 1
    if np.isnan(time).any():
        return _Metric(rows, by_clock=False, falls=none, unstepped=len(step))
    last = int(falls[-1]) if len(falls) else len(step)
    unstepped = last if not step[last:].any() else len(step)
    return _Metric(rows, by_clock=False, falls=falls, unstepped=unstepped)


def _stepless(rows: Columns) -> bool:
    """Whether the rows were logged without a step: all at step 0, at more than one time."""
    known = rows.time[~np.isnan(rows.time)]
    return not rows.step.any() and len(known) > 1 and bool(known.min() < known.max())


def _ordered(rows: Columns) -> Columns:
    """By (time, step, value), what was stored twice once; unknown times and NaN come last."""
    later = rows.time[1:] > rows.time[:-1]
    if bool((later | ((rows.time[1:] == rows.time[:-1]) & (np.diff(rows.step) > 0))).all()):
        return rows
    rows = rows.take(np.lexsort((rows.value, rows.step, rows.time)))
    twice = np.ones(len(rows.step), dtype=bool)
    twice[0] = False
    for column in (rows.step, rows.time, rows.value):
        one, other = column[1:], column[:-1]
        twice[1:] &= (one == other) | (np.isnan(one) & np.isnan(other))
    return rows.take(~twice)


def _ties(rows: Columns) -> int:
    same = (rows.time[1:] == rows.time[:-1]) & (rows.step[1:] == rows.step[:-1])
    return int(same.sum())


def _restarts(raw: SeriesSet, tally: Tally) -> NDArray[np.float64]:
    """The fewest moments of which each fall's span (row before, row after] holds one."""
    before, after = [np.empty(0)], [np.empty(0)]
    for name in raw:
        rows, _, falls, unstepped = _metric(name, raw[name].recorded)
        falls = falls[falls < unstepped]
        if len(falls) >= _MIN_FALLS and len(falls) * _ROWS_A_LIFE > len(rows.step):
            tally.warn(
                f"{name[:80]}: its steps fall {len(falls):,} times in {len(rows.step):,} rows, as"
                " when several processes log into one run; its rows are ordered by step"
            )
            continue
        before.append(rows.time[falls - 1])
        after.append(rows.time[falls])
    ends = np.concatenate(after)
    order = np.argsort(ends, kind="stable")
    moments: list[float] = []
    for start, end in zip(np.concatenate(before)[order], ends[order], strict=True):
        if not moments or moments[-1] <= start:
            moments.append(float(end))
    if len(moments) > _MAX_RESTARTS:
        tally.warn(
            f"steps fall at {len(moments):,} moments, more than restarts explain; rows are ordered"
            " by step"
        )
        return np.empty(0)
    return np.array(moments)


def _without_unstepped(name: str, metric: _Metric, lives: Lives, tally: Tally) -> Columns:
    """Rows but for the last ones if they were logged without a step: MLflow then writes step 0.

    They would otherwise look like a restart that redid everything.
    """
    rows, at = metric.rows, metric.unstepped
    if at >= len(rows.step) or lives.at(rows.time[at - 1]) < lives.at(rows.time[at]):
        return rows
    count = len(rows.step) - at
    values = ", ".join(f"{value:g}" for value in rows.value[at:][:3])
    tally.warn(
        f"{name[:80]}: {count:,} row{'s' * (count > 1)} at step 0 after step"
        f" {int(rows.step[at - 1]):,}, as MLflow writes where no step was given, left out: {values}"
    )
    return rows.take(slice(0, at))
