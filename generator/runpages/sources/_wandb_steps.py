"""Which column counts the optimiser steps, and where one process fell back to an earlier step.

W&B's own `_step` counts calls of `log`. A metric stands on, in this order:

1. the step metric that `define_metric` declares for it (an exact name, else the first glob that
   fits), unless that one cannot count steps: `epoch`, a clock, fractions;
2. for metrics without a declaration: a declared step metric, else a column with a usual name
   (`train/global_step`, `iter`...), if all of them can stand on it;
3. `_step`.

A row that does not name its step takes the last one named before it, as W&B's `step_sync` does,
unless that would put two rows of one metric on one step; then the metric cannot stand there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._wandb_part import Part

__all__ = ["LOG_CALLS", "Placed", "place"]

LOG_CALLS = "_step"

_USUAL = ("global_step", "optimizer_step", "update_step", "train_step", "iteration", "iter", "step")
_PREFIXES = ("train/", "trainer/", "train.", "trainer.", "")
_NEVER_STEPS = frozenset({"epoch", "epochs", "_timestamp", "_runtime", "time", "seconds"})
_MAX_FALLS = 20
"""More falls than this in one file: the counter starts anew every epoch, it is no step."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """One candidate in one file."""

    step: Floats
    """Step of each row, carried forward; NaN before the first."""
    named: Bools
    """Whether the row itself names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where the rows of all parts stand."""

    axis_of: Mapping[str, str]
    """Metric -> column that gives its step."""
    main: str
    steps: Sequence[Mapping[str, Floats]]
    """Part -> axis -> step of each row (NaN unknown)."""
    attempts: Sequence[Ints]
    """Part -> attempt of each row, numbered through all parts."""
    first_attempt: Sequence[int]
    count: int
    step_source: str
    warnings: tuple[str, ...]

    def attempt_at(self, part: int, row: int) -> int:
        """Attempt that ran when `row` rows had been written in this part."""
        rows = self.attempts[part]
        return int(rows[min(row, len(rows)) - 1]) if len(rows) and row else self.first_attempt[part]

    def step_at(self, part: int, row: int, axis: str) -> int | None:
        steps = self.steps[part][axis]
        return int(steps[row]) if row < len(steps) and np.isfinite(steps[row]) else None


def place(parts: Sequence[Part]) -> Placed:
    """Steps and attempts of all rows of a run; `parts` in the order of their starts."""
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    declared = {name: _declared(name, parts) for name in names}
    axes = _axes(parts, [*declared.values(), *_usual(names)])
    axis_of, warnings = _assign(parts, names, declared, axes)
    main = _main(parts, axis_of)
    attempts, first, count = _attempts(parts, axes[main])
    warnings += _settle(axis_of, axes, attempts, main)
    kept = {main, LOG_CALLS, *axis_of.values()}
    return Placed(
        axis_of=axis_of,
        main=main,
        steps=[{a: axes[a][k].step for a in kept} for k in range(len(parts))],
        attempts=attempts,
        first_attempt=first,
        count=count,
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


def _axes(parts: Sequence[Part], candidates: Iterable[str]) -> dict[str, list[_Axis]]:
    """The candidates that can count steps at all, and always `_step`."""
    axes = {LOG_CALLS: [_log_calls(part) for part in parts]}
    for name in dict.fromkeys(candidates):
        last = name.replace(".", "/").rsplit("/", 1)[-1]
        if not name or name in axes or last in _NEVER_STEPS:
            continue
        found = [_axis(part, name) for part in parts]
        counted = [a for a in found if a is not None]
        if len(counted) == len(parts) and any(a.named.any() for a in counted):
            axes[name] = counted
    return axes


def _log_calls(part: Part) -> _Axis:
    return _Axis(
        step=np.array(part.steps, dtype=np.float64), named=np.ones(len(part.steps), dtype=bool)
    )


def _axis(part: Part, name: str) -> _Axis | None:
    """None if the column cannot be a count of steps."""
    size = len(part.steps)
    step = np.full(size, np.nan)
    if name in part.columns:
        rows, values = part.columns[name]
        step[np.array(rows, dtype=np.int64)] = np.array(values)
    named = np.isfinite(step)
    known = step[named]
    if np.any(known != np.floor(known)) or np.any(np.abs(known) > 2**53):
        return None
    if int(np.sum(np.diff(known) < 0)) > _MAX_FALLS:
        return None
    last = np.maximum.accumulate(np.where(named, np.arange(size), -1))
    step = np.where(last >= 0, step[np.maximum(last, 0)], np.nan) if size else step
    return _Axis(step=step, named=named)


def _can_stand(parts: Sequence[Part], name: str, axes: Sequence[_Axis]) -> bool:
    for part, axis in zip(parts, axes, strict=True):
        if name not in part.columns:
            continue
        rows = np.array(part.columns[name][0], dtype=np.int64)
        step, named = axis.step[rows], axis.named[rows]
        if np.isnan(step).any():
            return False
        same = step[1:] == step[:-1]
        if np.any(same & ~(named[1:] & named[:-1])):
            return False
    return True


def _assign(
    parts: Sequence[Part],
    names: Sequence[str],
    declared: Mapping[str, str],
    axes: Mapping[str, list[_Axis]],
) -> tuple[dict[str, str], list[str]]:
    axis_of: dict[str, str] = {}
    refused: dict[str, list[str]] = {}
    for name in names:
        axis = declared[name]
        if axis in axes and _can_stand(parts, name, axes[axis]):
            axis_of[name] = axis
        elif axis:
            refused.setdefault(axis, []).append(name)
    others = [name for name in names if name not in axis_of]
    used = [axis for axis, _ in Counter(axis_of.values()).most_common()]
    choice = LOG_CALLS
    for axis in dict.fromkeys([*used, *(a for a in axes if a != LOG_CALLS)]):
        if all(_can_stand(parts, name, axes[axis]) for name in others):
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
        for name, (rows, _) in part.columns.items():
            points[axis_of[name]] += len(rows)
    ordered = [axis for axis, _ in points.most_common()]
    return next((axis for axis in ordered if axis != LOG_CALLS), LOG_CALLS)


def _attempts(parts: Sequence[Part], main: Sequence[_Axis]) -> tuple[list[Ints], list[int], int]:
    """Every file is at least one attempt; a fall in it begins another."""
    attempts, first, number = [], [], 1
    for part, axis in zip(parts, main, strict=True):
        size = len(part.steps)
        falls = np.zeros(size, dtype=bool)
        for step in (axis.step, np.array(part.steps, dtype=np.float64)):
            falls[1:] |= step[1:] < step[:-1]
        own = number + np.cumsum(falls, dtype=np.int64)
        attempts.append(own)
        first.append(number)
        number = int(own[-1] if size else number) + 1
    return attempts, first, number - 1


def _settle(
    axis_of: dict[str, str],
    axes: Mapping[str, list[_Axis]],
    attempts: Sequence[Ints],
    main: str,
) -> list[str]:
    """Moves metrics whose own axis falls where no attempt begins to `_step`."""
    warnings = []
    for axis in sorted({*axis_of.values()} - {main, LOG_CALLS}):
        for candidate, number in zip(axes[axis], attempts, strict=True):
            inside = number[1:] == number[:-1]
            if np.any(inside & (candidate.step[1:] < candidate.step[:-1])):
                moved = [name for name, of in axis_of.items() if of == axis]
                axis_of.update(dict.fromkeys(moved, LOG_CALLS))
                warnings.append(f"{axis} falls within an attempt; {_listed(moved)} by _step")
                break
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
