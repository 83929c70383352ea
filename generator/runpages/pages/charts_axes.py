"""What x may count: steps, tokens, or time, each as a line of few points over the step.

The browser interpolates between these points, so that no curve needs further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runpages.model import Columns, Run, SeriesInfo

__all__ = ["axes", "clock_start"]

NO_CLOCK = "no clock in the log"
NO_STEP = "no metric is over steps"
NO_TOKENS = "no metric counts tokens row by row"
_MOST = 64
_TOLERANCE = 1e-3
"""Largest error of the line, as a part of all it spans."""
_TRIED = 4
"""Metrics that are looked at for a clock, those with most rows first."""

Floats = NDArray[np.float64]
Line = list[list[float]]


def axes(run: Run, baseline: Run | None = None) -> dict[str, Any]:
    """`start` (UTC seconds), `clock` and `tokens` as [steps, values], the same of the baseline, and
    `why` an axis is absent. The clock counts seconds since `start`. `attempts` are [first step,
    number] of those whose rows stand, where there are several."""
    clock, tokens = _clock(run), _tokens(run)
    start = clock_start(run)
    why = {}
    stepless = not any(info.axis == "step" for info in run.series.whole)
    if stepless:
        why["step"] = NO_STEP
    if start is None or (clock is None and not stepless):
        why["time"] = NO_CLOCK
    if tokens is None:
        why["tokens"] = NO_TOKENS
    out: dict[str, Any] = {
        "start": start,
        "clock": clock,
        "tokens": tokens,
        "attempts": _attempts(run),
        "why": why,
    }
    if baseline is not None:
        out |= {"base_clock": _clock(baseline), "base_tokens": _tokens(baseline)}
    return out


def clock_start(run: Run) -> float | None:
    """When the run began; the first row's time where the source does not say it."""
    if run.start is not None:
        return run.start
    rows = _clocked(run)
    if rows is not None:
        return float(rows.time[0])
    sampled = [run.series[i.name].time for i in run.series.whole if i.axis == "time"]
    known = [float(t[np.isfinite(t)].min()) for t in sampled if np.isfinite(t).any()]
    return min(known, default=None)


def _own(run: Run) -> list[SeriesInfo]:
    """The run's own metrics over its own step, those with most rows first."""
    own = (i for i in run.series.whole if i.axis == "step" and not i.counter)
    return sorted(own, key=lambda i: -i.points)


def _attempts(run: Run) -> list[list[int]]:
    infos = _own(run)
    if len(run.series.spans) < 2 or not infos:
        return []
    rows = run.series[infos[0].name].effective
    changes = np.flatnonzero(np.diff(rows.attempt, prepend=-1) != 0)
    return [[int(rows.step[at]), int(rows.attempt[at])] for at in changes[:_MOST]]


def _clocked(run: Run) -> Columns | None:
    """Rows with a time of the metric that has most."""
    for info in _own(run)[:_TRIED]:
        rows = run.series[info.name].effective
        rows = rows.take(np.isfinite(rows.time))
        if len(rows.step) > 1 and rows.step[-1] > rows.step[0] and rows.time[-1] > rows.time[0]:
            return rows
    return None


def _clock(run: Run) -> Line | None:
    rows, start = _clocked(run), clock_start(run)
    if rows is None or start is None:
        return None
    changes = np.flatnonzero(np.diff(rows.attempt) != 0)
    return _line(
        rows.step, np.maximum.accumulate(rows.time) - start, keep=[*changes, *(changes + 1)]
    )


def _tokens(run: Run) -> Line | None:
    for name in run.series.with_role("tokens"):
        series = run.series[name]
        rows = series.effective.take(np.isfinite(series.effective.value))
        counts = series.info.axis == "step" and not series.info.counter and len(rows.step) > 1
        if counts and rows.value[-1] > rows.value[0] >= 0 and (np.diff(rows.value) >= 0).all():
            return _line(rows.step, rows.value)
    return None


def _line(step: NDArray[np.int64], value: Floats, *, keep: Sequence[int] = ()) -> Line:
    """Where it bends: of all points between two, the farthest from the line is added next."""
    x = step.astype(np.float64)
    chosen = sorted({0, len(x) - 1, *(int(k) for k in keep[:_MOST])})
    span = float(value[-1] - value[0]) or 1.0
    while len(chosen) < _MOST:
        away = np.abs(np.interp(x, x[chosen], value[chosen]) - value)
        worst = int(away.argmax())
        if away[worst] <= _TOLERANCE * span:
            break
        chosen = sorted({*chosen, worst})
    return [x[chosen].tolist(), [round(float(v), 3) for v in value[chosen]]]
