"""Gathers the curves, bands and marks of one chart and makes the Plotly figure of them.

The figure is the only description of a chart: the page's SVG is drawn from it and the data file
of the live chart is written from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.markup import plotly_text
from runpages.model import Columns, Event

from .downsample import Buckets, bucketed, mean_times
from .words import SEVERITY_CLASS

__all__ = ["STEPS", "Axis", "Drawing", "axis_of", "elapsed", "kept"]

_KEPT = 400
"""Rows near findings that stay by themselves, most severe findings first."""
_MARKED = 50
"""Marks of non-finite values; more would be one bar."""
_NEAR = 0.02
_FLAT = 0.01
"""A band that is nowhere wider than this part of the curve's range is not drawn: it is the line."""
_SHARED = 0.3
"""Part of the other charts' x axis that a curve must fill to be drawn over all of it."""
_WORDS = {"nonfinite": "non-finite"}
_UNDER = {"old": 0, "base": 1, "band": 2}
"""What lies below the curves, lowest first."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What x counts."""

    kind: str
    """`step`, `time`, or the name of what else it counts."""
    title: str
    seconds: float = 1.0
    """Seconds a unit of a time axis."""

    def of(self, rows: Columns, start: float | None) -> Floats:
        if self.kind != "time":
            return rows.step.astype(np.float64)
        known = rows.time[np.isfinite(rows.time)]
        zero = start if start is not None else float(known.min()) if len(known) else 0.0
        return np.asarray((rows.time - zero) / self.seconds)


STEPS = Axis(kind="step", title="step")


def axis_of(counter: str) -> Axis:
    """The run's step, or what else a metric counts, which shares no zoom with it."""
    return Axis(kind=f"counter {counter}", title=counter) if counter else STEPS


def elapsed(span_seconds: float) -> Axis:
    """A time axis in the unit in which `span_seconds` is a readable number."""
    for unit, seconds in (("hours", 3600.0), ("minutes", 60.0)):
        if span_seconds >= 3 * seconds:
            return Axis(kind="time", title=f"elapsed {unit}", seconds=seconds)
    return Axis(kind="time", title="elapsed seconds")


def kept(step: NDArray[np.int64], events: Sequence[Event]) -> Flags:
    """Rows that downsampling must leave alone: the start and the peak of each finding."""
    keep = np.zeros(len(step), dtype=bool)
    for event in events:
        peak = event.peak_step if event.peak_step is not None else event.start_step
        stop = min(event.end_step, event.start_step + 40)
        keep |= (step >= event.start_step - 2) & (step <= stop)
        keep |= (step >= peak - 2) & (step <= peak + 2)
        if keep.sum() > _KEPT:
            break
    return keep


@dataclass(slots=True, kw_only=True)
class Drawing:
    """Traces, bands and marks of one chart."""

    axis: Axis = STEPS
    start: float | None = None
    """UTC seconds at which a time axis begins."""
    begin: float | None = None
    """UTC seconds at which the run began."""
    limit: int = 400
    """Buckets a curve; up to twice as many rows stand as they are, which weighs no more than the
    least, mean and largest value of each bucket."""
    logarithmic: bool = False
    """Whether y may be: then what is narrow at the top may be wide at the bottom."""
    traces: list[dict[str, Any]] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    xs: list[Floats] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    times: list[tuple[float, float] | None] = field(default_factory=list)
    """From which to which second of the run each of `shapes` lasts."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def curve(
        self,
        rows: Columns,
        style: str,
        name: str,
        *,
        keep: Flags,
        number: int = 0,
        banded: bool = True,
    ) -> bool:
        """A mean line and, where a bucket holds several rows, the band from least to largest
        (unless it is not to be `banded`).

        `number` is the place of the metric among the chart's. Returns whether there is a band.
        Non-finite rows become marks at the lower edge.
        """
        x = self.axis.of(rows, self.start)
        self._marks(x, rows.value)
        buckets = self._bucketed(x, rows, keep)
        banded = banded and buckets.width > 1 and (self.logarithmic or not _flat(buckets))
        if banded:
            self.traces.append(_band(buckets, style) | {"uid": f"b{number}"})
        ends = np.column_stack([buckets.low, buckets.high]) if banded else None
        extent = (buckets.low, buckets.high)
        self._line(buckets, style, name, extent, uid=f"c{number}", customdata=ends)
        self._reach(x)
        return banded

    def band(self, low: Columns, high: Columns, style: str, *, name: str = "") -> None:
        """The band between two curves that share their rows."""
        x = self.axis.of(low, self.start)
        both = np.isfinite(low.value) & np.isfinite(high.value)
        floor = self._bucketed(x[both], low.take(both), None)
        roof = self._bucketed(x[both], high.take(both), None)
        if len(floor.x):
            band = _band(floor._replace(high=roof.high), style)
            self.traces.append(band | {"name": plotly_text(name)} if name else band)
            self.values += [v[np.isfinite(v)] for v in (floor.low, roof.high)]

    def envelope(self, parts: Sequence[Columns], style: str, name: str) -> None:
        """The band from the least to the largest of several curves."""
        rows = Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        x = self.axis.of(rows, self.start)
        order = np.argsort(x, kind="stable")
        buckets = bucketed(x[order], rows.value[order], limit=self.limit)
        if len(buckets.x):
            self.traces.append(_band(buckets, style) | {"name": plotly_text(name)})
            self.values += [v[np.isfinite(v)] for v in (buckets.low, buckets.high)]

    def line(
        self, rows: Columns, style: str, name: str, *, uid: str, start: float | None = None
    ) -> bool:
        """A line behind the curves: a baseline, or rows that were redone. False: no row is.

        Rows that were redone carry their own seconds, as their steps come twice.
        """
        x = self.axis.of(rows, self.start if start is None else start)
        buckets = self._bucketed(x, rows, None)
        seconds = None
        if style == "old" and self.begin is not None and np.isfinite(rows.time).all():
            breaks = _restarts(rows)
            clock = mean_times(x, rows.value, rows.time, breaks=breaks, limit=self._room(rows))
            seconds = (clock - self.begin)[:, None]
        self._line(buckets, style, name, (buckets.mean,), uid=uid, customdata=seconds)
        self._reach(x)
        return bool(len(buckets.x))

    def _room(self, rows: Columns) -> int:
        return max(self.limit, len(rows.step)) if len(rows.step) <= 2 * self.limit else self.limit

    def _bucketed(self, x: Floats, rows: Columns, keep: Flags | None) -> Buckets:
        breaks = _restarts(rows)
        buckets = bucketed(x, rows.value, keep=keep, breaks=breaks, limit=self._room(rows))
        whole = self.axis.kind == "step"
        return buckets._replace(x=np.floor(buckets.x + 0.5)) if whole else buckets

    @property
    def marked(self) -> bool:
        """Whether there are marks of non-finite values."""
        return any(trace["meta"] == "bad" for trace in self.traces)

    def point(self, x: float, y: float, style: str) -> None:
        self.traces.append({"x": [x], "y": [y], "mode": "markers", "meta": style})

    def _line(
        self, buckets: Buckets, style: str, name: str, extent: tuple[Floats, ...], **more: Any
    ) -> None:
        if not len(buckets.x):
            return
        mode = "lines" if len(buckets.x) > 1 else "markers"
        self.traces.append(
            {"x": buckets.x, "y": buckets.mean, "mode": mode, "meta": style,
             "name": plotly_text(name), **more}
        )  # fmt: skip
        self.values += [v[np.isfinite(v)] for v in extent]

    def _reach(self, x: Floats) -> None:
        """The axis spans all rows, not the middles of their buckets."""
        known = x[np.isfinite(x)]
        if len(known):
            self.xs.append(np.array([known.min(), known.max()]))

    def _marks(self, x: Floats, value: Floats) -> None:
        bad = np.flatnonzero(~np.isfinite(value) & np.isfinite(x))
        if not len(bad):
            return
        self.remarks.append(f"{units.count(len(bad))} non-finite values marked below")
        shown = bad if len(bad) <= _MARKED else bad[:: -(-len(bad) // _MARKED)]
        at = self.axis.title if self.axis.kind == "step" else "time"
        self.traces.append(
            {"x": x[shown], "y": np.zeros(len(shown)), "mode": "markers", "meta": "bad",
             "yaxis": "y2", "name": "non-finite",
             "text": [f"{units.number(value[i])} at {at} {x[i]:,.6g}" for i in shown]}
        )  # fmt: skip

    def findings(self, events: Sequence[Event], *, wide: bool) -> None:
        """Bands over the steps of the findings, their kind on top where there is room for it."""
        spans: dict[tuple[float, float], Event] = {}
        for event in events:
            span = self._span(event)
            if span is not None:
                spans.setdefault(span, event)
        for (left, right), event in spans.items():
            self.shapes.append(
                {"type": "rect", "xref": "x", "yref": "paper", "x0": left, "x1": right, "y0": 0,
                 "y1": 1, "name": SEVERITY_CLASS[event.severity], "layer": "below"}
            )  # fmt: skip
            self.times.append(self._seconds(event))
        room = 0.08 if wide else 0.17
        left, right = self._extent()
        taken: list[float] = []
        for (x, _), event in spans.items():
            at = (x - left) / (right - left)
            if all(abs(at - other) >= room for other in taken):
                taken.append(at)
                words = _WORDS.get(event.kind, event.kind.replace("_", " "))
                self.notes.append(
                    {"name": "event", "x": x, "y": 1, "yref": "paper", "showarrow": False,
                     "text": plotly_text(words), "yanchor": "bottom"}
                )  # fmt: skip

    def end(self, rows: Columns, words: str, *, above: bool, baseline: bool = False) -> None:
        """Names the last value of a curve at its end."""
        good = np.flatnonzero(np.isfinite(rows.value))
        if len(good) > 1:
            last = good[-1]
            self.ends.append(
                {"name": "end base" if baseline else "end", "showarrow": False,
                 "x": float(self.axis.of(rows, self.start)[last]), "y": float(rows.value[last]),
                 "text": plotly_text(words), "xanchor": "right",
                 "yanchor": "bottom" if above else "top"}
            )  # fmt: skip

    def _span(self, event: Event) -> tuple[float, float] | None:
        """What the band covers."""
        begin, end = float(event.start_step), float(event.end_step)
        if self.axis.kind == "time":
            if self.start is None or event.start_time is None:
                return None
            last = event.end_time if event.end_time is not None else event.start_time
            begin = (event.start_time - self.start) / self.axis.seconds
            end = (last - self.start) / self.axis.seconds
        if event.kind == "restart":
            end = begin  # what was redone is drawn as such
        return begin, end

    def _seconds(self, event: Event) -> tuple[float, float] | None:
        if self.begin is None or event.start_time is None:
            return None
        last = event.end_time if event.end_time is not None else event.start_time
        last = event.start_time if event.kind == "restart" else last
        return round(event.start_time - self.begin, 2), round(last - self.begin, 2)

    def _extent(self) -> tuple[float, float]:
        """Ends of the x axis; it begins at 0 where the first row nearly does."""
        xs = np.concatenate(self.xs) if self.xs else np.zeros(1)
        left, right = float(xs.min()), float(xs.max())
        left = 0.0 if 0 < left < _NEAR * right else left
        return left, right if right > left else left + 1

    def extent(self) -> tuple[float, float] | None:
        """Ends of the x axis; None where nothing is drawn."""
        return self._extent() if self.xs else None

    def share(self, extent: tuple[float, float]) -> None:
        """Take over the x axis of the other charts, if this one's curves fill enough of it."""
        left, right = self._extent()
        if right - left >= _SHARED * (extent[1] - extent[0]):
            self.xs.append(np.array(extent))

    def figure(self, *, log_from: float | None = None) -> Any:
        """A validated Plotly figure without template.

        y is logarithmic where all values are positive and the largest is more than `log_from`
        times the smallest.
        """
        import plotly.graph_objects as go

        y_range, kind, remarks = _y_range(self.values, log_from)
        self.remarks[:0] = remarks
        left, right = self._extent()
        log = kind == "log"  # Plotly places words on such an axis by the logarithm
        ends = [note | {"y": math.log10(note["y"])} if log else note for note in self.ends]
        layout: dict[str, Any] = {
            "template": {},  # not the default one, which is large
            "meta": self.axis.kind,
            "xaxis": {
                "range": [left, right],
                "title": {"text": self.axis.title},
                "tickformat": "~s" if max(abs(left), abs(right)) >= 10_000 else ",~r",
            },
            "yaxis": {"range": y_range, "type": kind, "exponentformat": "e"},
            "shapes": self.shapes,
            "annotations": [*self.notes, *ends],
            "hovermode": "x unified",
        }
        if self.marked:
            layout["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False}
        traces = sorted(self.traces, key=lambda t: _UNDER.get(t["meta"].split()[0], 3))
        return go.Figure(data=[go.Scatter(**trace) for trace in traces], layout=layout)


def _flat(buckets: Buckets) -> bool:
    """Whether the band is as good as the line."""
    low, high = buckets.low[~np.isnan(buckets.low)], buckets.high[~np.isnan(buckets.high)]
    return bool(len(low)) and bool((high - low).max() <= _FLAT * (high.max() - low.min()))


def _restarts(rows: Columns) -> Flags:
    return np.append(False, np.diff(rows.attempt) != 0)[: len(rows.attempt)]


def _band(buckets: Buckets, style: str) -> dict[str, Any]:
    """One outline a piece of the curve, a NaN between two."""
    outline_x: list[Floats] = []
    outline_y: list[Floats] = []
    ends = np.append(np.flatnonzero(np.isnan(buckets.mean)), len(buckets.x))
    begin = 0
    for end in ends:
        x, low, high = (c[begin:end] for c in (buckets.x, buckets.low, buckets.high))
        if len(x):
            outline_x += [x, x[::-1], x[:1]]
            outline_y += [high, low[::-1], np.array([np.nan])]
        begin = end + 1
    return {
        "x": np.concatenate(outline_x)[:-1],
        "y": np.concatenate(outline_y)[:-1],
        "mode": "lines",
        "fill": "toself",
        "hoverinfo": "skip",
        "meta": "band" if style == "run" else f"band {style}",
    }


def _y_range(
    values: Sequence[Floats], log_from: float | None
) -> tuple[list[float], str, list[str]]:
    """(range, axis type, remarks). The steep start of a curve, or a first value that stands for
    none, may leave the frame."""
    every = np.concatenate([*values, np.empty(0)])
    if not len(every):
        return [0.0, 1.0], "linear", []
    low, high = float(every.min()), float(every.max())
    if log_from is not None and low > 0 and high / low > log_from:
        pad = 0.03 * math.log10(high / low)
        return [math.log10(low) - pad, math.log10(high) + pad], "log", ["log scale"]
    remarks: list[str] = []
    settled = [v[max(1, len(v) // 50) :] for v in values if len(v) > 20]
    if settled:
        late = np.concatenate(settled)
        top, bottom = float(late.max()), float(late.min())
        room = top - bottom
        if room > 0 and high > top + 0.6 * room:
            remarks.append(f"first steps up to {units.number(high)}, above the frame")
            high = top + 0.25 * room
        if room > 0 and low < bottom - 0.6 * room:
            remarks.append(f"first steps down to {units.number(low)}, below the frame")
            low = bottom - 0.25 * room
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - pad, high + pad], "linear", remarks
