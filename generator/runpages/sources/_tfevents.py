"""Records of a TensorBoard event file: framing, both checksums, and going on after damage.

A record is length (u64 LE), masked CRC-32C of the length, payload, masked CRC-32C of the payload.
After damage the next record is found by its length checksum: the chance that 12 arbitrary bytes
pass it is 2**-32 a position.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._protobuf import declare

__all__ = ["Damage", "Event", "records"]

MAX_RECORD_BYTES = 1 << 30

MESSAGES = declare(
    "runpages.tfevents",
    {
        "Event": {
            "wall_time": "1 double",
            "step": "2 int64",
            "file_version": "3 string",
            "graph_def": "4 bytes",
            "summary": "5 Summary",
            "session_log": "7 SessionLog",
        },
        "SessionLog": {"status": "1 int32"},
        "Summary": {"value": "1 *Value"},
        "Value": {
            "tag": "1 string",
            # repeated only to tell 0.0 from "no such field": the real one is in a oneof
            "simple_value": "2 *float",
            "image": "4 bytes",
            "histo": "5 bytes",
            "audio": "6 bytes",
            "tensor": "8 Tensor",
            "metadata": "9 Metadata",
        },
        "Metadata": {"plugin_data": "1 Plugin"},
        "Plugin": {"plugin_name": "1 string"},
        "Tensor": {
            "dtype": "1 int32",
            "tensor_shape": "2 Shape",
            "tensor_content": "4 bytes",
            "float_val": "5 *float",
            "double_val": "6 *double",
            "int_val": "7 *int32",
            "string_val": "8 *bytes",
            "int64_val": "10 *int64",
            "half_val": "13 *int32",
        },
        "Shape": {"dim": "2 *Dim"},
        "Dim": {"size": "1 int64"},
    },
)
Event = MESSAGES["Event"]

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


def _tables() -> list[list[int]]:
    """Slicing-by-8 tables of CRC-32C (reflected polynomial 0x82F63B78)."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, (first >> 1) ^ np.uint32(0x82F63B78), first >> 1)
    tables = [first]
    for _ in range(7):
        tables.append((tables[-1] >> 8) ^ first[tables[-1] & 0xFF])
    return [[int(entry) for entry in table] for table in tables]


_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = _tables()
_HIGH_ZERO = _T3[0] ^ _T2[0] ^ _T1[0] ^ _T0[0]
_EIGHT = struct.Struct("<II")
_LOW_TABLES = tuple(np.array(table, dtype=np.uint32) for table in (_T7, _T6, _T5, _T4))
_WINDOW = 1 << 20
_FIRST_WINDOW = 1 << 11


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as TensorFlow stores it."""
    crc = 0xFFFFFFFF
    whole = len(data) & ~7
    for word, high in _EIGHT.iter_unpack(data[:whole]):
        low = word ^ crc
        crc = (
            _T7[low & 255] ^ _T6[low >> 8 & 255] ^ _T5[low >> 16 & 255] ^ _T4[low >> 24]
            ^ _T3[high & 255] ^ _T2[high >> 8 & 255] ^ _T1[high >> 16 & 255] ^ _T0[high >> 24]
        )  # fmt: skip
    for byte in data[whole:]:
        crc = _T0[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@dataclass(slots=True)
class Damage:
    """What could not be read of one file."""

    records: int = 0
    bytes: int = 0
    truncated: bool = False
    first_at: int | None = None

    def note(self, position: int, size: int) -> None:
        self.records += 1
        self.bytes += size
        if self.first_at is None:
            self.first_at = position


def records(path: Path, damage: Damage, *, head: int = -1) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of each record whose checksums hold, in file order.

    `head` limits the reading to the file's first bytes. What cannot be read is noted in `damage`.
    Raises OSError if the file cannot be opened.
    """
    # not mmap: a file that is cut while it is read would end the process
    with path.open("rb") as stream:
        yield from _records(stream.read(head), damage)


def _records(data: bytes, damage: Damage) -> Iterator[tuple[int, bytes]]:
    position, size = 0, len(data)
    while position < size:
        length = _length_at(data, position)
        end = position + 12 + (length or 0)
        if length is None or end + 4 > size:
            following = _resume(data, position + 1)
            if following is None:
                # a tail of zeros is space that the writer had reserved
                if not _all_zero(data, position):
                    damage.truncated = True
                    damage.note(position, size - position)
                return
            damage.note(position, following - position)
            position = following
            continue
        payload = data[position + 12 : end]
        if _CRC.unpack_from(data, end)[0] == masked_crc(payload):
            yield position, payload
        else:
            damage.note(position, end + 4 - position)
        position = end + 4


def _length_at(data: bytes, position: int) -> int | None:
    if position + 12 > len(data):
        return None
    if _CRC.unpack_from(data, position + 8)[0] != masked_crc(data[position : position + 8]):
        return None
    length = int(_LENGTH.unpack_from(data, position)[0])
    return length if length <= MAX_RECORD_BYTES else None


def _all_zero(data: bytes, position: int) -> bool:
    return not any(
        data[start : start + _WINDOW].strip(b"\0") for start in range(position, len(data), _WINDOW)
    )


def _resume(data: bytes, position: int) -> int | None:
    """The next place where a whole record can begin: its length and that length's checksum hold."""
    size = len(data)
    start, width = position, _FIRST_WINDOW
    while start < size - 15:
        window = np.frombuffer(data[start : start + width + 11], dtype=np.uint8)
        for found in _lengths_in(window):
            length = _LENGTH.unpack_from(data, start + found)[0]
            if length <= MAX_RECORD_BYTES and start + found + 16 + length <= size:
                return start + found
        # the next record is near in most cases, but the damage can be long
        start, width = start + width, min(8 * width, _WINDOW)
    return None


def _lengths_in(window: NDArray[np.uint8]) -> list[int]:
    """Where in the window 8 bytes are followed by their checksum; lengths below 4 GiB only."""
    places = np.arange(max(0, len(window) - 11))
    wide = window.astype(np.uint32)
    for offset in range(4, 8):  # the upper half of a length
        places = places[wide[places + offset] == 0]
    crc = np.full(len(places), _HIGH_ZERO, dtype=np.uint32)
    for offset, table in enumerate(_LOW_TABLES):
        crc ^= table[wide[places + offset] ^ 0xFF]
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    stored = sum(wide[places + 8 + n] << np.uint32(8 * n) for n in range(4))
    return [int(place) for place in places[masked == stored]]
