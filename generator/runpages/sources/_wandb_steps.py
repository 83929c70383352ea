"""Which column counts the optimiser steps, and where one process fell back to an earlier step.

W&B's own `_step` counts calls of `log`. A metric stands on, in this order:

1. the step metric that `define_metric` declares for it (an exact name, else the first glob that
   fits), unless that one cannot count steps: `epoch`, a clock, fractions;
2. for metrics without a declaration: a declared step metric, else a column with a usual name
   (`train/global_step`, `iter`...), if all of them can stand on it;
3. `_step`.

A row that does not name its step takes the last one named before it, as W&B's `step_sync` does,
unless that would put two rows of one metric on one step; then the metric cannot stand there.

The history is gone through chunk by chunk; what is kept of a candidate does not grow with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ._wandb_history import Chunk, History
from ._wandb_part import Part

__all__ = ["LOG_CALLS", "Axis", "Placed", "place"]

LOG_CALLS = "_step"

_USUAL = ("global_step", "optimizer_step", "update_step", "train_step", "iteration", "iter", "step")
_PREFIXES = ("train/", "trainer/", "train.", "trainer.", "")
_NEVER_STEPS = frozenset({"epoch", "epochs", "_timestamp", "_runtime", "time", "seconds"})
_MAX_FALLS = 20
"""More falls than this in one file: the counter starts anew every epoch, it is no step."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Axis:
    """A column of one file as steps, chunk by chunk in their order."""

    def __init__(self, name: str, history: History) -> None:
        self.name = name
        self._column = history.names.index(name) if name in history.names else -1
        self._last = np.nan

    def of(self, chunk: Chunk) -> tuple[Floats, Bools]:
        """Step of each row, carried forward (NaN before the first), and which rows name it."""
        size = len(chunk.steps)
        if self.name == LOG_CALLS:
            return chunk.steps.astype(np.float64), np.ones(size, dtype=bool)
        step = np.full(size, np.nan)
        at = np.flatnonzero(chunk.columns == self._column)
        if len(at):
            end = int(chunk.counts[: int(at[0]) + 1].sum())
            own = slice(end - int(chunk.counts[at[0]]), end)
            step[chunk.row[own]] = chunk.value[own]
        named = np.isfinite(step)
        last = np.maximum.accumulate(np.where(named, np.arange(size), -1))
        step = np.where(last >= 0, step[np.maximum(last, 0)], self._last)
        self._last = float(step[-1])
        return step, named


@dataclass(slots=True, kw_only=True)
class _Candidate:
    """What is known of one axis in one file."""

    axis: Axis
    named: bool = False
    counts: bool = True
    """Whether its values are whole numbers that hardly ever fall."""
    falls: list[int] = field(default_factory=list)
    """Rows whose step is below that of the row before."""
    refused: set[str] = field(default_factory=set)
    """Columns that cannot stand on it."""
    last_step: Floats
    """Of each column: the step of its last number, NaN before the first."""
    last_named: Bools
    _before: float = np.nan

    def look(self, chunk: Chunk, names: Sequence[str]) -> None:
        if not self.counts:
            return
        step, named = self.axis.of(chunk)
        known = step[named]
        self.named |= bool(named.any())
        if np.any(known != np.floor(known)) or np.any(np.abs(known) > 2**53):
            self.counts = False
            return
        before = np.concatenate([[self._before], step[:-1]])
        self.falls += (np.flatnonzero(step < before) + chunk.first).tolist()
        self._before = float(step[-1])
        if self.axis.name == LOG_CALLS:
            return
        self.counts = len(self.falls) <= _MAX_FALLS
        self._stand(chunk, step, named, names)

    def _stand(self, chunk: Chunk, step: Floats, named: Bools, names: Sequence[str]) -> None:
        if not len(chunk.row):
            return
        step, named = step[chunk.row], named[chunk.row]
        ends = np.cumsum(chunk.counts)
        starts = ends - chunk.counts
        before, named_before = np.empty_like(step), np.empty_like(named)
        before[1:], named_before[1:] = step[:-1], named[:-1]
        before[starts] = self.last_step[chunk.columns]
        named_before[starts] = self.last_named[chunk.columns]
        bad = np.isnan(step) | ((step == before) & ~(named & named_before))
        for column in np.flatnonzero(np.logical_or.reduceat(bad, starts)).tolist():
            self.refused.add(names[chunk.columns[column]])
        self.last_step[chunk.columns] = step[ends - 1]
        self.last_named[chunk.columns] = named[ends - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """On which axis each column stands, and where the attempts begin."""

    axis_of: Mapping[str, str]
    """Metric -> column that gives its step."""
    main: str
    falls: Sequence[Ints]
    """Part -> rows that begin a further attempt, rising."""
    rows: Sequence[int]
    """Part -> number of its rows."""
    first_attempt: Sequence[int]
    count: int
    step_source: str
    warnings: tuple[str, ...]

    def attempts(self, part: int, rows: Ints) -> Ints:
        """Attempt of each row, numbered through all parts."""
        found = np.searchsorted(self.falls[part], rows, side="right")
        return self.first_attempt[part] + found.astype(np.int64)

    def attempts_after(self, part: int, rows: Ints) -> Ints:
        """Attempt that ran when that many rows had been written in this part."""
        return self.attempts(part, np.minimum(rows, self.rows[part]) - 1)

    def attempt_after(self, part: int, rows: int) -> int:
        return int(self.attempts_after(part, np.array([rows]))[0])

    def last_attempt(self, part: int) -> int:
        return self.first_attempt[part] + len(self.falls[part])


def place(parts: Sequence[Part]) -> Placed:
    """Steps and attempts of all rows of a run; `parts` in the order of their starts."""
    names = list(dict.fromkeys(name for part in parts for name in part.history.names))
    declared = {name: _declared(name, parts) for name in names}
    axes = _axes(parts, [*declared.values(), *_usual(names)])
    axis_of, warnings = _assign(names, declared, axes)
    main = _main(parts, axis_of)
    falls = [
        np.unique(np.array([*own.falls, *calls.falls], dtype=np.int64))
        for own, calls in zip(axes[main], axes[LOG_CALLS], strict=True)
    ]
    warnings += _settle(axis_of, axes, falls, main)
    first = np.cumsum([1, *(1 + len(own) for own in falls)]).tolist()
    return Placed(
        axis_of=axis_of,
        main=main,
        falls=falls,
        rows=[part.history.rows for part in parts],
        first_attempt=first[:-1],
        count=first[-1] - 1,
        step_source=_sentence(axis_of, main, set(declared.values())),
        warnings=tuple(warnings),
    )


def _declared(name: str, parts: Sequence[Part]) -> str:
    """Step metric that `define_metric` gives to `name`; empty = none."""
    for part in reversed(parts):
        for exact, _, step in reversed(part.definitions):
            if exact == name:
                return step
        for _, glob, step in part.definitions:
            if glob and name.startswith(glob.removesuffix("*")) and (glob[-1] == "*"):
                return step
    return ""


def _usual(names: Iterable[str]) -> list[str]:
    known = set(names)
    return [p + word for word in _USUAL for p in _PREFIXES if p + word in known]


def _axes(parts: Sequence[Part], candidates: Iterable[str]) -> dict[str, list[_Candidate]]:
    """The candidates that can count steps at all, and always `_step`; one entry a part."""
    names = [LOG_CALLS]
    for name in dict.fromkeys(candidates):
        last = name.replace(".", "/").rsplit("/", 1)[-1]
        if name and name != LOG_CALLS and last not in _NEVER_STEPS:
            names.append(name)
    axes: dict[str, list[_Candidate]] = {name: [] for name in names}
    for part in parts:
        columns = part.history.names
        found = [
            _Candidate(
                axis=Axis(name, part.history),
                last_step=np.full(len(columns), np.nan),
                last_named=np.zeros(len(columns), dtype=bool),
            )
            for name in names
        ]
        for chunk in part.history:
            for candidate in found:
                candidate.look(chunk, columns)
        for name, candidate in zip(names, found, strict=True):
            axes[name].append(candidate)
    return {
        name: found
        for name, found in axes.items()
        if name == LOG_CALLS or (all(c.counts for c in found) and any(c.named for c in found))
    }


def _assign(
    names: Sequence[str], declared: Mapping[str, str], axes: Mapping[str, list[_Candidate]]
) -> tuple[dict[str, str], list[str]]:
    refusals = {axis: set().union(*(c.refused for c in found)) for axis, found in axes.items()}
    axis_of: dict[str, str] = {}
    refused: dict[str, list[str]] = {}
    for name in names:
        axis = declared[name]
        if axis in axes and name not in refusals[axis]:
            axis_of[name] = axis
        elif axis:
            refused.setdefault(axis, []).append(name)
    others = [name for name in names if name not in axis_of]
    used = [axis for axis, _ in Counter(axis_of.values()).most_common()]
    choice = LOG_CALLS
    for axis in dict.fromkeys([*used, *(a for a in axes if a != LOG_CALLS)]):
        if refusals[axis].isdisjoint(others):
            choice = axis
            break
    axis_of.update(dict.fromkeys(others, choice))
    warnings = [
        f"define_metric places {_listed(metrics)} by {axis}, which does not count optimiser steps "
        f"in every row; {choice} is used instead"
        for axis, metrics in refused.items()
    ]
    return {name: axis_of[name] for name in names}, warnings


def _main(parts: Sequence[Part], axis_of: Mapping[str, str]) -> str:
    """The axis of most points; `_step` only if no other one is used."""
    points: Counter[str] = Counter()
    for part in parts:
        for name, count in zip(part.history.names, part.history.points, strict=True):
            points[axis_of[name]] += count
    ordered = [axis for axis, _ in points.most_common()]
    return next((axis for axis in ordered if axis != LOG_CALLS), LOG_CALLS)


def _settle(
    axis_of: dict[str, str],
    axes: Mapping[str, list[_Candidate]],
    falls: Sequence[Ints],
    main: str,
) -> list[str]:
    """Moves metrics whose own axis falls where no attempt begins to `_step`."""
    warnings = []
    for axis in sorted({*axis_of.values()} - {main, LOG_CALLS}):
        if any(set(c.falls) - set(own.tolist()) for c, own in zip(axes[axis], falls, strict=True)):
            moved = [name for name, of in axis_of.items() if of == axis]
            axis_of.update(dict.fromkeys(moved, LOG_CALLS))
            warnings.append(f"{axis} falls within an attempt; {_listed(moved)} by _step")
    return warnings


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _sentence(axis_of: Mapping[str, str], main: str, declared: set[str]) -> str:
    if main == LOG_CALLS:
        return "_step counts log calls"
    text = f"{main} ({'define_metric' if main in declared else 'a column of the log'})"
    others = Counter(axis for axis in axis_of.values() if axis != main)
    for axis, count in sorted(others.items()):
        text += f"; {count} other metric{'s' if count > 1 else ''} by {axis}"
        text += ", which counts log calls" if axis == LOG_CALLS else ""
    return text
