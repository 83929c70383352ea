"""Many records of a .wandb file at once: rows of numbers and summaries, by numpy in lockstep.

Nearly all of a large file are history records that hold numbers only, and summary records that
repeat them. Both are lists of items `key or nested_key..., value_json`; here the n-th items of all
records of a batch are looked at together. A record of any other form is left to the protobuf
decoder, so what is read does not depend on which way a record took.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._wandb_records import HISTORY, SUMMARY, Batch, item_name

__all__ = ["Walk", "nothing", "walk"]

_FEW = 32
"""With fewer records left the decoder is as fast; rows of very different lengths end there."""
_PADDING = bytes(64)
"""Behind the last record, so that what stands after a position can be looked at anywhere."""
_SEGMENTS = 64
"""With more summary records of another form in a batch, all of them go to the decoder."""
_SHORT = 4
"""Bytes of the longest varint that is read here."""

Ints = NDArray[np.int64]
Offsets = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# tag bytes: field number * 8 + wire type
_NUM, _ROW, _CHANGES = 0x08, HISTORY << 3 | 2, SUMMARY << 3 | 2
_ITEM, _STEP = 0x0A, 0x12
_KEY, _NESTED, _VALUE = 0x0A, 0x12, (0x82, 0x01)


class Walk(NamedTuple):
    """What the records of a batch hold, as far as they have the usual form."""

    plain: Bools
    """Whether the record was read here."""
    history: Bools
    """Whether it is a row that was read here."""
    nums: Ints
    """`num` of each record that was read here."""
    steps: Ints
    """The step that the row's record names."""
    names: list[str]
    row: Ints
    """Of each number of the history: its record. Numbers stand in the order of the file."""
    name: Ints
    """Of each number: its place in `names`."""
    value: Floats
    summary: list[tuple[int, int, str]]
    """(record, place in `names`, JSON text) of the last value of each key between two summary
    records that were not read here, in the order in which the keys came up."""


class _Items(NamedTuple):
    """Where the items of all records stand in the blob."""

    record: Ints
    start: Offsets
    key_end: Offsets
    value: Offsets
    end: Offsets

    def take(self, which: Any) -> _Items:
        return _Items(*(column[which] for column in self))


def _varint(buffer: Bytes, at: Offsets) -> tuple[Offsets, Offsets, Ints]:
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


def walk(batch: Batch) -> Walk | None:
    """None if too few records of the batch have the usual form."""
    sizes = batch.sizes.astype(np.int32)
    if len(sizes) < _FEW:
        return None
    buffer = np.frombuffer(batch.blob + _PADDING, dtype=np.uint8)
    ends = np.cumsum(sizes, dtype=np.int32)
    starts = ends - sizes
    num, at, long = _varint(buffer, starts + 1)
    plain = buffer[starts] == _NUM
    plain[long] = False
    tag = buffer[at]
    length, body, long = _varint(buffer, at + 1)
    plain[long] = False
    plain &= (body + length == ends) & ((tag == _ROW) | (tag == _CHANGES))
    ours = np.flatnonzero(plain)
    if len(ours) < _FEW:
        return None
    lockstep = _Lockstep(buffer, body[ours], ends[ours], tag[ours] == _ROW)
    items = lockstep.items()
    steps = np.zeros(len(sizes), dtype=np.int64)
    steps[ours] = lockstep.steps
    plain[ours] = lockstep.good
    items = items._replace(record=ours[items.record])
    # records that may be summaries in another form
    other = (tag == _CHANGES) | (tag >= 0x80) | (buffer[starts] != _NUM)
    return _read(batch.blob, buffer, items, plain, tag == _ROW, num.astype(np.int64), steps, other)


def nothing(batch: Batch) -> Walk:
    """All records of the batch are left to the decoder."""
    none, empty = np.zeros(len(batch.sizes), dtype=bool), np.empty(0, dtype=np.int64)
    zeros = np.zeros(len(batch.sizes), dtype=np.int64)
    return Walk(none, none, zeros, zeros.copy(), [], empty, empty, np.empty(0), [])


class _Lockstep:
    """Goes through the items of all records, the first ones together, then the second ones..."""

    def __init__(self, buffer: Bytes, body: Offsets, ends: Offsets, history: Bools) -> None:
        self._buffer = buffer
        self._body = body
        self._ends = ends
        self._history = history
        self.good = np.ones(len(body), dtype=bool)
        """Whether a record consists of such items only."""
        self.steps = np.zeros(len(body), dtype=np.int64)
        self._stepped = np.zeros(len(body), dtype=bool)

    def items(self) -> _Items:
        """The items of the good records in the order of the file."""
        found: list[_Items] = []
        record = np.flatnonzero(self._body < self._ends)
        at, end = self._body[record], self._ends[record]
        while len(record):
            if len(record) < _FEW:
                self.good[record] = False
                break
            tag = self._buffer[at]
            length, inner, long = _varint(self._buffer, at + 1)
            after = inner + length
            item = (tag == _ITEM) & (after <= end)
            item[long] = False
            if item.all():
                found.append(self._item(record, inner, after))
            else:
                other, which = np.flatnonzero(~item), np.flatnonzero(item)
                fits = (tag[other] == _STEP) & (after[other] <= end[other])
                self._step(record[other], inner[other], after[other], fits)
                found.append(self._item(record[which], inner[which], after[which]))
            left = np.flatnonzero(after < end)
            record, at, end = record[left], after[left], end[left]
        if not found:
            empty = np.empty(0, dtype=np.int32)
            return _Items(empty.astype(np.int64), empty, empty, empty, empty)
        items = _Items(*(np.concatenate(column) for column in zip(*found, strict=True)))
        items = items.take(self.good[items.record])
        return items.take(np.argsort(items.start, kind="stable"))

    def _step(self, record: Ints, inner: Offsets, after: Offsets, fits: Bools) -> None:
        """`HistoryStep`: empty for 0, else `num` alone; once in a row."""
        fits &= self._history[record] & ~self._stepped[record]
        self._stepped[record] = True
        value, behind, long = _varint(self._buffer, np.minimum(inner + 1, after))
        named = (self._buffer[inner] == _NUM) & (behind == after)
        named[long] = False
        empty = inner == after
        self.good[record[~(fits & (named | empty))]] = False
        self.steps[record] = np.where(empty, 0, value)

    def _item(self, record: Ints, start: Offsets, end: Offsets) -> _Items:
        """One item each: a key or the parts of a nested one, then the value, and nothing else."""
        buffer = self._buffer
        first = buffer[start]
        length, at, long = _varint(buffer, start + 1)
        self.good[record[long]] = False
        key_end = np.minimum(at + length, end)
        more = np.flatnonzero((buffer[key_end] == _NESTED) & (key_end < end))
        while len(more):
            length, at, long = _varint(buffer, key_end[more] + 1)
            self.good[record[more[long]]] = False
            key_end[more] = np.minimum(at + length, end[more])
            more = more[(buffer[key_end[more]] == _NESTED) & (key_end[more] < end[more])]
        length, value, long = _varint(buffer, key_end + 2)
        fine = (first == _KEY) | (first == _NESTED)
        fine &= (buffer[key_end] == _VALUE[0]) & (buffer[key_end + 1] == _VALUE[1])
        fine &= (value + length == end) & (length > 0)
        fine[long] = False
        self.good[record[~fine]] = False
        return _Items(record, start, key_end, value, end)


def _read(
    blob: bytes,
    buffer: Bytes,
    items: _Items,
    plain: Bools,
    is_row: Bools,
    nums: Ints,
    steps: Ints,
    other: Bools,
) -> Walk:
    """Names and values of the items; what they show to be of another form is left out."""
    texts = _Texts(blob, items)
    names, name = texts.names()
    plain[items.record[name < 0]] = False
    row = is_row[items.record]
    at_rows = np.flatnonzero(row)
    value, fine = _numbers(buffer, texts, items.take(at_rows), at_rows)
    plain[items.record[at_rows[~fine]]] = False
    segment = np.cumsum(other & ~plain, dtype=np.int64)
    if segment[-1] >= _SEGMENTS or not texts.all_text(np.flatnonzero(~row)):
        plain[~is_row] = False
    kept = plain[items.record[at_rows]]
    at_rows, value = at_rows[kept], value[kept]
    at_summaries = np.flatnonzero(~row & plain[items.record])
    return Walk(
        plain=plain,
        history=plain & is_row,
        nums=nums,
        steps=steps,
        names=names,
        row=items.record[at_rows],
        name=name[at_rows],
        value=value,
        summary=_last_texts(texts, items, name, at_summaries, segment),
    )


class _Texts:
    """Keys and values of the items as arrow arrays; only what is asked for is copied.

    Arrays change hands by buffers and DLPack: the usual ways import pandas where it is installed.
    """

    def __init__(self, blob: bytes, items: _Items) -> None:
        import pyarrow as pa

        self._arrow = pa
        bounds = np.empty((len(items.start), 4), dtype=np.int32)
        for column, offsets in enumerate(items[1:]):
            bounds[:, column] = offsets
        # four pieces an item: key, tag and length of the value, value, what stands before the next
        offsets = np.append(bounds.ravel(), np.int32(len(blob)))
        self._pieces = pa.BinaryArray.from_buffers(
            pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(blob)]
        )
        self._count = len(items.start)

    def _take(self, piece: int, which: Ints) -> Any:
        places = self._arrow.py_buffer((4 * which + piece).astype(np.int32))
        indices = self._arrow.Array.from_buffers(self._arrow.int32(), len(which), [None, places])
        return self._pieces.take(indices)

    def names(self) -> tuple[list[str], Ints]:
        """The names of the items, and for each item which it has; -1 for one that is no text."""
        found = self._take(0, np.arange(self._count)).dictionary_encode()
        names: list[str] = []
        places: dict[str, int] = {}
        place = []
        for encoded in found.dictionary.to_pylist():
            name = item_name(encoded)
            if name is None:
                place.append(-1)
                continue
            if name not in places:
                places[name] = len(names)
                names.append(name)
            place.append(places[name])
        return names, np.array(place, dtype=np.int64)[np.from_dlpack(found.indices)]

    def values(self, which: Ints) -> Any:
        """The values as bytes."""
        return self._take(2, which)

    def all_text(self, which: Ints) -> bool:
        """Whether the values are UTF-8."""
        try:
            self.values(which).cast(self._arrow.string())
        except self._arrow.ArrowInvalid:
            return False
        return True


def _numbers(buffer: Bytes, texts: _Texts, items: _Items, which: Ints) -> tuple[Floats, Bools]:
    """Numbers and truth values of JSON texts, bit by bit as `float` gives them; and where they are.

    `items` are those at `which`.
    """
    first, second = buffer[items.value], buffer[items.value + 1]
    length = items.end - items.value
    digits = (first >= ord("0")) & (first <= ord("9"))
    digits |= (first == ord("-")) & (second >= ord("0")) & (second <= ord("9")) & (length > 1)
    # Infinity and NaN by their lengths: `NaN(0)` is a number to arrow
    digits |= (first == ord("N")) & (length == 3)
    digits |= (first == ord("I")) & (length == 8)
    digits |= (first == ord("-")) & (second == ord("I")) & (length == 9)
    value = np.full(len(which), np.nan)
    fine = digits.copy()
    for word, number in ((b"true", 1.0), (b"false", 0.0)):
        same = length == len(word)
        for place, letter in enumerate(word):
            same &= buffer[items.value + place] == letter
        value[same] = number
        fine |= same
    _parse(texts.values(which[digits]), value, fine, np.flatnonzero(digits))
    return value, fine


def _parse(values: Any, value: Floats, fine: Bools, places: Ints) -> None:
    import pyarrow as pa

    try:
        value[places] = np.from_dlpack(values.cast(pa.string()).cast(pa.float64()))
    except pa.ArrowInvalid:
        for place, text in zip(places.tolist(), values.to_pylist(), strict=True):
            try:
                value[place] = float(text)
            except ValueError:
                fine[place] = False


def _last_texts(
    texts: _Texts, items: _Items, name: Ints, which: Ints, segment: Ints
) -> list[tuple[int, int, str]]:
    """See `Walk.summary`; `which` are the items of the summary records that are read here.

    `segment` counts for each record how many before it go to the decoder and may be summaries.
    """
    if not len(which):
        return []
    width = int(name.max()) + 1
    key = segment[items.record[which]] * width + name[which]
    order = np.arange(len(which))
    first = np.full((int(segment[-1]) + 1) * width, len(which))
    last = np.full(len(first), -1)
    np.minimum.at(first, key, order)
    np.maximum.at(last, key, order)
    met = np.flatnonzero(last >= 0)
    at = which[last[met[np.argsort(first[met], kind="stable")]]]
    found = zip(
        items.record[at].tolist(), name[at].tolist(), texts.values(at).to_pylist(), strict=True
    )
    return [(record, own, text.decode()) for record, own, text in found]
