"""The rows of a window of records: by numpy where a record is regular, by protobuf elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ._textfiles import MAX_SECONDS
from ._tf_columns import Scalars, scalars_of
from ._tf_frames import Window
from ._tf_names import Names
from ._tf_values import Content, Decoded, Settings, Unread, decoded
from ._tfevents import Damage, Metadata

__all__ = ["MAX_TAGS", "Book", "Other", "Rows", "rows_of"]

MAX_TAGS = 100_000
"""Rows of further tags are counted and left out."""
_MAX_BLOBS = 10_000
_SCALARS = "scalars"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Book:
    """What has been learnt of the tags while a run's files are read."""

    tags: Names = field(default_factory=lambda: Names(MAX_TAGS))
    plugins: dict[str, str] = field(default_factory=dict)
    """Tag -> the plugin that its first value named."""
    excess: int = 0
    """Rows left out because there are too many tags."""
    _blobs: Names = field(default_factory=lambda: Names(_MAX_BLOBS))
    _blob_plugins: list[str | None] = field(default_factory=list)
    _seen: tuple[int, int] = (0, 0)
    _valid: Flags = field(default_factory=lambda: np.zeros(1, dtype=np.bool_))
    _scalar: Flags = field(default_factory=lambda: np.zeros(1, dtype=np.bool_))
    _told: Flags = field(default_factory=lambda: np.zeros(1, dtype=np.bool_))

    def name(self, tag: int) -> str:
        return self.tags.known[tag].decode()

    def number(self, tag: str) -> int:
        """-1 if there are too many."""
        number = self.tags.number(tag.encode())
        self.excess += number < 0
        return number

    def states(self, tags: Ints) -> tuple[Flags, Flags, Flags]:
        """Of each tag: whether it is text, whether it is known to be of scalars or of anything.

        Protobuf takes no tag that is no text. All are False of what is no tag (-1).
        """
        if self._seen != (len(self.tags.known), len(self.plugins)):
            self._seen = (len(self.tags.known), len(self.plugins))
            names = [_text(known) for known in self.tags.known]
            told = [None if name is None else self.plugins.get(name) for name in names]
            self._valid = np.array([*(name is not None for name in names), False])
            self._scalar = np.array([*(plugin == _SCALARS for plugin in told), False])
            self._told = np.array([*(plugin is not None for plugin in told), False])
        return self._valid[tags], self._scalar[tags], self._told[tags]

    def metadata(self, data: bytes, start: Ints, size: Ints) -> tuple[Flags, Flags]:
        """Of each value's metadata: whether they name no plugin but `scalars`, and if they do."""
        numbers = self._blobs.numbers(data, start, size)
        for blob in self._blobs.known[len(self._blob_plugins) :]:
            message: Any = Metadata()
            try:
                message.ParseFromString(blob)
                self._blob_plugins.append(message.plugin_data.plugin_name)
            except DecodeError:
                self._blob_plugins.append(None)
        plugins = self._blob_plugins
        plain = np.array([*(plugin in {"", _SCALARS} for plugin in plugins), False])
        scalar = np.array([*(plugin == _SCALARS for plugin in plugins), False])
        return plain[numbers], scalar[numbers]


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


class Other(NamedTuple):
    """A value that is no scalar."""

    row: int
    """Its row in the window; -1 for what is no row."""
    tag: str
    time: float
    step: int
    content: Content
    offset: int
    """Of the record in the file."""
    size: int
    """Of the record's payload."""
    number: int
    """Of the value in its event."""


class Rows(NamedTuple):
    """All summary values of a window, in the order of the file; equal lengths."""

    tag: Ints
    step: Ints
    time: Floats
    value: Floats
    scalar: Flags
    others: list[Other]
    sessions: list[int]
    """Rows before which a session begins."""
    events: int
    graphs: int


def rows_of(window: Window, book: Book, damage: Damage, *, fast: bool = True) -> Rows:
    """The rows of a window. `fast=False` decodes every record by protobuf, with the same result."""
    scalars, irregular = scalars_of(window)
    if not fast:
        scalars, irregular = scalars.take(np.empty(0, dtype=np.int64)), np.ones_like(irregular)
    scalars, tags, told = _admitted(window, scalars, irregular, book)
    slow = _Slow(window, book, damage)
    slow.decode(np.flatnonzero(irregular), told)
    return slow.merged(scalars, tags)


def _admitted(
    window: Window, scalars: Scalars, irregular: Flags, book: Book
) -> tuple[Scalars, Ints, list[tuple[int, int]]]:
    """The values for which protobuf is not needed, their tags' numbers, and what plugins they tell.

    Records with any other value are marked as irregular. What is told: (record, tag), the first of
    each tag of which nothing was known before.
    """
    tags = book.tags.numbers(window.data, scalars.tag, scalars.tag_size)
    good, known_scalar, known = book.states(tags)
    tells = np.zeros(len(tags), dtype=np.bool_)
    rows = np.flatnonzero(scalars.metadata)
    if len(rows):
        plain, tells[rows] = book.metadata(
            window.data, scalars.metadata[rows], scalars.metadata_size[rows]
        )
        good[rows] &= plain
    good &= ~scalars.tensor | tells | known_scalar
    if not good.all():
        irregular[scalars.record[~good]] = True
        keep = ~irregular[scalars.record]
        tags, tells, known, scalars = tags[keep], tells[keep], known[keep], scalars.take(keep)
    news = np.flatnonzero(tells & ~known)
    news = news[np.unique(tags[news], return_index=True)[1]]
    told = zip(scalars.record[news].tolist(), tags[news].tolist(), strict=True)
    return scalars, tags, sorted(told)


class _Slow:
    """Decodes the irregular records of a window one by one."""

    def __init__(self, window: Window, book: Book, damage: Damage) -> None:
        self.window = window
        self.book = book
        self.damage = damage
        self.events = len(window.start)
        self.graphs = 0
        self.record: list[int] = []
        self.tag: list[int] = []
        self.step: list[int] = []
        self.time: list[float] = []
        self.value: list[float] = []
        self.scalar: list[bool] = []
        self.others: list[Other] = []
        self.sessions: list[int] = []
        """Records with which a session begins."""

    def decode(self, records: Ints, told: list[tuple[int, int]]) -> None:
        """`told`: what the regular records between them tell of plugins, see `_admitted`."""
        window, news = self.window, iter([*told, (len(self.window.start), -1)])
        record, tag = next(news)
        for number in records.tolist():
            while record < number:
                self.book.plugins.setdefault(self.book.name(tag), _SCALARS)
                record, tag = next(news)
            event = decoded(window.payload(number), self.book.plugins)
            if event is None:
                window.reject(number, self.damage)
                self.events -= 1
            else:
                self._event(number, event, *window.place(number))
        while tag >= 0:
            self.book.plugins.setdefault(self.book.name(tag), _SCALARS)
            record, tag = next(news)

    def _event(self, record: int, event: Decoded, offset: int, size: int) -> None:
        self.graphs += event.graph
        if event.session:
            self.sessions.append(record)
        for number, (tag, content) in enumerate(event.values):
            row = len(self.record)
            if isinstance(content, Settings) or (isinstance(content, Unread) and content.apart):
                row = -1
            else:
                found = self.book.number(tag)
                if found < 0:
                    continue
                plain = isinstance(content, float)
                self.record.append(record)
                self.tag.append(found)
                self.step.append(event.step)
                self.time.append(event.time)
                self.value.append(content if isinstance(content, float) else math.nan)
                self.scalar.append(plain)
                if plain:
                    continue
            self.others.append(
                Other(row, tag, event.time, event.step, content, offset, size, number)
            )

    def merged(self, scalars: Scalars, tags: Ints) -> Rows:
        """All rows in the order of the file."""
        record, others = scalars.record, self.others
        time = np.where((scalars.wall > 0) & (scalars.wall < MAX_SECONDS), scalars.wall, np.nan)
        rows = Rows(
            tag=tags,
            step=scalars.step,
            time=time,
            value=scalars.value,
            scalar=np.ones(len(tags), dtype=np.bool_),
            others=others,
            sessions=[],
            events=self.events,
            graphs=self.graphs,
        )
        if self.record:
            record = np.append(record, np.array(self.record, dtype=np.int64))
            order = np.argsort(record, kind="stable")
            record = record[order]
            place = np.empty(len(order), dtype=np.int64)
            place[order] = np.arange(len(order))
            place = place[len(tags) :]
            rows = rows._replace(
                tag=np.append(rows.tag, np.array(self.tag, dtype=np.int64))[order],
                step=np.append(rows.step, np.array(self.step, dtype=np.int64))[order],
                time=np.append(rows.time, np.array(self.time))[order],
                value=np.append(rows.value, np.array(self.value))[order],
                scalar=np.append(rows.scalar, np.array(self.scalar, dtype=np.bool_))[order],
                others=[o if o.row < 0 else o._replace(row=int(place[o.row])) for o in others],
            )
        sessions = np.searchsorted(record, np.array(self.sessions, dtype=np.int64))
        return rows._replace(sessions=sessions.tolist())
