"""How long a run took by its own durations, where its log has no clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.model import Quantity, Run

from .continuity import first_step
from .detect import is_mean_since_start

__all__ = ["logged_seconds"]

_TOTALS = (
    ("elapsed_seconds", 1.0, "time since the start"),
    ("train_milliseconds", 1e-3, "training time"),
    ("train_seconds", 1.0, "training time"),
)
"""Roles of running totals, the whole time before the time of training alone."""
_SLOW = 3.0
_TOLD = 0.01
"""Part of the time from which on slow steps are told."""


def logged_seconds(run: Run) -> Quantity:
    """The last of a running total, else the sum of the time of every step; unknown if restarted.

    A total is of the whole run, what was before the log's first row included: the note says so.
    """
    if len(run.attempts) > 1 or len(run.series.spans) > 1:
        return Quantity.unknown("no clock in the log, and more than one attempt", "s")
    for role, factor, what in _TOTALS:
        for name in run.series.with_role(role):
            values = run.series[name].value
            values = values[np.isfinite(values)]
            if len(values) and values[-1] > 0:
                note = f"no clock: {what} as logged in {name}{_before(run)}"
                return Quantity(value=float(values[-1]) * factor, unit="s", note=note)
    return _summed(run)


def _before(run: Run) -> str:
    first = first_step(run)
    return "" if first is None else f", that before step {units.count(first)} included"


def _slow(seconds: NDArray[np.float64]) -> str:
    """What the steps take that hold something else as well: an evaluation, a checkpoint."""
    slow = seconds > _SLOW * np.median(seconds)
    taken = float(seconds[slow].sum())
    if taken < _TOLD * seconds.sum():
        return ""
    number = int(slow.sum())
    steps = f"{units.count(number)} step{'s' * (number > 1)}"
    return f", {units.duration(taken)} of it in {steps} of over {_SLOW:g} × the median"


def _summed(run: Run) -> Quantity:
    """Only where every step has its row and the name says the unit."""
    for name in run.series.with_role("step_milliseconds"):
        series = run.series[name]
        whole = len(series.step) > 1 and bool(np.all(np.diff(series.step) == 1))
        if whole and np.isfinite(series.value).all() and not is_mean_since_start(name):
            note = f"no clock: sum of {name} over {units.count(len(series.step))} steps"
            note += _slow(series.value * 1e-3)
            return Quantity(value=float(series.value.sum()) * 1e-3, unit="s", note=note)
    return Quantity.unknown("no clock in the log", "s")
