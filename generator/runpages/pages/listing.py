"""The facts of one run that pages about many runs need, beside its list row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from runpages.analysis.roles import ROLES
from runpages.analysis.summary import flatten
from runpages.model import Quantity, Report, main_metric

from .document import plain

__all__ = ["FIGURES", "REGRESSION", "Entry", "known", "listed_facts", "worst"]

Entry = Mapping[str, Any]
"""A list row together with `listed_facts`."""

REGRESSION = 0.01
"""Part of the baseline's value by which a run must be worse to be listed as regressed.

A convention, not a test: one run against one says nothing about seeds. It is the example that
`[check] max_regression` is documented with."""

FIGURES = {
    "device_hours": "h",
    "usd": "USD",
    "goodput": "%",
    "mfu": "%",
    "tokens": "tokens",
    "tokens_per_second": "tokens/s",
    "parameters": "",
    "energy_kwh": "kWh",
    "lost_device_hours": "h",
}
"""Figures of a run in lists -> their unit."""

_LONGEST = 120
"""Characters of a setting that lists keep."""
_MOST = 2000
"""Settings, and metrics, of one run that lists keep."""


def listed_facts(report: Report) -> dict[str, Any]:
    """What browsing needs beside the list row: who, what, cost, settings and final values."""
    run, cost = report.run, report.cost
    figures = {
        "device_hours": cost.device_hours,
        "usd": cost.usd,
        "goodput": report.goodput.percent,
        "mfu": report.utilization.mfu,
        "tokens": report.timing.tokens,
        "tokens_per_second": report.timing.tokens_per_second,
        "parameters": report.parameters,
        "energy_kwh": cost.energy_kwh,
        "lost_device_hours": cost.lost_device_hours,
    }
    primary = report.metrics.get(report.primary or "")
    return {
        "author": run.author,
        "model": run.model.architecture,
        "datasets": sorted({d.name for d in run.datasets if d.name}),
        "tags": sorted(set(run.tags)),
        "seed": run.seed,
        "commit": run.code.commit[:12],
        "direction": primary.direction if primary else None,
        "figures": {name: _quantity(value) for name, value in figures.items()},
        "regression": _quantity(_regression(report)),
        "roles": {
            role: plain(report.metrics[name].final)
            for role in ROLES
            if (name := main_metric(report.metrics, role))
        },
        "config": _settings(run.config),
        "metrics": {
            name: plain(summary.final) for name, summary in sorted(report.metrics.items())[:_MOST]
        },
    }


def known(value: object) -> float | None:
    """A finite number of an entry; None for whatever else stands there."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def worst(row: Entry) -> str:
    """The most severe finding of a run, or `none`."""
    return next((severity for severity, n in row["events"].items() if n), "none")


def _quantity(given: Quantity) -> Any:
    if given.value is None:
        return {"value": None, "why": given.why or "not logged"}
    return plain(given.value)


def _regression(report: Report) -> Quantity:
    """How much worse than the pinned baseline, as a part of the baseline's value; negative is
    better."""
    base = report.baseline
    if base is None:
        return Quantity.unknown("no baseline is pinned, or this is it")
    if base.run.ref.project != report.run.ref.project:
        return Quantity.unknown("the pinned baseline is of another project")
    own = report.metrics.get(report.primary or "")
    other = base.metrics.get(report.primary or "")
    if own is None or own.direction is None:
        return Quantity.unknown("no metric says which is better")
    if other is None:
        return Quantity.unknown(f"the pinned baseline has no {own.name}")
    if not other.final or not math.isfinite(own.final - other.final):
        return Quantity.unknown("no finite value to compare, or the baseline's is 0")
    sign = 1 if own.direction == "lower" else -1
    return Quantity(value=sign * (own.final - other.final) / abs(other.final))


def _settings(config: Mapping[str, object]) -> dict[str, object]:
    return {key: _short(value) for key, value in sorted(flatten(dict(config)).items())[:_MOST]}


def _short(value: object) -> object:
    """Numbers and booleans as they are, all else as a text of bounded length."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return plain(value)
    words = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
