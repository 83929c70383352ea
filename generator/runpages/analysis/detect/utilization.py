"""Devices that wait: idle stretches, and a utilisation that never gets high."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .track import Candidate, Floats, Track, running_median, stretches

__all__ = ["GpuUnderuseOptions", "IdleDeviceOptions", "find_idle_devices", "find_underuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleDeviceOptions:
    """Thresholds in per cent of utilisation, samples, seconds and shares of the samples."""

    min_points: int = 12
    most_percent: float = 5.0
    """A device up to here does nothing: drivers show a few per cent of an idle one."""
    least_samples: int = 12
    least_seconds: float = 60.0
    """Where the samples have a clock: shorter waits are evaluation, saving, start-up."""
    least_share: float = 0.05
    """Least share of the samples."""
    warn_share: float = 0.10
    """From this share of the samples on an idle device is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUnderuseOptions:
    """Thresholds in per cent of utilisation and shares of the samples.

    The 95 % quantile under 70 % is "under-used" for SageMaker Debugger
    (sagemaker-debugger-rulesconfig, profiler_rules/rules.py).
    """

    min_points: int = 20
    high_percent: float = 70.0
    quantile: float = 0.95
    least_samples: int = 12
    least_share: float = 0.25
    """Least share of the samples in one such stretch."""
    warn_share: float = 0.5
    idle: IdleDeviceOptions = field(default_factory=IdleDeviceOptions)
    """What is idle is told as that and not judged here."""


def _percent_of(values: Floats) -> Floats:
    """Utilisation in per cent, logged as such or as a share of 1."""
    share = len(values) and float(np.max(values)) <= 1 and bool(np.any(values % 1 > 0))
    return values * 100 if share else values


def find_idle_devices(
    track: Track, options: IdleDeviceOptions = IdleDeviceOptions()
) -> Iterator[Candidate]:
    """Stretches in which the device did (nearly) nothing, short bursts included."""
    values = track.values[track.finite]
    used = _percent_of(values)
    for start, end in _idle(track, used, options):
        share = (end - start + 1) / len(used)
        busy = values[:start] if start else values[end + 1 :]
        yield Candidate(
            kind="idle_device",
            start=int(track.finite[start]),
            end=int(track.finite[end]),
            peak=int(track.finite[start + int(np.argmin(used[start : end + 1]))]),
            level=float(np.median(busy)) if len(busy) else None,
            threshold=_as_logged(options.most_percent, values, used),
            recovered=end < len(used) - 1,
            severity="warning" if share >= options.warn_share else "info",
        )


def _as_logged(percent: float, values: Floats, used: Floats) -> float:
    return percent if values is used else percent / 100


def _idle(track: Track, used: Floats, options: IdleDeviceOptions) -> list[tuple[int, int]]:
    """(first, last) of the idle stretches, which both detectors need."""
    return track.once(("idle", options), lambda: _idle_stretches(track, used, options))


def _idle_stretches(
    track: Track, used: Floats, options: IdleDeviceOptions
) -> list[tuple[int, int]]:
    if len(used) < options.min_points:
        return []
    times = track.times[track.finite]
    least = max(options.least_samples, int(options.least_share * len(used)))
    out = []
    for start, end in stretches(running_median(used, 5) <= options.most_percent):
        seconds = float(times[end] - times[start])
        brief = np.isfinite(seconds) and seconds < options.least_seconds
        if end - start + 1 >= least and not brief:
            out.append((start, end))
    return out


def find_underuse(
    track: Track, options: GpuUnderuseOptions = GpuUnderuseOptions()
) -> Iterator[Candidate]:
    """Stretches in which 95 % of the samples stay under 70 %, idle ones apart."""
    values = track.values[track.finite]
    if len(values) < options.min_points:
        return
    used = _percent_of(values)
    works = np.ones(len(used), dtype=bool)
    for start, end in _idle(track, used, options.idle):
        works[start : end + 1] = False
    rows = np.flatnonzero(works)
    least = max(options.least_samples, int(options.least_share * len(used)))
    for first, last in stretches(used[rows] < options.high_percent):
        own = used[rows[first : last + 1]]
        if len(own) < least or float(np.quantile(own, options.quantile)) >= options.high_percent:
            continue
        start, end = int(rows[first]), int(rows[last])
        yield Candidate(
            kind="gpu_underuse",
            start=int(track.finite[start]),
            end=int(track.finite[end]),
            peak=int(track.finite[rows[first + int(np.argmax(own))]]),
            level=float(np.median(values[rows[first : last + 1]])),
            threshold=_as_logged(options.high_percent, values, used),
            recovered=end < len(used) - 1,
            severity="warning" if len(own) >= options.warn_share * len(used) else "info",
        )
