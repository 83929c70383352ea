"""The charts of a run: which ones, in which order, and what stands beside each.

Every chart is one Plotly figure (see `plots`), drawn as SVG for the page and stored as data for
the live chart in the browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.markup import Safe, json_bytes
from runpages.model import Columns, Event, Report, Series, SeriesSet, statistic_key

from .plots import STEPS, Axis, Drawing, elapsed, kept, stored
from .svg import draw
from .words import SEVERITY_CLASS

__all__ = ["Chart", "ChartSet", "build_charts", "event_chart"]

SCHEMA = "runpages.charts/1"
LINE_CLASSES = ("run", "s2", "s3", "s4", "s5")
_AROUND = 60
"""Rows that an event's chart shows before and after it."""
_INSIDE = 300
"""Rows of a long event that its chart shows."""
_LOG_NORM = 30.0
_LOG = 50.0
"""Curves of positive values are drawn on a log scale from this ratio of largest to smallest on."""
_STRAIGHT = 1e-3
"""A metric is a counter if it leaves the straight line by less than this part of its range."""
_OTHER_ROLES = frozenset(
    {None, "mfu", "data_seconds", "compute_seconds", "eval_seconds", "checkpoint_seconds"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure, ready for a page. Texts are raw: the template escapes them."""

    id: str
    title: str
    unit: str
    svg: Safe
    metrics: tuple[str, ...]
    caption: str
    legend: tuple[tuple[str, str], ...]
    """(class of the line, label)."""
    wide: bool
    rows: tuple[tuple[str, str, str, str, str], ...]
    """(metric, first, last, lowest, highest) for the table beside the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSet:
    charts: tuple[Chart, ...]
    files: Mapping[str, bytes]
    """File name -> bytes."""
    left_out: int = 0
    """Metrics that have no chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    id: str
    title: str
    names: tuple[str, ...]
    wide: bool = False
    log_from: float | None = None
    unit: str = ""
    """Where the name says more than the role."""


def build_charts(report: Report, *, limit: int = 12) -> ChartSet:
    """Up to `limit` charts in the order in which they matter, and charts.json."""
    charts: list[Chart] = []
    data: list[dict[str, Any]] = []
    for plan in _plans(report):
        if len(charts) == limit:
            break
        made = _chart(report, plan) if plan.names else None
        if made is not None:
            charts.append(made[0])
            data.append(made[1])
    drawn = {name for chart in charts for name in chart.metrics}
    files = {"charts.json": json_bytes({"schema": SCHEMA, "charts": data})} if charts else {}
    return ChartSet(
        charts=tuple(charts), files=files, left_out=len(report.run.series.whole) - len(drawn)
    )


def _plans(report: Report) -> Iterator[_Plan]:
    """Loss, gradient norm, learning rate, speed, evaluations, devices, then what has no role."""
    series = report.run.series
    points = {info.name: info.points for info in series.infos}

    def by_role(role: str, *, most: int = 4) -> tuple[str, ...]:
        names = sorted(series.with_role(role), key=lambda n: -points[n])
        return tuple(names[:most])

    losses = by_role("loss", most=2) + by_role("val_loss", most=2)
    yield _Plan(id="loss", title="Loss", names=losses, wide=True, log_from=_LOG)
    norms = by_role("grad_norm")
    yield _Plan(id="grad-norm", title="Gradient norm", names=norms, log_from=_LOG_NORM)
    for role, title in (
        ("lr", "Learning rate"),
        ("tokens_per_second", "Throughput"),
        ("tokens_per_second_per_device", "Throughput of one device"),
        ("step_seconds", "Step time"),
        ("step_milliseconds", "Step time"),
    ):
        yield _Plan(id=role.replace("_", "-"), title=title, names=by_role(role))
    for role in ("eval", "eval_lower"):
        for number, name in enumerate(by_role(role), start=1):
            yield _Plan(id=f"{role.replace('_', '-')}-{number}", title=name, names=(name,))
    for role, title in (("gpu_util", "Device use"), ("gpu_power", "Device power")):
        yield _Plan(id=role.replace("_", "-"), title=title, names=by_role(role))
    memory = by_role("gpu_memory", most=8)
    size = tuple(name for name in memory if "bytes" in name.lower())
    share = tuple(name for name in memory if name not in size)
    yield _Plan(id="gpu-memory", title="Device memory", names=share[:4])
    yield _Plan(id="gpu-memory-bytes", title="Device memory", names=size[:4], unit="bytes")
    yield from _plain_plans(series)


def _plain_plans(series: SeriesSet) -> Iterator[_Plan]:
    """What plays no role and has something to see, in the order of the source."""
    others = (i for i in series.whole if i.role in _OTHER_ROLES and i.axis == "step")
    number = 0
    for info in others:
        one = series[info.name] if info.points > 1 else None
        if one is not None and not _dull(one):
            number += 1
            log_from = _LOG if _spread(one.value) > _LOG else None
            yield _Plan(id=f"m-{number}", title=one.name, names=(one.name,), log_from=log_from)


def _dull(series: Series) -> bool:
    """A constant, or what only counts steps in its own way (an epoch, an iteration)."""
    step, value = series.step.astype(np.float64), series.value
    if len(step) < 4 or not np.isfinite(value).all():
        return False
    slope = (value[-1] - value[0]) / (step[-1] - step[0])
    away = np.abs(value - value[0] - slope * (step - step[0])).max()
    return bool(away <= _STRAIGHT * abs(value[-1] - value[0]))


def _spread(value: NDArray[np.float64]) -> float:
    """Ratio of the usually large to the usually small values; 1 where a value is not positive.

    One odd row (an accuracy of nearly 0 at the first step) does not call for a log scale.
    """
    finite = value[np.isfinite(value)]
    if not len(finite) or finite.min() <= 0:
        return 1.0
    low, high = np.quantile(finite, [0.05, 0.95])
    return float(high / low)


def _chart(report: Report, plan: _Plan) -> tuple[Chart, dict[str, Any]] | None:
    series = [report.run.series[name] for name in plan.names]
    axis, start = _axis(report, series)
    drawing = Drawing(axis=axis, start=start)
    legend: list[tuple[str, str]] = []
    events = [e for e in report.events if e.metric in plan.names]
    for number, one in enumerate(series):
        style = LINE_CLASSES[number % len(LINE_CLASSES)]
        legend += _add(drawing, report, one, style, events, alone=len(series) == 1)
    if not drawing.xs or (plan.id != "loss" and max(len(one) for one in series) < 2):
        return None  # a single evaluation stands in the table
    drawing.findings(events, wide=plan.wide)
    figure = drawing.figure(log_from=plan.log_from)
    remarks = [f"over {axis.title}"] if axis.kind == "time" else []
    chart = Chart(
        id=plan.id,
        title=plan.title,
        unit=plan.unit or _unit(report, plan.names),
        svg=draw(figure, label=f"{plan.title} over {axis.title}: {', '.join(plan.names)}"),
        metrics=plan.names,
        caption="; ".join([*remarks, *dict.fromkeys(drawing.remarks)]),
        legend=tuple(dict.fromkeys(legend)),
        wide=plan.wide,
        rows=tuple(row for one in series for row in _row(report, one)),
    )
    return chart, stored(figure, plan.id)


def _axis(report: Report, series: Sequence[Series]) -> tuple[Axis, float | None]:
    """What x counts, and the time at which a time axis begins."""
    if series[0].info.axis == "step":
        return STEPS, None
    times = np.concatenate([one.time for one in series])
    times = times[np.isfinite(times)]
    if not len(times):
        return elapsed(0), None
    start = report.run.start if report.run.start is not None else float(times.min())
    return elapsed(float(times.max()) - start), start


def _add(
    drawing: Drawing,
    report: Report,
    series: Series,
    style: str,
    events: Sequence[Event],
    *,
    alone: bool,
) -> Iterator[tuple[str, str]]:
    """Draw a metric with its redone rows and its baseline; yields lines of the legend."""
    rows = series.effective
    keep = kept(rows.step, [e for e in events if e.metric == series.name])
    ranks = _over_ranks(report, series.name)
    if ranks is not None:
        drawing.band(*ranks, style)
        yield style, "mean of the ranks" if alone else series.name
        drawing.curve(rows, style, series.name, keep=keep, banded=False)
        if alone:
            yield "band", "min–max of the ranks"
    elif drawing.curve(rows, style, series.name, keep=keep):
        yield style, "mean" if alone else series.name
        if alone:
            yield "band", "min–max"
    elif len(rows.step):
        yield style, "this run" if alone else series.name
    old = series.superseded
    if len(old.step) and drawing.line(old, "old", f"{series.name}, redone later"):
        yield "old", "redone later"
    baseline = report.baseline.run if report.baseline is not None else None
    if baseline is not None and series.name in baseline.series:
        other = baseline.series[series.name].effective
        if drawing.line(other, "base", f"{series.name}, baseline", start=baseline.start):
            yield "base", "baseline"


def _over_ranks(report: Report, name: str) -> tuple[Columns, Columns] | None:
    """The smallest and the greatest value of the ranks at each step."""
    series = report.run.series
    keys = statistic_key(name, "min"), statistic_key(name, "max")
    if not all(key in series for key in keys):
        return None
    return series[keys[0]].effective, series[keys[1]].effective


def _unit(report: Report, names: Sequence[str]) -> str:
    units_of = {report.metrics[n].unit for n in names if n in report.metrics}
    return units_of.pop() if len(units_of) == 1 else ""


def _row(report: Report, series: Series) -> Iterator[tuple[str, str, str, str, str]]:
    summary = report.metrics.get(series.name)
    if summary is not None:
        numbers = (summary.first, summary.last, summary.low, summary.high)
        first, last, low, high = (units.number(v) for v in numbers)
        yield series.name, first, last, low, high


def event_chart(report: Report, event: Event) -> Safe:
    """Every row around a finding as its attempt logged it; empty where there are too few."""
    if event.kind == "restart":
        return Safe("")  # no metric went wrong
    rows = _around(report, event)
    good = np.isfinite(rows.value)
    if good.sum() < 3:
        return Safe("")
    drawing = Drawing()
    nothing = np.zeros(len(rows.step), dtype=bool)
    drawing.curve(rows, "run", event.metric, keep=nothing)
    peaks = np.flatnonzero((rows.step == event.peak_step) & good)
    if len(peaks):
        drawing.point(float(rows.step[peaks[0]]), float(rows.value[peaks[0]]), "run")
    first, last = int(rows.step[0]), int(rows.step[-1])
    inside = max(event.start_step, first), min(event.end_step, last)
    drawing.shapes.append(
        {"type": "rect", "yref": "paper", "x0": inside[0], "x1": inside[1], "y0": 0, "y1": 1,
         "name": SEVERITY_CLASS[event.severity]}
    )  # fmt: skip
    where = event.peak_step if event.peak_step is not None else event.start_step
    return draw(drawing.figure(log_from=_LOG), label=f"{event.metric} around step {where}")


def _around(report: Report, event: Event) -> Columns:
    """Rows of the event's attempt, `_AROUND` to each side; else the rows kept as evidence."""
    series = report.run.series
    # samples by the clock stand on other numbers than the finding's steps
    if event.metric in series and series.info(event.metric).axis == "step":
        rows = report.run.series[event.metric].attempt(event.attempt)
        begin = int(np.searchsorted(rows.step, event.start_step, side="left"))
        end = int(np.searchsorted(rows.step, event.end_step, side="right"))
        end = min(end, begin + _INSIDE)
        return rows.take(slice(max(0, begin - _AROUND), end + _AROUND))
    step = np.array([s for s, _ in event.evidence], dtype=np.int64)
    value = np.array([v for _, v in event.evidence], dtype=np.float64)
    return Columns(step, np.full(len(step), np.nan), value, np.full(len(step), event.attempt))
