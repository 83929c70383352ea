"""All events of a run: of each series and attempt, of several series, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runpages.model import KINDS, SEVERITIES, Columns, Event, Judgement, Run, SeriesInfo

from .across import RUN_DETECTORS, Found
from .attempts import (
    Transition,
    restart_events,
    rolled_back,
    rows_of_attempt,
    with_checkpoints,
)
from .detect import (
    DETECTORS,
    SAMPLED,
    DetectorOptions,
    capacity_of,
    find_events,
    is_mean_since_start,
)
from .devices import find_accelerator
from .event_cost import with_cost
from .fusion import fuse
from .options import AnalysisOptions
from .roles import RATES, role_of
from .sampled import samples_by_attempt
from .training_loss import with_training_loss
from .trainings import find_trainings

__all__ = ["find_run_events"]

_START_UP_ROWS = 8
"""As many rows of a resumed attempt may be slow: it compiles, fills caches, restores."""

_OF_THE_MACHINE = frozenset(
    {
        *("stall", "slowdown", "jitter", "data_bottleneck", "idle_device", "gpu_underuse"),
        *("memory_growth", "near_oom", "straggler", "missing_data", "restart"),
    }
)
"""Kinds that cost time, not the model: told after those of the same severity that do."""


def find_run_events(
    run: Run, transitions: Sequence[Transition], options: AnalysisOptions, primary: str
) -> tuple[tuple[Event, ...], tuple[Judgement, ...]]:
    """Events, the most severe first; and for each kind what it was looked for in, or why not.

    Of one severity the model's come before the machine's, then they go by step.
    """
    detectors = _with_capacity(run, options)
    trainings = find_trainings(run)
    found: list[Event] = []
    for info in run.series.infos:
        if info.axis == "time":
            found += _of_samples(run, info, detectors)
        elif info.whole:
            found += _of_series(run, info.name, detectors, trainings)
    found = [with_training_loss(run, event) for event in found]
    told = [_with_rollback(run, event, found, transitions) for event in found]
    across = {kind: find(run) for kind, find in RUN_DETECTORS.items()}
    told += [event for one in across.values() for event in one.events]
    losses = run.series.with_role("loss")
    told += restart_events(transitions, losses[0] if losses else primary)
    told = [with_checkpoints(with_cost(run, event), run.checkpoints) for event in told]
    told = fuse(run, told, transitions)
    order = {severity: -number for number, severity in enumerate(SEVERITIES)}
    told.sort(
        key=lambda e: (
            *(order[e.severity], e.kind in _OF_THE_MACHINE),
            *(e.start_step, e.attempt, e.kind, e.metric),
        )
    )
    return tuple(told), _judgements(run, across, detectors)


def _with_rollback(
    run: Run, event: Event, found: Sequence[Event], transitions: Sequence[Transition]
) -> Event:
    ends = [last for number, (_, last) in run.series.spans.items() if number > event.attempt]
    return rolled_back(
        event,
        transitions,
        later=[e for e in found if e.attempt > event.attempt],
        reached=max(ends, default=None),
    )


def _with_capacity(run: Run, options: AnalysisOptions) -> DetectorOptions:
    """The thresholds with the memory of the run's device, where it is known."""
    device = find_accelerator(run.hardware.device, options.accelerators)
    if device is None or device.memory_gb is None:
        return options.detectors
    # sold by the GB, but made by the GiB: an "80 GB" H100 reports 81,559 MiB
    capacity = device.memory_gb * 2.0**30
    return replace(
        options.detectors,
        memory_growth=replace(options.detectors.memory_growth, capacity_bytes=capacity),
        near_oom=replace(options.detectors.near_oom, capacity_bytes=capacity),
    )


def _sampled_role(info: SeriesInfo) -> str | None:
    """The role of what was sampled by the clock, also where each rank has its own samples."""
    return info.role if info.rank is None else role_of(info.name.removesuffix(_of_rank(info)))


def _of_rank(info: SeriesInfo) -> str:
    return f" [rank {info.rank}]"


def _of_samples(run: Run, info: SeriesInfo, options: DetectorOptions) -> list[Event]:
    role = _sampled_role(info)
    if role not in SAMPLED:
        return []
    out: list[Event] = []
    for number, rows in samples_by_attempt(run, run.series[info.name]).items():
        out += _in(info.name, rows, role, number, options, rank=info.rank)
    return out


def _of_series(
    run: Run, name: str, options: DetectorOptions, trainings: Mapping[int, Sequence[int]]
) -> list[Event]:
    series = run.series[name]
    numbers = np.flatnonzero(np.bincount(series.recorded.attempt)).tolist()
    out: list[Event] = []
    for number in numbers:
        rows, first = rows_of_attempt(series, number)
        begun = trainings.get(number, ())
        events = _in(name, rows, series.role, number, options, begun_anew=begun)
        # what lies before this attempt's own rows was told of the attempt that recorded it
        own = rows.step[rows.step >= first][:_START_UP_ROWS]
        out += [
            e
            for e in events
            if number == numbers[0]
            or ((e.peak_step or e.start_step) >= first and not _starting_up(e, own))
        ]
    return out


def _in(
    name: str,
    rows: Columns,
    role: str | None,
    attempt: int,
    options: DetectorOptions,
    *,
    rank: int | None = None,
    begun_anew: Sequence[int] = (),
) -> tuple[Event, ...]:
    return find_events(
        rows.step,
        rows.value,
        times=rows.time,
        metric=name,
        role=role,
        attempt=attempt,
        rank=rank,
        begun_anew=begun_anew,
        options=options,
    )


def _starting_up(event: Event, first_rows: NDArray[np.int64]) -> bool:
    """Whether it is the slow start of a resumed attempt."""
    return event.kind == "stall" and event.start_step <= int(first_rows[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What there was to look at."""

    run: Run
    on_steps: Mapping[str, str | None]
    sampled: Mapping[str, str]
    across: Mapping[str, Found]
    capacity_bytes: float | None

    def judgement(self, kind: str) -> Judgement:
        if kind == "restart":
            why = "" if self.run.attempts else "attempts are not known"
            judged = () if why else tuple(self.on_steps)
            return Judgement(kind=kind, judged=judged, why_not=why)
        if kind == "seed_outlier":
            why = "judged among siblings, on the group's page"
            return Judgement(kind=kind, judged=(), why_not=why)
        names, why = self._names(kind)
        if kind in self.across:
            names += [name for name in self.across[kind].judged if name not in names]
            why = self.across[kind].why_not or why
        return Judgement(kind=kind, judged=tuple(names), why_not="" if names else why)

    def _names(self, kind: str) -> tuple[list[str], str]:
        row = next((d for d in DETECTORS if d.kind == kind), None)
        if row is None:
            return [], "not judged by this version"
        names = [n for n, r in self.on_steps.items() if row.roles is None or r in row.roles]
        names += [n for n, r in self.sampled.items() if row.roles and r in row.roles & SAMPLED]
        if row.roles is not None and names and row.roles & RATES:
            names = [n for n in names if not is_mean_since_start(n)]
            return names, "only a mean since the start was logged: single steps were not timed"
        if kind != "near_oom" or not names:
            return names, f"no metric plays {' or '.join(sorted(row.roles or {'any role'}))}"
        known = [n for n in names if self._is_measured(n)]
        return known, "the memory of the device is not known, or not the unit of what was logged"

    def _is_measured(self, name: str) -> bool:
        retries = "alloc_retries" in {self.on_steps.get(name), self.sampled.get(name)}
        return retries or capacity_of(name, self.capacity_bytes) is not None


def _judgements(
    run: Run, across: Mapping[str, Found], options: DetectorOptions
) -> tuple[Judgement, ...]:
    looked = _Looked(
        run=run,
        on_steps={i.name: i.role for i in run.series.whole if i.axis == "step"},
        sampled={
            i.name: role
            for i in run.series.infos
            if i.axis == "time" and (role := _sampled_role(i)) is not None
        },
        across=across,
        capacity_bytes=options.near_oom.capacity_bytes,
    )
    return tuple(looked.judgement(kind) for kind in KINDS)
