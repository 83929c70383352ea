"""Every figure of a run under its name: run.json is made of this list, and a table of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from runpages import units
from runpages.model import Quantity, Report

__all__ = ["FIGURES", "Figure", "more_figures"]

_SHOWN = frozenset(
    {
        *("tokens_per_second", "step_seconds_p50", "step_seconds_p95", "step_seconds_p99"),
        *("elapsed_seconds", "active_seconds", "goodput_percent", "productive_seconds"),
        *("mfu_percent", "hfu_percent", "device_hours", "lost_device_hours", "usd"),
        *("energy_kwh", "total_kwh", "carbon_kg"),
    }
)
"""What `resources` shows: it is not said twice on a page."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its key in run.json, its words on the page, where it stands in the report."""

    name: str
    label: str
    of: Callable[[Report], Quantity]


def _figure(name: str, label: str, place: str) -> Figure:
    return Figure(name, label, attrgetter(place))


FIGURES: tuple[Figure, ...] = (
    _figure("steps", "Steps", "steps"),
    _figure("planned_steps", "Planned steps", "planned_steps"),
    _figure("parameters", "Parameters", "parameters"),
    _figure("tokens", "Tokens", "timing.tokens"),
    _figure("chinchilla_multiple", "Chinchilla multiple", "figures.chinchilla_multiple"),
    _figure("training_flop", "Training compute, 6 N D", "figures.training_flop"),
    _figure("perplexity", "Perplexity", "figures.perplexity"),
    _figure("bits_per_byte", "Bits per byte", "figures.bits_per_byte"),
    _figure("tokens_per_second", "Tokens/s", "timing.tokens_per_second"),
    _figure(
        "tokens_per_second_per_device",
        "Tokens/s of one device",
        "timing.tokens_per_second_per_device",
    ),
    _figure(
        "tokens_per_productive_second",
        "Tokens/s in productive time",
        "figures.tokens_per_productive_second",
    ),
    _figure("step_seconds_p50", "Step time, median", "timing.step_seconds_p50"),
    _figure("step_seconds_p95", "Step time, 95th percentile", "timing.step_seconds_p95"),
    _figure("step_seconds_p99", "Step time, 99th percentile", "timing.step_seconds_p99"),
    _figure("steps_per_second", "Steps a second", "timing.steps_per_second"),
    _figure("elapsed_seconds", "Elapsed", "timing.elapsed_seconds"),
    _figure("active_seconds", "In attempts", "timing.active_seconds"),
    _figure("goodput_percent", "Goodput", "goodput.percent"),
    _figure("productive_seconds", "Productive time", "goodput.productive_seconds"),
    _figure("mfu_percent", "MFU", "utilization.mfu"),
    _figure("hfu_percent", "HFU", "utilization.hfu"),
    _figure("device_hours", "Device-hours", "cost.device_hours"),
    _figure("lost_device_hours", "Device-hours on redone steps", "cost.lost_device_hours"),
    _figure("usd", "Cost", "cost.usd"),
    _figure("energy_kwh", "Energy of the devices", "cost.energy.devices_kwh"),
    _figure("host_kwh", "Energy of the hosts", "cost.energy.host_kwh"),
    _figure("total_kwh", "Energy with overheads", "cost.energy.total_kwh"),
    _figure("carbon_kg", "Carbon", "cost.energy.carbon_kg"),
)


def more_figures(report: Report) -> list[tuple[str, str, str]]:
    """Rows of label, value with its unit, and how it is known or why it is not."""
    return [
        (figure.label, _value(figure, given), given.why or given.note)
        for figure in FIGURES
        if figure.name not in _SHOWN
        for given in (figure.of(report),)
    ]


def _value(figure: Figure, given: Quantity) -> str:
    value, unit = given.value, given.unit
    if value is None:
        return "n/a"
    if figure.name in {"steps", "planned_steps"}:
        return f"{units.count(value)} {unit}"
    if unit in {"tokens", "tok/s", "parameters"}:
        number, prefix = units.si(value, 4)
        return f"{number} {f'{prefix} {unit}'.strip()}"
    return f"{units.number(value)} {unit}".strip()
