"""A comparison as data (`runpages compare --json`) and in words, for the terminal and for pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runpages import units
from runpages.analysis import compare, run_contender
from runpages.model import (
    Comparison,
    FigureRow,
    Findings,
    MetricRow,
    Quantity,
    Report,
    SideValue,
)

from .document import plain

__all__ = [
    "FIGURE_LABELS",
    "Against",
    "against_baseline",
    "comparison_json",
    "difference_text",
    "setting_text",
    "spread_text",
    "value_text",
]

Shown = Callable[[float], str]

FIGURE_LABELS: Mapping[str, tuple[str, Shown]] = {
    "steps": ("steps", units.count),
    "tokens": ("tokens", units.count),
    "parameters": ("parameters", units.count),
    "tokens_per_second": ("tokens a second", units.number),
    "step_seconds_p50": ("step time, median", units.duration),
    "mfu_percent": ("MFU, %", units.number),
    "goodput_percent": ("goodput, %", units.number),
    "elapsed_seconds": ("elapsed", units.duration),
    "device_hours": ("device-hours", units.number),
    "energy_kwh": ("energy, kWh", units.number),
    "usd": ("cost, USD", units.number),
}
"""Name of a figure -> what it is called, and how its values are written."""
_MOST_DIFFERENCES = 200


def value_text(found: SideValue, shown: Shown = units.number) -> str:
    """`2.13 ± 0.15 (n = 3)`, or why there is no value."""
    if found.value.value is None:
        return f"n/a: {found.value.why}"
    if found.sd.value is None:
        text = shown(found.value.value)
        return f"{text} (n = {found.n})" if found.missing else text
    mean, sd = shown(found.value.value), shown(found.sd.value)
    if shown is units.number:
        mean, sd = spread_text(found.value.value, found.sd.value)
    return f"{mean} ± {sd} (n = {found.n})"


def spread_text(mean: float, sd: float) -> tuple[str, str]:
    """The sd with two significant digits, and the mean to the same decimals."""
    if not sd or not mean:
        return units.number(mean, 5), units.number(sd, 2)
    digits = 2 + math.floor(math.log10(abs(mean))) - math.floor(math.log10(sd))
    return units.number(mean, min(max(digits, 2), 9)), units.number(sd, 2)


def difference_text(delta: Quantity, change: str, shown: Shown = units.number) -> str:
    """The difference with an arrow, and in words which way is better."""
    if delta.value is None:
        return "n/a"
    if not delta.value:
        return "equal"
    arrow = "▲" if delta.value > 0 else "▼"
    return f"{arrow} {shown(abs(delta.value))} {change}".rstrip()


def setting_text(values: tuple[object, ...]) -> str:
    """One value, or all those that a group's members have."""
    return ", ".join(map(str, values))[:300] or "not logged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A run against its pinned baseline, ready to print."""

    figures: tuple[tuple[str, str, str, str], ...]
    """(label, this run, baseline, difference)."""
    differences: tuple[tuple[str, str, str], ...]
    """(setting, this run, baseline)."""
    warnings: tuple[str, ...]


def against_baseline(report: Report) -> Against | None:
    """None without a baseline."""
    if report.baseline is None:
        return None
    told = compare(run_contender(report.baseline), [run_contender(report)])
    own, base = report.run.slug, told.base
    figures = []
    for row in told.figures:
        label, shown = FIGURE_LABELS[row.name]
        if not any(found.n for found in row.values.values()):
            continue
        figures.append(
            (
                label[0].upper() + label[1:],
                value_text(row.values[own], shown),
                value_text(row.values[base], shown),
                difference_text(row.deltas[own], row.change(own), shown),
            )
        )
    return Against(
        figures=tuple(figures),
        differences=tuple(
            (item.key, setting_text(item.values[own]), setting_text(item.values[base]))
            for item in told.differences[:_MOST_DIFFERENCES]
        ),
        warnings=told.warnings,
    )


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
        "sampling95": plain(row.sampling95) if row.sampling95 else None,
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
