"""What one step took: logged, from a running total of training time, or by the clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.model import Columns, Quantity, Run

from .detect import is_mean_since_start, level_of, segments
from .detect.periodic import periodic_rows
from .intervals import Intervals, dense_series

__all__ = ["StepTimes", "find_step_times"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_AGREES = 30.0
"""Most that a logged step time may differ from the clock's: evaluation and logging lie between the
two, but a factor of 1,000 (its root is about 30) means that the unit is another one."""
_EVALUATION = re.compile(r"(^|[/_.])(val|valid|validation|eval|dev|test)(?=[/_.]|$)", re.IGNORECASE)
_LEAST_STEPS = 50
"""Where rows are unevenly far apart, a count of steps may be one off: then by so many, to 2 %."""
_UNEVEN = 0.05
"""Share of the rows that lie one step nearer or farther than usual."""
_LEAST_ROWS = 8
"""Rows of which a period can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """Seconds a step of each stretch between rows, and the steps it stands for."""

    seconds: Floats
    steps: Floats
    how: str
    """Where they come from; why there are none."""
    mean: float | None = None
    """The mean since the start, where nothing else was logged."""

    def percentile(self, q: float) -> Quantity:
        """Over steps: a stretch of many counts as many times."""
        if not len(self.seconds):
            if self.mean is not None and q == 50:
                return Quantity(value=self.mean, unit="s", note=self.how)
            return Quantity.unknown(self.how, "s")
        if np.all(self.steps == self.steps[0]):
            return Quantity(value=float(np.percentile(self.seconds, q)), unit="s", note=self.how)
        order = np.argsort(self.seconds, kind="stable")
        reached = np.cumsum(self.steps[order])
        at = int(np.searchsorted(reached, q / 100 * reached[-1]))
        return Quantity(value=float(self.seconds[order][at]), unit="s", note=self.how)


def find_step_times(run: Run) -> StepTimes:
    """The logged time of a step, else differences of a total of training time, else the clock.

    What was logged counts if the clock confirms its unit, or if there is no clock. A mean since the
    start is none of single steps: it has no percentiles.
    """
    if run.provenance.step_unit:
        return _none(f"the steps of this log count {run.provenance.step_unit}")
    clock = _by_clock(run)
    how = clock.how
    for found, name in (*_logged(run), *_of_totals(run)):
        if not len(clock.seconds):
            return found
        ratio = float(np.median(found.seconds) / max(np.median(clock.seconds), 1e-12))
        if 1 / _AGREES <= ratio <= _AGREES:
            return StepTimes(
                seconds=found.seconds, steps=found.steps, how=found.how.partition(";")[0]
            )
        how += f"; {name} disagrees with the clock, so its unit is not known"
    if len(clock.seconds):
        return StepTimes(seconds=clock.seconds, steps=clock.steps, how=how)
    return _running_mean(run) or clock


def _none(why: str) -> StepTimes:
    return StepTimes(seconds=np.empty(0), steps=np.empty(0), how=why)


def _names(run: Run, *roles: tuple[str, float]) -> Iterator[tuple[str, float]]:
    """(name, factor to seconds) of the metrics of these roles."""
    for role, factor in roles:
        yield from ((name, factor) for name in run.series.with_role(role))


def _logged(run: Run) -> Iterator[tuple[StepTimes, str]]:
    for name, factor in _names(run, ("step_seconds", 1.0), ("step_milliseconds", 1e-3)):
        values = run.series[name].value * factor
        values = values[np.isfinite(values) & (values > 0)]
        if len(values) and not is_mean_since_start(name):
            how = f"logged as {name}; no clock confirms its unit"
            yield StepTimes(seconds=values, steps=np.ones(len(values)), how=how), name


def _running_mean(run: Run) -> StepTimes | None:
    for name, factor in _names(run, ("step_seconds", 1.0), ("step_milliseconds", 1e-3)):
        values = run.series[name].value * factor
        values = values[np.isfinite(values) & (values > 0)]
        if len(values) and is_mean_since_start(name):
            how = f"mean since the start, as logged in {name}: single steps were not timed"
            return StepTimes(
                seconds=np.empty(0), steps=np.empty(0), how=how, mean=float(values[-1])
            )
    return None


def _of_totals(run: Run) -> Iterator[tuple[StepTimes, str]]:
    """Differences of running totals; one that falls began anew there (modded-nanogpt's timer)."""
    for name, factor in _names(run, ("train_milliseconds", 1e-3), ("train_seconds", 1.0)):
        parts = [_gaps(rows) for rows in _attempts(run, name, timed=False)]
        seconds = np.concatenate([np.empty(0), *(s for s, _ in parts)]) * factor
        steps = np.concatenate([np.empty(0), *(n for _, n in parts)])
        if len(seconds):
            how = _told(f"differences of {name}", steps)
            yield StepTimes(seconds=seconds / steps, steps=steps, how=how), name


def _gaps(rows: Columns) -> tuple[Floats, Floats]:
    rows = rows.take(np.isfinite(rows.value))
    moved, steps = np.diff(rows.value), np.diff(rows.step)
    good = (moved > 0) & (steps > 0)
    return moved[good], steps[good].astype(np.float64)


def _attempts(run: Run, name: str, *, timed: bool) -> Iterator[Columns]:
    series = run.series[name]
    for number in np.unique(series.recorded.attempt):
        rows = series.attempt(int(number))
        yield rows.take(np.isfinite(rows.time)) if timed else rows


def _told(how: str, steps: Floats) -> str:
    # a slow step is lost in the mean of many: the reader of a percentile must know
    apart = float(np.median(steps))
    return f"{how}, each a mean over {apart:g} steps" if apart > 1 else how


def _by_clock(run: Run) -> StepTimes:
    """Time between rows of the densest metric, without stretches that hold an evaluation."""
    dense = dense_series(run)
    if dense is None:
        return _none("no metric has two rows")
    seconds, steps, held = [np.empty(0)], [np.empty(0)], False
    for rows in _attempts(run, dense.name, timed=True):
        between = _between(rows)
        if not len(between):
            continue
        free = ~_evaluated(run, between)
        held = held or not free.all()
        free &= ~_periodic(between)
        for first, last in segments(free):
            spent, done = _joined(
                between.seconds[first : last + 1], between.steps[first : last + 1]
            )
            seconds.append(spent)
            steps.append(done)
    spent, done = np.concatenate(seconds), np.concatenate(steps)
    if not len(spent):
        why = "every stretch between rows holds an evaluation" if held else "no clock in the log"
        return _none(why)
    how = f"time between rows of {dense.name}{', evaluations left out' if held else ''}"
    return StepTimes(seconds=spent / done, steps=done, how=_told(how, done))


def _between(rows: Columns) -> Intervals:
    """Stretches in which the step rose and the clock did not go back."""
    good = (np.diff(rows.step) > 0) & (np.diff(rows.time) >= 0)
    return Intervals(
        start=rows.time[:-1][good],
        end=rows.time[1:][good],
        first_step=rows.step[:-1][good],
        last_step=rows.step[1:][good],
    )


def _evaluated(run: Run, between: Intervals) -> Flags:
    found = np.zeros(len(between), dtype=bool)
    for info in run.series.whole:
        evaluates = info.role in {"val_loss", "eval_seconds"} or (
            info.role in {"eval", "eval_lower"} and _EVALUATION.search(info.name)
        )
        if evaluates and info.axis == "step":
            time = run.series[info.name].recorded.time
            at = between.holding(time[np.isfinite(time)])
            found[at[at >= 0]] = True
    return found


def _periodic(between: Intervals) -> Flags:
    """Slow stretches that come back evenly: evaluations or checkpoints that were not logged."""
    if len(between) < _LEAST_ROWS or not np.all(between.seconds > 0):
        return np.zeros(len(between), dtype=bool)
    cost = np.log(between.seconds / between.steps)
    return periodic_rows(between.last_step, cost, level_of(cost))


def _joined(seconds: Floats, steps: Ints) -> tuple[Floats, Floats]:
    """Neighbours joined where their steps differ by one, as those of a rounded count do."""
    usual = float(np.median(steps))
    uneven = usual > 1 and float(np.mean(np.abs(steps - usual) == 1)) > _UNEVEN
    if not uneven or int(steps.sum()) < _LEAST_STEPS:
        return seconds, steps.astype(np.float64)
    window = np.cumsum(steps) - steps
    first = np.flatnonzero(np.diff(window // _LEAST_STEPS, prepend=-1))
    spent, done = np.add.reduceat(seconds, first), np.add.reduceat(steps, first)
    whole = done >= _LEAST_STEPS / 2  # the last may be a short rest
    return spent[whole], done[whole].astype(np.float64)
