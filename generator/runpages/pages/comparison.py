"""A comparison as data: what `runpages compare --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runpages.model import Comparison, FigureRow, Findings, MetricRow, Quantity, SideValue

from .document import plain

__all__ = ["comparison_json"]


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Everything the comparison says. A number that is not known is the reason why.

    A metric has one entry for each run that is compared with the base: `run` names it.
    """
    return {
        "base": comparison.base,
        "runs": [plain(side) for side in comparison.sides],
        "verdicts": dict(comparison.verdicts),
        "metrics": [_metric(row) for row in comparison.metrics],
        "tests": comparison.tests,
        "figures": [_figure(row) for row in comparison.figures],
        "findings": [
            {"kind": row.kind, "values": {s: _findings(f) for s, f in row.values.items()}}
            for row in comparison.findings
        ],
        "differences": [
            {"key": item.key, "values": {s: _setting(v) for s, v in item.values.items()}}
            for item in comparison.differences
        ],
        "warnings": list(comparison.warnings),
    }


def _number(given: Quantity) -> Any:
    return {"value": None, "why": given.why} if given.value is None else plain(given.value)


def _values(values: Mapping[str, SideValue]) -> dict[str, Any]:
    return {
        slug: {
            "value": _number(found.value),
            "n": found.n,
            "sd": _number(found.sd),
            "missing": dict(found.missing),
        }
        for slug, found in values.items()
    }


def _metric(row: MetricRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": row.role,
        "direction": row.direction,
        "run": row.run,
        "values": _values(row.values),
        "delta": _number(row.delta),
        "ci95": plain(row.ci95) if row.ci95 else {"value": None, "why": row.p.why},
        "p": _number(row.p),
        "p_holm": _number(row.p_holm),
        "hedges_g": _number(row.effect),
        "test": row.method or None,
        "verdict": row.verdict or {"value": None, "why": row.void or row.p_holm.why},
    }


def _figure(row: FigureRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "unit": row.unit,
        "direction": row.direction,
        "values": _values(row.values),
        "delta": {slug: _number(delta) for slug, delta in row.deltas.items()},
    }


def _findings(found: Findings) -> dict[str, Any]:
    if found.why and not found.count:
        return {"value": None, "why": found.why}
    return {"count": found.count, "runs": found.runs, "steps": list(found.steps)}


def _setting(values: tuple[object, ...]) -> Any:
    if not values:
        return {"value": None, "why": "not logged"}
    return plain(values[0]) if len(values) == 1 else {"varies": plain(list(values))}
