"""Byte strings that recur millions of times in a file (tags), told apart without making each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Names"]

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_SLOT_BITS = 16
_WORDS = 16
"""Longer strings than this many words of 8 bytes are looked up one by one."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Names:
    """Numbers byte strings in the order in which they are met; at most `most` different ones.

    A string's words are mixed to a slot of a table, the slot names a candidate, and the candidate
    is compared word by word. What differs from it is looked up in a dictionary.
    """

    def __init__(self, most: int) -> None:
        self.known: list[bytes] = []
        self._most = most
        self._number: dict[bytes, int] = {}
        self._slots = np.full(1 << _SLOT_BITS, -1, dtype=np.int64)
        self._length = np.zeros(1, dtype=np.int64)
        self._words = np.zeros((_WORDS, 1), dtype=np.uint64)

    def number(self, content: bytes) -> int:
        """Of one string; -1 if it is new and there are too many."""
        found = self._number.get(content)
        if found is not None:
            return found
        if len(self.known) >= self._most:
            return -1
        number = self._number[content] = len(self.known)
        self.known.append(content)
        if number >= len(self._length):
            self._length = np.concatenate([self._length, np.zeros_like(self._length)])
            self._words = np.hstack([self._words, np.zeros_like(self._words)])
        self._length[number] = len(content)
        whole = content[: 8 * _WORDS].ljust(8 * _WORDS, b"\0")
        self._words[:, number] = np.frombuffer(whole, dtype="<u8")
        return number

    def numbers(self, data: bytes, start: Ints, length: Ints) -> Ints:
        """Of the strings at these places; `data` goes on for 8 bytes behind each."""
        words = _words_of(data, start, length)
        slot = _slots_of(words, length)

        def content(row: int) -> bytes:
            low = int(start[row])
            return data[low : low + int(length[row])]

        empty = np.flatnonzero(self._slots[slot] < 0)
        if len(empty):
            _, first = np.unique(slot[empty], return_index=True)
            for row in np.sort(empty[first]).tolist():
                self._slots[slot[row]] = self.number(content(row))
        found = self._slots[slot]
        same = (found >= 0) & (length == self._length[found]) & (length <= 8 * _WORDS)
        for number, (rows, word) in enumerate(words):
            if rows is None:
                same &= word == self._words[number][found]
            else:
                same[rows] &= word == self._words[number][found[rows]]
        for row in np.flatnonzero(~same).tolist():
            found[row] = self.number(content(row))
        return found


def _words_of(data: bytes, start: Ints, length: Ints) -> list[tuple[Ints | None, Words]]:
    """The words of each string, zeros behind its end: (rows that have such a word, or all)."""
    every = np.ndarray((len(data) - 7,), "<u8", data, 0, (1,))
    out: list[tuple[Ints | None, Words]] = []
    longest = int(length.max(initial=0))
    for at in range(0, min(longest, 8 * _WORDS), 8):
        rows = None
        low, left = start, length - at
        if at and int(length.min(initial=0)) <= at:
            rows = np.flatnonzero(left > 0)
            low, left = start[rows], left[rows]
        beyond = (64 - 8 * np.clip(left, 0, 8)).astype(np.uint64)
        # a shift by 64 bits is none
        word = np.where(beyond == 64, np.uint64(0), every[low + at] << (beyond & np.uint64(63)))
        out.append((rows, word >> (beyond & np.uint64(63))))
    return out


def _slots_of(words: list[tuple[Ints | None, Words]], length: Ints) -> Ints:
    mixed = length.astype(np.uint64) * _MIX
    for rows, word in words:
        if rows is None:
            mixed = (mixed ^ word) * _MIX
            mixed ^= mixed >> np.uint64(29)
        else:
            part = (mixed[rows] ^ word) * _MIX
            mixed[rows] = part ^ (part >> np.uint64(29))
    return (mixed >> np.uint64(64 - _SLOT_BITS)).astype(np.int64)
