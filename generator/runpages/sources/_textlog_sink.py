"""Rows on their way into series: one stream a rank, attempts told apart by falling steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runpages.model import SeriesSet

from ._ranks import spool_ranks
from .spool import BUFFER_BYTES, Spool

__all__ = ["Sink"]

_BATCH_ROWS = 2048
_MOST_RANKS = 256
_RANK_BYTES = 4 << 20


@dataclass(slots=True)
class _Batch:
    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)


@dataclass(slots=True)
class _Stream:
    """The rows of one rank, or of a log that names none."""

    spool: Spool
    attempt: int = 1
    fresh: bool = False
    """A process has begun since the last row."""
    names: tuple[str, ...] = ()
    """Of the row before."""
    step: int = -(2**63)
    newest: dict[str, int] = field(default_factory=dict)
    """Metric -> its last step in this attempt, but for the metrics of `names`."""
    batches: dict[tuple[str, ...], _Batch] = field(default_factory=dict)
    owner: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Metric -> the batch that holds its waiting rows."""
    last: tuple[tuple[str, ...], int, list[float]] | None = None
    times: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Attempt -> its least and greatest time; NaN if no row has one."""

    def falls(self, names: tuple[str, ...], step: int) -> bool:
        if names == self.names:
            return step < self.step
        for name in self.names:
            self.newest[name] = self.step
        return any(self.newest.get(name, step) > step for name in names)

    def flush(self) -> None:
        for names, batch in self.batches.items():
            if not batch.steps:
                continue
            steps = np.array(batch.steps, dtype=np.int64)
            times = np.array(batch.times, dtype=np.float64)
            columns = np.array(batch.rows, dtype=np.float64).T
            self._see(times)
            for name, values in zip(names, columns, strict=True):
                self.spool.extend(name, steps, times, values, attempt=self.attempt)
        self.batches.clear()
        self.owner.clear()

    def _see(self, times: NDArray[np.float64]) -> None:
        known = times[np.isfinite(times)]
        low, high = self.times.get(self.attempt, (math.nan, math.nan))
        if len(known):
            low, high = np.fmin(low, known.min()), np.fmax(high, known.max())
        self.times[self.attempt] = (float(low), float(high))

    def begin(self, attempt: int) -> None:
        self.flush()
        self.attempt, self.fresh = attempt, False
        self.names, self.step = (), -(2**63)
        self.newest.clear()
        self.last = None

    def put(self, names: tuple[str, ...], step: int, seconds: float, values: list[float]) -> None:
        batch = self.batches.get(names)
        if batch is None:
            if any(name in self.owner for name in names):
                self.flush()  # rows of a metric stay in their order
            batch = self.batches[names] = _Batch()
            self.owner.update(dict.fromkeys(names, names))
        batch.steps.append(step)
        batch.times.append(seconds)
        batch.rows.append(values)
        if len(batch.steps) >= _BATCH_ROWS:
            self.flush()
        self.names, self.step = names, step


@dataclass(slots=True)
class Sink:
    """Takes rows in the order of the log."""

    attempt: int = 1
    """The newest attempt."""
    rows: int = 0
    parted: bool = False
    """Each rank's rows come from a file of its own, one file after the other."""
    ranks_left_out: int = 0
    _streams: dict[int | None, _Stream] = field(default_factory=dict)

    def begin(self, rank: int | None) -> None:
        """A process has begun: the next row of each rank in its log is a new attempt's."""
        for key, stream in self._streams.items():
            stream.fresh |= key == rank or not self.parted

    def _stream(self, rank: int | None) -> _Stream | None:
        stream = self._streams.get(rank)
        if stream is None:
            if len(self._streams) >= _MOST_RANKS:
                self.ranks_left_out += 1
                return None
            size = _RANK_BYTES if self._streams else BUFFER_BYTES
            began = 1 if self.parted else self.attempt
            stream = _Stream(Spool(buffer_bytes=size), attempt=began)
            self._streams[rank] = stream
        return stream

    def put(
        self,
        rank: int | None,
        names: tuple[str, ...],
        step: int,
        seconds: float,
        values: list[float],
        *,
        once: bool = False,
    ) -> bool:
        """Whether the row was taken; `once`: the same figures as the row before are not."""
        stream = self._stream(rank)
        if stream is None:
            return False
        if once:
            if stream.last == (names, step, values):
                return False
            stream.last = (names, step, values)
        if stream.fresh or stream.falls(names, step):
            # the first rank that begins again leads; in one log the others join it
            following = stream.attempt + 1
            self.attempt = max(self.attempt, following)
            stream.begin(following if self.parted else self.attempt)
        stream.put(names, step, seconds, values)
        self.rows += 1
        return True

    def _times(self, pick: Callable[[float, float], float], which: int) -> dict[int, float]:
        found: dict[int, float] = {}
        for stream in self._streams.values():
            stream.flush()
            for attempt, both in stream.times.items():
                if not math.isnan(both[which]):
                    found[attempt] = pick(found.get(attempt, both[which]), both[which])
        return found

    @property
    def attempts(self) -> tuple[int, ...]:
        """Numbers of the attempts that have rows."""
        for stream in self._streams.values():
            stream.flush()
        return tuple(sorted({n for stream in self._streams.values() for n in stream.times}))

    @property
    def first(self) -> dict[int, float]:
        """Attempt -> its earliest time, if it has one."""
        return self._times(min, 0)

    @property
    def last(self) -> dict[int, float]:
        """Attempt -> its latest time, if it has one."""
        return self._times(max, 1)

    @property
    def ranks(self) -> tuple[int, ...]:
        return tuple(sorted(rank for rank in self._streams if rank is not None))

    def finish(self) -> SeriesSet:
        """The series: the one stream's, or the ranks' merged."""
        for stream in self._streams.values():
            stream.flush()
        if not self._streams:
            return Spool().finish()
        if len(self._streams) == 1:
            return next(iter(self._streams.values())).spool.finish()
        merged = Spool()
        sets = {rank: stream.spool.finish() for rank, stream in self._streams.items()}
        # rows that no rank signed are the lowest rank's that signed none of that name
        plain = sets.pop(None, None)
        spool_ranks(merged, {rank: series for rank, series in sets.items() if rank is not None})
        signed = {name for series in sets.values() for name in series}
        for name in plain or ():
            assert plain is not None  # noqa: S101 - there is a name
            rows = plain[name].recorded
            key = f"{name} [no rank]" if name in signed else name
            for attempt in np.unique(rows.attempt):
                own = rows.take(rows.attempt == attempt)
                merged.extend(key, own.step, own.time, own.value, attempt=int(attempt))
        return merged.finish()
