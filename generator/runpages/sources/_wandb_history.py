"""Numbers of .wandb files by column, kept in chunks so that memory stays bounded.

A row is one record of the history (one call of `log`), or one record of system readings. Nothing is
placed on steps here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunk", "History", "Rows", "Store"]

BUFFER_BYTES = 24 << 20
CHUNK_POINTS = 1 << 18

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows that follow those before, and their numbers in the order in which they were logged."""

    steps: Ints
    """`_step` of each row; of system readings the number of rows of the history before them."""
    times: Floats
    """UTC seconds of each row, NaN unknown."""
    row: Ints
    """Of each number: its row, counted from the first of these; not falling."""
    name: Ints
    """Of each number: its place in the names given with it."""
    value: Floats


class Chunk(NamedTuple):
    """Some rows that follow each other, with their numbers sorted by column, then by row."""

    first: int
    """Number of the first row in its file."""
    steps: Ints
    times: Floats
    columns: Ints
    """Columns that hold something here, as places in `History.names`."""
    counts: Ints
    """Numbers of each of these columns."""
    row: Ints
    """Of each number: its row, counted from `first`."""
    value: Floats


class _Stored(NamedTuple):
    """Where a chunk lies in the file, and its sizes."""

    offset: int
    first: int
    rows: int
    columns: Ints
    counts: Ints


class Store:
    """Keeps the chunks of all files of a run; too many of them go to one temporary file.

    A context: behind it the chunks that went to the file are gone.
    """

    def __init__(self, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._buffer_bytes = buffer_bytes
        self._chunks: list[Chunk | _Stored] = []
        self._held = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, chunk: Chunk) -> int:
        """The number under which `get` gives it."""
        self._chunks.append(chunk)
        self._held += 16 * (len(chunk.steps) + len(chunk.value))
        if self._held > self._buffer_bytes:
            self._spill()
        return len(self._chunks) - 1

    def get(self, number: int) -> Chunk:
        chunk = self._chunks[number]
        if isinstance(chunk, Chunk):
            return chunk
        assert self._file is not None  # noqa: S101 - what is stored is in the file
        points = int(chunk.counts.sum())
        self._file.seek(chunk.offset)
        data = self._file.read(16 * (chunk.rows + points))
        ints, floats = np.frombuffer(data, np.int64), np.frombuffer(data, np.float64)
        steps, times, rows = np.cumsum([chunk.rows, chunk.rows, points]).tolist()
        return Chunk(
            chunk.first,
            ints[:steps],
            floats[steps:times],
            chunk.columns,
            chunk.counts,
            ints[times:rows],
            floats[rows:],
        )

    def _spill(self) -> None:
        if self._file is None:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="runpages-"))  # noqa: SIM115 - `__exit__` closes it
        offset = self._file.seek(0, 2)
        for number, chunk in enumerate(self._chunks):
            if isinstance(chunk, _Stored):
                continue
            self._chunks[number] = _Stored(
                offset, chunk.first, len(chunk.steps), chunk.columns, chunk.counts
            )
            for array in (chunk.steps, chunk.times, chunk.row, chunk.value):
                offset += self._file.write(array.tobytes())
        self._held = 0


class History:
    """Collects rows; iterating gives them in chunks, as often as asked for."""

    def __init__(self, store: Store) -> None:
        self.names: list[str] = []
        """Columns in the order in which they were first logged."""
        self.points: list[int] = []
        """Numbers of each column."""
        self.rows = 0
        self.first_step = 0
        self.highest_step = 0
        """`_step` of the first row, and the highest of all; 0 without rows."""
        self._store = store
        self._places: dict[str, int] = {}
        self._chunks: list[int] = []
        self._waiting: list[Rows] = []
        self._waiting_points = 0
        self._waiting_from = 0

    def add(self, rows: Rows, names: Sequence[str]) -> None:
        """More rows. `names` are what `rows.name` counts; no two are equal."""
        if not len(rows.steps):
            return
        highest = int(rows.steps.max())
        if not self.rows:
            self.first_step, self.highest_step = int(rows.steps[0]), highest
        self.highest_step = max(self.highest_step, highest)
        places = self._placed(rows.name, names)
        self._waiting.append(rows._replace(row=rows.row + self.rows, name=places))
        self.rows += len(rows.steps)
        self._waiting_points += len(rows.value) + len(rows.steps)
        if self._waiting_points >= CHUNK_POINTS:
            self.seal()

    def _placed(self, name: Ints, names: Sequence[str]) -> Ints:
        if any(own not in self._places for own in names):
            first = np.full(len(names), len(name))
            np.minimum.at(first, name, np.arange(len(name)))
            for own in np.argsort(first, kind="stable").tolist():
                if first[own] < len(name) and names[own] not in self._places:
                    self._places[names[own]] = len(self.names)
                    self.names.append(names[own])
                    self.points.append(0)
        known = np.array([self._places.get(n, -1) for n in names], dtype=np.int64)
        counted = np.bincount(name, minlength=len(names))
        for own in np.flatnonzero(counted).tolist():
            self.points[known[own]] += int(counted[own])
        return known[name]

    def seal(self) -> None:
        """What waits becomes a chunk."""
        if not self._waiting:
            return
        columns = zip(*self._waiting, strict=True)
        steps, times, row, name, value = (np.concatenate(column) for column in columns)
        # the sort of 16-bit numbers takes a time that grows with their count alone
        key = name.astype(np.int16) if len(self.names) < 1 << 15 else name
        order = np.argsort(key, kind="stable")
        counts = np.bincount(name, minlength=len(self.names))
        held = np.flatnonzero(counts)
        first = self._waiting_from
        chunk = Chunk(first, steps, times, held, counts[held], row[order] - first, value[order])
        self._chunks.append(self._store.put(chunk))
        self._waiting, self._waiting_points, self._waiting_from = [], 0, self.rows

    def __iter__(self) -> Iterator[Chunk]:
        self.seal()
        return map(self._store.get, self._chunks)
