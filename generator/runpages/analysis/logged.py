"""Durations that the run logged itself: evaluations, checkpoints, waiting for data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.model import Quantity, Run, Series

from .intervals import AttemptRows, Intervals, dense_series

__all__ = [
    "DataWait",
    "Durations",
    "Waiting",
    "data_wait",
    "logged_durations",
    "tells_seconds",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SECONDS = re.compile(r"(.*[_/.])?(s|secs?|seconds|runtime)|.*\((s|sec|seconds)\)", re.IGNORECASE)
"""Names that prove their unit. `runtime` is Hugging Face's, in seconds
(transformers/trainer_utils.py, speed_metrics)."""
_MOST_OF_A_STEP = 1.05
"""Part of a step that waiting for data can take, with some room for rounding."""


@dataclass(frozen=True, slots=True)
class Durations:
    """One metric whose values are seconds, each spent just before its row was written."""

    series: Series

    def within(self, between: Intervals, attempt: int) -> Floats:
        """Seconds of it in each interval."""
        out = np.zeros(len(between))
        rows = self.series.attempt(attempt)
        good = np.isfinite(rows.time) & np.isfinite(rows.value) & (rows.value > 0)
        at = between.holding(rows.time[good])
        np.add.at(out, at[at >= 0], rows.value[good][at >= 0])
        return out


def tells_seconds(name: str) -> bool:
    """Whether a metric's name proves that it counts seconds."""
    return _SECONDS.fullmatch(name) is not None


def logged_durations(run: Run, role: str) -> tuple[Durations, ...]:
    """The metrics of a role whose names prove that they count seconds.

    One whose values are longer than the time since its row before is a running total: left out.
    """
    names = [name for name in run.series.with_role(role) if tells_seconds(name)]
    series = [run.series[name] for name in names]
    return tuple(Durations(one) for one in series if _fits_between_rows(one))


def _fits_between_rows(series: Series) -> bool:
    rows = series.recorded
    passed, value = np.diff(rows.time), rows.value[1:]
    same = np.diff(rows.attempt) == 0
    return not np.any(same & (value > _MOST_OF_A_STEP * passed + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Seconds of each interval that were spent waiting for data."""

    in_step: Floats
    """As part of the usual step."""
    in_excess: Floats
    """On top of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWait:
    """Seconds a step in each interval; `why` if the log cannot tell."""

    per_step: Floats
    name: str = ""
    why: str = ""

    def of(self, steps: Floats, slow: Flags, excess: Floats) -> Waiting:
        if self.why:
            return Waiting(in_step=np.zeros(len(steps)), in_excess=np.zeros(len(steps)))
        calm = self.per_step[~slow] if (~slow).any() else self.per_step
        usual = float(np.median(calm))
        beyond = np.clip(self.per_step * steps - usual * steps, 0.0, None)
        in_excess = np.where(slow, np.minimum(beyond, excess), 0.0)
        in_step = np.where(slow, np.minimum(self.per_step, usual), self.per_step) * steps
        return Waiting(in_step=in_step, in_excess=in_excess)

    def quantity(self, waiting: Waiting) -> Quantity:
        if self.why:
            return Quantity.unknown(self.why, "s")
        total = float(waiting.in_step.sum() + waiting.in_excess.sum())
        return Quantity(value=total, unit="s", note=f"logged as {self.name}, mean times steps")


def data_wait(run: Run, attempts: Sequence[AttemptRows], usual: float) -> DataWait:
    """Mean of the logged waiting times a step, interval by interval.

    Its unit must be proven: by the name, or by a step time of the same family that the clock
    confirms to be in seconds. `usual` is the usual step in seconds.
    """
    names = run.series.with_role("data_seconds")
    none = np.empty(0)
    if not names:
        return DataWait(per_step=none, why="waiting for data was not logged")
    name = names[0]
    if not tells_seconds(name) and not _family_in_seconds(run, name, usual):
        return DataWait(per_step=none, why=f"{name} does not say its unit")
    series = run.series[name]
    per_step = np.concatenate([_means(series, attempt) for attempt in attempts])
    known = np.isfinite(per_step)
    if not known.any():
        return DataWait(per_step=none, why=f"{name} has no row with a time")
    per_step[~known] = float(np.mean(per_step[known]))
    if float(np.median(per_step)) > _MOST_OF_A_STEP * usual:
        return DataWait(per_step=none, why=f"{name} is longer than a step, so its unit is not s")
    return DataWait(per_step=np.minimum(per_step, _longest(attempts)), name=name)


def _longest(attempts: Sequence[AttemptRows]) -> Floats:
    """No interval waited longer than it lasted, seconds a step."""
    parts = [a.intervals.seconds / np.maximum(a.intervals.steps, 1) for a in attempts]
    return np.concatenate(parts)


def _means(series: Series, attempt: AttemptRows) -> Floats:
    rows = series.attempt(attempt.number)
    good = np.isfinite(rows.time) & np.isfinite(rows.value) & (rows.value >= 0)
    at = attempt.intervals.holding(rows.time[good])
    inside = at >= 0
    size = len(attempt.intervals)
    count = np.bincount(at[inside], minlength=size)
    total = np.bincount(at[inside], weights=rows.value[good][inside], minlength=size)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _family_in_seconds(run: Run, name: str, usual: float) -> bool:
    """Whether a step time under the same prefix agrees with the clock as seconds."""
    prefix = name.rpartition("/")[0]
    dense = dense_series(run)
    for other in run.series.with_role("step_seconds"):
        if other.rpartition("/")[0] != prefix or dense is None:
            continue
        values = run.series[other].value
        values = values[np.isfinite(values) & (values > 0)]
        if len(values) and 0.5 <= float(np.median(values)) / max(usual, 1e-12) <= 2.0:
            return True
    return False
