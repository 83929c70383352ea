"""The run as data: the row of lists, and run.json (`runpages show --json`)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from runpages.analysis.ratings import summarize_ratings
from runpages.markup import json_number
from runpages.model import Quantity, Report, main_metric

from .words import event_counts

__all__ = ["list_row", "plain", "run_json"]

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
        "name": run.name,
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
    run, timing, cost = report.run, report.timing, report.cost
    figures = {
        "steps": report.steps,
        "parameters": report.parameters,
        "tokens": timing.tokens,
        "tokens_per_second": timing.tokens_per_second,
        "step_seconds_p50": timing.step_seconds_p50,
        "step_seconds_p95": timing.step_seconds_p95,
        "step_seconds_p99": timing.step_seconds_p99,
        "elapsed_seconds": timing.elapsed_seconds,
        "active_seconds": timing.active_seconds,
        "mfu_percent": report.utilization.mfu,
        "hfu_percent": report.utilization.hfu,
        "goodput_percent": report.goodput.percent,
        "productive_seconds": report.goodput.productive_seconds,
        "device_hours": cost.device_hours,
        "lost_device_hours": cost.lost_device_hours,
        "energy_kwh": cost.energy_kwh,
        "usd": cost.usd,
    }
    return {
        "schema": "runpages.show/1",
        **list_row(report),
        "redone_steps": report.redone_steps,
        "figures": {name: plain(value) for name, value in figures.items()},
        "utilization": plain(report.utilization),
        "badput": {b.cause: plain(b.seconds) for b in report.goodput.badput},
        "price": plain(cost.price),
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
        "missing": plain(dict(report.missing)),
        "provenance": plain(run.provenance),
        "notes": [plain(note) for note in report.notes],
        "unreadable_notes": list(report.unreadable_notes),
        "ratings": [plain(ratings) for ratings in summarize_ratings(report.notes)],
    }
