"""The run as data: the row of lists, and run.json (`runpages show --json`)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from runpages.analysis.ratings import summarize_ratings
from runpages.analysis.summary import flatten
from runpages.markup import json_number
from runpages.model import Quantity, Report, main_metric

from .all_figures import FIGURES
from .words import event_counts, title_of

__all__ = ["list_row", "plain", "run_file", "run_json"]

_FILE_METRICS = 60
_FILE_SETTINGS = 400
_FILE_EVENTS = 100
_FILE_EVIDENCE = 20
"""Events whose rows are in run.json."""
_FILE_CHECKPOINTS = 200

SPARK_POINTS = 40


def plain(value: Any) -> Any:
    """JSON values: NaN and infinities by name, a Quantity as value, unit and why."""
    if isinstance(value, Quantity):
        known = {"value": plain(value.value), "unit": value.unit}
        return known if value.known else {"value": None, "why": value.why}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def list_row(report: Report) -> dict[str, Any]:
    """What lists and the index show of a run."""
    run = report.run
    primary = report.metrics.get(report.primary or "")
    elapsed = report.timing.elapsed_seconds
    return {
        "slug": run.slug,
        "name": title_of(run),
        "id": run.ref.run_id,
        "source": run.ref.kind,
        "project": run.ref.project,
        "group": run.group,
        "state": run.state,
        "incomplete": bool(run.incomplete),
        "start": _known(run.start, "no clock in the log"),
        "end": _known(run.end, "no clock in the log"),
        "events": event_counts(report.events),
        "verdict": next((n.outcome for n in reversed(report.notes) if n.kind == "verdict"), None),
        "path": f"{run.slug}/",
        "steps": _known(report.steps.value, report.steps.why),
        "elapsed_seconds": _known(elapsed.value, elapsed.why),
        "metric": report.primary,
        "value": _known(primary.final if primary else None, "no loss was logged"),
        "spark": _spark(report),
    }


def _known(value: float | None, why: str) -> Any:
    """A number of a row, or the object that says why there is none."""
    return {"value": None, "why": why} if value is None else plain(value)


def _spark(report: Report) -> list[float]:
    """Means of at most 40 stretches of the training loss (else of the primary metric)."""
    name = main_metric(report.metrics, "loss") or report.primary
    if name is None:
        return []
    values = report.run.series[name].value
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return []
    parts = np.array_split(values, min(SPARK_POINTS, len(values)))
    return [float(f"{part.mean():.4g}") for part in parts]


def run_json(report: Report) -> dict[str, Any]:
    """Everything the page says, as data."""
    run, cost = report.run, report.cost
    return {
        "schema": "runpages.show/1",
        **list_row(report),
        "redone_steps": report.redone_steps,
        "figures": {figure.name: plain(figure.of(report)) for figure in FIGURES},
        "utilization": plain(report.utilization),
        "badput": {b.cause: plain(b.seconds) for b in report.goodput.badput},
        "price": plain(cost.price),
        "price_age": cost.price_age,
        "cost_by_attempt": [plain(attempt) for attempt in cost.attempts],
        "energy": plain(cost.energy),
        "targets": [plain(target) for target in report.targets],
        "metrics": [plain(summary) for summary in report.metrics.values()],
        "events": [plain(event) for event in report.events],
        "attempts": [plain(attempt) for attempt in run.attempts],
        "checkpoints": [plain(checkpoint) for checkpoint in run.checkpoints],
        "config": plain(dict(run.config)),
        "tags": list(run.tags),
        "seed": run.seed,
        "code": plain(run.code),
        "command": run.command,
        "environment": plain(dict(run.environment)),
        "hardware": plain(run.hardware),
        "missing": plain(report.missing),
        "reproduction": plain(report.reproduction),
        "provenance": plain(run.provenance),
        "notes": [plain(note) for note in report.notes],
        "unreadable_notes": list(report.unreadable_notes),
        "ratings": [plain(ratings) for ratings in summarize_ratings(report.notes)],
    }


def run_file(report: Report) -> dict[str, Any]:
    """`run_json` as the site keeps it: of very many metrics, settings, findings and checkpoints
    those that matter most, and under `left` how many more `runpages show --json` prints."""
    document = run_json(report)
    left: dict[str, int] = {}
    ordered = sorted(document["metrics"], key=lambda metric: metric["role"] is None)
    for key, rows, most in (
        ("metrics", ordered, _FILE_METRICS),
        ("events", document["events"], _FILE_EVENTS),
        ("checkpoints", document["checkpoints"][::-1], _FILE_CHECKPOINTS),
    ):
        if len(rows) > most:
            document[key], left[key] = rows[:most], len(rows) - most
    for event in document["events"][_FILE_EVIDENCE:]:
        event["evidence"] = []
    flat = flatten(dict(report.run.config))
    if len(flat) > _FILE_SETTINGS:
        document["config"] = plain(dict(list(flat.items())[:_FILE_SETTINGS]))
        left["config"] = len(flat) - _FILE_SETTINGS
    return document | ({"left": left} if left else {})
