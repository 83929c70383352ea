"""Evaluations of the run against its baseline."""

from __future__ import annotations

from runpages import units
from runpages.model import MetricSummary, Report

from .figures import delta
from .own_summary import finals

__all__ = ["evaluations_section"]

_MOST_STEPS = 12
"""Columns that a table of values at steps may have."""


def evaluations_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    evaluations = _evaluations(report)
    return {
        "evaluations": evaluations,
        "errors_known": any(row["error"] for row in evaluations),
        "at_steps": _at_steps(report),
    }


def _evaluations(report: Report) -> list[dict[str, str]]:
    out = []
    for name in report.evaluations:
        summary = report.metrics.get(name)
        if summary is None:
            continue
        other = report.baseline.metrics.get(name) if report.baseline else None
        best = "n/a"
        if summary.best is not None and summary.best_step is not None:
            best = f"{units.number(summary.best)} at {units.count(summary.best_step)}"
        out.append(
            {
                "name": name,
                "value": units.number(summary.final),
                "unit": summary.unit,
                "rows": units.count(summary.points),
                "error": _error(summary),
                "baseline": units.number(other.final) if other else "",
                "difference": delta(summary, report),
                "best": best,
            }
        )
    return [*out, *(_final(name, value) for name, value in finals(report))]


def _final(name: str, value: float) -> dict[str, str]:
    """One that the run's own summary gives and no row."""
    return {
        "name": name,
        "value": units.number(value),
        "unit": "",
        "rows": "own summary",
        "error": "",
        "baseline": "",
        "difference": "",
        "best": "n/a",
    }


def _error(summary: MetricSummary) -> str:
    """Standard error of the evaluation, and how it is known."""
    if summary.standard_error is None:
        return ""
    return f"± {units.number(summary.standard_error, 2)} ({summary.standard_error_from})"


def _at_steps(report: Report) -> list[tuple[str, ...]]:
    """Losses and evaluations at the steps that the team asked for, after a row with the steps."""
    saved = {checkpoint.step for checkpoint in report.run.checkpoints}
    told = {
        name: {at.step: at.value for at in summary.at if at.step not in saved}
        for name, summary in report.metrics.items()
    }
    steps = sorted({step for values in told.values() for step in values})[:_MOST_STEPS]
    if not steps:
        return []
    rows = [
        (name, *(_number(values.get(step)) for step in steps))
        for name, values in told.items()
        if values
    ]
    return [("Step", *(units.count(step) for step in steps)), *rows]


def _number(value: float | None) -> str:
    return "n/a" if value is None else units.number(value)
