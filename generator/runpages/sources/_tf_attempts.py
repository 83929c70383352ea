"""Which attempt wrote which row of a folder of event files; the files themselves do not say."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Place", "aligned", "numbered"]


class Place(NamedTuple):
    """Where a row stands."""

    tag: str
    step: int
    time: float
    """UTC seconds or NaN."""


def numbered(files: Sequence[tuple[Sequence[Place], frozenset[int]]]) -> list[list[int]]:
    """The attempt of each row of the files of one folder, oldest file first.

    With each file comes where in its rows a session began. A further attempt begins with a file in
    which a tag goes back to a step that an earlier file has, with a session start, and where a
    tag's steps fall within a file. A file that only goes on (rotation) or only has other tags
    (profiles) belongs to the attempt before it.
    """
    attempt = 1
    newest: dict[str, int] = {}
    out = []
    for rows, sessions in files:
        firsts = {row.tag: row.step for row in reversed(rows)}
        back = any(step <= newest.get(tag, step - 1) for tag, step in firsts.items())
        if back:
            attempt += 1
            newest = {}
        numbers = []
        for position, row in enumerate(rows):
            session = position in sessions and bool(newest) and not (back and position == 0)
            if session or newest.get(row.tag, row.step) > row.step:
                attempt += 1
                newest = {}
            newest[row.tag] = row.step
            numbers.append(attempt)
        out.append(numbers)
    return out


def aligned(
    times: Sequence[Sequence[float]], attempts: Sequence[Sequence[int]]
) -> list[list[int]] | None:
    """One count of attempts for streams that the same processes wrote (train, validation).

    `times` and `attempts` hold the rows of each stream in order. A restart lies between the last
    row of one attempt and the first of the next; restarts of two streams whose spans overlap are
    the same one. None where the clock does not tell (unknown or overlapping times).
    """
    spans = []
    for clock, numbers in zip(times, attempts, strict=True):
        lives: dict[int, tuple[float, float]] = {}
        for seconds, number in zip(clock, numbers, strict=True):
            if math.isnan(seconds):
                return None
            low, high = lives.get(number, (seconds, seconds))
            lives[number] = (min(low, seconds), max(high, seconds))
        ordered = [lives[number] for number in sorted(lives)]
        spans += [
            (before[1], after[0]) for before, after in zip(ordered, ordered[1:], strict=False)
        ]
    if any(last >= first for last, first in spans):
        return None
    restarts = _restarts(spans)
    return [[1 + bisect_right(restarts, seconds) for seconds in clock] for clock in times]


def _restarts(spans: Iterable[tuple[float, float]]) -> list[float]:
    """The fewest moments of which each span (last row, first row] holds one."""
    moments: list[float] = []
    for last, first in sorted(spans, key=lambda span: span[1]):
        if not moments or moments[-1] <= last:
            moments.append(first)
    return moments
