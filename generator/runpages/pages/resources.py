"""Resources and cost on the run page: time, arithmetic, money, electricity, and the targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runpages import units
from runpages.model import Quantity, Report

from .all_figures import more_figures
from .words import CAUSE_WORDS, Fact, quantity

__all__ = ["resources_section"]

_AGES = {
    "": "",
    "stale": "; stale: over 90 days old at the run's end",
    "very stale": "; very stale: over a year old at the run's end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resources:
    """The section, ready to print."""

    times: list[Fact]
    cost: list[Fact]
    unknown: list[Fact]
    """One for each reason; its label names all that it keeps from being known."""
    doubt: str
    sentences: list[str]
    goodput: list[dict[str, str]]
    attempts: list[tuple[str, ...]]
    """Device-hours of each attempt; empty where there is one."""


def resources_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "targets": _targets(report),
        "resources": _resources(report),
        "more_figures": more_figures(report),
    }


def _resources(report: Report) -> _Resources:
    """Time beside cost, how the figures came about, and where the elapsed time went."""
    sentences = [*_utilization(report), _price(report), _grid(report)]
    times, cost = _times(report), _cost(report)
    return _Resources(
        times=[fact for fact in times if not fact.why],
        cost=[fact for fact in cost if not fact.why],
        unknown=_unknown([*times, *cost]),
        doubt=report.utilization.doubt,
        sentences=[sentence for sentence in sentences if sentence],
        goodput=_goodput(report),
        attempts=_attempts(report),
    )


def _unknown(facts: Iterable[Fact]) -> list[Fact]:
    """`Elapsed · Goodput · Step time, median` and why: a page of n/a is read as one sentence."""
    by_reason: dict[str, list[str]] = {}
    for fact in facts:
        if fact.why:
            by_reason.setdefault(fact.why, []).append(fact.label)
    return [Fact(label=" · ".join(labels), value="", why=why) for why, labels in by_reason.items()]


def _attempts(report: Report) -> list[tuple[str, ...]]:
    rows = report.cost.attempts
    if len(rows) < 2:
        return []
    return [
        (
            str(row.number),
            "n/a" if row.seconds is None else units.duration(row.seconds),
            "n/a" if row.devices is None else units.count(row.devices),
            _hours(row.device_hours),
            _hours(row.redone_device_hours),
        )
        for row in rows
    ]


def _hours(value: float | None) -> str:
    return "n/a" if value is None else units.number(value, 3)


def _targets(report: Report) -> list[dict[str, str]]:
    """What each target took: one row each."""
    rows = []
    for found in report.targets:
        tokens = found.tokens.value
        scaled = units.si(tokens, 4) if tokens is not None else ("n/a", "")
        rows.append(
            {
                "name": f"{found.metric or found.target.metric} {units.number(found.target.value)}",
                "step": found.step.why
                if found.step.value is None
                else units.count(found.step.value),
                "time": _duration(found.seconds),
                "tokens": " ".join(scaled).strip(),
                "hours": _plain(found.device_hours),
                "usd": "n/a" if found.usd.value is None else f"{found.usd.value:,.2f}",
            }
        )
    return rows


def _duration(given: Quantity) -> str:
    return "n/a" if given.value is None else units.duration(given.value)


def _plain(given: Quantity) -> str:
    return "n/a" if given.value is None else units.number(given.value, 3)


def _times(report: Report) -> list[Fact]:
    timing = report.timing

    def seconds(label: str, given: Quantity) -> Fact:
        value = given.value
        return quantity(
            label, given, value="" if value is None else units.duration(value), unit=" "
        )

    rate = timing.tokens_per_second
    number, prefix = units.si(rate.value, 4) if rate.value is not None else ("", "")
    return [
        seconds("Elapsed", timing.elapsed_seconds),
        seconds("In attempts", timing.active_seconds),
        seconds("Step time, median", timing.step_seconds_p50),
        seconds("Step time, 95th percentile", timing.step_seconds_p95),
        seconds("Step time, 99th percentile", timing.step_seconds_p99),
        quantity("Tokens a second", rate, value=number, unit=f"{prefix} tok/s".strip()),
        quantity("Goodput", report.goodput.percent),
        quantity("MFU", report.utilization.mfu, value=_short(report.utilization.mfu)),
        quantity("HFU", report.utilization.hfu, value=_short(report.utilization.hfu)),
    ]


def _short(given: Quantity) -> str:
    return "" if given.value is None else units.number(given.value, 3)


def _utilization(report: Report) -> list[str]:
    """How the MFU came about, or what the run said of it itself."""
    found = report.utilization
    out = []
    if found.mfu.known:
        source = ""
        if found.accelerator and found.accelerator.source_url:
            given = (found.accelerator.source_url, found.accelerator.as_of)
            source = f" by {', '.join(part for part in given if part)}"
        out.append(f"MFU = tokens/s × {found.formula} / ({found.denominator})")
        out.append(f"tokens/s: {found.tokens}; peak in {found.dtype}{source}")
    if found.logged.value is not None:
        value = f"{units.number(found.logged.value, 3)} {found.logged.unit}".strip()
        out.append(f"The run logged {value} itself: {found.logged.note}")
    return out


def _goodput(report: Report) -> list[dict[str, str]]:
    """Where the elapsed time went; without a goodput only the causes that are known and cost."""
    found = report.goodput
    elapsed = report.timing.elapsed_seconds.value
    if not elapsed:
        return []
    rows = [("Productive", found.productive_seconds)]
    rows += [(CAUSE_WORDS[b.cause], b.seconds) for b in found.badput]
    if not found.percent.known:
        rows = [(name, seconds) for name, seconds in rows if seconds.value]
    return [
        {
            "name": name,
            "time": "n/a" if q.value is None else units.duration(q.value),
            "share": "n/a" if q.value is None else f"{units.percent(q.value / elapsed)} %",
            "note": q.why or q.note,
        }
        for name, q in rows
    ]


def _cost(report: Report) -> list[Fact]:
    cost, energy = report.cost, report.cost.energy
    usd = "" if cost.usd.value is None else f"{cost.usd.value:,.2f}"
    return [
        quantity("Device-hours", cost.device_hours),
        quantity("Device-hours on redone steps", cost.lost_device_hours),
        quantity("Cost", cost.usd, value=usd),
        quantity("Energy, estimated" if energy.estimated else "Energy", energy.devices_kwh),
        quantity("Energy with overheads", energy.total_kwh),
        quantity("Carbon", energy.carbon_kg, value=_short(energy.carbon_kg)),
    ]


def _price(report: Report) -> str:
    price = report.cost.price
    if price is None or report.cost.usd.value is None:
        return ""
    named = f" ({price.note})" if price.note else ""
    source = f", {price.source_url}" if price.source_url else ""
    return (
        f"{price.kind.capitalize()}: {price.usd_per_device_hour:g} USD a device-hour for "
        f"{price.accelerator}{named}, valid from {price.valid_from}{source}"
        f"{_AGES[report.cost.price_age]}"
    )


def _grid(report: Report) -> str:
    energy = report.cost.energy
    if energy.intensity is None or energy.carbon_kg.value is None:
        return ""
    source = energy.intensity.source_url
    return f"Carbon: {energy.carbon_kg.note}{f' by {source}' if source else ''}"
