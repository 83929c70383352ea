"""compare.json: what the compare page needs of one run, in at most 8 kB of gzip.

Curves as means of buckets, figures, final values, findings and recorded facts. Where a run has more
than fits, the ends of the lists are cut and what is left out is counted: run.json holds it all.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from runpages.analysis.comparability import TOPICS
from runpages.analysis.compare import COMPARED_FIGURES
from runpages.analysis.differences import alike, facts_of
from runpages.analysis.roles import LOSSES, direction_of
from runpages.analysis.seeds import TOLD
from runpages.markup import json_bytes
from runpages.model import Event, MetricSummary, Quantity, Report, main_metric

from .charts_axes import axes
from .charts_data import encoded
from .document import plain
from .downsample import bucketed
from .words import ROLE_WORDS, event_counts, group_slug

__all__ = ["COMPARABLE_SCHEMA", "comparable_file"]

COMPARABLE_SCHEMA = "runpages.comparable/1"
_BYTES = 8000
"""Of gzip, level 6."""
_CURVES = ("loss", "val_loss", "grad_norm", "lr", "tokens_per_second", "step_seconds")
"""Roles with a curve each, before the evaluations."""
_EVALUATIONS = ("eval", "eval_lower")
_MOST_CURVES = 8
_LONGEST = 80
"""Characters of a fact; of a longer one its beginning and a digest are kept."""


class _Room(NamedTuple):
    """How much of each list is kept."""

    facts: int
    metrics: int
    events: int
    points: int


_ROOMS = (
    _Room(2000, 200, 60, 200),
    _Room(2000, 200, 60, 120),
    _Room(800, 100, 40, 120),
    _Room(400, 60, 30, 100),
    _Room(250, 40, 24, 100),
    _Room(150, 30, 20, 80),
    _Room(80, 24, 12, 60),
    _Room(40, 16, 8, 40),
    _Room(20, 8, 4, 30),
    _Room(5, 4, 2, 16),
)
"""Tried in this order until the file is small enough."""


def comparable_file(report: Report) -> bytes:
    """The largest of the versions that fits."""
    standing = _standing(report)
    for room in _ROOMS:
        data = json_bytes({**standing, **_cut(report, room)})
        if len(zlib.compress(data, 6)) <= _BYTES:
            return data
    return data


def _standing(report: Report) -> dict[str, Any]:
    """What is never cut."""
    run = report.run
    lines = axes(run)
    return {
        "schema": COMPARABLE_SCHEMA,
        "slug": run.slug,
        "name": run.name,
        "project": run.ref.project or run.ref.kind,
        "group": group_slug(run.group) if run.group else None,
        "state": run.state,
        "incomplete": list(run.incomplete),
        "seed": run.seed,
        "start": run.start,
        "step_unit": run.provenance.step_unit,
        "counts": event_counts(report.events),
        "verdict": next((n.outcome for n in reversed(report.notes) if n.kind == "verdict"), None),
        "figures": {name: _quantity(read(report)) for name, _, read in COMPARED_FIGURES},
        "badput": {b.cause: _quantity(b.seconds) for b in report.goodput.badput},
        "main": {
            role: name
            for role in ("val_loss", "loss")
            if (name := main_metric(report.metrics, role))
        },
        "findings": dict(_findings(report)),
        "samples": len(run.samples),
        "axes": {"clock": lines["clock"], "tokens": lines["tokens"], "why": lines["why"]},
        "flop_per_token": _flop_per_token(report),
    }


def _cut(report: Report, room: _Room) -> dict[str, Any]:
    told = [m for m in report.metrics.values() if m.role in TOLD]
    chosen = sorted(told, key=lambda m: m.role not in LOSSES)[: room.metrics]
    names = {m.name for m in chosen}
    kept = [m for m in told if m.name in names]  # in the order of the report
    facts = facts_of(report.run)
    environment = [key for key in facts if _is_package(key)]
    ordered = sorted((k for k in facts if not _is_package(k)), key=_rank)
    return {
        "metrics": [_metric(m) for m in kept],
        "metrics_left": len(told) - len(kept),
        "events": [_event(e) for e in report.events[: room.events]],
        "events_left": max(0, len(report.events) - room.events),
        "facts": {key: _fact(facts[key]) for key in ordered[: room.facts]},
        "facts_left": max(0, len(ordered) - room.facts),
        "environment": len(environment),
        "curves": list(_curves(report, room.points)),
    }


def _quantity(given: Quantity) -> list[Any] | dict[str, str]:
    """[value, unit], or the reason."""
    if given.value is None:
        return {"why": given.why or "not logged"}
    return [plain(given.value), given.unit]


def _flop_per_token(report: Report) -> float | None:
    """6 N, as the run's own 6 N D counts it (Kaplan et al. 2020, arXiv 2001.08361)."""
    flop, tokens = report.figures.training_flop.value, report.timing.tokens.value
    return flop / tokens if flop and tokens else None


def _findings(report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind -> how many and where the first begin, or why it was not judged."""
    judged = {j.kind: j.why_not for j in report.judgements}
    for kind in dict.fromkeys([*judged, *(e.kind for e in report.events)]):
        steps = sorted({e.start_step for e in report.events if e.kind == kind})
        entry: dict[str, Any] = {}
        if steps:
            entry |= {"count": sum(e.kind == kind for e in report.events), "steps": steps[:5]}
        if judged.get(kind):
            entry["why"] = judged[kind]
        if entry:
            yield kind, entry


def _event(event: Event) -> dict[str, Any]:
    found = {
        "kind": event.kind,
        "severity": event.severity,
        "metric": event.metric,
        "role": event.role,
        "id": event.id,
        "start": event.start_step,
        "end": event.end_step,
        "peak": None if event.peak_value is None else plain(event.peak_value),
    }
    return {key: value for key, value in found.items() if value is not None}


def _metric(summary: MetricSummary) -> list[Any]:
    """Name, role, better direction, unit, last step, final value, last value, standard error.

    Values are whole: differences of them are told.
    """
    return [
        summary.name,
        summary.role,
        direction_of(summary.role),
        summary.unit,
        summary.last_step,
        plain(summary.final),
        plain(summary.last),
        None if summary.standard_error is None else plain(summary.standard_error),
    ]


def _is_package(key: str) -> bool:
    """Of the environment, which run.json holds; not what an evaluation was made with."""
    return key.startswith("environment.") and not _is_topic(key)


def _is_topic(key: str) -> bool:
    return any(topic.keys.fullmatch(key) for topic in TOPICS)


def _rank(key: str) -> tuple[bool, bool, str]:
    """What makes runs hard to compare first, then model, data, code and hardware."""
    return (not _is_topic(key), key.startswith("config."), key)


def _fact(value: object) -> object:
    told = plain(value)
    words = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    if len(words) <= _LONGEST:
        return told
    digest = hashlib.sha256(alike(value).encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return {"cut": words[:_LONGEST], "digest": digest}


def _curves(report: Report, points: int) -> Iterator[dict[str, Any]]:
    """The main metric of each role over the step, then evaluations by name."""
    wanted = [(role, main_metric(report.metrics, role)) for role in _CURVES]
    names = [(role, name) for role, name in wanted if name]
    told = {name for _, name in names}
    for name, summary in report.metrics.items():
        if summary.role in _EVALUATIONS and name not in told:
            names.append((f"eval:{name}", name))
    made = 0
    for key, name in names:
        series = report.run.series[name]
        if made == _MOST_CURVES or series.info.axis != "step" or series.info.counter:
            continue
        rows = series.effective
        found = bucketed(rows.step.astype(np.float64), rows.value, limit=points)
        if np.isfinite(found.mean).sum() < 2:
            continue
        made += 1
        yield {
            "key": key,
            "title": ROLE_WORDS.get(key, name),
            "name": name,
            "unit": report.metrics[name].unit,
            "width": found.width,
            **encoded(found.x, found.mean),
        }
