"""Evaluations of the run against its baseline."""

from __future__ import annotations

from runpages import units
from runpages.model import MetricSummary, Report

from .figures import delta

__all__ = ["evaluations_section"]


def evaluations_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    rows = _evaluations(report)
    return {"evaluations": rows, "errors_known": any(row["error"] for row in rows)}


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
    return out


def _error(summary: MetricSummary) -> str:
    """Standard error of the evaluation, and how it is known."""
    if summary.standard_error is None:
        return ""
    return f"± {units.number(summary.standard_error, 2)} ({summary.standard_error_from})"
