"""Stragglers: ranks whose own computing takes longer than that of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.analysis.detect import Floats, segments
from runpages.analysis.logged import tells_seconds
from runpages.model import Event, Run, Series

from .found import Found, told

__all__ = ["find_stragglers"]

LEAST_SCORE = 0.75
"""Fastest rank's median over this rank's (NVIDIA nvidia-resiliency-ext,
attribution/straggler/reporting.py; its documentation's example takes 0.7)."""
LEAST_WINDOWS = 3
"""Windows in a row."""
WINDOW_ROWS = 8
MOST_WINDOWS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Windows:
    """Medians of the computing time by rank and window of shared steps."""

    name: str
    first: NDArray[np.int64]
    """First step of each window."""
    last: NDArray[np.int64]
    medians: Floats
    """(ranks, windows)."""

    def usual(self, row: int) -> Floats:
        """Median of the other ranks in each window."""
        return np.asarray(np.median(np.delete(self.medians, row, axis=0), axis=0))

    def slow(self, row: int) -> NDArray[np.bool_]:
        """Windows in which a rank is slow against the fastest and against the others' median."""
        allowed = LEAST_SCORE * self.medians[row]
        return np.asarray((self.medians.min(axis=0) < allowed) & (self.usual(row) < allowed))


def find_stragglers(run: Run) -> Found:
    """Ranks that are slow in three windows in a row, by the time each rank computed.

    Never by the step time: ranks that synchronise share it, and the straggler is the one that waits
    least. A rank must also be slow against the median of the others: one fast rank makes no
    stragglers.
    """
    names = run.series.with_role("compute_seconds")
    if not names:
        return Found(why_not="the ranks' own computing time was not logged")
    judged: list[str] = []
    events: list[Event] = []
    for name in names:
        series = {rank: run.series[key] for rank, key in sorted(run.series.ranks(name).items())}
        windows = _windows(name, series)
        if windows is not None:
            judged.append(name)
            events += _stragglers(series, windows)
    if judged:
        return Found(events=tuple(events), judged=tuple(judged))
    return Found(why_not="the computing time of single ranks was not kept, or of too few steps")


def _windows(name: str, series: Mapping[int, Series]) -> _Windows | None:
    if len(series) < 2:
        return None
    steps = next(iter(series.values())).step
    for one in series.values():
        steps = np.intersect1d(steps, one.step)
    if len(steps) < LEAST_WINDOWS * WINDOW_ROWS:
        return None
    count = int(np.clip(len(steps) // WINDOW_ROWS, LEAST_WINDOWS, MOST_WINDOWS))
    edges = np.linspace(0, len(steps), count + 1).astype(int)
    values = np.array([one.value[np.isin(one.step, steps)] for one in series.values()])
    parts = [np.median(values[:, a:b], axis=1) for a, b in zip(edges, edges[1:], strict=False)]
    return _Windows(
        name=name,
        first=steps[edges[:-1]],
        last=steps[edges[1:] - 1],
        medians=np.stack(parts, axis=1),
    )


def _stragglers(series: Mapping[int, Series], windows: _Windows) -> Iterator[Event]:
    for row, (rank, own) in enumerate(series.items()):
        for begin, end in segments(windows.slow(row)):
            if end - begin + 1 < LEAST_WINDOWS:
                continue
            first, last = int(windows.first[begin]), int(windows.last[end])
            part = windows.medians[:, begin : end + 1]
            slow = float(np.median(part[row]))
            usual = float(np.median(windows.usual(row)[begin : end + 1]))
            fast = float(np.median(part.min(axis=0)))
            extent = np.searchsorted(own.step, [first, last])
            yield told(
                own,
                (int(extent[0]), int(extent[1])),
                f"Rank {rank} computed for {units.number(slow)} a step from step "
                f"{units.count(first)} to {units.count(last)}, the fastest rank for "
                f"{units.number(fast)} ({windows.name}).",
                kind="straggler",
                peak_value=slow,
                level=usual,
                threshold=fast / LEAST_SCORE,
                recovered=end < windows.medians.shape[1] - 1,
                # the others wait for it in every step
                lost_seconds=(
                    (slow - usual) * (last - first + 1) if tells_seconds(windows.name) else None
                ),
            )
