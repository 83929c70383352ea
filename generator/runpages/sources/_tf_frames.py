"""Records of an event file: framing, both checksums, and going on after damage.

A record is length (u64 LE), masked CRC-32C of the length, payload, masked CRC-32C of the payload.
The file is read in windows. In a window, numpy finds all places that look like the head of a short
record, and where they form an unbroken chain they are taken as they are. Everything else (longer
records, damage, a record inside another one) is walked record by record, so that what is found
never depends on that guess. After damage the next record is found by its length checksum: the
chance that 12 arbitrary bytes pass it is 2**-32 a position.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from google_crc32c import extend
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from ._tfevents import Damage, masked_crc

__all__ = ["PAD", "WINDOW_BYTES", "Window", "windows"]

WINDOW_BYTES = 2 << 20
PAD = 64
"""Zero bytes behind a window's data, so that whole words can be read at its end."""
MAX_RECORD_BYTES = 1 << 30
WHOLE_BYTES = 32 << 20
"""A longer record is checked but not decoded: it holds a graph, or media too large for a page."""

_HEAD = 12
_AROUND = 16
"""Bytes of a record beside its payload."""
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_SEARCH = 1 << 20
_FIRST_SEARCH = 1 << 11
_SHORT = 256

Ints = NDArray[np.int64]


class Window(NamedTuple):
    """Some records whose checksums hold, in file order."""

    offset: int
    """Of data[0] in the file."""
    data: bytes
    """The window and PAD zero bytes."""
    start: Ints
    """Of each payload in `data`."""
    end: Ints

    def payload(self, number: int) -> bytes:
        return self.data[self.start[number] : self.end[number]]

    def place(self, number: int) -> tuple[int, int]:
        """(offset in the file, bytes) of a record's payload."""
        start, end = int(self.start[number]), int(self.end[number])
        return self.offset + start, end - start

    def reject(self, number: int, damage: Damage) -> None:
        """Note that what is in a record cannot be decoded."""
        offset, size = self.place(number)
        damage.note(offset - _HEAD, size + _AROUND)


def windows(path: Path, damage: Damage, *, width: int = WINDOW_BYTES) -> Iterator[Window]:
    """All good records of a file; what cannot be read is noted in `damage`.

    `width` is what is read at once; a record that is larger is read by itself. Raises OSError if
    the file cannot be read.
    """
    # not mmap: a file that is cut while it is read would end the process
    with path.open("rb") as stream:
        yield from _Framing(stream, damage).windows(width)


@dataclass(slots=True)
class _Framing:
    """Where the reading of a file stands."""

    stream: BinaryIO
    damage: Damage
    position: int = 0
    size: int = 0
    """Of the file when it was opened; what a live run adds later is left for the next time."""
    lost_from: int | None = None
    """Where an unreadable stretch began whose end is not yet found."""
    lost_zeros: bool = True
    """Whether that stretch has held only zeros so far."""
    pieces: list[tuple[Ints, Ints]] = field(default_factory=list)
    """(start, end) of the payloads found in this window."""

    def windows(self, width: int) -> Iterator[Window]:
        self.size = os.fstat(self.stream.fileno()).st_size
        need = width
        while self.position < self.size:
            data = self._data(need)
            offset = self.position
            if not data:
                break
            self.pieces = []
            stop = self._walk(data, _chains(data if need == width else b""))
            need = width
            if stop == 0:
                # the first record is larger than the window
                need = _AROUND + _LENGTH.unpack_from(data)[0]
                if need > WHOLE_BYTES:
                    self._pass_over(need)
                    need = width
                continue
            self.position += stop
            yield self._checked(offset, data + bytes(PAD))
        self._end()

    def _data(self, need: int) -> bytes:
        self.stream.seek(self.position)
        data = self.stream.read(min(need, self.size - self.position))
        if len(data) < need:
            self.size = self.position + len(data)  # it may have been cut while it was read
        return data

    def _walk(self, data: bytes, chains: tuple[Ints, Ints, Ints]) -> int:
        """Collect the records of a window; where in it the reading has to go on."""
        length = len(data)
        left = self.size - self.position
        found, ends, breaks = chains
        at = 0 if self.lost_from is None else self._resume(data, 0, left)
        while at < length:
            number = int(np.searchsorted(found, at))
            ahead = int(found[number]) if number < len(found) else length
            if at == ahead:
                last = int(breaks[np.searchsorted(breaks, number)])
                start, end = found[number : last + 1] + _HEAD, ends[number : last + 1] - _CRC.size
                self.pieces.append((start, end))
                at = int(ends[last])
                continue
            at, full = self._one_by_one(data, at, ahead, left)
            if full:
                break
        return at

    def _one_by_one(self, data: bytes, at: int, ahead: int, left: int) -> tuple[int, bool]:
        """Go on to `ahead` or behind it; also whether more of the file is needed first."""
        starts, ends = [], []
        full = False
        while at < ahead:
            if at + _HEAD > len(data) and len(data) < left:
                full = True
                break
            end = _end_at(data, at)
            if end is None or end > left:
                self.lost_from, self.lost_zeros = self.position + at, True
                at = self._resume(data, at, left)
            elif end > len(data):
                full = True
                break
            else:
                starts.append(at + _HEAD)
                ends.append(end - _CRC.size)
                at = end
        if starts:
            self.pieces.append((np.array(starts), np.array(ends)))
        return at, full

    def _resume(self, data: bytes, at: int, left: int) -> int:
        """Where the next whole record begins; without one, from where on the search goes on."""
        assert self.lost_from is not None  # noqa: S101 - called in a lost stretch only
        first = at + 1 if self.lost_from == self.position + at else at
        found = _next_head(data, first, left)
        if found is not None:
            self.damage.note(self.lost_from, self.position + found - self.lost_from)
            self.lost_from = None
            return found
        # a head can lie across the end of the window
        stop = len(data) if len(data) == left else len(data) - _HEAD + 1
        self.lost_zeros = self.lost_zeros and not data[at:stop].strip(b"\0")
        return max(stop, first)

    def _pass_over(self, need: int) -> None:
        """A record that is too large to be decoded: its checksum is verified piece by piece."""
        self.stream.seek(self.position + _HEAD)
        crc, left = 0, need - _AROUND
        while left:
            piece = self.stream.read(min(left, WINDOW_BYTES))
            if not piece:
                break
            crc, left = extend(crc, piece), left - len(piece)
        stored = self.stream.read(_CRC.size)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        if stored == _CRC.pack(masked):
            self.damage.oversized += 1
        else:
            self.damage.note(self.position, need)
        self.position += need

    def _checked(self, offset: int, data: bytes) -> Window:
        """The records of the window without those whose payload fails its checksum."""
        if not self.pieces:
            nothing = np.empty(0, dtype=np.int64)
            return Window(offset, data, nothing, nothing)
        start = np.concatenate([piece[0] for piece in self.pieces])
        end = np.concatenate([piece[1] for piece in self.pieces])
        good = _whole(data, start, end)
        if not good.all():
            for low, high in zip(start[~good].tolist(), end[~good].tolist(), strict=True):
                self.damage.note(offset + low - _HEAD, high - low + _AROUND)
            start, end = start[good], end[good]
        return Window(offset, data, start, end)

    def _end(self) -> None:
        # a tail of zeros is space that the writer had reserved
        if self.lost_from is not None and not self.lost_zeros:
            self.damage.truncated = True
            self.damage.note(self.lost_from, self.size - self.lost_from)


def _whole(data: bytes, start: Ints, end: Ints) -> NDArray[np.bool_]:
    """Whether the checksum of each payload holds.

    Payloads of one size are cut out by numpy all at once: slicing them one by one costs more than
    their checksums.
    """
    size = end - start
    order = np.argsort(size.astype(np.uint16) if size.max() < 1 << 16 else size, kind="stable")
    size, start, end = size[order], start[order], end[order]
    crc = np.zeros(len(size), dtype=np.uint32)
    cuts = (np.flatnonzero(size[1:] != size[:-1]) + 1).tolist()
    for low, high in zip([0, *cuts], [*cuts, len(size)], strict=True):
        width = int(size[low])
        if width:
            places = np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))
            crc[low:high] = list(map(crc32c, places[start[low:high]].tolist()))
    good = np.empty(len(size), dtype=np.bool_)
    good[order] = _masked(crc) == _words(data, "<u4")[end]
    return good


def _words(data: bytes, dtype: str) -> NDArray[Any]:
    """The unsigned word that begins at each byte of `data`."""
    kind = np.dtype(dtype)
    return np.ndarray((max(0, len(data) - kind.itemsize + 1),), kind, data, 0, (1,))


def _masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    turned: NDArray[np.uint32] = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return turned + np.uint32(0xA282EAD8)


_SHORT_CRC = np.array([masked_crc(_LENGTH.pack(n)) for n in range(_SHORT)], dtype=np.uint32)


def _chains(data: bytes) -> tuple[Ints, Ints, Ints]:
    """Heads of records of 1 to 255 bytes: (where, where the record ends, last of each chain).

    The length of such a record is one byte and seven zeros, which always hold an aligned word of
    zeros; its byte is then the last one before that word that is no zero.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    aligned = np.frombuffer(data, dtype="<u4", count=len(data) // 4)
    zeros = np.flatnonzero(aligned == 0) * 4
    at = zeros[(zeros >= 4) & (zeros + 11 <= len(data))] - 1
    for _ in range(3):
        at = at - (octets[at] == 0)
    length = octets[at].astype(np.int64)
    at, length = at[length > 0], length[length > 0]
    good = (_words(data, "<u8")[at] == length.view(np.uint64)) & (
        _words(data, "<u4")[at + 8] == _SHORT_CRC[length]
    )
    end = at + length + _AROUND
    good &= end <= len(data)
    if not good.all():
        at, end = at[good], end[good]
    return at, end, np.append(np.flatnonzero(at[1:] != end[:-1]), len(at) - 1)


def _end_at(data: bytes, at: int) -> int | None:
    """Where the record at this place ends by its length; None if the length's checksum fails."""
    if at + _HEAD > len(data):
        return None
    if _CRC.unpack_from(data, at + 8)[0] != masked_crc(data[at : at + 8]):
        return None
    length = int(_LENGTH.unpack_from(data, at)[0])
    return at + length + _AROUND if length <= MAX_RECORD_BYTES else None


def _next_head(data: bytes, first: int, left: int) -> int | None:
    """The next place where a whole record can begin: the length's checksum holds and it fits."""
    start, width = first, _FIRST_SEARCH
    while start + _HEAD <= len(data):
        part = data[start : start + width + _HEAD - 1]
        for found in _heads(part):
            end = _end_at(data, start + found)
            if end is not None and end <= left:
                return start + found
        # the next record is near in most cases, but the damage can be long
        start, width = start + width, min(8 * width, _SEARCH)
    return None


def _heads(data: bytes) -> list[int]:
    """Where 8 bytes are followed by their checksum; lengths below 4 GiB only."""
    half = _words(data, "<u4")
    places = np.flatnonzero(half[4 : len(data) - _HEAD + 5] == 0)  # the upper half of a length
    if not len(places) or not data.strip(b"\0"):
        return []
    octets = np.frombuffer(data, dtype=np.uint8)
    crc = np.full(len(places), _HIGH_ZERO, dtype=np.uint32)
    for number, table in enumerate(_LOW_TABLES):
        crc ^= table[octets[places + number] ^ 0xFF]
    return [int(p) for p in places[_masked(crc ^ np.uint32(0xFFFFFFFF)) == half[places + 8]]]


def _tables() -> list[NDArray[np.uint32]]:
    """Slicing-by-8 tables of CRC-32C (reflected polynomial 0x82F63B78)."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, (first >> 1) ^ np.uint32(0x82F63B78), first >> 1)
    tables = [first.astype(np.uint32)]
    for _ in range(7):
        tables.append((tables[-1] >> 8) ^ first[tables[-1] & 0xFF])
    return tables


_T0, _T1, _T2, _T3, *_LOW_REVERSED = _tables()
_LOW_TABLES = tuple(reversed(_LOW_REVERSED))
_HIGH_ZERO = _T3[0] ^ _T2[0] ^ _T1[0] ^ _T0[0]
