"""What an event cost in time: seconds over the usual step, and device-hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runpages.model import Columns, Event, Run

from .detect import Floats

__all__ = ["with_cost"]

_SLOW = frozenset({"stall", "slowdown"})
_ONE_DEVICE = frozenset({"idle_device"})
_USUAL_ROWS = 32
"""Rows before the event that tell the usual step."""


def with_cost(run: Run, event: Event) -> Event:
    """The event with its lost time, where the clock tells it.

    Stall and slowdown: time between their rows over what as many steps took before, at most what
    the metric itself shows. Idle device: how long, of that one device; an info without device-hours
    where the run may not have had it. Other kinds keep what their detector or a rollback charged;
    device-hours follow from the attempt's devices.
    """
    seconds = event.lost_seconds
    idle = event.kind in _ONE_DEVICE
    foreign = idle and not _all_its_own(run, event.attempt)
    if foreign:
        event = replace(event, severity="info")
    if seconds is None and event.kind in _SLOW:
        seconds = _over_usual(run, event)
    if seconds is None and idle and event.start_time and event.end_time:
        seconds = event.end_time - event.start_time
    if seconds is None or event.lost_device_hours is not None:
        return event
    devices = 1 if idle else _devices(run, event.attempt)
    hours = None if devices is None or foreign else seconds / 3600 * devices
    return replace(event, lost_seconds=seconds, lost_device_hours=hours)


def _devices(run: Run, attempt: int) -> int | None:
    own = next((a.devices for a in run.attempts if a.number == attempt), None)
    return run.hardware.devices if own is None else own


def _all_its_own(run: Run, attempt: int) -> bool:
    """Whether every sampled device was the run's: trackers sample all those of the machine."""
    devices = _devices(run, attempt)
    sampled = sum(i.role == "gpu_util" and i.rank is None for i in run.series.infos)
    return devices is not None and sampled <= devices


def _over_usual(run: Run, event: Event) -> float | None:
    rows = run.series[event.metric].attempt(event.attempt)
    inside = np.flatnonzero((rows.step >= event.start_step) & (rows.step <= event.end_step))
    inside = inside[inside > 0]
    if not len(inside) or event.baseline_value is None:
        return None
    seconds, steps = np.diff(rows.time), np.diff(rows.step)
    first, own = int(inside[0]), inside - 1
    usual = _per_step(seconds, steps, slice(max(0, first - 1 - _USUAL_ROWS), first - 1))
    if usual is None or not np.isfinite(seconds[own]).all():
        return None
    by_clock = np.maximum(seconds[own] - usual * steps[own], 0.0)
    return float(np.sum(np.minimum(by_clock, seconds[own] * _slow_share(rows, inside, event))))


def _per_step(seconds: Floats, steps: np.ndarray, part: slice) -> float | None:
    """Median seconds a step of a part of the rows."""
    good = np.isfinite(seconds[part]) & (steps[part] > 0) & (seconds[part] >= 0)
    if not good.any():
        return None
    return float(np.median(seconds[part][good] / steps[part][good]))


def _slow_share(rows: Columns, inside: np.ndarray, event: Event) -> Floats:
    """Part of each row's time that is over the usual, by what the metric shows.

    A row that stands for many steps may show one of them only: of a stall it shows the slowest.
    """
    level = event.baseline_value or 1.0
    with np.errstate(all="ignore"):
        ratio = rows.value[inside] / level
        ratio = 1 / ratio if event.role == "tokens_per_second" else ratio
        return np.where(ratio > 1, 1 - 1 / ratio, 0.0)
