"""Electricity and carbon of a run: measured where it was, estimated and marked where it was not."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from runpages.model import Accelerator, Energy, GridIntensity, Quantity, Run

from .devices import find_accelerator
from .power import by_counter, by_power, utilisation_by_device

__all__ = ["EnergyOptions", "analyze_energy", "shipped_grid"]

_ASSUMED_PUE = 1.2
"""Large operators report 1.07 to 1.2 (datacenterknowledge.com, 2011-05-10), the mean of the Uptime
Institute's survey is 1.58 for 2023 (upsite.com): of a modern large centre, and shown as assumed."""
_ASSUMED_LOAD = 0.8
"""Part of its maximum power that a busy accelerator draws, where no utilisation was logged."""
_BAND = "± 25 %"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyOptions:
    """What the team knows of its own place."""

    pue: float = 0.0
    """Power usage effectiveness; 0 = not known."""
    host_watts_per_device: float = 0.0
    """What host, network and storage draw for each accelerator; 0 = not counted."""
    region: str = ""
    """Row of grid.toml; empty = not known."""
    grams_per_kwh: float = 0.0
    """The team's own figure, before that of the region; 0 = none."""


@functools.cache
def shipped_grid() -> dict[str, GridIntensity]:
    """The rows of grid.toml by region."""
    text = files("runpages.analysis").joinpath("grid.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return {
        row["region"]: GridIntensity(**row, source_url=table["source_url"])
        for row in table["region"]
    }


def analyze_energy(
    run: Run,
    device_hours: Quantity,
    options: EnergyOptions,
    accelerators: Sequence[Accelerator] = (),
) -> Energy:
    """A running total before sampled power, codecarbon's figure, and an estimate by the device."""
    devices, method, estimated = _devices(run, device_hours, accelerators)
    host = _host(method, device_hours, options)
    pue = options.pue or _ASSUMED_PUE
    total = _total(devices, host, pue, assumed=not options.pue)
    intensity = _intensity(options)
    return Energy(
        devices_kwh=devices,
        method=method,
        estimated=estimated,
        host_kwh=host,
        total_kwh=total,
        carbon_kg=_carbon(total, intensity),
        pue=pue,
        pue_assumed=not options.pue,
        intensity=intensity,
    )


def _devices(
    run: Run, device_hours: Quantity, accelerators: Sequence[Accelerator]
) -> tuple[Quantity, str, bool]:
    """The accelerators' energy, the method, and whether it is an estimate."""
    counted, sampled = by_counter(run), by_power(run)
    for measured, method in ((counted, "counter"), (sampled, "power")):
        if measured.kwh.known:
            return measured.kwh, method, measured.scaled
    told = run.summary.get("codecarbon/energy_consumed_kWh")
    if isinstance(told, float):
        note = "codecarbon's own figure: processor, memory and accelerators"
        return Quantity(value=told, unit="kWh", note=note), "codecarbon", False
    estimate = _estimate(run, device_hours, accelerators)
    if estimate.known:
        return estimate, "estimate", True
    # what was logged and cannot be used says more than that power was not sampled
    logged = counted.kwh.why or sampled.kwh.why or "power was not sampled"
    return Quantity.unknown(f"{logged}; {estimate.why}", "kWh"), "", False


def _estimate(run: Run, device_hours: Quantity, accelerators: Sequence[Accelerator]) -> Quantity:
    """Maximum power x device-hours x load."""
    if not run.hardware.device:
        return Quantity.unknown("accelerator not recorded", "kWh")
    device = find_accelerator(run.hardware.device, accelerators)
    if device is None or device.watts is None:
        return Quantity.unknown(f"no power is known of {run.hardware.device}", "kWh")
    if device_hours.value is None:
        return Quantity.unknown(device_hours.why, "kWh")
    load, how = _load(run)
    kwh = device.watts * device_hours.value * load / 1000
    note = (
        f"estimated, {_BAND}: {device.watts:g} W of {device.name} × device-hours × "
        f"{100 * load:.0f} % load ({how})"
    )
    return Quantity(value=kwh, unit="kWh", note=note)


def _load(run: Run) -> tuple[float, str]:
    used = list(utilisation_by_device(run).values())
    if not used or not 1 < max(used) <= 100:
        return _ASSUMED_LOAD, "assumed"
    if run.hardware.devices is not None and len(used) > run.hardware.devices:
        used = sorted(used)[-run.hardware.devices :]
    return float(np.mean(used)) / 100, "mean utilisation"


def _host(method: str, device_hours: Quantity, options: EnergyOptions) -> Quantity:
    if method == "codecarbon":
        return Quantity(value=0.0, unit="kWh", note="in codecarbon's figure")
    if not options.host_watts_per_device:
        why = "not counted: set host_watts_per_device under [energy]"
        return Quantity.unknown(why, "kWh")
    if device_hours.value is None:
        return Quantity.unknown(device_hours.why, "kWh")
    kwh = options.host_watts_per_device * device_hours.value / 1000
    return Quantity(value=kwh, unit="kWh", note=f"{options.host_watts_per_device:g} W a device")


def _total(devices: Quantity, host: Quantity, pue: float, *, assumed: bool) -> Quantity:
    if devices.value is None:
        return Quantity.unknown(devices.why, "kWh")
    note = f"PUE {pue:g}{' assumed' if assumed else ''}"
    note += ", host included" if host.known else ", host not counted"
    return Quantity(value=(devices.value + (host.value or 0.0)) * pue, unit="kWh", note=note)


def _intensity(options: EnergyOptions) -> GridIntensity | None:
    shipped = shipped_grid().get(options.region)
    if options.grams_per_kwh:
        return GridIntensity(
            region=options.region,
            name=shipped.name if shipped else "",
            g_per_kwh=options.grams_per_kwh,
            year=None,
            source_url="",
        )
    return shipped


def _carbon(total: Quantity, intensity: GridIntensity | None) -> Quantity:
    unit = "kg CO₂e"
    if total.value is None:
        return Quantity.unknown(total.why, unit)
    if intensity is None:
        return Quantity.unknown("region not known: set region under [energy]", unit)
    grams = f"{intensity.g_per_kwh:g} g/kWh"
    told = f"{intensity.name}, mean of {intensity.year}" if intensity.year else "as the team set it"
    return Quantity(
        value=total.value * intensity.g_per_kwh / 1000, unit=unit, note=f"{grams} ({told})"
    )
