"""The run's story: one paragraph composed from facts only."""

from __future__ import annotations

from runpages import units
from runpages.model import MetricSummary, Report

__all__ = ["story"]


def story(report: Report) -> str:
    """What happened, in at most four sentences, from facts only; empty if nothing is known."""
    run = report.run
    if not run.series:
        return "Nothing was recorded: the log holds no metric."
    if report.steps.value is None:
        return ""
    sentences = [_made(report)]
    if report.primary and report.primary in report.metrics:
        sentences.append(_ended(report.metrics[report.primary]))
    told = [e for e in report.events if e.severity != "info"]
    if told:
        sentences.append(told[0].message)
        if len(told) > 1:
            more = len(told) - 1
            sentences.append(f"{more} more finding{'s' if more > 1 else ''} of weight below.")
    elif report.redone_steps:
        sentences.append(next((e.message for e in report.events if e.kind == "restart"), ""))
    elif run.state in {"failed", "crashed", "killed"}:
        sentences.append(f"It {'was ' if run.state == 'killed' else ''}{run.state}.")
    return " ".join(s for s in sentences if s)


def _made(report: Report) -> str:
    what = "The run"
    if report.parameters.value is not None:
        number, prefix = units.si(report.parameters.value)
        what = f"A model of {number} {prefix} parameters".replace("  ", " ")
    verb = "has reached" if report.run.state == "running" else "was trained to"
    if what == "The run":
        verb = "has reached" if report.run.state == "running" else "reached"
    text = f"{what} {verb} step {units.count(report.steps.value or 0)}"
    if report.timing.elapsed_seconds.value is not None:
        text += f" in {units.duration(report.timing.elapsed_seconds.value)}"
    attempts = len(report.run.attempts)
    return f"{text} and {attempts} attempts." if attempts > 1 else f"{text}."


def _ended(summary: MetricSummary) -> str:
    if summary.final != summary.final:
        return f"{summary.name} holds no finite value."
    text = f"{_title(summary)} ended at {units.number(summary.final)}"
    if summary.best is not None and summary.best_step != summary.last_step:
        worse = abs(summary.final - summary.best) > 0.01 * abs(summary.best)
        if worse:
            at = units.count(summary.best_step or 0)
            text += f", after {units.number(summary.best)} at step {at}"
    return f"{text}."


def _title(summary: MetricSummary) -> str:
    return {"val_loss": "Validation loss", "loss": "Training loss"}.get(
        summary.role or "", summary.name
    )
