"""Summary statistics of one effective curve."""

from __future__ import annotations

import numpy as np

from runpages.model import MetricSummary, Series

from .roles import direction_of, unit_of

__all__ = ["flatten", "summarize"]


def summarize(series: Series) -> MetricSummary | None:
    """None for a series of which no effective row is left.

    final = median of the last max(1 %, 32) finite points; with fewer than 320 points of the last
    tenth, so that an evaluation recorded a dozen times keeps its last value (one last value
    of a noisy curve misleads). best = the extreme in the metric's better direction.
    """
    value, step = series.value, series.step
    if not len(value):
        return None
    finite = np.isfinite(value)
    y, at = value[finite], step[finite]
    direction = direction_of(series.role)
    count = len(y)
    tail = max(count // 100, 32) if count >= 320 else max(1, count // 10)
    last = y[-tail:]
    final = float(np.median(last)) if count else float("nan")
    best = best_step = None
    if direction is not None and count:
        position = int(np.argmin(y) if direction == "lower" else np.argmax(y))
        best, best_step = float(y[position]), int(at[position])
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
