"""The head of the run page: story and key figures."""

from __future__ import annotations

import math

from runpages import units
from runpages.model import MetricSummary, Report, main_metric

from .words import Fact, quantity

__all__ = ["delta", "key_figures", "story"]


def delta(summary: MetricSummary, report: Report) -> str:
    """The difference from the baseline with its direction in words; empty without a baseline."""
    other = report.baseline.metrics.get(summary.name) if report.baseline else None
    if other is None:
        return ""
    for last, whose in ((summary.last, "the"), (other.last, "the baseline's")):
        if not math.isfinite(last):
            # the final value is one from before: a run that diverged would look better
            return f"not compared: {whose} last value is {units.number(last)}"
    change = summary.final - other.final
    if change == 0:
        return "equal to baseline"
    arrow = "▲" if change > 0 else "▼"
    words = ""
    if summary.direction:
        words = " worse" if (change > 0) == (summary.direction == "lower") else " better"
    return f"{arrow} {units.number(abs(change))}{words}"


def key_figures(report: Report) -> list[Fact]:
    """At most eight; an absent one says why in its place."""
    return [
        _metric(report, "val_loss", "Validation loss", "no validation loss logged"),
        _metric(report, "loss", "Training loss", "no training loss logged"),
        _steps(report),
        _throughput(report),
        _elapsed(report),
        quantity(
            "Device-hours",
            report.cost.device_hours,
            value=_small(report.cost.device_hours.value),
            note=_lost(report),
        ),
        _energy(report),
        quantity("Cost", report.cost.usd, value=_money(report.cost.usd.value)),
    ]


def _metric(report: Report, role: str, label: str, why: str) -> Fact:
    name = main_metric(report.metrics, role)
    if name is None:
        return Fact(label=label, value="", why=why)
    summary = report.metrics[name]
    if summary.points == summary.nonfinite + summary.superseded or summary.final != summary.final:
        return Fact(label=label, value="", why=f"{name} holds no finite value")
    tail = "last value" if summary.final_points == 1 else f"median of last {summary.final_points}"
    parts = [delta(summary, report), tail]
    if summary.best is not None and summary.best_step != summary.last_step:
        parts.append(f"best {units.number(summary.best)} at {units.count(summary.best_step or 0)}")
    note = " · ".join(part for part in parts if part)
    return Fact(label=label, value=units.number(summary.final), unit=summary.unit, note=note)


def _steps(report: Report) -> Fact:
    tokens = report.timing.tokens
    steps = report.steps
    redone = f", {units.count(report.redone_steps)} redone" if report.redone_steps else ""
    if tokens.value is not None:
        number, prefix = units.si(tokens.value, 4)
        unit = f"{prefix} tokens".strip()
        note = f"in {units.count(steps.value or 0)} steps{redone}"
        return Fact(label="Trained on", value=number, unit=unit, note=note)
    if steps.value is None:
        return Fact(label="Steps", value="", why=steps.why)
    counted = report.run.provenance.step_unit
    note = f"counted by {report.run.provenance.step_source}" if counted else "tokens not logged"
    return Fact(label="Steps", value=units.count(steps.value), unit=counted, note=f"{note}{redone}")


def _throughput(report: Report) -> Fact:
    rate = report.timing.tokens_per_second
    if rate.value is not None:
        number, prefix = units.si(rate.value, 4)
        return Fact(
            label="Throughput", value=number, unit=f"{prefix} tok/s".strip(), note=rate.note
        )
    step = report.timing.step_seconds_p50
    if step.value is None:
        return Fact(label="Step time", value="", why=step.why)
    value, _, unit = units.duration(step.value).partition(" ")
    return Fact(label="Step time, median", value=value, unit=unit, note=step.note)


def _elapsed(report: Report) -> Fact:
    elapsed, active = report.timing.elapsed_seconds, report.timing.active_seconds
    if elapsed.value is None:
        return Fact(label="Elapsed", value="", why=elapsed.why)
    note = elapsed.note
    attempts = len(report.run.attempts)
    if active.value is not None and attempts > 1:
        note = f"{units.duration(active.value)} of it in {attempts} attempts"
    value, _, unit = units.duration(elapsed.value).partition(" ")
    return Fact(label="Elapsed", value=value, unit=unit, note=note)


def _energy(report: Report) -> Fact:
    found = report.cost.energy
    label = "Energy, estimated" if found.estimated else "Energy"
    return quantity(label, found.devices_kwh, value=_small(found.devices_kwh.value))


def _small(value: float | None) -> str:
    return "" if value is None else units.number(value, 3)


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _lost(report: Report) -> str:
    lost = report.cost.lost_device_hours.value
    return f"{units.number(lost, 3)} h on redone steps" if lost else ""


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
