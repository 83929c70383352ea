"""The rows of all files of a W&B run on their steps, and what each attempt covers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runpages.model import SeriesSet

from ._wandb_history import Chunk
from ._wandb_part import Part
from ._wandb_steps import Axis, Placed
from .spool import Spool

__all__ = ["Curves", "Span", "curves_of"]

_SPOOL_BYTES = 48 << 20

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Span:
    """What the rows of one attempt cover; None where they do not say."""

    first_step: int | None = None
    last_step: int | None = None
    first_time: float | None = None
    last_time: float | None = None

    def take(self, steps: Floats, times: Floats) -> None:
        known, seen = steps[np.isfinite(steps)], times[np.isfinite(times)]
        if len(known):
            low, high = int(known.min()), int(known.max())
            self.first_step = low if self.first_step is None else min(low, self.first_step)
            self.last_step = high if self.last_step is None else max(high, self.last_step)
        if len(seen):
            self.first_time = float(seen[0]) if self.first_time is None else self.first_time
            self.last_time = float(seen[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    series: SeriesSet
    spans: Mapping[int, Span]
    """Attempt -> what it covers; attempts without rows are not here."""
    step_of: Mapping[tuple[int, int], int]
    """(part, row) -> step of a row with media, where it has one."""


@dataclass(slots=True)
class _Collecting:
    placed: Placed
    spool: Spool = field(default_factory=lambda: Spool(buffer_bytes=_SPOOL_BYTES))
    spans: dict[int, Span] = field(default_factory=dict)
    step_of: dict[tuple[int, int], int] = field(default_factory=dict)


def curves_of(parts: Sequence[Part], placed: Placed) -> Curves:
    """History on steps; system readings by the clock, named `system/...`."""
    found = _Collecting(placed)
    for number, part in enumerate(parts):
        wanted = np.unique([one.row for one in part.others.media]).astype(np.int64)
        used = {placed.main, *(placed.axis_of[name] for name in part.history.names)}
        axes = {name: Axis(name, part.history) for name in sorted(used)}
        for chunk in part.history:
            steps = {name: axis.of(chunk)[0] for name, axis in axes.items()}
            own = placed.attempts(number, chunk.first + np.arange(len(chunk.steps)))
            _take_chunk(found, part, chunk, steps, own)
            main = steps[placed.main]
            for attempt in np.unique(own).tolist():
                mine = own == attempt
                found.spans.setdefault(attempt, Span()).take(main[mine], chunk.times[mine])
            for row in wanted[np.searchsorted(wanted, chunk.first) :].tolist():
                if row >= chunk.first + len(chunk.steps):
                    break
                if math.isfinite(main[row - chunk.first]):
                    found.step_of[number, row] = int(main[row - chunk.first])
    _take_readings(found, parts)
    return Curves(series=found.spool.finish(), spans=found.spans, step_of=found.step_of)


def _take_chunk(
    found: _Collecting, part: Part, chunk: Chunk, steps: Mapping[str, Floats], own: Ints
) -> None:
    end = 0
    for column, count in zip(chunk.columns.tolist(), chunk.counts.tolist(), strict=True):
        start, end = end, end + count
        name = part.history.names[column]
        rows, values = chunk.row[start:end], chunk.value[start:end]
        axis = found.placed.axis_of[name]
        placed = steps[axis][rows].astype(np.int64)
        counter = "" if axis == found.placed.main else axis
        _spool(found.spool, name, placed, chunk.times[rows], values, own[rows], counter=counter)


def _spool(
    spool: Spool,
    name: str,
    steps: Ints,
    times: Floats,
    values: Floats,
    attempts: Ints,
    *,
    time_axis: bool = False,
    counter: str = "",
) -> None:
    """Rows of attempts that do not fall."""
    cuts = [0, *(np.flatnonzero(np.diff(attempts)) + 1).tolist(), len(attempts)]
    for start, end in pairwise(cuts):
        if start < end:
            rows = slice(start, end)
            spool.extend(
                name,
                steps[rows],
                times[rows],
                values[rows],
                attempt=int(attempts[start]),
                time_axis=time_axis,
                counter=counter,
            )


def _take_readings(found: _Collecting, parts: Sequence[Part]) -> None:
    """System readings stand one behind the other, whatever step the run was at."""
    taken: dict[str, int] = {}
    for number, part in enumerate(parts):
        for chunk in part.stats:
            own = found.placed.attempts_after(number, chunk.steps)
            end = 0
            for column, count in zip(chunk.columns.tolist(), chunk.counts.tolist(), strict=True):
                start, end = end, end + count
                name = f"system/{part.stats.names[column]}"
                first = taken.get(name, 0)
                taken[name] = first + count
                rows = chunk.row[start:end]
                _spool(
                    found.spool,
                    name,
                    np.arange(first, first + count),
                    chunk.times[rows],
                    chunk.value[start:end],
                    own[rows],
                    time_axis=True,
                )
