"""Device-hours and money from a dated price. No clock enters."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib.resources import files

from runpages.model import Accelerator, Attempt, AttemptCost, Cost, Price, Quantity, Run

from .continuity import gaps_in_knowledge
from .elapsed import logged_seconds
from .energy import EnergyOptions, analyze_energy
from .intervals import lost_seconds
from .power import utilisation_by_device

__all__ = ["analyze_cost", "choose_price", "shipped_prices"]

_STALE_DAYS = 90
_VERY_STALE_DAYS = 365
"""Rates of one device about doubled within a year (aimultiple.com/gpu-index, 2026-05-20)."""


@functools.cache
def shipped_prices() -> tuple[Price, ...]:
    """The rows of prices.toml."""
    text = files("runpages.analysis").joinpath("prices.toml").read_text(encoding="utf-8")
    return tuple(
        Price(
            accelerator=row["accelerator"],
            usd_per_device_hour=row["usd_per_device_hour"],
            valid_from=row["valid_from"],
            source_url=row["source_url"],
            kind="list price estimate",
            note=row["note"],
        )
        for row in tomllib.loads(text)["price"]
    )


def choose_price(device: str, end: float | None, prices: Sequence[Price]) -> Price | None:
    """The row that held for this device at the run's end (UTC seconds); the team's before ours.

    A row fits when its accelerator stands in the device's name as whole words: `A10` is not `A100`.
    Of several the most particular name wins, then the newest date.
    """
    if end is None or not device:
        return None
    day = datetime.fromtimestamp(end, UTC).date().isoformat()
    for table in (prices, shipped_prices()):
        fitting = [
            row for row in table if _names(row.accelerator, device) and row.valid_from <= day
        ]
        if fitting:
            return max(fitting, key=lambda row: (len(row.accelerator), row.valid_from))
    return None


def _names(accelerator: str, device: str) -> bool:
    words = re.escape(accelerator.strip().casefold())
    return bool(words and re.search(rf"(?<![a-z0-9]){words}(?![a-z0-9])", device.casefold()))


def analyze_cost(
    run: Run,
    prices: Sequence[Price],
    energy: EnergyOptions,
    accelerators: Sequence[Accelerator] = (),
) -> Cost:
    """Device-hours = sum over attempts of wall time times devices; money = those times price.

    Without a clock the wall time is what the log itself counts: see `logged_seconds`.
    """
    lost = lost_seconds(run)
    attempts = tuple(_attempt(run, a, redone=lost.get(a.number)) for a in run.attempts)
    hours = _device_hours(run, attempts)
    price = choose_price(run.hardware.device, run.end, prices)
    return Cost(
        device_hours=hours,
        lost_device_hours=_lost(attempts, gaps_in_knowledge(run)),
        usd=_usd(run, hours, price),
        price=price,
        price_age=_age(price, run.end),
        energy=analyze_energy(run, hours, energy, accelerators),
        attempts=attempts,
    )


def _age(price: Price | None, end: float | None) -> str:
    """`stale`, `very stale` or empty: days between the price's date and the run's end."""
    if price is None or end is None:
        return ""
    seen = date.fromisoformat(price.as_of or price.valid_from)
    days = (datetime.fromtimestamp(end, UTC).date() - seen).days
    return "very stale" if days > _VERY_STALE_DAYS else "stale" if days > _STALE_DAYS else ""


def _attempt(run: Run, attempt: Attempt, *, redone: float | None) -> AttemptCost:
    seconds = None
    if attempt.start is not None and attempt.end is not None:
        seconds = attempt.end - attempt.start
    devices = attempt.devices if attempt.devices is not None else run.hardware.devices
    if seconds is None:
        seconds = logged_seconds(run).value
    return AttemptCost(
        number=attempt.number,
        seconds=seconds,
        devices=devices,
        device_hours=_hours(seconds, devices),
        redone_seconds=redone,
        redone_device_hours=0.0 if redone == 0 else _hours(redone, devices),
    )


def _hours(seconds: float | None, devices: int | None) -> float | None:
    return None if seconds is None or devices is None else seconds / 3600 * devices


def _device_hours(run: Run, attempts: Sequence[AttemptCost]) -> Quantity:
    if not attempts:
        return Quantity.unknown("nothing was recorded", "h")
    if any(a.devices is None for a in attempts):
        return Quantity.unknown(_not_counted(run), "h")
    if any(a.device_hours is None for a in attempts):
        return Quantity.unknown("no clock in the log", "h")
    total = sum(a.device_hours or 0.0 for a in attempts)
    note = "wall time of each attempt times its devices"
    if any(a.start is None or a.end is None for a in run.attempts):
        note = f"{logged_seconds(run).note}; times devices"
    return Quantity(value=total, unit="h", note=note)


def _not_counted(run: Run) -> str:
    why = "number of accelerators not recorded"
    if seen := len(utilisation_by_device(run)):
        why += f": {seen} of the host were sampled, which need not all be its own"
    return why


def _lost(attempts: Sequence[AttemptCost], gaps: Sequence[str]) -> Quantity:
    if gaps:
        return Quantity.unknown("; ".join(gaps), "h")
    if not attempts:
        return Quantity.unknown("nothing was recorded", "h")
    if all(a.redone_seconds == 0 for a in attempts):
        return Quantity(value=0.0, unit="h", note="no step was done twice")
    if any(a.redone_seconds is None for a in attempts):
        return Quantity.unknown("no clock in the log", "h")
    if any(a.redone_device_hours is None for a in attempts):
        return Quantity.unknown("number of accelerators not recorded", "h")
    total = sum(a.redone_device_hours or 0.0 for a in attempts)
    return Quantity(value=total, unit="h", note="steps that were done again")


def _usd(run: Run, hours: Quantity, price: Price | None) -> Quantity:
    if not run.hardware.device:
        return Quantity.unknown("accelerator not recorded, so no price fits", "USD")
    if hours.value is None:
        return Quantity.unknown(hours.why, "USD")
    if run.end is None:
        return Quantity.unknown("no end date, so no price row applies", "USD")
    if price is None:
        return Quantity.unknown("no price row for this device held at the run's end", "USD")
    age = _age(price, run.end)
    note = f"{price.kind}, valid from {price.valid_from}{f', {age}' if age else ''}"
    return Quantity(value=hours.value * price.usd_per_device_hour, unit="USD", note=note)
