"""Which attempt wrote which row of a folder of event files; the files themselves do not say.

A *life* is a stretch of one file in which no tag's steps fall and no session begins. An attempt of
a folder is one or more lives: a file that only goes on (rotation) or only has other tags (profiles)
belongs to the attempt before it, a file in which a tag goes back to a step that an earlier file has
is a further one. Folders that the same processes wrote (train and validation, ranks) then get one
count of attempts by their clocks.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FileLives", "Place", "Span", "aligned", "joined", "numbered", "restarts"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Span(NamedTuple):
    """The clock of some rows; `first` > `last` if none of them has a time."""

    first: float = math.inf
    last: float = -math.inf
    timeless: bool = False
    """Whether a row has no time."""

    def over(self, times: Floats) -> Span:
        """With more rows, of which there is at least one."""
        with np.errstate(invalid="ignore"):
            low, high = float(np.fmin.reduce(times)), float(np.fmax.reduce(times))
        timeless = self.timeless or bool(np.isnan(times).any())
        if math.isnan(low):
            return self._replace(timeless=timeless)
        return Span(min(self.first, low), max(self.last, high), timeless)

    def joined(self, other: Span) -> Span:
        return Span(
            min(self.first, other.first),
            max(self.last, other.last),
            self.timeless or other.timeless,
        )


@dataclass(slots=True)
class FileLives:
    """Tells the lives of one file apart while its rows come in, in their order."""

    spans: list[Span] = field(default_factory=list)
    """Of each life."""
    first: dict[int, int] = field(default_factory=dict)
    """Tag -> its first step in the file."""
    newest: dict[int, int] = field(default_factory=dict)
    """Tag -> its last step in the newest life."""
    session_first: bool = False
    """Whether a session begins before the first row."""

    def place(
        self, tag: Ints, step: Ints, time: Floats, sessions: Sequence[int] = ()
    ) -> tuple[Ints, Ints]:
        """The life of each row, from 0, and the order of the rows tag by tag.

        `sessions`: the rows before which a session begins.
        """
        if not len(tag):
            return tag, tag
        order = np.argsort(tag.astype(np.int16) if tag.max() < 1 << 15 else tag, kind="stable")
        own = tag[order]
        heads = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        cuts = self._cuts(order, heads, tag, step, sessions)
        if not self.spans:
            self.session_first = 0 in sessions
            self.spans.append(Span())
        bounds = [0, *cuts, len(tag)]
        for number, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False)):
            if number:
                self.spans.append(Span())
            if high > low:
                self.spans[-1] = self.spans[-1].over(time[low:high])
        for row in order[heads].tolist():
            self.first.setdefault(int(tag[row]), int(step[row]))
        if cuts:
            self.newest = {}
        tails = order[np.append(heads[1:], len(own)) - 1]
        for row in tails[tails >= bounds[-2]].tolist():
            self.newest[int(tag[row])] = int(step[row])
        life = np.full(len(tag), len(self.spans) - 1 - len(cuts), dtype=np.int64)
        if cuts:
            life += np.searchsorted(np.array(cuts), np.arange(len(tag)), side="right")
        return life, order

    def _cuts(
        self, order: Ints, heads: Ints, tag: Ints, step: Ints, sessions: Sequence[int]
    ) -> list[int]:
        """The rows with which a further life begins."""
        # (row, the row of the same tag before it: -1 if that came earlier); None: a session
        candidates: list[tuple[int, int | None]] = [(row, None) for row in sessions]
        fall = np.append(False, step[order[1:]] < step[order[:-1]])
        fall[heads] = False
        rows = np.flatnonzero(fall)
        candidates += zip(order[rows].tolist(), order[rows - 1].tolist(), strict=True)
        for row in order[heads].tolist():
            if self.newest.get(int(tag[row]), int(step[row])) > step[row]:
                candidates.append((row, -1))
        cuts: list[int] = []
        began = -1 if self.newest else 0
        for row, before in sorted(candidates, key=lambda c: c[0]):
            # a session counts only where the life has a row; a fall only within the life
            if row > began if before is None else before >= began:
                cuts.append(row)
                began = row
        return cuts


def joined(files: Sequence[FileLives]) -> list[list[int]]:
    """The attempt, from 1, of each life of the files of one folder, oldest file first."""
    attempt = 1
    newest: dict[int, int] = {}
    out = []
    for file in files:
        back = any(step <= newest.get(tag, step - 1) for tag, step in file.first.items())
        if back or (file.session_first and newest):
            attempt += 1
            newest = {}
        lives = max(1, len(file.spans))
        out.append(list(range(attempt, attempt + lives)))
        newest = newest | file.newest if lives == 1 else dict(file.newest)
        attempt += lives - 1
    return out


def restarts(streams: Iterable[Sequence[Span]]) -> list[float] | None:
    """When further attempts began, for streams that the same processes wrote.

    Each stream gives the clock of its attempts in order. A restart lies between the last row of one
    attempt and the first of the next; restarts of two streams whose spans overlap are the same one.
    None where the clock does not tell (unknown or overlapping times).
    """
    gaps = []
    for spans in streams:
        if any(span.timeless for span in spans):
            return None
        gaps += [(a.last, b.first) for a, b in zip(spans, spans[1:], strict=False)]
    if any(last >= first for last, first in gaps):
        return None
    moments: list[float] = []  # the fewest of which each gap (last row, first row] holds one
    for last, first in sorted(gaps, key=lambda gap: gap[1]):
        if not moments or moments[-1] <= last:
            moments.append(first)
    return moments


class Place(NamedTuple):
    """Where a row stands."""

    tag: str
    step: int
    time: float
    """UTC seconds or NaN."""


def numbered(files: Sequence[tuple[Sequence[Place], frozenset[int]]]) -> list[list[int]]:
    """The attempt of each row of the files of one folder, oldest file first.

    With each file comes before which of its rows a session began.
    """
    tags: dict[str, int] = {}
    lives, rows = [], []
    for places, sessions in files:
        tag = np.array([tags.setdefault(p.tag, len(tags)) for p in places], dtype=np.int64)
        step = np.array([p.step for p in places], dtype=np.int64)
        time = np.array([p.time for p in places], dtype=np.float64)
        lives.append(FileLives())
        rows.append(lives[-1].place(tag, step, time, sorted(sessions))[0])
    attempts = joined(lives)
    return [[own[life] for life in row] for own, row in zip(attempts, rows, strict=True)]


def aligned(
    times: Sequence[Sequence[float]], attempts: Sequence[Sequence[int]]
) -> list[list[int]] | None:
    """One count of attempts for the rows of several streams; None as `restarts`."""
    streams = []
    for clock, numbers in zip(times, attempts, strict=True):
        spans: dict[int, Span] = {}
        for seconds, number in zip(clock, numbers, strict=True):
            spans[number] = spans.get(number, Span()).over(np.array([seconds]))
        streams.append([spans[number] for number in sorted(spans)])
    moments = restarts(streams)
    if moments is None:
        return None
    return [[1 + bisect_right(moments, seconds) for seconds in clock] for clock in times]
