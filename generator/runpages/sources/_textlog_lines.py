"""The lines of a text log, whatever the terminal and the disk did to them; bounded memory.

A line ends at a line feed or a carriage return (a progress bar draws each state over the last
one). Colours are taken off, zeros (space of a file that was not written) are dropped and counted,
UTF-16 becomes UTF-8. A line longer than `LINE_CHARS` is no row: it is passed over.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ._textlog_dialects import LINE_CHARS

__all__ = ["Counts", "TextLine", "occur_twice", "text_lines", "windows"]

_BLOCK = 1 << 20
WINDOW_BYTES = 256 << 10
_ANSI = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-_])")
_BOMS = (
    (codecs.BOM_UTF8, ""),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextLine(NamedTuple):
    number: int
    """From 1, counted by line feeds."""
    data: bytes
    closed: bool
    """Whether the line has its end: without, its last number may lack digits."""


@dataclass(slots=True)
class Counts:
    """What was met on the way and is no text."""

    zeros: int = 0
    long_lines: int = 0
    long_bytes: int = 0

    def add(self, other: Counts) -> None:
        self.zeros += other.zeros
        self.long_lines += other.long_lines
        self.long_bytes += other.long_bytes


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The text as UTF-8 without a byte order mark."""
    head = stream.read(4)
    mark, encoding = next((pair for pair in _BOMS if head.startswith(pair[0])), (b"", ""))
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    block = head[len(mark) :] + stream.read(_BLOCK)
    while block:
        yield decoder.decode(block).encode("utf-8", "replace") if decoder else block
        block = stream.read(_BLOCK)


def _states(data: bytes) -> list[list[bytes]]:
    """Lines, each as the states that a terminal would have shown one after the other."""
    if b"\r" not in data:
        return [[line] for line in data.split(b"\n")]
    return [line.split(b"\r") for line in data.replace(b"\r\n", b"\n").split(b"\n")]


class _Cutter:
    """Cuts blocks into lines; holds what has no end yet."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.number = 1
        self.rest = b""
        self._passing = False

    def cut(self, block: bytes) -> Iterator[TextLine]:
        if b"\0" in block:
            self.counts.zeros += block.count(b"\0")
            block = block.replace(b"\0", b"")
        if self._passing:
            block = self._pass_over(block)
        data = self.rest + block
        end = _last_end(data) + 1
        self.rest = data[end:]
        if end:
            whole = data[: end - 1]
            yield from self._lines(_ANSI.sub(b"", whole) if b"\x1b" in whole else whole)
            if data[end - 1 : end] == b"\r":
                self.number -= 1  # the line goes on behind the carriage return
        if len(self.rest) > _BLOCK:
            self.counts.long_lines += 1
            self.counts.long_bytes += len(self.rest)
            self.rest, self._passing = b"", True

    def _pass_over(self, block: bytes) -> bytes:
        """Without the rest of a line that is too long; its end stays, it counts the line."""
        ends = [at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0]
        end = min(ends, default=len(block))
        self.counts.long_bytes += end
        self._passing = not ends
        return block[end:]

    def _lines(self, data: bytes) -> Iterator[TextLine]:
        for states in _states(data):
            for state in states:
                if len(state) > LINE_CHARS:
                    self.counts.long_lines += 1
                    self.counts.long_bytes += len(state)
                elif state and not state.isspace():
                    yield TextLine(self.number, state, True)  # noqa: FBT003 - a field
            self.number += 1

    def finish(self) -> Iterator[TextLine]:
        for state in _ANSI.sub(b"", self.rest).split(b"\r"):
            if len(state) <= LINE_CHARS and state and not state.isspace():
                yield TextLine(self.number, state, False)  # noqa: FBT003 - a field


def text_lines(path: Path, counts: Counts) -> Iterator[TextLine]:
    """Every line that is not blank. Raises OSError."""
    cutter = _Cutter(counts)
    with path.open("rb") as stream:
        for block in _blocks(stream):
            yield from cutter.cut(block)
        yield from cutter.finish()


def occur_twice(path: Path, marks: Sequence[str]) -> bool:
    """Whether the file may have two lines with one of `marks`; fast. Raises OSError."""
    texts = [mark.encode() for mark in marks]
    kept = max(map(len, texts)) - 1
    count, rest = 0, b""
    with path.open("rb") as stream:
        for block in _blocks(stream):
            data = rest + block
            # what the block before had whole was counted then
            count += sum(data.count(text) - rest.count(text) for text in texts)
            rest = data[-kept:] if kept else b""
            if count > 1:
                return True
    return False


def _last_end(data: bytes) -> int:
    """Where the last line end is; a carriage return at the very end may be half of one."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1))


def windows(path: Path) -> list[bytes]:
    """Lines of the head, the middle and the end of a file. Raises OSError."""
    size = path.stat().st_size
    if size <= 3 * WINDOW_BYTES:
        starts = [(0, size)]
    else:
        middle, last = size // 2, size - WINDOW_BYTES
        starts = [(0, WINDOW_BYTES), (middle, WINDOW_BYTES), (last, WINDOW_BYTES)]
    found: list[bytes] = []
    with path.open("rb") as stream:
        head = stream.read(2)
        wide = head in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
        for start, length in starts:
            stream.seek(start)
            if wide and start:
                continue
            data = next(_blocks(stream), b"") if wide else stream.read(length)
            data = data.removeprefix(codecs.BOM_UTF8) if not start else data
            data = _ANSI.sub(b"", data.replace(b"\0", b""))
            lines = [state for line in _states(data) for state in line]
            found += lines[1 if start else 0 : len(lines) - 1 if start + length < size else None]
    return [line for line in found if line and len(line) <= LINE_CHARS]
