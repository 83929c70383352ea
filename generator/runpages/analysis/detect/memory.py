"""Device memory: what grows without end, and what is nearly full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Floats, Track, running_median, segments

__all__ = [
    "MemoryGrowthOptions",
    "NearOomOptions",
    "capacity_of",
    "find_memory_growth",
    "find_near_oom",
]

_PERCENT = re.compile(
    r".*(percent(age)?|pct|\(%\)|%|gpu\.\d+\.memoryallocated|mem_usage)", re.IGNORECASE
)
"""`gpu.N.memoryAllocated` is W&B's, `gpu_N_mem_usage` is ClearML's: per cent of the capacity."""
_UNITS = (
    (re.compile(r".*(gib|[_.(]gb|gigabytes?)\)?", re.IGNORECASE), 2.0**30),
    (re.compile(r".*(mib|[_.(]mb|megabytes?)\)?", re.IGNORECASE), 2.0**20),
    (re.compile(r".*bytes(\.all\.(current|peak))?", re.IGNORECASE), 1.0),
)
"""Trackers write GB and MB for powers of 1,024 (ClearML, MLflow's pynvml figures)."""
_IN_USE = re.compile(
    r".*(max_active|active_bytes|max_allocated|allocated_bytes\.all|mem_allocated_bytes"
    r"|mem_max_allocated).*",
    re.IGNORECASE,
)
"""What the framework counts as in use (torch's statistics); a driver's figure holds what the
allocator keeps in reserve too, which is near 100 % in healthy runs (torchtitan, metrics.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryGrowthOptions:
    """Thresholds as shares of the capacity or of the level, and of the rows."""

    min_points: int = 40
    warm_up_share: float = 0.1
    """Caches fill at the start."""
    least_of_capacity: float = 0.02
    """Least growth, where the capacity of the device is known."""
    least_of_level: float = 0.05
    """Least growth over the level before, where it is not."""
    blocks: int = 128
    least_blocks: int = 8
    """Blocks that the growth must last."""
    least_each: float = 0.1
    """Share of the growth that each quarter of it must bring: what grows by steps that end is an
    allocator that has found its size."""
    quantile: float = 2.576
    """Normal quantile of the interval of the slope: two-sided 99 % (Sen 1968)."""
    capacity_bytes: float | None = None
    """Memory of one device; filled in from the run's hardware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearOomOptions:
    """Thresholds as shares of the capacity."""

    least_share: float = 0.95
    """Memory in use from here on leaves no room (torchtitan warns by retries, see below)."""
    risen_share: float = 0.02
    """What a driver reports includes the allocator's reserve: it must have risen into that range by
    this share since the run's first tenth."""
    capacity_bytes: float | None = None


def capacity_of(name: str, capacity_bytes: float | None) -> float | None:
    """The device's capacity in the unit that the metric's name tells; None where it does not."""
    plain = name.replace("-", "_")
    if _PERCENT.fullmatch(plain):
        return 100.0
    if capacity_bytes is None:
        return None
    scale = next((unit for pattern, unit in _UNITS if pattern.fullmatch(plain)), None)
    return None if scale is None else capacity_bytes / scale


def find_memory_growth(
    track: Track, options: MemoryGrowthOptions = MemoryGrowthOptions()
) -> Iterator[Candidate]:
    """At most one: a growth that goes on to the end, from the corner of the best hinge on."""
    y = track.values[track.finite]
    if track.role != "gpu_memory" or len(y) < options.min_points:
        return
    skipped = int(options.warm_up_share * len(y))
    width = max(1, (len(y) - skipped) // options.blocks)
    count = (len(y) - skipped) // width
    blocks = y[skipped : skipped + count * width].reshape(count, width).max(axis=1)
    corner, level = _hinge(blocks)
    grown = blocks[int(corner) :]
    if len(grown) < options.least_blocks or not _grows(grown, level, track.name, options):
        return
    start = min(skipped + int(corner * width), len(y) - 1)
    yield Candidate(
        kind="memory_growth",
        start=int(track.finite[start]),
        end=int(track.finite[-1]),
        peak=int(track.finite[start + int(np.argmax(y[start:]))]),
        level=level,
        threshold=level + _least_growth(level, track.name, options),
        recovered=False,
        severity="warning",
    )


def _hinge(blocks: Floats) -> tuple[float, float]:
    """(corner, level) of the level that turns into a line, by least squares over all corners."""
    at = np.arange(len(blocks), dtype=np.float64)
    best, corner, level = np.inf, 0.0, float(blocks[0])
    for tau in range(len(blocks) - 3):
        ramp = np.maximum(at - tau, 0.0)
        centred = ramp - ramp.mean()
        slope = float(centred @ blocks) / float(centred @ centred)
        base = float(blocks.mean() - slope * ramp.mean())
        error = float(np.sum((blocks - base - slope * ramp) ** 2))
        if error < best:
            best, corner, level = error, float(tau), base
    return corner, level


def _least_growth(level: float, name: str, options: MemoryGrowthOptions) -> float:
    capacity = capacity_of(name, options.capacity_bytes)
    if capacity is None:
        return options.least_of_level * abs(level)
    return options.least_of_capacity * capacity


def _grows(grown: Floats, level: float, name: str, options: MemoryGrowthOptions) -> bool:
    """Whether it is high enough, certain (the slope's interval is above 0), and goes on."""
    size = len(grown)
    fifth = max(1, size // 8)
    rise = float(np.median(grown[-fifth:])) - level
    if rise < _least_growth(level, name, options):
        return False
    one, other = np.triu_indices(size, 1)
    slopes = np.sort((grown[other] - grown[one]) / (other - one))
    spread = options.quantile * np.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    lowest = slopes[max(0, int((len(slopes) - spread) / 2))]
    quarters = [float(np.median(part)) for part in np.array_split(grown, 5)]
    gains = np.diff(quarters)
    return bool(lowest > 0 and np.all(gains >= options.least_each * (quarters[-1] - quarters[0])))


def find_near_oom(track: Track, options: NearOomOptions = NearOomOptions()) -> Iterator[Candidate]:
    """Stretches with memory in use at 95 % of the capacity or more; retried allocations."""
    y = track.values[track.finite]
    if not len(y):
        return
    if track.role == "alloc_retries":
        yield from _retries(track, y)
        return
    capacity = capacity_of(track.name, options.capacity_bytes)
    if capacity is None:
        return
    limit = options.least_share * capacity
    early = float(np.max(y[: max(1, len(y) // 10)]))
    counted = _IN_USE.fullmatch(track.name.replace("-", "_")) is not None
    if not counted and (
        early >= limit or float(np.max(y)) - early < options.risen_share * capacity
    ):
        return
    full = segments(running_median(y, 3) >= limit)
    if full:
        start, end = full[0][0], full[-1][1]
        yield _nearly(track, y, (start, end), level=early, limit=limit)


def _retries(track: Track, y: Floats) -> Iterator[Candidate]:
    """Counts of num_alloc_retries and num_ooms (torch): the first is already a near miss."""
    risen = np.flatnonzero(np.diff(y, prepend=min(0.0, float(y[0]))) > 0)
    if len(risen):
        extent = int(risen[0]), int(risen[-1])
        yield _nearly(track, y, extent, level=0.0, limit=1.0)


def _nearly(
    track: Track, y: Floats, extent: tuple[int, int], *, level: float, limit: float
) -> Candidate:
    start, end = extent
    return Candidate(
        kind="near_oom",
        start=int(track.finite[start]),
        end=int(track.finite[end]),
        peak=int(track.finite[start + int(np.argmax(y[start : end + 1]))]),
        level=level,
        threshold=limit,
        recovered=end < len(y) - 1,
        severity="warning",
    )
