"""Saved states of the model: ranked by the metric that the run is judged by, tied to findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runpages import units
from runpages.model import Checkpoint, Columns, Event, MetricSummary, Report

from .words import ROLE_WORDS, finding_title

__all__ = ["checkpoints_section"]

_SHOWN = 8
_LISTED = 200
"""The newest are told of; each is looked up in the curve."""
_MARKS = 2
_MEDIAN_ROWS = 21
"""Rows of a training loss that stand for its level at a checkpoint: one row is mostly noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    step: str
    attempt: str
    value: str
    rank: str
    metrics: str
    size: str
    path: str
    marks: tuple[tuple[str, str], ...]
    """(words, address on the page or empty)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A checkpoint and the value it is ranked by."""

    checkpoint: Checkpoint
    value: float | None
    at: int | None
    """Step at which that was recorded, where it is not the checkpoint's own."""
    superseded: bool


def checkpoints_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    summary = report.metrics.get(report.primary or "")
    newest = sorted(report.run.checkpoints, key=lambda one: one.step)[-_LISTED:]
    rows = _rows(report, summary) if newest else None
    judged = [_judged(report, one, summary, rows) for one in newest]
    ranked = _ranked(judged, summary)
    listed = [_row(report, one, place) for place, one in enumerate(ranked, start=1)]
    ordered = any(one.value is not None for one in judged) and bool(summary and summary.direction)
    return {
        "checkpoints": listed[:_SHOWN],
        "more_checkpoints": listed[_SHOWN:],
        "checkpoints_left": units.count(len(report.run.checkpoints) - len(newest)),
        "checkpoint_metric": summary.name if summary and ordered else "",
        "checkpoint_lede": _lede(summary) if summary and ordered else "",
        "checkpoint_columns": {
            "attempt": len(report.run.attempts) > 1,
            "metrics": any(one.metrics for one in newest),
        },
        "checkpoints_why": _why(summary, judged),
    }


def _lede(summary: MetricSummary) -> str:
    lede = f"Ranked by {summary.name}, {summary.direction} is better"
    return f"{lede}: median of {_MEDIAN_ROWS} rows up to it" if summary.role == "loss" else lede


def _why(summary: MetricSummary | None, judged: list[_Judged]) -> str:
    """Why the rows are in no order of merit; empty where they are."""
    if not judged or (summary and summary.direction and any(j.value is not None for j in judged)):
        return ""
    if summary is None:
        return "no loss was logged to rank them by"
    if not summary.direction:
        return f"neither way of {summary.name} is known to be better"
    return f"{summary.name} was not recorded before any of them"


def _rows(report: Report, summary: MetricSummary | None) -> Columns | None:
    """Recorded rows of the metric; None if its steps are not those of the checkpoints."""
    if summary is None:
        return None
    info = report.run.series.info(summary.name)
    return None if info.counter or info.axis == "time" else report.run.series.rows(summary.name)


def _judged(
    report: Report, one: Checkpoint, summary: MetricSummary | None, rows: Columns | None
) -> _Judged:
    """Its value: as saved with it, else as recorded at its step, else at the last one before."""
    spans = report.run.series.spans
    superseded = any(
        first <= one.step for number, (first, _) in spans.items() if number > one.attempt
    )
    value, at = None, None
    if summary is not None:
        value = one.metrics.get(summary.name)
        if value is None and rows is not None:
            value, at = _recorded(report, one, rows, many=summary.role == "loss")
    return _Judged(
        checkpoint=one, value=value, at=None if at == one.step else at, superseded=superseded
    )


def _recorded(
    report: Report, one: Checkpoint, rows: Columns, *, many: bool
) -> tuple[float | None, int | None]:
    """(value, step) of what led to the checkpoint: rows of its own and, as far as those were not
    done again on the way, of earlier attempts. `many` takes the median of the last ones."""
    spans = report.run.series.spans
    good = (rows.step <= one.step) & np.isfinite(rows.value) & (rows.attempt <= one.attempt)
    for number, (first, _) in spans.items():
        if number <= one.attempt:
            good &= (rows.attempt >= number) | (rows.step < first)
    places = np.flatnonzero(good)
    if not len(places):
        return None, None
    places = places[np.argsort(rows.step[places], kind="stable")]
    at = int(rows.step[places[-1]])
    if many:
        return float(np.median(rows.value[places[-_MEDIAN_ROWS:]])), at
    return float(rows.value[places[-1]]), at


def _ranked(judged: list[_Judged], summary: MetricSummary | None) -> list[_Judged]:
    """Best first; where there is no better or worse, the newest first."""
    if summary is None or not summary.direction:
        return sorted(judged, key=lambda one: -one.checkpoint.step)
    sign = 1.0 if summary.direction == "lower" else -1.0

    def key(one: _Judged) -> tuple[bool, float, bool, int]:
        value = np.inf if one.value is None or np.isnan(one.value) else sign * one.value
        return one.superseded, float(value), one.at is not None, -one.checkpoint.step

    return sorted(judged, key=key)


def _row(report: Report, one: _Judged, place: int) -> _Row:
    made = one.checkpoint
    value = "n/a" if one.value is None else units.number(one.value)
    if one.value is not None and one.at is not None:
        value += f" (at {units.count(one.at)})"
    others = {name: v for name, v in made.metrics.items() if name != report.primary}
    size = made.size_bytes
    return _Row(
        step=units.count(made.step),
        attempt=str(made.attempt),
        value=value,
        rank="" if one.value is None or one.superseded else str(place),
        metrics=", ".join(f"{k} {units.number(v)}" for k, v in list(others.items())[:6]) or "n/a",
        size=units.bytes_text(size) if size is not None else "n/a",
        path=made.path or "n/a",
        marks=_marks(report, one),
    )


def _marks(report: Report, one: _Judged) -> tuple[tuple[str, str], ...]:
    """What ties it to the run's course; (words, address on the page)."""
    made = one.checkpoint
    marks = []
    if one.superseded:
        marks.append(("done again by a later attempt", ""))
    elif made.step == max(c.step for c in report.run.checkpoints):
        marks.append(("newest", ""))
    weighty = [e for e in report.events if e.severity != "info" and e.kind != "restart"]
    inside = [
        e for e in weighty if e.attempt == made.attempt and e.start_step <= made.step <= e.end_step
    ]
    marks += [(f"within the {_named(e)}", f"#event-{e.id}") for e in inside[:_MARKS]]
    good = "last" if inside else "last good"
    before = [e for e in weighty if e.checkpoint_before == made.step and e not in inside]
    for number, event in enumerate(before[:_MARKS]):
        words = f"{good} before the {_named(event)}" if number == 0 else _named(event)
        marks.append((words, f"#event-{event.id}"))
    if (more := len(before) - _MARKS) > 0:
        marks.append((f"and {more} more finding{'s' if more > 1 else ''}", ""))
    return tuple(marks)


def _named(event: Event) -> str:
    title = finding_title(event)
    what = title[0].lower() + title[1:]
    of = "" if event.role in ROLE_WORDS else f" in {event.metric}"
    return f"{what}{of} at {units.count(event.start_step)}"
