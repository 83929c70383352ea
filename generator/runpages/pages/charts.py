"""The charts of a run: what each shows, what stands beside it, and their files.

Every chart is one Plotly figure (see `plots`), drawn as SVG for the page and stored as data for
the live chart in the browser. The first dozen stand on the page; the others are packed in files of
at most 64 metrics each, which the page's index of metrics opens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runpages import units
from runpages.markup import Safe, json_bytes
from runpages.model import Columns, Event, Report, Series, statistic_key

from .charts_axes import axes, clock_start
from .charts_data import SCHEMA, stored
from .charts_detail import detail_files
from .charts_plan import Plan, device_labels, plans
from .plots import Axis, Drawing, axis_of, elapsed, kept
from .room import LIGHT, Room
from .svg import draw
from .words import SEVERITY_CLASS

__all__ = ["Chart", "ChartSet", "build_charts", "event_chart"]

LINE_CLASSES = ("run", "s2", "s3", "s4", "s5")
_PACK = 64
"""Metrics in one file of further metrics."""
_WIDE_LIMIT = 300
"""Buckets of a chart of the whole page's width: one for 4 pixels."""
_NARROW_LIMIT = 160
"""The same of half the page's width."""
_PACK_LIMIT = 120
"""Buckets of a further metric."""
_PACK_FEW = 192
_PACK_COARSE = 40
"""The same where there are more further charts than `_PACK_FEW`."""
_PACKED = 448
"""Further charts at most: seven files, half a megabyte."""
_EACH_LIMIT = 60
"""Buckets of each of many devices; what they hide, the band shows."""
_EXACT = frozenset({"val_loss", "eval", "eval_lower", "lr", "tokens"})
"""Roles whose curves are no noise: smoothing would only make them late."""
_WANTED = {
    "training loss": {"loss"},
    "validation loss": {"val_loss"},
    "gradient norm": {"grad_norm"},
    "learning rate": {"lr"},
    "throughput or step time": {
        "tokens_per_second",
        "tokens_per_second_per_device",
        "step_seconds",
        "step_milliseconds",
    },
    "device use": {"gpu_util", "gpu_power", "gpu_memory"},
}
"""What a reader of a training run looks for -> the roles that show it."""
_AROUND = 60
"""Rows that an event's chart shows before and after it."""
_INSIDE = 300
"""Rows of a long event that its chart shows."""
_LOG = 50.0
"""An event's chart has a log scale from this ratio of largest to smallest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure, ready for a page. Texts are raw: the template escapes them."""

    id: str
    title: str
    unit: str
    svg: Safe
    metrics: tuple[str, ...]
    caption: str
    over: str
    """What x counts, where that is not the step."""
    legend: tuple[tuple[str, str], ...]
    """(class of the line, label)."""
    wide: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSet:
    charts: tuple[Chart, ...]
    files: Mapping[str, bytes]
    """File name -> bytes."""
    finer: frozenset[str] = frozenset()
    """Files that light runs do without."""
    more: int = 0
    """Further charts, in the index of metrics."""
    uncharted: int = 0
    """Metrics beyond these."""
    absent: tuple[str, ...] = ()
    """What a reader would look for and no metric was recognised as."""
    no_step: str = ""
    """Why x cannot count steps; empty if it can."""
    no_tokens: str = ""
    """Why x cannot count tokens; empty if it can."""
    no_time: str = ""
    """Why x cannot count time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A chart before its figure: all charts have a say in its x axis."""

    plan: Plan
    series: tuple[Series, ...]
    drawing: Drawing
    legend: tuple[tuple[str, str], ...]
    events: tuple[Event, ...]

    @property
    def refined(self) -> bool:
        """Whether zooming in shows more: some curve has rows that are not drawn by themselves."""
        longest = max(len(one) for one in self.series)
        return not self.plan.histogram and longest > 2 * self.drawing.limit

    def finished(self) -> tuple[Any, str]:
        """(figure, caption)."""
        self.drawing.findings(self.events, wide=self.plan.wide)
        figure = self.drawing.figure(log_from=self.plan.log_from)
        return figure, "; ".join(dict.fromkeys(self.drawing.remarks))


def build_charts(
    report: Report, *, limit: int = 12, room: Room = LIGHT, finer_bytes: int = 0
) -> ChartSet:
    """Up to `limit` charts in the order in which they matter, and the files of all charts.

    `room` is what their drawings and the files of a light run may take; `finer_bytes` is what else
    a full run holds.
    """
    main: list[_Made] = []
    rest: list[Plan] = []
    for plan in plans(report):
        made = _made(report, plan) if len(main) < limit and not plan.indexed else None
        if made is not None:
            main.append(made)
        elif not _single(report, plan):
            rest.append(plan)
    _share_axes(main)
    charts, data = [], []
    for made in main:
        figure, caption = made.finished()
        charts.append(_chart(report, made, figure, caption))
        data.append(_stored(made, figure))
    packs, index = _packs(report, rest[:_PACKED])
    if not (charts or index):
        return ChartSet(charts=(), files={})
    baseline = report.baseline.run if report.baseline is not None else None
    shown = {made.plan.id: made.series for made in main if made.refined}
    details, names = detail_files(report, shown, spent=finer_bytes)
    kinds = axes(report.run, baseline)
    first: dict[str, Any] = {
        "schema": SCHEMA,
        "slug": report.run.slug,
        "axes": kinds,
        "charts": data,
        "more": index,
        "detail": names,
    }
    drawn = sum(len(chart.svg) for chart in charts) + len(json_bytes(first))
    light = _light(packs, Room(room.files - 1, room.size - drawn))
    first["light_packs"] = len(light)
    return ChartSet(
        charts=tuple(charts),
        files={"charts.json": json_bytes(first), **packs, **details},
        finer=frozenset(details) | packs.keys() - light,
        more=len(index),
        uncharted=max(0, len(rest) - _PACKED),
        absent=tuple(words for words, roles in _WANTED.items() if not roles & _roles(report)),
        no_step=kinds["why"].get("step", ""),
        no_tokens=kinds["why"].get("tokens", ""),
        no_time=kinds["why"].get("time", ""),
    )


def _light(packs: Mapping[str, bytes], room: Room) -> frozenset[str]:
    """The first of them that a light run has room for."""
    names: list[str] = []
    for name, data in packs.items():
        if not room.takes(len(data)):
            break
        room = room.without({name: data})
        names.append(name)
    return frozenset(names)


def _roles(report: Report) -> set[str | None]:
    return {info.role for info in report.run.series.whole if info.points}


def _single(report: Report, plan: Plan) -> bool:
    """Whether all there is is one value, which stands in a table."""
    return max(report.run.series.info(name).points for name in plan.names) < 2


def _share_axes(main: Sequence[_Made]) -> None:
    """Charts of one kind of x reach from the same first to the same last."""
    by_kind: dict[tuple[str, float], list[Drawing]] = defaultdict(list)
    for made in main:
        by_kind[made.drawing.axis.kind, made.drawing.axis.seconds].append(made.drawing)
    for drawings in by_kind.values():
        ends = [end for one in drawings if (end := one.extent()) is not None]
        for one in drawings if ends else ():
            one.share((min(a for a, _ in ends), max(b for _, b in ends)))


def _packs(report: Report, rest: Sequence[Plan]) -> tuple[dict[str, bytes], list[list[Any]]]:
    """Files of further charts, and the index: (title, points, number of the file, chart)."""
    packs: list[list[dict[str, Any]]] = []
    index: list[list[Any]] = []
    room = 0
    limit = _PACK_LIMIT if len(rest) <= _PACK_FEW else _PACK_COARSE
    for plan in rest:
        made = _made(report, plan, limit=limit)
        if made is None:
            continue
        figure, caption = made.finished()
        entry = _stored(made, figure)
        words = {"title": plan.title, "unit": plan.unit or _unit(report, plan.names)}
        entry |= {**words, "caption": caption, "legend": made.legend}
        if not packs or room < len(plan.names):
            packs.append([])
            room = _PACK
        room -= len(plan.names)
        packs[-1].append(entry)
        points = max(len(one) for one in made.series)
        index.append([plan.title, points, len(packs) - 1, plan.id])
    files = {
        f"metrics-{number:02d}.json": json_bytes({"schema": SCHEMA, "charts": pack})
        for number, pack in enumerate(packs)
    }
    return files, index


def _made(report: Report, plan: Plan, *, limit: int | None = None) -> _Made | None:
    """None where nothing can be drawn, or a lone point that stands in a table."""
    series = tuple(report.run.series[name] for name in plan.names)
    axis, start = _axis(report, series)
    limit = limit or (_WIDE_LIMIT if plan.wide else _NARROW_LIMIT)
    drawing = Drawing(
        axis=axis,
        start=start,
        begin=clock_start(report.run),
        limit=limit,
        logarithmic=plan.log_from is not None,
    )
    events = tuple(e for e in report.events if e.metric in plan.names)
    legend: list[tuple[str, str]] = []
    if plan.histogram:
        legend += _histogram(drawing, series)
    elif len(series) > len(LINE_CLASSES):
        legend += _devices(drawing, series)
    else:
        labels = device_labels(plan.names) if len(series) > 1 else ("",)
        for number, (one, label) in enumerate(zip(series, labels, strict=True)):
            legend += _add(drawing, report, one, number, events, label)
    if plan.wide:
        _ends(drawing, report, series)
    few = max(len(one) for one in series) < 2 and not drawing.marked
    if not drawing.xs or (plan.id != "loss" and few):
        return None  # a single evaluation stands in the table
    return _Made(
        plan=plan,
        series=series,
        drawing=drawing,
        legend=tuple(dict.fromkeys(legend)),
        events=events,
    )


def _chart(report: Report, made: _Made, figure: Any, caption: str) -> Chart:
    plan, axis = made.plan, made.drawing.axis
    return Chart(
        id=plan.id,
        title=plan.title,
        unit=plan.unit or _unit(report, plan.names),
        svg=draw(figure, label=f"{plan.title} over {axis.title}: {', '.join(plan.names[:8])}"),
        metrics=plan.names,
        caption=caption,
        over="" if axis.kind == "step" else f"over {axis.title}",
        legend=made.legend,
        wide=plan.wide,
    )


def _stored(made: _Made, figure: Any) -> dict[str, Any]:
    """The figure as data; on a time axis with its unit and its start, in seconds of the run."""
    drawing = made.drawing
    entry = stored(figure, made.plan.id, times=drawing.times)
    exact = {str(n) for n, one in enumerate(made.series) if one.role in _EXACT}
    for trace in entry["data"]:
        if trace.get("key", "")[1:] in exact:
            trace["exact"] = True
    if drawing.axis.kind == "time":
        begin = drawing.begin if drawing.begin is not None else drawing.start
        offset = (drawing.start - begin) if drawing.start is not None and begin is not None else 0.0
        entry |= {"unit_seconds": drawing.axis.seconds, "offset": round(offset, 3)}
    return entry


def _axis(report: Report, series: Sequence[Series]) -> tuple[Axis, float | None]:
    """What x counts, and the time at which a time axis begins."""
    if series[0].info.axis == "step":
        return axis_of(series[0].info.counter), None
    times = np.concatenate([one.time for one in series])
    times = times[np.isfinite(times)]
    if not len(times):
        return elapsed(0), None
    start = report.run.start if report.run.start is not None else float(times.min())
    return elapsed(float(times.max()) - start), start


def _histogram(drawing: Drawing, series: Sequence[Series]) -> Iterator[tuple[str, str]]:
    """The median between its 5th and 95th percentile and the ends."""
    rows = [one.effective for one in series]
    drawing.band(rows[0], rows[4], "run", name="smallest to largest")
    drawing.band(rows[1], rows[3], "run", name="5th to 95th percentile")
    nothing = np.zeros(len(rows[2].step), dtype=bool)
    drawing.curve(rows[2], "run", "median", keep=nothing, banded=False)
    yield "run", "median"
    yield "band", "5th–95th percentile, smallest–largest"


def _devices(drawing: Drawing, series: Sequence[Series]) -> Iterator[tuple[str, str]]:
    """One thin line each: too many to be told apart by colour."""
    drawing.envelope([one.effective for one in series], "run", "least and largest of all")
    drawing.limit = _EACH_LIMIT
    for number, one in enumerate(series):
        nothing = np.zeros(len(one), dtype=bool)
        drawing.curve(one.effective, "each", one.name, keep=nothing, number=number, banded=False)
    yield "each", f"{len(series)} devices, one line each"
    yield "band", "min–max of all"


def _add(
    drawing: Drawing,
    report: Report,
    series: Series,
    number: int,
    events: Sequence[Event],
    label: str,
) -> Iterator[tuple[str, str]]:
    """Draw a metric with its redone rows and its baseline; yields lines of the legend.

    `label` is its name there; empty where it is the chart's only one.
    """
    style = LINE_CLASSES[number]
    rows = series.effective
    keep = kept(rows.step, [e for e in events if e.metric == series.name])
    ranks = _over_ranks(report, series.name)
    if ranks is not None:
        drawing.band(*ranks, style)
        yield style, label or "mean of the ranks"
        drawing.curve(rows, style, series.name, keep=keep, number=number, banded=False)
        if not label:
            yield "band", "min–max of the ranks"
    elif drawing.curve(rows, style, series.name, keep=keep, number=number):
        yield style, label or "mean"
        yield "band", "min–max"
    elif len(rows.step):
        yield style, label or "this run"
    old, name = series.superseded, series.name
    if len(old.step) and drawing.line(old, "old", f"{name}, redone later", uid=f"o{number}"):
        yield "old", "redone later"
    baseline = report.baseline.run if report.baseline is not None else None
    if baseline is not None and name in baseline.series:
        other, start = baseline.series[name].effective, baseline.start
        if drawing.line(other, "base", f"{name}, baseline", uid=f"p{number}", start=start):
            yield "base", "baseline"


def _ends(drawing: Drawing, report: Report, series: Sequence[Series]) -> None:
    """The last validation loss stands at its curve's end, with the baseline's."""
    own = next((one for one in series if one.role == "val_loss"), None)
    if own is None:
        return
    other = report.baseline.run.series.get(own.name) if report.baseline is not None else None
    value, base = _last(own), _last(other) if other is not None else None
    if value is None:
        return
    above = base is None or value >= base
    drawing.end(own.effective, f"validation {units.number(value)}", above=above)
    if other is not None and base is not None:
        words = f"baseline {units.number(base)}"
        drawing.end(other.effective, words, above=not above, baseline=True)


def _last(series: Series) -> float | None:
    known = series.value[np.isfinite(series.value)]
    return float(known[-1]) if len(known) else None


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
