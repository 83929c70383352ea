"""The lines of a text log, whatever the terminal and the disk did to them; bounded memory.

A line ends at a line feed or a carriage return (a progress bar draws each state over the last
one). Colours are taken off, zeros (space of a file that was not written) are dropped and counted,
UTF-16 becomes UTF-8. A line longer than `LINE_CHARS` is no row: it is passed over.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ._textlog_dialects import LINE_CHARS

__all__ = ["Counts", "TextLine", "text_lines", "windows"]

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


def _blocks(stream: BinaryIO, size: int = -1) -> Iterator[bytes]:
    """The text as UTF-8 without a byte order mark."""
    head = stream.read(4)
    mark, encoding = next((pair for pair in _BOMS if head.startswith(pair[0])), (b"", ""))
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    block = head[len(mark) :] + stream.read(_BLOCK)
    while block:
        yield decoder.decode(block).encode("utf-8", "replace") if decoder else block
        block = stream.read(_BLOCK)


def _split(data: bytes) -> list[list[bytes]]:
    """Lines, each as the states that a terminal would have shown one after the other."""
    if b"\x1b" in data:
        data = _ANSI.sub(b"", data)
    if b"\r" not in data:
        return [[line] for line in data.split(b"\n")]
    return [line.split(b"\r") for line in data.replace(b"\r\n", b"\n").split(b"\n")]


def text_lines(path: Path, counts: Counts) -> Iterator[TextLine]:
    """Every line that is not blank. Raises OSError."""
    number, rest, passing = 1, b"", False
    with path.open("rb") as stream:
        for block in _blocks(stream):
            if b"\0" in block:
                counts.zeros += block.count(b"\0")
                block = block.replace(b"\0", b"")  # noqa: PLW2901 - the same block, cleaned
            if passing:
                end = _last_end(block, first=True)
                if end < 0:
                    counts.long_bytes += len(block)
                    continue
                counts.long_bytes += end
                # the end itself stays: it counts the line
                block, passing = block[end:], False  # noqa: PLW2901
            data = rest + block
            end = _last_end(data) + 1
            rest = data[end:]
            for line in _split(data[: end - 1]) if end else ():
                for state in line:
                    if len(state) > LINE_CHARS:
                        counts.long_lines += 1
                        counts.long_bytes += len(state)
                    elif state and not state.isspace():
                        yield TextLine(number, state, closed=True)
                number += 1
            if end and data[end - 1 : end] == b"\r":
                number -= 1  # the line goes on behind the carriage return
            if len(rest) > _BLOCK:
                counts.long_lines += 1
                counts.long_bytes += len(rest)
                rest, passing = b"", True
        for states in _split(rest):
            for state in states:
                if len(state) <= LINE_CHARS and state and not state.isspace():
                    yield TextLine(number, state, closed=False)


def _last_end(data: bytes, *, first: bool = False) -> int:
    """Where the last (first) line end is; a carriage return at the very end may be half of one."""
    if first:
        ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
        return min(ends, default=-1)
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
            lines = [state for line in _split(data.replace(b"\0", b"")) for state in line]
            found += lines[1 if start else 0 : len(lines) - 1 if start + length < size else None]
    return [line for line in found if line and len(line) <= LINE_CHARS]
