"""How charts are kept for the browser: the format of charts.json, metrics-<nn>.json and details.

A chart is its Plotly layout and its traces. Of a trace x is kept as its start and the runs of equal
differences, values with five significant digits, and null is a break of the line. `key`
says what a trace is, and finer levels replace it by that: `c0` is the curve of the chart's first
metric, `o0` its superseded rows, `p0` the baseline, `b0` a band.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DETAIL_SCHEMA", "SCHEMA", "encoded", "stored"]

SCHEMA = "runpages.charts/2"
DETAIL_SCHEMA = "runpages.detail/1"

Floats = NDArray[np.float64]


def encoded(
    x: Floats,
    y: Floats,
    *,
    low: Floats | None = None,
    high: Floats | None = None,
    seconds: Floats | None = None,
) -> dict[str, Any]:
    """Columns of equal length: x0 and dx (count, difference, count, difference...), y, the ends of
    the band `lo` and `hi`, and `t`: seconds since the run's start, for rows whose step alone does
    not tell it."""
    x = np.round(x, 4)
    entry: dict[str, Any] = {"x0": _plain(float(x[0])), "dx": _runs(x), "y": _column(y)}
    if low is not None and high is not None:
        entry["lo"], entry["hi"] = _column(low), _column(high)
    if seconds is not None:
        entry["t"] = [_plain(round(float(v), 2)) for v in seconds]
    return entry


def stored(
    figure: Any, chart: str, *, times: Sequence[Sequence[float] | None] = ()
) -> dict[str, Any]:
    """The figure as data. `times`: for each of its bands from which to which second of the run."""
    curves = {trace.uid for trace in figure.data if trace.customdata is not None}
    data = []
    for trace in figure.data:
        if trace.uid and trace.uid.startswith("b") and f"c{trace.uid[1:]}" in curves:
            continue  # its curve says it
        data.append(_trace(trace))
    layout = figure.layout.to_plotly_json()
    layout.pop("template", None)
    return {"id": chart, "axis": layout.pop("meta"), "layout": layout, "data": data, "times": times}


def _trace(trace: Any) -> dict[str, Any]:
    x, y = np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)
    more: dict[str, Floats] = {}
    if trace.customdata is not None:
        columns = np.asarray(trace.customdata, dtype=float)
        names = ("seconds",) if columns.shape[1] == 1 else ("low", "high")
        more = {name: columns[:, n] for n, name in enumerate(names)}
    entry = encoded(x, y, **more)
    for key in ("mode", "meta", "fill", "name", "yaxis"):
        if trace[key]:
            entry[key] = trace[key]
    if trace.uid:
        entry["key"] = trace.uid
    if trace.text is not None:
        entry["text"] = list(trace.text)
    return entry


def _runs(x: Floats) -> list[float | int]:
    steps = np.round(np.diff(x), 4)
    starts = np.flatnonzero(np.diff(steps, prepend=np.nan) != 0)
    counts = np.diff(np.append(starts, len(steps)))
    pairs = zip(counts.tolist(), steps[starts].tolist(), strict=True)
    return [value for count, step in pairs for value in (count, _plain(step))]


def _column(values: Floats) -> list[float | int | None]:
    return [_short(float(v)) for v in values]


def _short(value: float) -> float | int | None:
    """Five significant digits; None where there is no number."""
    return _plain(float(f"{value:.5g}")) if math.isfinite(value) else None


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
