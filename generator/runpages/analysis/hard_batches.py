"""Hard batches: steps at which siblings that read the same data in the same order stick out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.model import HardBatch, Report, Series

from .detect import Floats, level_of, noise_of, segments

__all__ = ["hard_batches"]

_ROLES = ("loss", "grad_norm")
_CUTS = (8.0, 12.0, 20.0)
"""Robust sd over its own curve from which on a row sticks out; each by itself, since the rows that
noise lets stick out decide how many members must agree."""
_MOST_ROWS = 4
"""A batch is read in one step; what lasts longer is how a run took it."""
_FIRST_ROWS = 32
"""The first fall of a curve."""
_LEAST_SHARE = 0.5
"""Of the members that recorded the metric."""
_CHANCE = 0.01
"""Expected steps of the whole run at which so many members agree by chance."""
_NEAR = 1
"""Steps by which the tallest rows of one batch may differ."""
_MOST_BATCHES = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outliers:
    """Brief tall rows of one member's curve."""

    rows: int
    steps: NDArray[np.int64]
    z: Floats
    ratio: Floats
    """Value over level."""


def hard_batches(reports: Sequence[Report]) -> tuple[HardBatch, ...]:
    """Steps at which so many members stick out briefly that chance does not explain it.

    At least two and half of those that recorded the metric. Places that something in a run explains
    (a change of its learning rate, a restart) are left out: siblings share their schedule.
    """
    found: list[HardBatch] = []
    for name in _shared(reports):
        members = {r.run.slug: _outliers(r, r.run.series[name]) for r in reports if _has(r, name)}
        for cut in _CUTS:
            known = [step for b in found if b.metric == name for step in (b.first_step,)]
            found += [b for b in _agreeing(name, members, cut) if not _is_near(b, known)]
    found.sort(key=lambda batch: (batch.metric, batch.first_step))
    return tuple(found[:_MOST_BATCHES])


def _has(report: Report, name: str) -> bool:
    return name in report.run.series and report.run.series.info(name).role in _ROLES


def _shared(reports: Sequence[Report]) -> list[str]:
    names = [name for r in reports for role in _ROLES for name in r.run.series.with_role(role)]
    return sorted({name for name in names if names.count(name) > 1})


def _outliers(report: Report, series: Series) -> _Outliers:
    finite = np.isfinite(series.value)
    steps, value = series.step[finite], series.value[finite]
    logarithmic = series.role == "grad_norm" and bool(np.all(value > 0))
    y = np.log(value) if logarithmic else value
    none = np.empty(0)
    if len(y) <= 2 * _FIRST_ROWS:
        return _Outliers(rows=len(y), steps=none.astype(np.int64), z=none, ratio=none)
    level = level_of(y)
    sigma = noise_of(y - level)
    z = np.divide(y - level, sigma, out=np.zeros(len(y)), where=sigma > 0)
    peaks = [
        first + int(np.argmax(z[first : last + 1]))
        for first, last in segments(z > 3)
        if last - first < _MOST_ROWS and first >= _FIRST_ROWS
    ]
    at = np.array([p for p in peaks if z[p] >= _CUTS[0]], dtype=np.int64)
    at = at[[not _is_explained(report, series.name, int(steps[p])) for p in at]] if len(at) else at
    ratio = np.exp(y[at] - level[at]) if logarithmic else y[at] / level[at]
    return _Outliers(rows=len(y), steps=steps[at], z=z[at], ratio=ratio)


def _is_explained(report: Report, name: str, step: int) -> bool:
    return any(
        e.explained_by and e.metric == name and e.start_step <= step <= e.end_step
        for e in report.events
    )


def _agreeing(name: str, members: Mapping[str, _Outliers], cut: float) -> Iterator[HardBatch]:
    tall = {slug: one.steps[one.z >= cut] for slug, one in members.items()}
    rows = max((one.rows for one in members.values()), default=0)
    share = sum(map(len, tall.values())) / max(1, sum(one.rows for one in members.values()))
    needed = _needed(len(members), rows, min(1.0, (2 * _NEAR + 1) * share))
    if needed is None:
        return
    every = np.unique(np.concatenate(list(tall.values())))
    taken = -math.inf
    for step in every:
        if step <= taken + _NEAR:
            continue
        near = {
            slug: int(np.argmin(np.abs(one.steps - step)))
            for slug, one in members.items()
            if np.any(np.abs(tall[slug] - step) <= _NEAR)
        }
        if len(near) >= needed:
            places = [int(members[slug].steps[row]) for slug, row in near.items()]
            taken = max(places)
            yield HardBatch(
                metric=name,
                first_step=min(places),
                last_step=max(places),
                slugs=tuple(sorted(near)),
                recorded=len(members),
                height=float(np.median([members[slug].ratio[row] for slug, row in near.items()])),
            )


def _needed(members: int, rows: int, share: float) -> int | None:
    """Fewest members whose agreement chance does not explain, at least two and half of all."""
    for count in range(max(2, math.ceil(_LEAST_SHARE * members)), members + 1):
        if rows * math.comb(members, count) * share**count <= _CHANCE:
            return count
    return None


def _is_near(batch: HardBatch, steps: Sequence[int]) -> bool:
    return any(abs(batch.first_step - step) <= 2 * _NEAR for step in steps)
