"""What was found in the run, and what was looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runpages import units
from runpages.markup import Safe
from runpages.model import Event, Report

from .charts import event_chart
from .words import SEVERITY_CLASS, Chip, Fact, fact

__all__ = ["findings_section"]


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
    chart: Safe
    metric: str
    rows: tuple[tuple[str, str, bool], ...]
    facts: tuple[Fact, ...]
    href: str


def findings_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "findings": [_finding(report, event) for event in report.events],
        "judged": _judged(report),
        "not_judged": _not_judged(report),
    }


def _finding(report: Report, event: Event) -> _Finding:
    what = {"restart": "Restart", "nonfinite": "Non-finite values"}.get(
        event.kind, event.kind.replace("_", " ").capitalize()
    )
    metric = event.metric if event.kind != "restart" else ""
    if len(report.run.attempts) > 1:
        tail = f"{metric}, attempt {event.attempt}" if metric else f"attempt {event.attempt}"
    else:
        tail = metric
    steps = units.count(event.start_step)
    if event.end_step != event.start_step:
        steps += f"–{units.count(event.end_step)}"
    return _Finding(
        id=f"event-{event.id}",
        chip=Chip(style=SEVERITY_CLASS[event.severity], words=event.severity),
        title=what,
        tail=tail,
        steps=steps,
        elapsed=_since_start(report, event),
        size=_size(event),
        recovered=_recovered(event),
        message=event.message,
        chart=event_chart(report, event),
        metric=metric,
        rows=tuple(
            (units.count(s), units.number(v, 6), s == event.peak_step) for s, v in event.evidence
        ),
        facts=_event_facts(event),
        href=f"?x={event.start_step}..{event.end_step}",
    )


def _since_start(report: Report, event: Event) -> str:
    if event.start_time is None or report.run.start is None:
        return "n/a"
    return units.duration(event.start_time - report.run.start)


def _size(event: Event) -> str:
    if event.kind == "restart" and event.lost_steps is None:
        return "from the start"
    if event.kind == "restart":
        return f"{units.count(event.lost_steps or 0)} steps redone"
    if event.kind in {"plateau", "missing_data"}:
        return f"{units.count(event.end_step - event.start_step)} steps"
    if event.kind == "nonfinite":
        return "NaN or Inf"
    if event.peak_value is None:
        return "n/a"
    peak = units.number(event.peak_value)
    if event.baseline_value and math.isfinite(event.peak_value):
        ratio = event.peak_value / event.baseline_value
        if ratio > 0:
            return f"{peak} = {units.number(ratio, 2)} × level"
    return peak


def _recovered(event: Event) -> str:
    if event.kind == "restart":
        return "trained anew" if event.lost_steps is None else "resumed"
    if event.lost_steps is not None:
        return f"rolled back, {units.count(event.lost_steps)} steps lost"
    if event.recovered:
        after = event.end_step - event.start_step + 1
        return "next step" if after <= 1 else f"after {units.count(after)} steps"
    return "n/a" if event.recovered is None else "no"


def _event_facts(event: Event) -> tuple[Fact, ...]:
    facts = []
    if event.baseline_value is not None:
        facts.append(fact("Level before", units.number(event.baseline_value)))
    if event.threshold is not None:
        facts.append(fact("Threshold", units.number(event.threshold)))
    if event.lost_steps is not None:
        facts.append(fact("Lost steps", units.count(event.lost_steps)))
    if event.lost_seconds is not None:
        facts.append(fact("Lost time", units.duration(event.lost_seconds)))
    if event.lost_device_hours is not None:
        facts.append(fact("Lost device-hours", units.number(event.lost_device_hours, 3)))
    before, after = event.checkpoint_before, event.checkpoint_after
    facts.append(
        fact(
            "Checkpoint before",
            "" if before is None else f"step {units.count(before)}",
            why="none logged",
        )
    )
    facts.append(
        fact(
            "Checkpoint after",
            "" if after is None else f"step {units.count(after)}",
            why="none logged",
        )
    )
    return tuple(facts)


def _judged(report: Report) -> str:
    done = [j.kind.replace("_", " ") for j in report.judgements if j.judged]
    return ", ".join(done)


def _not_judged(report: Report) -> list[tuple[str, str]]:
    by_reason: dict[str, list[str]] = {}
    for judgement in report.judgements:
        if not judgement.judged:
            by_reason.setdefault(judgement.why_not, []).append(judgement.kind.replace("_", " "))
    return [(", ".join(kinds), why) for why, kinds in by_reason.items()]
