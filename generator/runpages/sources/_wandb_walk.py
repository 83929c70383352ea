"""Many records of a .wandb file at once: rows of numbers and summaries.

Nearly all of a large file are history records that hold numbers only, and summary records that
repeat them. Those are read here, a batch at a time. Any other record is left to the protobuf
decoder (`_wandb_rows`); what is read does not depend on which way a record took.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._wandb_items import PADDING, Items, scan, varint
from ._wandb_records import HISTORY, SUMMARY, Batch, item_path

__all__ = ["Walk", "nothing", "walk"]

_LITTLE = 1 << 15
"""Bytes of a batch that the decoder reads faster."""
_MOST_KEYS = 1 << 20
"""Names of a batch, times summary records of another form in it; with more, all summary records go
to the decoder."""

# tag bytes: field number * 8 + wire type
_NUM, _ROW, _CHANGES = 0x08, HISTORY << 3 | 2, SUMMARY << 3 | 2

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
    texts: dict[str, int]
    """Names of what is no number -> rows."""
    summary: list[tuple[int, int, str]]
    """(record, place in `names`, JSON text) of the last value of each key between two summary
    records that were not read here, in the order in which the keys came up."""


def nothing(batch: Batch) -> Walk:
    """All records of the batch are left to the decoder."""
    none, empty = np.zeros(len(batch.sizes), dtype=bool), np.empty(0, dtype=np.int64)
    zeros = np.zeros(len(batch.sizes), dtype=np.int64)
    return Walk(none, none, zeros, zeros, [], empty, empty, np.empty(0), {}, [])


def walk(batch: Batch) -> Walk:
    if len(batch.blob) < _LITTLE:
        return nothing(batch)
    data = batch.blob + PADDING
    buffer = np.frombuffer(data, dtype=np.uint8)
    ends = np.cumsum(batch.sizes).astype(np.int32)
    starts = ends - batch.sizes.astype(np.int32)
    num, at, long = varint(buffer, starts + 1)
    plain = buffer[starts] == _NUM
    plain[long] = False
    tag = buffer[at]
    length, body, long = varint(buffer, at + 1)
    plain[long] = False
    plain &= (body + length == ends) & ((tag == _ROW) | (tag == _CHANGES))
    # records that may be summaries in another form
    other = (tag == _CHANGES) | (tag >= 0x80) | (buffer[starts] != _NUM)
    ours = np.flatnonzero(plain)
    found = scan(data, body[ours], ends[ours], tag[ours] == _ROW)
    plain[ours] = found.good
    steps = np.zeros(len(plain), dtype=np.int64)
    steps[ours] = found.steps
    items = found.items._replace(record=ours[found.items.record])
    values = _Values(batch.blob, buffer, items)
    numbers = _numbers(values, plain, tag == _ROW)
    summary = values.last_texts(np.flatnonzero(tag[items.record] == _CHANGES), plain, other)
    if summary is None:
        plain[tag == _CHANGES] = False
    return Walk(
        plain=plain,
        history=plain & (tag == _ROW),
        nums=num.astype(np.int64),
        steps=steps,
        names=values.names,
        row=numbers.row,
        name=numbers.name,
        value=numbers.value,
        texts=numbers.texts,
        summary=summary or [],
    )


class _Values:
    """Keys and values of the items as arrow arrays; only what is asked for is copied.

    Arrays change hands by buffers and DLPack: the usual ways import pandas where it is installed.
    """

    def __init__(self, blob: bytes, buffer: Bytes, items: Items) -> None:
        import pyarrow as pa

        self._arrow = pa
        self.buffer = buffer
        self.items = items
        bounds = np.empty((len(items.start), 4), dtype=np.int32)
        for column, offsets in enumerate(items[1:]):
            bounds[:, column] = offsets
        # four pieces an item: key, tag and length of the value, value, what stands before the next
        offsets = np.append(bounds.ravel(), np.int32(len(blob)))
        self._pieces = pa.BinaryArray.from_buffers(
            pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(blob)]
        )
        self.names, self.name, self.simple = self._named()

    def _take(self, piece: int, which: Ints) -> Any:
        places = self._arrow.py_buffer((4 * which + piece).astype(np.int32))
        indices = self._arrow.Array.from_buffers(self._arrow.int32(), len(which), [None, places])
        return self._pieces.take(indices)

    def _named(self) -> tuple[list[str], Ints, Bools]:
        """Names; for each item which of them it has, -1 for one that is no text; and which names
        stand for one value each whatever else a row holds."""
        found = self._take(0, np.arange(len(self.items.start))).dictionary_encode()
        paths = [item_path(encoded) for encoded in found.dictionary.to_pylist()]
        places: dict[str, int] = {}
        place = [-1 if p is None else places.setdefault(".".join(p), len(places)) for p in paths]
        known = {path for path in paths if path is not None}
        above = {path[:size] for path in known for size in range(1, len(path))}
        same = Counter(".".join(path) for path in known)
        simple = np.zeros(len(places), dtype=bool)
        for path in known:
            name = ".".join(path)
            simple[places[name]] = (
                same[name] == 1
                and "" not in path
                and "_type" not in path
                and path not in above
                and not any(path[:size] in known for size in range(1, len(path)))
            )
        name_of = np.array(place, dtype=np.int64)[np.from_dlpack(found.indices)]
        return list(places), name_of, simple

    def numbers(self, which: Ints) -> tuple[Floats, Bools]:
        """Values of items as `float` gives them, and truth values; and which items are such."""
        at, end = self.items.value[which], self.items.end[which]
        first, second, length = self.buffer[at], self.buffer[at + 1], end - at
        digits = (first >= ord("0")) & (first <= ord("9"))
        digits |= (first == ord("-")) & (second >= ord("0")) & (second <= ord("9")) & (length > 1)
        # NaN and Infinity by their lengths: `NaN(0)` is a number to arrow
        digits |= (first == ord("N")) & (length == 3)
        digits |= (first == ord("I")) & (length == 8)
        digits |= (first == ord("-")) & (second == ord("I")) & (length == 9)
        value, fine = np.full(len(which), np.nan), digits.copy()
        for word, number in ((b"true", 1.0), (b"false", 0.0)):
            same = self._equal(at, length, word)
            value[same], fine[same] = number, True
        self._parse(which[digits], value, fine, np.flatnonzero(digits))
        return value, fine

    def _equal(self, at: NDArray[np.int32], length: NDArray[np.int32], word: bytes) -> Bools:
        same: Bools = length == len(word)
        for place, letter in enumerate(word):
            same &= self.buffer[at + place] == letter
        return same

    def _parse(self, which: Ints, value: Floats, fine: Bools, places: Ints) -> None:
        texts = self._take(2, which)
        try:
            numbers = texts.cast(self._arrow.string()).cast(self._arrow.float64())
            value[places] = np.from_dlpack(numbers)
        except self._arrow.ArrowInvalid:
            for place, text in zip(places.tolist(), texts.to_pylist(), strict=True):
                try:
                    value[place] = float(text)
                except ValueError:
                    fine[place] = False

    def wordy(self, which: Ints) -> tuple[Bools, Bools]:
        """Which items are JSON strings or lists that cannot mean a number, and which are null."""
        at, end = self.items.value[which], self.items.end[which]
        first, second = self.buffer[at], self.buffer[at + 1]
        # "NaN", "Infinity" and "-Infinity" are numbers, however they are escaped
        words = (first == ord('"')) & ~np.isin(second, np.frombuffer(b"NI-\\", np.uint8))
        words |= first == ord("[")
        if not self._all_text(which[words]):
            words[:] = False
        return words, self._equal(at, end - at, b"null")

    def _all_text(self, which: Ints) -> bool:
        """Whether the values are UTF-8."""
        try:
            self._take(2, which).cast(self._arrow.string())
        except self._arrow.ArrowInvalid:
            return False
        return True

    def last_texts(
        self, which: Ints, plain: Bools, other: Bools
    ) -> list[tuple[int, int, str]] | None:
        """See `Walk.summary`. `which` are the items of summaries; `other` records may be some.

        None if they are not all text, or too many keys change between too many other records.
        """
        segment = np.cumsum(other & ~plain, dtype=np.int64)
        width = len(self.names)
        keys = (int(segment[-1]) + 1) * width
        if keys > _MOST_KEYS or not self._all_text(which):
            return None
        which = which[plain[self.items.record[which]]]
        name = self.name[which]
        key = segment[self.items.record[which]] * width + name
        order = np.arange(len(which))
        first = np.full(keys, len(which))
        last = np.full(len(first), -1)
        np.minimum.at(first, key, order)
        np.maximum.at(last, key, order)
        met = np.flatnonzero(last >= 0)
        at = last[met[np.argsort(first[met], kind="stable")]]
        texts = self._take(2, which[at]).to_pylist()
        records = self.items.record[which[at]].tolist()
        found = zip(records, name[at].tolist(), texts, strict=True)
        return [(record, own, text.decode()) for record, own, text in found]


class _Numbers(NamedTuple):
    """See `Walk`."""

    row: Ints
    name: Ints
    value: Floats
    texts: dict[str, int]


def _numbers(values: _Values, plain: Bools, is_row: Bools) -> _Numbers:
    """Of rows that hold numbers, and perhaps words; others are no longer `plain`.

    Nor are records with a name that is no text.
    """
    items, name = values.items, values.name
    plain[items.record[name < 0]] = False
    which = np.flatnonzero(is_row[items.record])
    record = items.record[which]
    value, fine = values.numbers(which)
    words = np.zeros(len(which), dtype=bool)
    rest = np.flatnonzero(~fine)
    if len(rest):
        is_word, is_null = values.wordy(which[rest])
        plain[record[rest[~(is_word | is_null)]]] = False
        words[rest[is_word]] = True
        _keep_simple(values, plain, record[rest], which)
    kept = plain[record]
    numbers = np.flatnonzero(kept & fine)
    counts = np.bincount(name[which[kept & words]], minlength=len(values.names))
    texts = {
        values.names[own]: int(counts[own])
        for own in np.flatnonzero(counts).tolist()
        if values.names[own][:1] != "_"
    }
    return _Numbers(record[numbers], name[which[numbers]], value[numbers], texts)


def _keep_simple(values: _Values, plain: Bools, records: Ints, which: Ints) -> None:
    """Of these rows, those in which one value may stand for another are no longer `plain`."""
    mixed = np.zeros(len(plain), dtype=bool)
    mixed[records] = True
    mixed &= plain
    own = which[mixed[values.items.record[which]]]
    record, name = values.items.record[own], values.name[own]
    plain[record[~values.simple[name]]] = False
    pairs, counts = np.unique(record * len(values.names) + name, return_counts=True)
    plain[pairs[counts > 1] // max(len(values.names), 1)] = False
