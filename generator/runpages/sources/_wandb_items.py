"""Items of many records at once: `key or nested_key..., value_json`, by numpy in lockstep.

History and summary records are lists of such items; the n-th items of all records are looked at
together. A record that holds anything else is said to be not good, and left to the decoder.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PADDING", "Items", "Scan", "scan", "varint"]

PADDING = bytes(64)
"""Stands behind the last record, so that what follows a position can be looked at anywhere."""

_FEW = 48
"""Records of which numpy takes as long for an item each as a loop does."""
_SHORT = 4
"""Bytes of the longest varint that is read here."""

# tag bytes: field number * 8 + wire type
_ITEM, _STEP, _NUM = 0x0A, 0x12, 0x08
_KEY, _NESTED, _VALUE = 0x0A, 0x12, (0x82, 0x01)

Ints = NDArray[np.int64]
Offsets = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


class Items(NamedTuple):
    """Where items stand, in the order of the file."""

    record: Ints
    start: Offsets
    """The fields that make the key."""
    key_end: Offsets
    value: Offsets
    """The JSON text."""
    end: Offsets

    def take(self, which: Any) -> Items:
        return Items(*(column[which] for column in self))


class Scan(NamedTuple):
    items: Items
    """Of the good records."""
    good: Bools
    """Whether a record is a list of such items (and of a step, if it is a row)."""
    steps: Ints
    """What a row names as its step; 0 if nothing."""


def varint(buffer: Bytes, at: Offsets) -> tuple[Offsets, Offsets, Ints]:
    """(values, positions behind them, indices of those that are too long)."""
    byte = buffer[at]
    value = (byte & 0x7F).astype(np.int32)
    after = (at + 1).astype(np.int32)
    more = np.flatnonzero(byte >= 0x80)
    for shift in range(7, 7 * _SHORT, 7):
        if not len(more):
            break
        byte = buffer[after[more]]
        value[more] |= (byte & 0x7F).astype(np.int32) << shift
        after[more] += 1
        more = more[byte >= 0x80]
    return value, after, more


def scan(data: bytes, body: Offsets, ends: Offsets, history: Bools) -> Scan:
    """Records from `body` to `ends`; `data` goes on with `PADDING`. `history` tells rows."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    good = np.ones(len(body), dtype=bool)
    steps = np.zeros(len(body), dtype=np.int64)
    record, at = _fields(data, buffer, body, ends, good)
    length, inner, _ = varint(buffer, at + 1)
    after = inner + length
    tag = buffer[at]
    is_item = tag == _ITEM
    other = np.flatnonzero(~is_item)
    if len(other):
        at_step = (tag[other] == _STEP) & history[record[other]]
        good[record[other[~at_step]]] = False
        _steps(buffer, record[other], inner[other], after[other], good, steps)
        which = np.flatnonzero(is_item)
        record, inner, after = record[which], inner[which], after[which]
    items = _items(buffer, record, inner, after, good)
    return Scan(items if good.all() else items.take(good[items.record]), good, steps)


def _fields(
    data: bytes, buffer: Bytes, body: Offsets, ends: Offsets, good: Bools
) -> tuple[Ints, Offsets]:
    """(record, position) of each field, in the order of the file."""
    records: list[Ints] = [np.empty(0, dtype=np.int64)]
    places: list[Offsets] = [np.empty(0, dtype=np.int32)]
    record = np.flatnonzero(body < ends)
    at, end = body[record], ends[record]
    while len(record) >= _FEW:
        records.append(record)
        places.append(at)
        length, inner, long = varint(buffer, at + 1)
        after = inner + length
        good[record[long]] = False
        good[record[after > end]] = False
        left = np.flatnonzero((after < end) & good[record])
        record, at, end = record[left], after[left], end[left]
    for one, first, stop in zip(record.tolist(), at.tolist(), end.tolist(), strict=True):
        chain = _chain(data, first, stop)
        good[one] = len(chain) > 0
        records.append(np.full(len(chain), one))
        places.append(np.array(chain, dtype=np.int32))
    place = np.concatenate(places)
    order = np.argsort(place, kind="stable")
    return np.concatenate(records)[order], place[order]


def _chain(data: bytes, at: int, end: int) -> list[int]:
    """Positions of the fields of one record; none if they do not end with it."""
    places = []
    while at < end:
        places.append(at)
        length, at = data[at + 1], at + 2
        if length >= 0x80:
            length &= 0x7F
            for shift in range(7, 7 * _SHORT + 1, 7):
                if shift == 7 * _SHORT:
                    return []
                byte, at = data[at], at + 1
                length |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
        at += length
    return places if at == end else []


def _steps(
    buffer: Bytes, record: Ints, inner: Offsets, after: Offsets, good: Bools, steps: Ints
) -> None:
    """`HistoryStep`: empty for 0, else `num` alone; once in a row."""
    value, behind, long = varint(buffer, inner + 1)
    named = (buffer[inner] == _NUM) & (behind == after)
    named[long] = False
    empty = inner == after
    good[record[~(named | empty)]] = False
    good[record[1:][record[1:] == record[:-1]]] = False
    steps[record] = np.where(empty, 0, value)


def _items(buffer: Bytes, record: Ints, start: Offsets, end: Offsets, good: Bools) -> Items:
    """One item each: a key or the parts of a nested one, then the value, and nothing else."""
    first = buffer[start]
    length, at, long = varint(buffer, start + 1)
    good[record[long]] = False
    key_end = np.minimum(at + length, end)
    more = np.flatnonzero((buffer[key_end] == _NESTED) & (key_end < end))
    while len(more):
        length, at, long = varint(buffer, key_end[more] + 1)
        good[record[more[long]]] = False
        key_end[more] = np.minimum(at + length, end[more])
        more = more[(buffer[key_end[more]] == _NESTED) & (key_end[more] < end[more])]
    length, value, long = varint(buffer, key_end + 2)
    fine = (first == _KEY) | (first == _NESTED)
    fine &= (buffer[key_end] == _VALUE[0]) & (buffer[key_end + 1] == _VALUE[1])
    fine &= (value + length == end) & (length > 0)
    fine[long] = False
    good[record[~fine]] = False
    return Items(record, start, key_end, value, end)
