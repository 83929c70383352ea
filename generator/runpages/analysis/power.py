"""Energy of the accelerators as it was measured: by a counter, else by sampled power."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runpages.model import Columns, Quantity, Run

__all__ = ["Measured", "by_counter", "by_power", "utilisation_by_device"]

Floats = NDArray[np.float64]

_JOULES_PER_KWH = 3.6e6
_GAP_PERIODS = 3.0
"""A gap in the power samples counts as at most this many sampling periods."""
_LEAST_COVERED = 0.5
"""Part of the run's time that must have been sampled; below it the sum says little of the run."""
_TOLD_COVERED = 0.95
_MOST_WATTS = 3000.0
"""No accelerator draws as much: values above it are in mW or of a whole machine."""
_RISES = 0.98
"""Part of a counter's rows that must not fall: it is set back only when something restarts."""
_LEAST_ROWS = 3
_DEVICE = re.compile(r"\d+")
_NUMBER = re.compile(r"gpu[._]?(\d+)", re.IGNORECASE)
_IDLE = 0.1
"""A device with less than this part of the busiest one's utilisation did not take part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Energy of all devices of the run."""

    kwh: Quantity
    scaled: bool = False
    """Whether some devices were not measured and taken to be as the others."""


@dataclass(frozen=True, slots=True)
class _Sum:
    """What was found in one series."""

    joules: float
    seconds: float
    """That were sampled."""


def by_power(run: Run) -> Measured:
    """Trapezoids over every sampled device: sum of gaps x mean of the two powers.

    A gap counts as at most three sampling periods; what is left out of it is told as time that was
    not sampled. Where only some of the run's devices were sampled (W&B samples those of one host)
    the rest is taken to draw as much.
    """
    return _measured(run, "gpu_power", _trapezoid, "trapezoid over power of")


def by_counter(run: Run) -> Measured:
    """Last less first reading of each running total, attempt by attempt."""
    for role, joules in (("energy_joules", 1.0), ("energy_kwh", _JOULES_PER_KWH)):
        if run.series.with_role(role):
            return _measured(run, role, partial(_rise, joules=joules), "energy counter of")
    return Measured(kwh=Quantity.unknown("", "kWh"))


def _measured(run: Run, role: str, add: Callable[[Columns], _Sum | None], what: str) -> Measured:
    """An unknown quantity without a reason where nothing plays the role."""
    sampled = _one_a_device(run, role)
    keys = _taking_part(run, sampled)
    sums = [one for key in keys if (one := _of_series(run, key, add)) is not None]
    if not sums:
        why = f"{keys[0]} cannot be added up as {role}" if keys else ""
        return Measured(kwh=Quantity.unknown(why, "kWh"))
    covered = _covered(run, sums)
    if covered is not None and covered < _LEAST_COVERED:
        why = f"{keys[0]} covers {100 * covered:.0f} % of the run's time only"
        return Measured(kwh=Quantity.unknown(why, "kWh"))
    apart = bool(_DEVICE.search(keys[0]))
    devices = (run.hardware.devices if apart else None) or len(sums)
    if len(sums) > devices:
        why = f"{role} of {len(sums)} devices was logged, the run used {devices}: not known which"
        return Measured(kwh=Quantity.unknown(why, "kWh"))
    kwh = sum(one.joules for one in sums) / _JOULES_PER_KWH * devices / len(sums)
    scaled = len(sums) < devices
    many = f"{len(sums)} of {devices} devices, the rest taken as equal" if scaled else ""
    many = many or (f"{devices} device{'s' if devices > 1 else ''}" if apart else keys[0])
    if len(keys) < len(sampled):
        many += f"; {len(sampled) - len(keys)} more that were idle left out"
    note = f"{what} {many}"
    if covered is not None and covered < _TOLD_COVERED:
        note += f"; {100 * covered:.0f} % of the time sampled"
    return Measured(kwh=Quantity(value=kwh, unit="kWh", note=note), scaled=scaled)


def _one_a_device(run: Run, role: str) -> list[str]:
    """Keys of the series that stand for one device each, of the scheme of names with the most.

    Two loggers that watch the same devices name them differently; adding both would count twice.
    """
    names = run.series.with_role(role)
    if not names:
        return []
    schemes = Counter(_DEVICE.sub("#", name) for name in names)
    scheme = max(schemes, key=lambda s: schemes[s])
    own = [name for name in names if _DEVICE.sub("#", name) == scheme]
    keys: list[str] = []
    for name in own:
        # the curve of a metric that every rank logged is their mean: each rank is its own device
        keys += run.series.ranks(name).values() or [name]
    return keys


def _taking_part(run: Run, keys: list[str]) -> list[str]:
    """Without the idle devices of the host, unless the run is recorded to use so many.

    W&B samples every device that it sees, also those of which the run took none.
    """
    devices = run.hardware.devices
    if len(keys) < 2 or (devices is not None and len(keys) <= devices):
        return keys
    used = utilisation_by_device(run)
    numbers = [match[1] if (match := _NUMBER.search(key)) else "" for key in keys]
    if any(number not in used for number in numbers):
        return keys
    least = _IDLE * max(used[number] for number in numbers)
    busy = [key for key, number in zip(keys, numbers, strict=True) if used[number] > least]
    return busy or keys


def utilisation_by_device(run: Run) -> dict[str, float]:
    """Number of the device -> mean of its logged utilisation, per cent."""
    out = {}
    for name in run.series.with_role("gpu_util"):
        match = _NUMBER.search(name)
        values = run.series[name].recorded.value
        values = values[np.isfinite(values)]
        if match and len(values):
            out[match[1]] = float(values.mean())
    return out


def _of_series(run: Run, key: str, add: Callable[[Columns], _Sum | None]) -> _Sum | None:
    rows = run.series[key].recorded
    joules = seconds = 0.0
    known = False
    for number in np.unique(rows.attempt):
        own = rows.take(rows.attempt == number)
        good = np.isfinite(own.time) & np.isfinite(own.value)
        added = add(own.take(good))
        if added is not None:
            known = True
            joules += added.joules
            seconds += added.seconds
    return _Sum(joules, seconds) if known else None


def _trapezoid(rows: Columns) -> _Sum | None:
    if len(rows.time) < 2 or np.median(rows.value) > _MOST_WATTS or np.any(rows.value < 0):
        return None
    rows = rows.take(np.argsort(rows.time, kind="stable"))
    gaps = np.diff(rows.time)
    gaps = np.minimum(gaps, _GAP_PERIODS * np.median(gaps))
    return _Sum(float(np.sum(gaps * (rows.value[1:] + rows.value[:-1]) / 2)), float(gaps.sum()))


def _rise(rows: Columns, joules: float) -> _Sum | None:
    """None for what is no running total. A counter that was set back goes on from zero."""
    if len(rows.value) < _LEAST_ROWS:
        return None
    change = np.diff(rows.value)
    if np.mean(change >= 0) < _RISES or rows.value[0] < 0:
        return None
    risen = np.where(change >= 0, change, rows.value[1:])
    return _Sum(float(risen.sum()) * joules, float(rows.time[-1] - rows.time[0]))


def _covered(run: Run, sums: Sequence[_Sum]) -> float | None:
    """Part of the attempts' time that was sampled, mean over the devices."""
    lives = [a.end - a.start for a in run.attempts if a.start is not None and a.end is not None]
    if not lives or len(lives) < len(run.attempts) or sum(lives) <= 0:
        return None
    return min(1.0, float(np.mean([one.seconds for one in sums])) / sum(lives))
