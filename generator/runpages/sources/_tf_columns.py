"""Scalars of a window of records by numpy alone, many records a step.

Event: 0x09 wall_time, [0x10 step], 0x2A summary to the end of the record. Summary: 0x0A values.
Value: 0x0A tag, then 0x15 simple_value or 0x42 tensor, then [0x4A metadata]. Tensor: 0x08 dtype,
[0x12 0x00 empty shape], then nothing (a zero) or the one number. Real writers put the fields of a
scalar in this order and leave out the rest; a record that is anything else is not touched here but
left to the protobuf decoder, so that both give the same for every record.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._tf_frames import PAD, Window

__all__ = ["Scalars", "scalars_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_FAR = 1 << 60
"""In place of a length that cannot be decoded: it fits into nothing."""
_MANY_VALUES, _FEW_ROWS = 50, 50
_MORE = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)


class Scalars(NamedTuple):
    """Values of the regular records; several of one record stand in its order."""

    record: Ints
    """Number of the record in the window."""
    wall: Floats
    step: Ints
    tag: Ints
    """Where the tag stands in the window's data."""
    tag_size: Ints
    value: Floats
    tensor: Flags
    metadata: Ints
    """Where the metadata stand; 0 if there are none."""
    metadata_size: Ints

    def take(self, rows: Flags | Ints) -> Scalars:
        return Scalars(
            self.record[rows],
            self.wall[rows],
            self.step[rows],
            self.tag[rows],
            self.tag_size[rows],
            self.value[rows],
            self.tensor[rows],
            self.metadata[rows],
            self.metadata_size[rows],
        )


def scalars_of(window: Window) -> tuple[Scalars, Flags]:
    """All values of those records of the window that hold nothing but scalars.

    Also of each record whether it is irregular, and left to the protobuf decoder.
    """
    reading = _Reading(window)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        reading.events()
        for number in count():
            if number > _MANY_VALUES and len(reading.row) < _FEW_ROWS:
                reading.leave()
            if not len(reading.row):
                break
            reading.next_values()
    return reading.result()


class _View:
    """A window's bytes as the number that begins at each byte."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data) - PAD
        self.octet = np.frombuffer(data, dtype=np.uint8)
        self.word = _each(data, "<u8")
        self.single = _each(data, "<f4")
        self.double = _each(data, "<f8")

    def varint(self, at: Ints) -> tuple[Ints, Ints]:
        """(values, where they end) of varints of up to 8 bytes; _FAR for longer ones."""
        first = self.octet[at]
        if not (first & 0x80).any():
            return first.astype(np.int64), at + 1
        word = self.word[at]
        last = ~word & _MORE
        last &= ~last + _ONE  # its lowest bit: the highest one of the varint's last byte
        below = last - _ONE
        value = word & below
        for bits in (7, 14, 28):
            high = np.uint64(_HIGH[bits])
            value = (value & (high >> np.uint64(bits + bits // 7))) | (
                (value & high) >> np.uint64(bits // 7)
            )
        size = (np.bitwise_count(below).astype(np.int64) + 1) >> 3
        return np.where(last == 0, _FAR, value.astype(np.int64)), at + size


# per round: the upper halves of 16, 32 and 64 bits, of which 7, 14 and 28 bits are in use
_HIGH = {7: 0x7F007F007F007F00, 14: 0x3FFF00003FFF0000, 28: 0x0FFFFFFF00000000}


def _each(data: bytes, dtype: str) -> NDArray[Any]:
    kind = np.dtype(dtype)
    return np.ndarray((len(data) - kind.itemsize + 1,), kind, data, 0, (1,))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the walk over a value found."""

    good: Flags
    tensor: Flags
    end: Ints
    value: Floats


class _Reading:
    """A walk over all records of a window side by side."""

    def __init__(self, window: Window) -> None:
        self.view = _View(window.data)
        self.start, self.end = window.start, window.end
        self.irregular = np.zeros(len(self.start), dtype=np.bool_)
        self.row: Ints = np.arange(len(self.start))
        """Records with a value still to be read."""
        self.at: Ints = np.empty(0, dtype=np.int64)
        """Where it begins."""
        self.wall: Floats = np.empty(0)
        self.step: Ints = np.empty(0, dtype=np.int64)
        self.found: list[tuple[NDArray[Any], ...]] = []

    def events(self) -> None:
        """Time, step and the begin of the summary."""
        octet = self.view.octet
        good = octet[self.start] == 0x09
        self.wall = self.view.double[self.start + 1].astype(np.float64)
        at = self.start + 9
        stepped = octet[at] == 0x10
        step, after = self.view.varint(at + 1)
        self.step = np.where(stepped, step, 0)
        at = np.where(stepped, after, at)
        good &= (octet[at] == 0x2A) & (self.step < _FAR)
        size, at = self.view.varint(at + 1)
        good &= at + size == self.end
        self._keep(good, at)

    def _keep(self, good: Flags, at: Ints) -> None:
        """Go on with the good rows that have something left at `at`."""
        if not good.all():
            self.irregular[self.row[~good]] = True
        going = good & (at < self.end[self.row])
        if going.all():
            self.at = at
        else:
            self.row, self.at = self.row[going], at[going]

    def leave(self) -> None:
        """The rest to protobuf: events of thousands of values gain nothing here."""
        self.irregular[self.row] = True
        self.row = self.row[:0]

    def next_values(self) -> None:
        """One value of each row."""
        octet, end = self.view.octet, self.end[self.row]
        good = octet[self.at] == 0x0A
        size, at = self.view.varint(self.at + 1)
        stop = at + size
        good &= stop <= end
        at = np.where(good, at, 0)
        good &= octet[at] == 0x0A
        tag_size, tag = self.view.varint(at + 1)
        at = tag + tag_size
        good &= at < stop
        at = np.where(good, at, 0)
        number = self._number(at, good)
        good = number.good
        at = np.where(good, number.end, 0)
        described = good & (at < stop)
        metadata = np.zeros(len(at), dtype=np.int64)
        metadata_size = metadata
        if described.any():
            good &= ~described | (octet[at] == 0x4A)
            metadata_size, place = self.view.varint(at + 1)
            metadata = np.where(described, place, 0)
            metadata_size = np.where(described, metadata_size, 0)
            at = np.where(described, place + metadata_size, at)
        good &= at == stop
        columns = (
            self.row, tag, tag_size, number.value, number.tensor, metadata, metadata_size,
        )  # fmt: skip
        self.found.append(columns if good.all() else tuple(column[good] for column in columns))
        self._keep(good, stop)

    def _number(self, at: Ints, good: Flags) -> _Numbers:
        """A simple value or a tensor of one number."""
        key = self.view.octet[at]
        simple, tensor = key == 0x15, key == 0x42
        if simple.all():
            return _Numbers(good, tensor, at + 5, self.view.single[at + 1].astype(np.float64))
        end, value, fits = self._tensor(at)
        if simple.any():
            end = np.where(simple, at + 5, end)
            value = np.where(simple, self.view.single[at + 1], value)
        return _Numbers(good & (simple | (tensor & fits)), tensor, end, value)

    def _tensor(self, at: Ints) -> tuple[Ints, Floats, Flags]:
        """(end, number, whether it is a tensor of one number)."""
        octet = self.view.octet
        size, at = self.view.varint(at + 1)
        stop = at + size
        dtype = octet[at + 1]
        good = (octet[at] == 0x08) & ((dtype == 1) | (dtype == 2)) & (stop <= self.view.size)
        at = at + 2
        shaped = (octet[at] == 0x12) & (octet[at + 1] == 0)
        at = np.where(shaped, at + 2, at)
        empty = at == stop
        key, length = octet[at], octet[at + 1]
        # float_val (5), double_val (6) or tensor_content (4)
        four = (dtype == 1) & (length == 4) & ((key == 0x2A) | (key == 0x22))
        eight = (dtype == 2) & (length == 8) & ((key == 0x32) | (key == 0x22))
        filled = (four & (at + 6 == stop)) | (eight & (at + 10 == stop))
        value = np.where(eight, self.view.double[at + 2], self.view.single[at + 2])
        # protobuf leaves out a single zero
        return stop, np.where(empty, 0.0, value), good & (empty | filled)

    def result(self) -> tuple[Scalars, Flags]:
        """The values of the regular records, in the order of the file."""
        if not self.found:
            nothing = np.empty(0, dtype=np.int64)
            none = nothing.astype(np.bool_)
            self.found.append((nothing, nothing, nothing, np.empty(0), none, nothing, nothing))
        parts = zip(*self.found, strict=True)
        record, *columns = (p[0] if len(p) == 1 else np.concatenate(p) for p in parts)
        tag, tag_size, value, tensor, metadata, metadata_size = columns
        scalars = Scalars(
            record=record,
            wall=self.wall[record],
            step=self.step[record],
            tag=tag,
            tag_size=tag_size,
            value=value,
            tensor=tensor,
            metadata=metadata,
            metadata_size=metadata_size,
        )
        if len(self.found) > 1:
            scalars = scalars.take(np.argsort(record, kind="stable"))
        if self.irregular.any():
            scalars = scalars.take(~self.irregular[scalars.record])
        return scalars, self.irregular
