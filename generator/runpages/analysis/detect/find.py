"""find_events: all detectors that suit a metric, their overlaps settled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from runpages.analysis.roles import LOSSES, direction_of, role_of
from runpages.model import Event

from .anew import Beginning, beginnings, begins_anew, split
from .divergence import DivergenceOptions, find_divergence
from .drop import SCORES, DropOptions, find_drops
from .gradients import (
    GradExplosionOptions,
    GradVanishingOptions,
    find_grad_explosions,
    find_grad_vanishing,
)
from .jitter import JitterOptions, find_jitter
from .level_shift import LevelShiftOptions, find_level_shifts
from .memory import MemoryGrowthOptions, NearOomOptions, find_memory_growth, find_near_oom
from .missing import MissingDataOptions, find_missing_data
from .nonfinite import NonfiniteOptions, find_nonfinite
from .overfit import OverfitOptions, find_overfit
from .plateau import PlateauOptions, find_plateau
from .repeated import RepeatedDataOptions, find_repeated_data
from .settle import settled
from .spike import SpikeOptions, find_spikes
from .throughput import (
    THROUGHPUT,
    SlowdownOptions,
    StallOptions,
    find_slowdowns,
    find_stalls,
)
from .track import Candidate, Floats, Track
from .utilization import (
    GpuUnderuseOptions,
    IdleDeviceOptions,
    find_idle_devices,
    find_underuse,
)
from .words import describe

__all__ = [
    "DETECTORS",
    "SAMPLED",
    "Detector",
    "DetectorOptions",
    "event_id",
    "event_of",
    "find_beginnings",
    "find_events",
]

EVIDENCE_ROWS = 21
TO_THE_END = frozenset({"divergence", "overfit"})
"""Kinds that last to the end: their peak may be far from where they began."""
GRADIENTS = frozenset({"grad_norm"})
UTILIZATION = frozenset({"gpu_util"})
SAMPLED = frozenset({"gpu_util", "gpu_memory", "alloc_retries"})
"""Roles that are judged where the metric was sampled by the clock, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """Thresholds of all detectors."""

    nonfinite: NonfiniteOptions = field(default_factory=NonfiniteOptions)
    divergence: DivergenceOptions = field(default_factory=DivergenceOptions)
    level_shift: LevelShiftOptions = field(default_factory=LevelShiftOptions)
    plateau: PlateauOptions = field(default_factory=PlateauOptions)
    drop: DropOptions = field(default_factory=DropOptions)
    overfit: OverfitOptions = field(default_factory=OverfitOptions)
    spike: SpikeOptions = field(default_factory=SpikeOptions)
    stall: StallOptions = field(default_factory=StallOptions)
    slowdown: SlowdownOptions = field(default_factory=SlowdownOptions)
    grad_explosion: GradExplosionOptions = field(default_factory=GradExplosionOptions)
    grad_vanishing: GradVanishingOptions = field(default_factory=GradVanishingOptions)
    jitter: JitterOptions = field(default_factory=JitterOptions)
    idle_device: IdleDeviceOptions = field(default_factory=IdleDeviceOptions)
    gpu_underuse: GpuUnderuseOptions = field(default_factory=GpuUnderuseOptions)
    memory_growth: MemoryGrowthOptions = field(default_factory=MemoryGrowthOptions)
    near_oom: NearOomOptions = field(default_factory=NearOomOptions)
    repeated_data: RepeatedDataOptions = field(default_factory=RepeatedDataOptions)
    missing_data: MissingDataOptions = field(default_factory=MissingDataOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One row of the table: a kind, the roles it judges (None = every metric), its function."""

    kind: str
    roles: frozenset[str] | None
    find: Callable[[Track, Any], Iterator[Candidate]]


DETECTORS = (
    Detector(kind="nonfinite", roles=None, find=find_nonfinite),
    Detector(kind="divergence", roles=LOSSES, find=find_divergence),
    Detector(kind="level_shift", roles=LOSSES, find=find_level_shifts),
    Detector(kind="plateau", roles=LOSSES, find=find_plateau),
    Detector(kind="drop", roles=SCORES, find=find_drops),
    Detector(kind="overfit", roles=frozenset({"val_loss"}), find=find_overfit),
    Detector(kind="spike", roles=LOSSES, find=find_spikes),
    Detector(kind="stall", roles=THROUGHPUT, find=find_stalls),
    Detector(kind="slowdown", roles=THROUGHPUT, find=find_slowdowns),
    Detector(kind="grad_explosion", roles=GRADIENTS, find=find_grad_explosions),
    Detector(kind="grad_vanishing", roles=GRADIENTS, find=find_grad_vanishing),
    Detector(kind="jitter", roles=THROUGHPUT, find=find_jitter),
    Detector(kind="idle_device", roles=UTILIZATION, find=find_idle_devices),
    Detector(kind="gpu_underuse", roles=UTILIZATION, find=find_underuse),
    Detector(kind="memory_growth", roles=frozenset({"gpu_memory"}), find=find_memory_growth),
    Detector(kind="near_oom", roles=frozenset({"gpu_memory", "alloc_retries"}), find=find_near_oom),
    Detector(kind="repeated_data", roles=frozenset({"loss"}), find=find_repeated_data),
    Detector(kind="missing_data", roles=None, find=find_missing_data),
)


def event_id(kind: str, start_step: int, metric: str, rank: int | None, attempt: int) -> str:
    """The anchor of an event, which stays when other events come or go."""
    identity = f"{metric}\n{'' if rank is None else rank}\n{attempt}"
    digest = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:4]
    return f"{kind}-{start_step}-{digest}"


def find_events(
    steps: ArrayLike,
    values: ArrayLike,
    *,
    times: ArrayLike | None = None,
    metric: str = "loss",
    direction: str | None = None,
    role: str | None = None,
    attempt: int = 1,
    rank: int | None = None,
    begun_anew: Sequence[int] = (),
    options: DetectorOptions = DetectorOptions(),
) -> tuple[Event, ...]:
    """Events in one series, by start.

    `steps` (n,) must not fall; `values` (n,) may be NaN or infinite, which is an event; rows that
    were not recorded are absent. `times` (n,) are UTC seconds. `metric` is the name as logged, from
    which the role follows unless `role` is given; a metric without a role is judged for non-finite
    values only. `direction` (`lower`, `higher`) says which way is better where the role does not.
    `begun_anew` are steps at which another series shows that training began anew
    (`find_beginnings`): what lies on either side of one is judged by itself. Empty, constant and
    all-NaN series are legal. Raises ValueError for falling steps or unequal lengths.
    """
    track = _track(steps, values, times=times, metric=metric, direction=direction, role=role)
    if not len(track.values):
        return ()
    found = _found(track, begun_anew, options)
    return tuple(event_of(track, c, track.times, attempt=attempt, rank=rank) for c in found)


def find_beginnings(
    steps: ArrayLike, values: ArrayLike, *, metric: str, role: str | None
) -> list[Beginning]:
    """Where a loss shows that training began anew; nothing for other metrics. As `find_events`."""
    track = _track(steps, values, times=None, metric=metric, direction=None, role=role)
    with np.errstate(all="ignore"):
        return beginnings(track) if track.role in LOSSES else []


def _track(
    steps: ArrayLike,
    values: ArrayLike,
    *,
    times: ArrayLike | None,
    metric: str,
    direction: str | None,
    role: str | None,
) -> Track:
    step = np.asarray(steps)
    value = np.asarray(values, dtype=np.float64)
    unknown = np.broadcast_to(np.nan, value.shape)
    time = unknown if times is None else np.asarray(times, dtype=np.float64)
    if step.shape != value.shape or time.shape != value.shape or value.ndim != 1:
        raise ValueError("steps, values and times must be one-dimensional and of one length")
    if np.any(np.diff(step) < 0):
        raise ValueError("steps fall: split the series into its attempts first")
    meaning = role or role_of(metric)
    better = direction or (direction_of(meaning))
    return Track(
        name=metric,
        role=meaning,
        sign=-1.0 if better == "higher" else 1.0,
        steps=step.astype(np.int64),
        values=value,
        finite=np.flatnonzero(np.isfinite(value)),
        times=time,
    )


def _found(track: Track, begun_anew: Sequence[int], options: DetectorOptions) -> list[Candidate]:
    """Of each training in the series by itself: one that begins anew has another level."""
    with np.errstate(all="ignore"):
        own = {b.row for b in beginnings(track)} if track.role in LOSSES else set()
    others = np.searchsorted(track.steps, np.asarray(begun_anew, dtype=np.int64)).tolist()
    cuts = sorted(own | {row for row in others if 0 < row < len(track.values)})
    out: list[Candidate] = []
    for offset, training in zip([0, *cuts], split(track, cuts), strict=True):
        if offset in own:
            out.append(begins_anew(track, offset))
        out += [_moved(c, offset) for c in settled(_candidates(training, options))]
    return out


def _moved(found: Candidate, rows: int) -> Candidate:
    start, end, peak = found.start + rows, found.end + rows, found.peak + rows
    return replace(found, start=start, end=end, peak=peak) if rows else found


def _candidates(track: Track, options: DetectorOptions) -> Iterator[Candidate]:
    with np.errstate(all="ignore"):
        for detector in DETECTORS:
            if detector.roles is None or track.role in detector.roles:
                yield from detector.find(track, getattr(options, detector.kind))


def event_of(
    track: Track, found: Candidate, time: Floats, *, attempt: int, rank: int | None
) -> Event:
    """A candidate as an event, with its sentence and the rows around its peak, or its onset."""
    step = track.steps
    start = int(step[found.start])
    middle = found.start if found.kind in TO_THE_END else found.peak
    first = max(0, min(middle - EVIDENCE_ROWS // 2, len(step) - EVIDENCE_ROWS))
    rows = range(first, min(first + EVIDENCE_ROWS, len(step)))

    def clock(position: int) -> float | None:
        return float(time[position]) if np.isfinite(time[position]) else None

    event = Event(
        id=event_id(found.kind, start, track.name, rank, attempt),
        kind=found.kind,
        metric=track.name,
        role=track.role,
        rank=rank,
        attempt=attempt,
        start_step=start,
        end_step=int(step[found.end]),
        start_time=clock(found.start),
        end_time=clock(found.end),
        peak_step=int(step[found.peak]),
        peak_value=float(track.values[found.peak]),
        baseline_value=found.level,
        threshold=found.threshold,
        severity=found.severity,
        recovered=found.recovered,
        evidence=tuple((int(step[i]), float(track.values[i])) for i in rows),
    )
    return replace(event, message=describe(event))
