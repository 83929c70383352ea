"""The charts of a run: Plotly figures, each drawn as SVG and stored as data for the browser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.markup import Safe, json_bytes, plotly_text
from runpages.model import Columns, Event, Report, Series

from .downsample import bucketed
from .svg import draw

__all__ = ["Chart", "ChartSet", "build_charts", "event_chart"]

SCHEMA = "runpages.charts/1"
LINE_CLASSES = ("run", "s2", "s3", "s4", "s5")
SEVERITY_CLASS = {"critical": "crit", "warning": "warn", "info": "info"}
_LABELLED_EVENTS = 6
_LABEL_WIDTH = 0.08
"""Share of the axis that the word over a finding takes."""
_LOG_FROM = 30.0
"""Curves of positive values are drawn on a log scale from this ratio of largest to smallest on."""

Floats = NDArray[np.float64]


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
    axis: str = "step"


@dataclass(slots=True)
class _Drawing:
    """Traces, bands and marks gathered for one figure."""

    traces: list[dict[str, Any]] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    xs: list[Floats] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def build_charts(report: Report, *, limit: int = 16) -> ChartSet:
    """Up to `limit` charts in the order in which they matter, and charts.json."""
    plans = [plan for plan in _plans(report) if plan.names]
    charts, data = [], []
    for plan in plans[:limit]:
        made = _chart(report, plan)
        if made is not None:
            charts.append(made[0])
            data.append(made[1])
    drawn = {name for chart in charts for name in chart.metrics}
    files = {"charts.json": json_bytes({"schema": SCHEMA, "charts": data})} if charts else {}
    return ChartSet(charts=tuple(charts), files=files, left_out=len(report.run.series) - len(drawn))


def _plans(report: Report) -> Iterator[_Plan]:
    series = report.run.series
    points = {i.name: i.points for i in series.infos}

    def by_role(role: str, *, most: int = 4) -> tuple[str, ...]:
        names = sorted(series.with_role(role), key=lambda n: -points[n])
        return tuple(names[:most])

    losses = by_role("loss", most=2) + by_role("val_loss", most=2)
    yield _Plan(id="loss", title="Loss", names=losses, wide=True)
    yield _Plan(id="grad-norm", title="Gradient norm", names=by_role("grad_norm"))
    yield _Plan(id="lr", title="Learning rate", names=by_role("lr"))
    for role in ("eval", "eval_lower"):
        for number, name in enumerate(by_role(role), start=1):
            yield _Plan(id=f"{role.replace('_', '-')}-{number}", title=name, names=(name,))
    yield _Plan(id="tokens-per-second", title="Throughput", names=by_role("tokens_per_second"))
    yield _Plan(id="step-time", title="Step time", names=by_role("step_seconds"))
    yield _Plan(id="step-ms", title="Step time", names=by_role("step_milliseconds"))
    for role, title in (
        ("gpu_util", "Device use"),
        ("gpu_power", "Device power"),
        ("gpu_memory", "Device memory"),
    ):
        names = by_role(role)
        axis = series.info(names[0]).axis if names else "step"
        yield _Plan(id=role.replace("_", "-"), title=title, names=names, axis=axis)
    number = 0
    for info in series.infos:
        plain = info.role in {None, "mfu", "data_seconds", "compute_seconds"}
        if plain and info.axis == "step" and info.points > 1:
            number += 1
            yield _Plan(id=f"m-{number}", title=info.name, names=(info.name,))


def _chart(report: Report, plan: _Plan) -> tuple[Chart, dict[str, Any]] | None:
    drawing = _Drawing()
    rows = []
    for number, name in enumerate(plan.names):
        series = report.run.series[name]
        style = LINE_CLASSES[number % len(LINE_CLASSES)]
        events = [e for e in report.events if e.metric == name and e.kind != "restart"]
        _curve(drawing, report, series, style, events, axis=plan.axis, several=len(plan.names) > 1)
        rows += _row(report, series)
    if not drawing.traces:
        return None
    figure = _figure(drawing, plan)
    unit = _unit(report, plan.names)
    chart = Chart(
        id=plan.id,
        title=plan.title,
        unit=unit,
        svg=draw(figure, label=_label(plan)),
        metrics=plan.names,
        caption="; ".join(drawing.remarks),
        legend=tuple(drawing.legend),
        wide=plan.wide,
        rows=tuple(rows),
    )
    return chart, _stored(figure, plan)


def _label(plan: _Plan) -> str:
    over = "elapsed minutes" if plan.axis == "time" else "step"
    return f"{plan.title} over {over}: {', '.join(plan.names)}"


def _unit(report: Report, names: Sequence[str]) -> str:
    units_of = {report.metrics[n].unit for n in names if n in report.metrics}
    return units_of.pop() if len(units_of) == 1 else ""


def _row(report: Report, series: Series) -> list[tuple[str, str, str, str, str]]:
    summary = report.metrics.get(series.name)
    if summary is None:
        return []
    numbers = (summary.first, summary.last, summary.low, summary.high)
    first, last, low, high = (units.number(v) for v in numbers)
    return [(series.name, first, last, low, high)]


def _x(rows: Columns, axis: str, start: float | None) -> Floats:
    if axis == "time":
        return np.asarray((rows.time - (start or 0.0)) / 60.0)
    return rows.step.astype(np.float64)


def _curve(
    drawing: _Drawing,
    report: Report,
    series: Series,
    style: str,
    events: Sequence[Event],
    *,
    axis: str,
    several: bool,
) -> None:
    start = report.run.start
    old = series.superseded
    if len(old.step):
        _line(drawing, "old", "redone later", _x(old, axis, start), old.value)
    if report.baseline is not None and series.name in report.baseline.run.series:
        other = report.baseline.run.series[series.name].effective
        own_start = report.baseline.run.start
        _line(drawing, "base", "baseline", _x(other, axis, own_start), other.value)
    rows = series.effective
    x, keep = _x(rows, axis, start), _near(rows.step, events)
    noisy = False
    for part in _segments(rows):
        noisy |= _segment(drawing, style, series.name, x[part], rows.value[part], keep[part])
    label = series.name if several else "this run"
    drawing.legend.append((style, label))
    if noisy and not several:
        drawing.legend.append(("band", "min–max"))
    bad = ~np.isfinite(rows.value)
    for position in np.flatnonzero(bad)[:20]:
        drawing.notes.append({"name": "bad", "x": float(x[position]), "text": "", "y": 0})
    if bad.any():
        drawing.remarks.append(f"{units.count(int(bad.sum()))} non-finite values marked below")
    if axis == "step":
        _bands(drawing, events)


def _segments(rows: Columns) -> list[slice]:
    """Where the attempt changes the line breaks."""
    cuts = [0, *(np.flatnonzero(np.diff(rows.attempt)) + 1).tolist(), len(rows.step)]
    return [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]


def _near(step: NDArray[np.int64], events: Sequence[Event]) -> NDArray[np.bool_]:
    keep = np.zeros(len(step), dtype=bool)
    for event in events:
        keep |= (step >= event.start_step - 2) & (
            step <= min(event.end_step, event.start_step + 60)
        )
    return keep


def _segment(
    drawing: _Drawing, style: str, name: str, x: Floats, y: Floats, keep: NDArray[np.bool_]
) -> bool:
    buckets = bucketed(x, y, keep=keep)
    if not len(buckets.x):
        return False
    noisy = buckets.width > 1
    if noisy:
        outline_x = np.concatenate([buckets.x, buckets.x[::-1]])
        outline_y = np.concatenate([buckets.high, buckets.low[::-1]])
        drawing.traces.append(
            {"x": outline_x, "y": outline_y, "mode": "lines", "fill": "toself", "hoverinfo": "skip",
             "meta": f"band {style}", "showlegend": False, "line": {"width": 0}}
        )  # fmt: skip
    mode = "lines" if len(buckets.x) > 1 else "markers"
    drawing.traces.append(
        {"x": buckets.x, "y": buckets.mean, "mode": mode, "meta": style, "name": plotly_text(name)}
    )
    drawing.values += [buckets.low, buckets.high]
    drawing.xs.append(buckets.x)
    return noisy


def _line(drawing: _Drawing, style: str, label: str, x: Floats, y: Floats) -> None:
    order = np.argsort(x, kind="stable")
    buckets = bucketed(x[order], y[order])
    if not len(buckets.x):
        return
    mode = "lines" if len(buckets.x) > 1 else "markers"
    drawing.traces.append(
        {"x": buckets.x, "y": buckets.mean, "mode": mode, "meta": style, "name": label}
    )
    drawing.values.append(buckets.mean)
    drawing.xs.append(buckets.x)
    if (style, label) not in drawing.legend:
        drawing.legend.append((style, label))


def _bands(drawing: _Drawing, events: Sequence[Event]) -> None:
    """Bands under the curve, with the kind above where there is room for the word."""
    span = max((float(x.max()) for x in drawing.xs), default=0.0) or 1.0
    for event in events:
        # what lasts to the end of the run is marked where it begins: a band over everything after
        # would hide the curve
        lasting = event.kind == "divergence" and event.recovered is False
        end = min(event.end_step, event.start_step + 0.015 * span) if lasting else event.end_step
        drawing.shapes.append(
            {"type": "rect", "xref": "x", "yref": "paper", "x0": event.start_step, "x1": end,
             "y0": 0, "y1": 1, "name": SEVERITY_CLASS[event.severity], "layer": "below",
             "line": {"width": 0}}
        )  # fmt: skip
    taken = [note["x"] for note in drawing.notes if note["name"] == "event"]
    for event in events:
        if len(taken) < _LABELLED_EVENTS and all(
            abs(event.start_step - x) > _LABEL_WIDTH * span for x in taken
        ):
            taken.append(event.start_step)
            drawing.notes.append(
                {"name": "event", "x": event.start_step, "y": 1, "yref": "paper",
                 "text": event.kind.replace("_", " "), "yanchor": "bottom"}
            )  # fmt: skip


def _range(drawing: _Drawing) -> tuple[list[float], str, list[str]]:
    """(y range, axis type, remarks). The steep start of a curve may leave the frame."""
    values = np.concatenate(drawing.values)
    low, high = float(values.min()), float(values.max())
    remarks: list[str] = []
    if low > 0 and high / low > _LOG_FROM:
        pad = 0.03 * math.log10(high / low)
        return [math.log10(low) - pad, math.log10(high) + pad], "log", ["log scale"]
    settled = [v[max(1, len(v) // 50) :] for v in drawing.values if len(v) > 20]
    if settled:
        late = np.concatenate(settled)
        usual = float(np.quantile(late, 0.98)) - float(late.min())
        top = max(float(late.max()), float(late.min()) + usual)
        if usual > 0 and high > top + 0.6 * (top - low):
            remarks.append(f"starts at {units.number(high)}, above the frame")
            high = top + 0.25 * (top - low)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - pad, high + pad], "linear", remarks


def _figure(drawing: _Drawing, plan: _Plan) -> Any:
    """A validated Plotly figure without template."""
    import plotly.graph_objects as go

    y_range, kind, remarks = _range(drawing)
    drawing.remarks = [*remarks, *drawing.remarks]
    xs = np.concatenate(drawing.xs)
    left, right = float(xs.min()), float(xs.max())
    order = {"old": 0, "base": 1}
    traces = sorted(
        drawing.traces,
        key=lambda t: order.get(t["meta"], 2 if str(t["meta"]).startswith("band") else 3),
    )
    annotations = [{"showarrow": False, **note} for note in drawing.notes]
    return go.Figure(
        data=[go.Scatter(**trace) for trace in traces],
        layout={
            "template": None,
            "xaxis": {
                "range": [left, right if right > left else left + 1],
                "title": {"text": "elapsed minutes" if plan.axis == "time" else "step"},
            },
            "yaxis": {"range": y_range, "type": kind},
            "shapes": drawing.shapes,
            "annotations": annotations,
            "hovermode": "x unified",
        },
    )


def _short(value: float) -> float | int | None:
    """Five significant digits; None where there is no number."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _stored(figure: Any, plan: _Plan) -> dict[str, Any]:
    """The figure as data: x as differences, which compress best."""
    data = []
    for trace in figure.data:
        x = np.round(np.asarray(trace.x, dtype=float), 3)
        entry = {
            "x0": _short(float(x[0])) if len(x) else 0,
            "dx": [_short(float(v)) for v in np.diff(x)],
            "y": [_short(float(v)) for v in np.asarray(trace.y, dtype=float)],
            "mode": trace.mode,
            "meta": trace.meta,
        }
        if trace.fill:
            entry["fill"] = trace.fill
        if trace.name:
            entry["name"] = trace.name
        data.append(entry)
    layout = figure.layout.to_plotly_json()
    layout.pop("template", None)
    layout["annotations"] = [a for a in layout.get("annotations", ()) if a.get("name") == "event"]
    return {"id": plan.id, "layout": layout, "data": data}


def event_chart(report: Report, event: Event) -> Safe:
    """The rows around an event as its attempt recorded them; empty where there are too few."""
    rows = [(s, v) for s, v in event.evidence if math.isfinite(v)]
    if len(rows) < 3:
        return Safe("")
    step, value = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    drawing = _Drawing()
    drawing.values.append(value)
    drawing.xs.append(step)
    mode = "lines"
    drawing.traces.append({"x": step, "y": value, "mode": mode, "meta": "run"})
    style = SEVERITY_CLASS[event.severity]
    inside = (max(event.start_step, step[0]), min(event.end_step, step[-1]))
    drawing.shapes.append(
        {"type": "rect", "x0": inside[0], "x1": inside[1], "y0": 0, "y1": 1, "name": style}
    )
    plan = _Plan(id="event", title=event.metric, names=(event.metric,))
    figure = _figure(drawing, plan)
    return draw(figure, label=f"{event.metric} around step {event.peak_step}")
