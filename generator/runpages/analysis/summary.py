"""Summary statistics of one effective curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runpages.model import AtStep, MetricSummary, Series

from .curve import area_under, final_rows, slope_of, smoothed_end, value_at
from .roles import EVALUATIONS, direction_of, unit_of

__all__ = ["flatten", "summarize"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def summarize(
    series: Series, *, tokens: Series | None = None, at: Sequence[int] = ()
) -> MetricSummary | None:
    """None for a series of which no effective row is left.

    final = median of the last max(1 %, 32) finite points, with fewer than 320 points of the last
    tenth, of an evaluation of the last 1 % (one last value of a noisy curve misleads); the last
    value where that is fewer than three. best = the extreme in the metric's better direction. The
    area is over `tokens` where their rows cover the curve, else over steps. `at` are the steps to
    be told.
    """
    value, step = series.value, series.step
    if not len(value):
        return None
    finite = np.isfinite(value)
    y, steps = value[finite], step[finite]
    direction = direction_of(series.role)
    count = len(y)
    last = y[-final_rows(count, evaluation=series.role in EVALUATIONS) :]
    final = float(np.median(last)) if count else float("nan")
    best = best_step = None
    if direction is not None and count:
        position = int(np.argmin(y) if direction == "lower" else np.argmax(y))
        best, best_step = float(y[position]), int(steps[position])
    on_steps = count > 0 and series.info.axis == "step"
    smoothed, half_life = smoothed_end(steps, y) if on_steps else (None, None)
    area, over, width = _area(steps, y, tokens) if on_steps else (None, "", 0.0)
    return MetricSummary(
        name=series.name,
        role=series.role,
        direction=direction,
        unit=unit_of(series.role),
        points=series.info.points,
        superseded=int(series.superseded_rows.sum()),
        nonfinite=int((~finite).sum()),
        first_step=int(step[0]),
        last_step=int(step[-1]),
        first=float(value[0]),
        last=float(value[-1]),
        final=final,
        final_mad=float(np.median(np.abs(last - final))) if count else float("nan"),
        final_points=len(last),
        low=float(y.min()) if count else float("nan"),
        high=float(y.max()) if count else float("nan"),
        best=best,
        best_step=best_step,
        smoothed=smoothed,
        half_life=half_life,
        area=area,
        area_over=over,
        mean=None if area is None else area / width,
        slope=slope_of(steps, y) if on_steps else None,
        at=_at(steps, y, at),
    )


def _area(step: Ints, value: Floats, tokens: Series | None) -> tuple[float | None, str, float]:
    """Area under the curve, over what, and the width of that."""
    at, over = step.astype(np.float64), "steps"
    if tokens is not None and len(step) > 1:
        known = np.isfinite(tokens.value)
        count, rows = tokens.value[known], tokens.step[known]
        rising = len(count) > 1 and bool(np.all(count[1:] >= count[:-1]))
        if rising and rows[0] <= step[0] and rows[-1] >= step[-1]:
            together = len(rows) == len(step) and bool(np.all(rows == step))
            at, over = count if together else np.interp(at, rows, count), "tokens"
    area = area_under(at, value)
    return area, over if area is not None else "", float(at[-1] - at[0])


def _at(step: Ints, value: Floats, wanted: Sequence[int]) -> tuple[AtStep, ...]:
    found = ((one, value_at(step, value, one)) for one in wanted)
    return tuple(
        AtStep(step=one, value=told[0], row_step=told[1], rows=told[2])
        for one, told in found
        if told is not None
    )


def flatten(config: object, prefix: str = "") -> dict[str, object]:
    """Nested configuration as dotted keys -> values that are no mappings."""
    if not isinstance(config, dict):
        return {prefix: config}
    out: dict[str, object] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            out.update(flatten(value, name))
        else:
            out[name] = value
    return out
