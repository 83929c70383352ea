"""ClearML's event logs: one JSON array of events a line, read event by event.

A line holds everything that was reported between two flushes, so a line that is cut or damaged is
no reason to lose it: its whole events are kept.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from ._clearml_files import READ_ERRORS, SessionFiles, reason_of

__all__ = ["Found", "Tally", "events_of"]

_CHUNK_BYTES = 1 << 20
_MAX_EVENT_CHARS = 16 << 20
"""A longer event (a plot with pictures in it) is left out and counted."""
_MAX_FAILURES = 200
"""So often is the next event sought behind a damaged one, a file: seeking can be made slow."""
_MAX_WARNINGS = 20

_BETWEEN = re.compile(r"[\s\[\],]*")
_NEXT_EVENT = re.compile(r'\{"(?=timestamp"|type"|task"|iter"|metric")|\n')
_SURROGATE = re.compile("[\udc80-\udcff]")
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class Tally:
    """What was read of a session, and what was not."""

    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    files: list[tuple[str, int]] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _more: int = 0

    def warn(self, sentence: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(sentence)
        else:
            self._more += 1

    def damage(self, place: str, size: int, problem: str) -> None:
        """A record of `size` bytes that is left out."""
        self.damaged += 1
        self.bytes_damaged += size
        self.warn(f"{place}: {problem}; left out")

    def reject(self, found: Found, problem: str) -> None:
        """An event that was yielded as good and is of no use."""
        self.records -= 1
        self.damage(found.place, found.size, problem)

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self._warnings, *((f"and {self._more} more",) if self._more else ()))


class Found(NamedTuple):
    """One event."""

    event: dict[str, Any]
    name: str
    line: int
    size: int
    """Characters; the SDK writes ASCII, so bytes."""

    @property
    def place(self) -> str:
        return f"{self.name}:{self.line}"


def events_of(files: SessionFiles, name: str, tally: Tally) -> Iterator[Found]:
    """The events of a log in the order of the file; all damage goes to `tally`."""
    size = files.size(name)
    if size is None:
        return
    tally.files.append((name, size))
    reading = _Reading(name, size, tally)
    try:
        with files.open(name) as stream:
            yield from reading.events(stream)
    except READ_ERRORS as error:  # of opening; those of reading are met below
        tally.damage(name, size, f"cannot be read ({reason_of(error)})")
        tally.incomplete.append(f"{name} cannot be read")


@dataclass(slots=True)
class _Reading:
    """One log file: `text` is what was read of it and not yet used, from `line` on."""

    name: str
    size: int
    tally: Tally
    taken: int = 0
    """Bytes read."""
    text: str = ""
    line: int = 1
    failures: int = 0
    lost: int = 0
    """Damaged records of this file."""
    closed: bool = True
    """Whether the last character that was used ends a line's array."""

    def events(self, stream: BinaryIO) -> Iterator[Found]:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        chunk_bytes, ended = _CHUNK_BYTES, False
        while not ended:
            data, ended = self._next_chunk(stream, chunk_bytes)
            self.text += decoder.decode(data, ended)
            before = len(self.text)
            yield from self._whole(ended=ended)
            # an event longer than the chunk is parsed from its start again: fewer, larger chunks
            chunk_bytes = _CHUNK_BYTES if len(self.text) < before else 2 * chunk_bytes
        if self.lost:
            more = "s" * (self.lost > 1)
            self.tally.incomplete.append(
                f"{self.name} has {self.lost} record{more} that cannot be used"
            )
        elif not self.closed:
            self.tally.incomplete.append(f"{self.name} ends in the middle of line {self.line}")
            self.tally.damage(f"{self.name}:{self.line}", 1, "cut off before the end of the line")

    def _next_chunk(self, stream: BinaryIO, size: int) -> tuple[bytes, bool]:
        try:
            data = stream.read(size)
        except READ_ERRORS as error:
            problem = f"damaged ({reason_of(error)}); any of its values may be wrong; copy it again"
            self.tally.damaged += 1
            self.tally.bytes_damaged += max(0, self.size - self.taken)
            self.tally.warn(f"{self.name} is {problem}")
            self.tally.incomplete.append(f"{self.name} is {problem}")
            return b"", True
        self.taken += len(data)
        return data, not data

    def _whole(self, *, ended: bool) -> Iterator[Found]:
        """The whole events at the start of the text; what remains is the start of one."""
        position, checked = 0, not self.text.isascii()
        while True:
            position = self._skip(position)
            if position >= len(self.text):
                break
            try:
                event, end = _DECODER.raw_decode(self.text, position)
            except (ValueError, RecursionError):
                if not ended and self._may_go_on(position):
                    break
                position = self._lose(position, ended=ended)
                continue
            broken = checked and _SURROGATE.search(self.text, position, end)
            if broken or not isinstance(event, dict):
                self._lost(end - position, "not a whole event")
            else:
                self.tally.records += 1
                yield Found(event, self.name, self.line, end - position)
            self.closed = False
            position = end
        self.text = self.text[position:]

    def _skip(self, position: int) -> int:
        """Behind brackets, commas and line ends."""
        match = _BETWEEN.match(self.text, position)
        end = match.end() if match else position
        if end > position:
            between = self.text[position:end]
            self.line += between.count("\n")
            last = between.rstrip()[-1:]
            self.closed = last == "]" or (self.closed and not last)
        return end

    def _may_go_on(self, position: int) -> bool:
        """Whether the rest of an event may follow: events have no line end in them."""
        if len(self.text) - position > _MAX_EVENT_CHARS:
            return False
        return self.text.find("\n", position) < 0

    def _lose(self, position: int, *, ended: bool) -> int:
        """Where reading goes on behind what cannot be used at `position`."""
        self.failures += 1
        found = _NEXT_EVENT.search(self.text, position + 1)
        if self.failures > _MAX_FAILURES:
            end = self.text.find("\n", position + 1)
            end = len(self.text) if end < 0 else end
        else:
            end = found.start() if found else len(self.text)
        cut = ended and end == len(self.text) and not self.text.endswith("]")
        self._lost(end - position, "cut off" if cut else "damaged")
        self.closed = True  # told already
        return end

    def _lost(self, size: int, problem: str) -> None:
        self.lost += 1
        self.tally.damage(f"{self.name}:{self.line}", size, f"a record is {problem}")
