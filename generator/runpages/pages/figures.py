"""The key figures of the run page."""

from __future__ import annotations

import math
import re

from runpages import units
from runpages.analysis.continuity import first_step
from runpages.analysis.roles import LOSSES
from runpages.model import MetricSummary, Report, main_metric

from .words import Fact, of_planned, one_of, quantity

__all__ = ["delta", "key_figures", "unknown_losses"]

_LOSS = re.compile(
    r"(.*[_/. ])?(loss|nll)(es)?([_/. ].*)?|(D|G|cycle|idt)_[AB]|(G_GAN|G_L1|D_real|D_fake)",
    re.IGNORECASE,
)

_MISSING = 4
_PACED = frozenset({"environment steps", "samples"})
"""Steps that are counted one by one, so that they have a rate."""


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
    """At most eight, those that are known first; an absent one says why."""
    primary = report.metrics.get(report.primary or "")
    no_loss = unknown_losses(report) or "no training loss logged"
    figures = [
        _judged_by(report),
        *([] if _is_reward(primary) else [_metric(report, "loss", "Training loss", no_loss)]),
        _steps(report),
        _throughput(report),
        _elapsed(report),
        *_cost(report),
        _redo(report),
    ]
    return sorted(figures, key=lambda figure: bool(figure.why))


def _is_reward(summary: MetricSummary | None) -> bool:
    return summary is not None and summary.role == "reward"


def _cost(report: Report) -> list[Fact]:
    """Money, else device-hours, and energy if that is known."""
    hours, usd, energy = report.cost.device_hours, report.cost.usd, report.cost.energy.devices_kwh
    known = [_energy(report)] if energy.known else []
    if hours.value is None:
        return [*known, quantity("Cost", hours)]
    lost = _lost(report)
    if usd.value is None:
        note = "; ".join(part for part in (lost, f"no price: {usd.why}") if part)
        return [quantity("Device-hours", hours, value=_small(hours.value), note=note), *known]
    note = f"{units.number(hours.value, 3)} device-hours{f', {lost}' if lost else ''} · {usd.note}"
    return [quantity("Cost", usd, value=_money(usd.value), note=note), *known]


def _redo(report: Report) -> Fact:
    """Whether it could be done again: the first question of who wants to build on it."""
    found = report.reproduction
    missing = [item.name for item in found.items if item.why]
    note = f"missing: {', '.join(missing[:_MISSING])}" if missing else "nothing is missing"
    if len(missing) > _MISSING:
        note += f" and {len(missing) - _MISSING} more"
    value = f"{found.recorded} of {len(found.items)}"
    return Fact(label="Recorded to redo it", value=value, note=note)


def _judged_by(report: Report) -> Fact:
    """Validation loss; of a run without any loss what it is judged by instead."""
    primary = report.metrics.get(report.primary or "")
    if primary is None or primary.role in LOSSES:
        return _metric(report, "val_loss", "Validation loss", "no validation loss logged")
    words = f"Reward, {primary.name}" if primary.role == "reward" else primary.name
    return _metric(report, primary.role or "", words, "")


def unknown_losses(report: Report) -> str:
    """Losses of several players or parts play no role: that there are some is said; else empty."""
    losses = sum(info.role is None and _names_loss(info.name) for info in report.run.series.whole)
    if not losses:
        return ""
    what = "1 loss, not" if losses == 1 else f"{units.count(losses)} losses, none of them"
    return f"{what} known as the training loss"


def _names_loss(name: str) -> bool:
    """`train/d_loss`, `loss_ce`, and `G_A`, `cycle_B` as CycleGAN and pix2pix name their losses
    (junyanz/pytorch-CycleGAN-and-pix2pix models/cycle_gan_model.py, pix2pix_model.py)."""
    return _LOSS.fullmatch(name) is not None


def _metric(report: Report, role: str, label: str, why: str) -> Fact:
    name = main_metric(report.metrics, role)
    if name is None:
        return Fact(label=label, value="", why=why)
    summary = report.metrics[name]
    if summary.points == summary.nonfinite + summary.superseded or summary.final != summary.final:
        return Fact(label=label, value="", why=f"{name} holds no finite value")
    tail = "last value"
    if summary.final_points > 1:
        rows = "episodes" if summary.role == "reward" else "rows"
        spread = units.number(summary.final_mad, 2)
        tail = f"median of last {units.count(summary.final_points)} {rows} (MAD {spread})"
    parts = [delta(summary, report), tail]
    if summary.best is not None and summary.best_step != summary.last_step:
        best = "best episode" if summary.role == "reward" else "best"
        parts.append(
            f"{best} {units.number(summary.best)} at {units.count(summary.best_step or 0)}"
        )
    note = " · ".join(part for part in parts if part)
    return Fact(label=label, value=units.number(summary.final), unit=summary.unit, note=note)


def _steps(report: Report) -> Fact:
    tokens = report.timing.tokens
    steps = report.steps
    redone = f", {units.count(report.redone_steps)} redone" if report.redone_steps else ""
    if tokens.value is not None:
        number, prefix = units.si(tokens.value, 4)
        unit = f"{prefix} tokens".strip()
        unit_of_steps = one_of(report.run.provenance.step_unit)
        note = f"to {unit_of_steps} {units.count(steps.value or 0)} {of_planned(report)}".rstrip()
        note = tokens.note if unit_of_steps == "token" else f"{note}{redone}"
        if tokens.note.startswith("derived"):
            note += f"; {tokens.note}"
        return Fact(label="Trained on", value=number, unit=unit, note=note)
    if steps.value is None:
        return Fact(label="Steps", value="", why=steps.why)
    counted = report.run.provenance.step_unit
    note = f"counted by {report.run.provenance.step_source}" if counted else "tokens not logged"
    planned = f"{told}, {note}" if (told := of_planned(report)) else note
    return Fact(
        label="Steps", value=units.count(steps.value), unit=counted, note=f"{planned}{redone}"
    )


def _throughput(report: Report) -> Fact:
    rate = report.timing.tokens_per_second
    if rate.value is not None:
        number, prefix = units.si(rate.value, 4)
        note = f"{rate.note}{_useful(report)}"
        return Fact(label="Throughput", value=number, unit=f"{prefix} tok/s".strip(), note=note)
    step = report.timing.step_seconds_p50
    if step.value is None and (pace := _pace(report)):
        return pace
    if step.value is None:
        return Fact(label="Step time", value="", why=step.why)
    value, _, unit = units.duration(step.value).partition(" ")
    return Fact(label="Step time, median", value=value, unit=unit, note=step.note)


def _pace(report: Report) -> Fact | None:
    """Of steps that are no optimiser's: how many a second, over all the time."""
    steps, elapsed = report.steps.value, report.timing.elapsed_seconds.value
    unit = report.run.provenance.step_unit
    if unit not in _PACED or not steps or not elapsed or first_step(report.run) is not None:
        return None
    number, prefix = units.si(steps / elapsed)
    unit = f"{prefix} {unit}/s".strip()
    return Fact(label="Throughput", value=number, unit=unit, note="over all the elapsed time")


def _useful(report: Report) -> str:
    """Of a run in attempts: tokens that were kept over all the time that passed."""
    tokens, elapsed = report.timing.tokens.value, report.timing.elapsed_seconds.value
    if len(report.run.attempts) < 2 or not tokens or not elapsed:
        return ""
    if first_step(report.run) is not None:
        return ""  # tokens of before the log
    number, prefix = units.si(tokens / elapsed, 4)
    return f"; {number} {prefix}".rstrip() + " tok/s kept, gaps included"


def _elapsed(report: Report) -> Fact:
    elapsed, active = report.timing.elapsed_seconds, report.timing.active_seconds
    if elapsed.value is None:
        return Fact(label="Elapsed", value="", why=elapsed.why)
    note = elapsed.note
    attempts = len(report.run.attempts)
    if active.value is not None and attempts > 1:
        note = f"{units.duration(active.value)} of it in {attempts} attempts"
    value, _, unit = units.duration(elapsed.value).rpartition(" ")
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
