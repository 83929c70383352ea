"""Where a source puts the rows that it reads; memory stays bounded whatever the log's size.

Rows wait in blocks, one block a metric and attempt. When the blocks hold more than `BUFFER_BYTES`
they are written to one temporary file without a name, and the series are read back from there when
somebody asks for them.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runpages.analysis.roles import role_of
from runpages.model import Columns, Extent, SeriesInfo, SeriesSet, spans_of

__all__ = ["BUFFER_BYTES", "Spool"]

BUFFER_BYTES = 64 << 20
_ROW_BYTES = 24
_LOOSE_ROWS = 4096
_LOOSE_ROW_BYTES = 120
"""What one row costs in Python's lists."""


class _Block(NamedTuple):
    """Rows of one metric and attempt: in memory, or `rows` of them at `offset` of the file."""

    attempt: int
    rows: int
    offset: int
    held: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None


@dataclass(slots=True)
class _Metric:
    """What is known of one metric while it is collected."""

    blocks: list[_Block] = field(default_factory=list)
    extents: dict[int, Extent] = field(default_factory=dict)
    """By attempt."""
    points: int = 0
    time_axis: bool = False
    rank: int | None = None
    statistic: str = ""
    counter: str = ""
    attempt: int = 1
    """Attempt of the loose rows."""
    step: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def cover(self, attempt: int, extent: Extent) -> None:
        known = self.extents.get(attempt)
        self.extents[attempt] = extent if known is None else known.joined(extent)


def _kept(values: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    """The values as an array that nobody will change."""
    if isinstance(values, np.ndarray) and not values.flags.writeable and values.dtype == dtype:
        return values
    return np.array(values, dtype=dtype, ndmin=1)


class Spool:
    """Collects the rows of a run's series while a source reads, in the order of the records.

    A name under which both rows of steps and readings of the clock come makes two series.
    """

    def __init__(self, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._metrics: dict[str, _Metric] = {}
        self._buffer_bytes = buffer_bytes
        self._held = 0
        self._file: BinaryIO | None = None

    def add(self, name: str, step: int, seconds: float, value: float, *, attempt: int = 1) -> None:
        """One row; `seconds` is UTC since 1970 or NaN."""
        metric = self._metrics.get(name)
        if metric is None or metric.time_axis:
            metric = self._of(name, by_clock=False)
        self._put(metric, step, seconds, value, attempt)

    def _of(self, name: str, *, by_clock: bool) -> _Metric:
        """The metric of that name; of two that stand on different axes the later has another."""
        known = self._metrics.get(name)
        if known is not None and known.time_axis != by_clock:
            return self._of(f"{name} (by {'the clock' if by_clock else 'step'})", by_clock=by_clock)
        return self._metrics.setdefault(name, _Metric(time_axis=by_clock))

    def _put(self, metric: _Metric, step: int, seconds: float, value: float, attempt: int) -> None:
        if metric.attempt != attempt or len(metric.step) >= _LOOSE_ROWS:
            self._pack(metric)
            metric.attempt = attempt
        metric.step.append(step)
        metric.time.append(seconds)
        metric.value.append(value)
        self._held += _LOOSE_ROW_BYTES
        if self._held > self._buffer_bytes:
            self._settle()

    def extend(
        self,
        name: str,
        step: ArrayLike,
        seconds: ArrayLike,
        value: ArrayLike,
        *,
        attempt: int = 1,
        time_axis: bool = False,
        rank: int | None = None,
        statistic: str = "",
        counter: str = "",
    ) -> None:
        """Many rows of one attempt at once; equal lengths. `rank`...: see SeriesInfo.

        Read-only arrays of the right type are kept as they are, others are copied.
        """
        metric = self._of(name, by_clock=time_axis)
        metric.rank, metric.statistic, metric.counter = rank, statistic, counter
        self._pack(metric)
        columns = (
            _kept(step, np.int64),
            _kept(seconds, np.float64),
            _kept(value, np.float64),
        )
        self._append(metric, attempt, columns)
        if self._held > self._buffer_bytes:
            self._settle()

    def sample(self, name: str, seconds: float, value: float, *, attempt: int = 1) -> None:
        """One reading taken by the clock (system metric); its step is its number."""
        metric = self._of(name, by_clock=True)
        self._put(metric, metric.points + len(metric.step), seconds, value, attempt)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give series other names, for sources that learn at the end which names are taken."""
        self._metrics = {names.get(name, name): metric for name, metric in self._metrics.items()}

    def renumber(self, attempts: Mapping[int, int]) -> None:
        """Give attempts other numbers, for sources that learn at the end which belong together."""
        for metric in self._metrics.values():
            self._pack(metric)
            metric.attempt = attempts.get(metric.attempt, metric.attempt)
            metric.blocks = [
                block._replace(attempt=attempts.get(block.attempt, block.attempt))
                for block in metric.blocks
            ]
            extents, metric.extents = metric.extents, {}
            for attempt, extent in extents.items():
                metric.cover(attempts.get(attempt, attempt), extent)

    def _pack(self, metric: _Metric) -> None:
        """Loose rows into a block."""
        if not metric.step:
            return
        columns = (
            np.array(metric.step, dtype=np.int64),
            np.array(metric.time, dtype=np.float64),
            np.array(metric.value, dtype=np.float64),
        )
        self._held -= _LOOSE_ROW_BYTES * len(metric.step)
        metric.step, metric.time, metric.value = [], [], []
        self._append(metric, metric.attempt, columns)

    def _append(
        self,
        metric: _Metric,
        attempt: int,
        columns: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    ) -> None:
        rows = len(columns[0])
        if not rows:
            return
        metric.cover(attempt, Extent(int(columns[0].min()), int(columns[0].max()), rows))
        metric.points += rows
        metric.blocks.append(_Block(attempt, rows, -1, columns))
        self._held += _ROW_BYTES * rows

    def _settle(self) -> None:
        """Loose rows into blocks; blocks to the file if they are still too many."""
        for metric in self._metrics.values():
            self._pack(metric)
        if self._held <= self._buffer_bytes // 2:
            return
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="runpages-")  # noqa: SIM115 - as long as its series
            weakref.finalize(self, file.close)
            self._file = cast("BinaryIO", file)
        offset = self._file.seek(0, 2)
        for metric in self._metrics.values():
            for number, block in enumerate(metric.blocks):
                if block.held is None:
                    continue
                for column in block.held:
                    self._file.write(column.tobytes())
                metric.blocks[number] = block._replace(offset=offset, held=None)
                offset += _ROW_BYTES * block.rows
        self._held = 0

    def _load(self, name: str) -> Columns:
        """Filled block by block, so that the rows are in memory once."""
        metric = self._metrics[name]
        rows = Columns(
            np.empty(metric.points, dtype=np.int64),
            np.empty(metric.points, dtype=np.float64),
            np.empty(metric.points, dtype=np.float64),
            np.empty(metric.points, dtype=np.int64),
        )
        begin = 0
        for block in metric.blocks:
            own = slice(begin, begin + block.rows)
            rows.step[own], rows.time[own], rows.value[own] = block.held or self._stored(block)
            rows.attempt[own] = block.attempt
            begin += block.rows
        return rows

    def _stored(
        self, block: _Block
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        assert self._file is not None  # noqa: S101 - a block without rows in memory is in the file
        self._file.seek(block.offset)
        data = self._file.read(_ROW_BYTES * block.rows)
        size = 8 * block.rows
        return (
            np.frombuffer(data[:size], dtype=np.int64),
            np.frombuffer(data[size : 2 * size], dtype=np.float64),
            np.frombuffer(data[2 * size :], dtype=np.float64),
        )

    def finish(self, names: Callable[[str], str | None] = role_of) -> SeriesSet:
        """All series, roles resolved by the built-in table (or by `names`)."""
        infos = {}
        for name, metric in self._metrics.items():
            self._pack(metric)
            infos[name] = SeriesInfo(
                name=name,
                points=metric.points,
                axis="time" if metric.time_axis else "step",
                rank=metric.rank,
                statistic=metric.statistic,
                counter=metric.counter,
            )
        by_step = (m for m in self._metrics.values() if not (m.time_axis or m.counter))
        spans = spans_of(metric.extents for metric in by_step)
        return SeriesSet(infos, self._load, spans).roled(names)
