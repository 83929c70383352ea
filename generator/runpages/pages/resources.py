"""What the run took: time, throughput, utilisation, device-hours, money."""

from __future__ import annotations

from runpages import units
from runpages.model import Quantity, Report

from .words import CAUSE_WORDS, Fact, quantity

__all__ = ["resources_section"]


def resources_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "timing": _timing(report),
        "utilization": _utilization(report),
        "doubt": report.utilization.doubt,
        "goodput": _goodput(report),
        "cost": _cost(report),
        "price": _price(report),
    }


def _timing(report: Report) -> list[Fact]:
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
        quantity("Throughput", rate, value=number, unit=f"{prefix} tok/s".strip()),
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
    cost = report.cost
    usd = "" if cost.usd.value is None else f"{cost.usd.value:,.2f}"
    return [
        quantity("Device-hours", cost.device_hours),
        quantity("Device-hours on redone steps", cost.lost_device_hours),
        quantity("Energy", cost.energy_kwh),
        quantity("Cost", cost.usd, value=usd),
    ]


def _price(report: Report) -> str:
    price = report.cost.price
    if price is None or report.cost.usd.value is None:
        return ""
    source = f", {price.source_url}" if price.source_url else ""
    return (
        f"{price.kind}: {price.usd_per_device_hour:g} USD a device-hour for {price.accelerator}, "
        f"valid from {price.valid_from}{source}"
    )
