"""What was found in the run, and what was looked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runpages import units
from runpages.markup import Safe
from runpages.model import Event, Report

from .charts import event_chart
from .words import SEVERITY_CLASS, Chip, Fact, fact, finding_title, kind_words

__all__ = ["findings_section"]

_SHOWN = 8
_ALIKE = 3
"""Of one kind in one metric among those shown, while others wait."""
_FOLDED = 100
_MOVES = frozenset({"level_shift", "drop", "divergence", "overfit", "memory_growth"})
"""Kinds whose size is a way from one value to another, not a multiple."""
_STRETCHES = frozenset({"plateau", "missing_data", "idle_device"})
"""Kinds whose size is how long they last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    id: str
    chip: Chip
    title: str
    tail: str
    steps: str
    elapsed: str
    size: str
    recovered: str
    message: str
    metric: str
    href: str
    chart: Safe | None = None
    rows: tuple[tuple[str, str, bool], ...] = ()
    facts: tuple[Fact, ...] = ()


def findings_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    shown, folded = _chosen(report.events)
    return {
        "findings": [_finding(report, event) for event in shown],
        "more_findings": [_row(report, event) for event in folded[:_FOLDED]],
        "more_findings_words": _summed(folded),
        "findings_left": units.count(max(0, len(folded) - _FOLDED)),
        "findings_clock": report.run.start is not None,
        "findings_count": units.count(len(report.events)),
        "looked_for": _looked_for(report),
        "judged": _judged(report),
        "not_judged": _not_judged(report),
    }


def _chosen(events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """Those to show and those to fold. Ten alike do not push the one of another kind out."""
    if len(events) <= _SHOWN:
        return list(events), []
    alike: Counter[tuple[str, str]] = Counter()
    first: list[Event] = []
    later: list[Event] = []
    for event in events:
        alike[event.kind, event.metric] += 1
        (first if alike[event.kind, event.metric] <= _ALIKE else later).append(event)
    chosen = {event.id for event in [*first, *later][:_SHOWN]}
    return [e for e in events if e.id in chosen], [e for e in events if e.id not in chosen]


def _summed(events: Sequence[Event]) -> str:
    """`36 more: 30 × spike in norm (largest 0.93 at 15,072), 6 × stall in dt_ms`."""
    kinds: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        kinds.setdefault((event.kind, event.metric), []).append(event)
    parts = []
    for (kind, metric), own in sorted(kinds.items(), key=lambda item: -len(item[1])):
        words = f"{units.count(len(own))} × {kind_words(kind)}"
        if kind != "restart":
            words += f" in {metric}"
        peaks = [(e.peak_value, e.peak_step) for e in own if e.peak_value is not None]
        peaks = [(value, step) for value, step in peaks if math.isfinite(value)]
        if kind == "spike" and peaks:
            value, step = max(peaks)
            words += f" (largest {units.number(value)} at {units.count(step or 0)})"
        parts.append(words)
    rest = f" and {len(parts) - 3} other kinds" if len(parts) > 3 else ""
    return f"{units.count(len(events))} more: {', '.join(parts[:3])}{rest}" if events else ""


def _row(report: Report, event: Event) -> _Finding:
    """What a line of the list says."""
    metric = event.metric if event.kind != "restart" else ""
    attempt = f"attempt {event.attempt}" if len(report.run.attempts) > 1 else ""
    tail = [metric, attempt, event.explained_by, _beside(report, event)]
    steps = units.count(event.start_step)
    if event.end_step != event.start_step:
        steps += f"–{units.count(event.end_step)}"
    return _Finding(
        id=f"event-{event.id}",
        chip=Chip(style=SEVERITY_CLASS[event.severity], words=event.severity),
        title=finding_title(event),
        tail=", ".join(part for part in tail if part),
        steps=steps,
        elapsed=_since_start(report, event),
        size=_size(report, event),
        recovered=_recovered(event),
        message=event.message,
        metric=metric,
        href=f"?x={event.start_step}..{event.end_step}",
    )


def _finding(report: Report, event: Event) -> _Finding:
    """A line, and what it opens to."""
    row = _row(report, event)
    return replace(
        row,
        chart=event_chart(report, event),
        rows=tuple(
            (units.count(s), units.logged(v), s == event.peak_step) for s, v in event.evidence
        ),
        facts=_event_facts(report, event),
    )


def _beside(report: Report, event: Event) -> str:
    """Whether the baseline has the like at these steps; empty where it cannot be told."""
    base = report.baseline
    summary = base.metrics.get(event.metric) if base else None
    if base is None or summary is None or event.kind == "restart":
        return ""
    if event.start_step > summary.last_step or event.end_step < summary.first_step:
        return ""
    for other in base.events:
        alike = (other.kind, other.metric) == (event.kind, event.metric)
        if alike and other.start_step <= event.end_step and other.end_step >= event.start_step:
            peak = "" if other.peak_value is None else f" ({units.number(other.peak_value)})"
            return f"in the baseline too{peak}"
    return "not in the baseline"


def _since_start(report: Report, event: Event) -> str:
    if event.start_time is None or report.run.start is None:
        return "n/a"
    return units.duration(event.start_time - report.run.start)


def _size(report: Report, event: Event) -> str:
    if event.kind == "restart":
        lost = event.lost_steps
        return "from the start" if lost is None else f"{units.count(lost)} steps redone"
    if event.kind == "nonfinite":
        return "NaN or Inf"
    if event.kind == "idle_device" and event.lost_seconds:
        return units.duration(event.lost_seconds)
    if event.kind in _STRETCHES:
        return f"{units.count(event.end_step - event.start_step)} steps"
    if event.peak_value is None:
        return "n/a"
    summary = report.metrics.get(event.metric)
    peak = f"{units.number(event.peak_value)} {summary.unit if summary else ''}".rstrip()
    level = event.baseline_value
    if level is None or not math.isfinite(event.peak_value):
        return peak
    if event.kind in _MOVES:
        return f"{units.number(level)} → {peak}"
    ratio = event.peak_value / level if level else 0.0
    return f"{peak} = {units.number(ratio, 2)} × level" if ratio > 0 else peak


def _recovered(event: Event) -> str:
    if event.kind == "restart":
        return "trained anew" if event.lost_steps is None else "resumed"
    if event.lost_steps is not None:
        return f"rolled back, {units.count(event.lost_steps)} steps lost"
    if event.recovered:
        back = next((step for step, _ in event.evidence if step > event.end_step), None)
        if event.start_step == event.end_step:
            return "in the next row"
        return (
            f"after step {units.count(event.end_step)}"
            if back is None
            else (f"by step {units.count(back)}")
        )
    return "n/a" if event.recovered is None else "no"


def _event_facts(report: Report, event: Event) -> tuple[Fact, ...]:
    """What is known of the event; what is not is left out, but for the checkpoints."""
    lasted = None
    if event.start_time is not None and event.end_time is not None:
        lasted = event.end_time - event.start_time
    known = [
        ("Lasted", units.duration(lasted) if lasted else ""),
        ("Level before", _number(event.baseline_value)),
        ("Threshold", _number(event.threshold)),
        ("Lost steps", "" if event.lost_steps is None else units.count(event.lost_steps)),
        ("Lost time", "" if event.lost_seconds is None else units.duration(event.lost_seconds)),
        ("Lost device-hours", _number(event.lost_device_hours, 3)),
        ("Explained by", event.explained_by),
        ("Seen also in", ", ".join(_lead(*one) for one in event.related)),
        ("Beside the baseline", _beside(report, event)),
    ]
    facts = [fact(label, value) for label, value in known if value]
    for where, step in (("before", event.checkpoint_before), ("after", event.checkpoint_after)):
        value = "" if step is None else f"step {units.count(step)}"
        why = f"none was saved {where} it" if report.run.checkpoints else "none logged"
        href = "#checkpoints" if value else ""
        facts.append(fact(f"Checkpoint {where}", value, why=why, href=href))
    return tuple(facts)


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else units.number(value, digits)


def _lead(metric: str, steps: int) -> str:
    if not steps:
        return f"{metric} at the same step"
    return f"{metric}, {units.count(abs(steps))} steps {'earlier' if steps > 0 else 'later'}"


def _looked_for(report: Report) -> str:
    judged = sum(judgement.judged != () for judgement in report.judgements)
    words = f"What was looked for: {judged} kind{'' if judged == 1 else 's'}"
    left = len(report.judgements) - judged
    return f"{words}; {left} could not be judged" if left else words


def _judged(report: Report) -> str:
    done = [kind_words(j.kind) for j in report.judgements if j.judged]
    return ", ".join(done)


def _not_judged(report: Report) -> list[tuple[str, str]]:
    by_reason: dict[str, list[str]] = {}
    for judgement in report.judgements:
        if not judgement.judged:
            by_reason.setdefault(judgement.why_not, []).append(kind_words(judgement.kind))
    return [(", ".join(kinds), why) for why, kinds in by_reason.items()]
