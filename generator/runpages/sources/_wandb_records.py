"""The .wandb file: a LevelDB-style log of protobuf records.

Layout: 7 bytes `<4sHB` = ":W&B", 0xBEE1, 0; then blocks of 32 KiB counted from the start of the
file, the first one short by these 7 bytes. A block holds fragments: `<IHB` CRC, length, type (1
whole record, 2 first part, 3 middle, 4 last), then the data. The CRC is plain crc32 over type byte
and data. Fewer than 7 bytes at the end of a block are padding. A damaged fragment costs the rest
of its block: reading goes on at the next one.

`Record.num` counts the records of a file from 1, so a gap tells how many were lost.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import ArrayLike, NDArray

from ._protobuf import declare

__all__ = [
    "BLOCK",
    "HEADER",
    "HISTORY",
    "OUTPUT",
    "STATS",
    "SUMMARY",
    "Batch",
    "RecordLog",
    "has_header",
    "item_path",
    "kind_of",
]

BLOCK = 32768
HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
HISTORY = 2
SUMMARY = 3
STATS = 7
OUTPUT = 13

WINDOW_BLOCKS = 192
MAX_RECORD = 64 << 20
"""A longer record is lost and counted: it is parsed whole, and so must fit in memory."""

_FRAGMENT = struct.Struct("<IHB")
_SEEDS = tuple(zlib.crc32(bytes([kind])) for kind in range(5))
_WHOLE, _FIRST, _LAST = 1, 2, 4

_ITEM = {"key": "1 string", "nested_key": "2 *string", "value_json": "16 string"}

# field numbers of wandb/proto/wandb_internal.proto
_MESSAGES = declare(
    "runpages.wandb",
    {
        "Record": {
            "num": "1 int64",
            "history": "2 History",
            "summary": "3 Changes",
            "config": "5 Changes",
            "stats": "7 Stats",
            "artifact": "8 Artifact",
            "alert": "10 Alert",
            "telemetry": "11 Telemetry",
            "metric": "12 Metric",
            "output_raw": "13 Output",
            "run": "17 RunInfo",
            "exit": "18 Exit",
            "use_artifact": "25 UseArtifact",
            "environment": "26 Environment",
        },
        "Item": _ITEM,
        "HistoryStep": {"num": "1 int64"},
        "History": {"item": "1 *Item", "step": "2 HistoryStep"},
        "Changes": {"update": "1 *Item", "remove": "2 *Item"},
        "Time": {"seconds": "1 int64", "nanos": "2 int32"},
        "StatsItem": {"key": "1 string", "value_json": "16 string"},
        "Stats": {"timestamp": "2 Time", "item": "3 *StatsItem"},
        "Entry": {"path": "1 string", "size": "4 int64"},
        "Manifest": {"contents": "4 *Entry"},
        "Artifact": {
            "type": "4 string",
            "name": "5 string",
            "digest": "6 string",
            "metadata": "8 string",
            "aliases": "11 *string",
            "manifest": "12 Manifest",
        },
        "UseArtifact": {"type": "2 string", "name": "3 string"},
        "Alert": {"title": "1 string", "text": "2 string", "level": "3 string"},
        "Telemetry": {"python_version": "4 string", "cli_version": "5 string"},
        "Metric": {"name": "1 string", "glob_name": "2 string", "step_metric": "4 string"},
        "Output": {"timestamp": "2 Time", "line": "3 string"},
        "Git": {"remote_url": "1 string", "commit": "2 string"},
        "RunInfo": {
            "run_id": "1 string",
            "entity": "2 string",
            "project": "3 string",
            "config": "4 Changes",
            "run_group": "6 string",
            "job_type": "7 string",
            "display_name": "8 string",
            "notes": "9 string",
            "tags": "10 *string",
            "sweep_id": "12 string",
            "host": "13 string",
            "start_time": "17 Time",
            "telemetry": "19 Telemetry",
            "git": "21 Git",
            "branch_point": "23 BranchPoint",
        },
        "BranchPoint": {"run": "1 string", "value": "2 double", "metric": "3 string"},
        "Exit": {"exit_code": "1 int32", "runtime": "2 int32"},
        "Memory": {"total": "1 uint64"},
        "Cpu": {"model": "3 string"},
        "Gpu": {"name": "1 string"},
        "Environment": {
            "os": "1 string",
            "python": "2 string",
            "started_at": "3 Time",
            "docker": "4 string",
            "args": "5 *string",
            "program": "6 string",
            "code_path": "7 string",
            "git": "9 Git",
            "host": "12 string",
            "username": "13 string",
            "executable": "14 string",
            "cpu_count": "16 uint32",
            "cpu_count_logical": "17 uint32",
            "gpu_type": "18 string",
            "gpu_count": "19 uint32",
            "memory": "21 Memory",
            "cpu": "22 Cpu",
            "gpu_nvidia": "24 *Gpu",
            "cuda_version": "25 string",
        },
    },
)
_RECORD: type[Message] = _MESSAGES["Record"]
_ITEM_MESSAGE: type[Message] = _MESSAGES["Item"]


def has_header(path: Path) -> bool:
    """Whether the file starts as a .wandb file does. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def kind_of(payload: bytes) -> int:
    """Field number after `num`: HISTORY, SUMMARY, or another one that says less.

    Writers may put `control` or `_info` before the record's own field, never before these two
    when the tracker's core wrote them.
    """
    at = 0
    if payload[:1] == b"\x08":
        at = 1
        while at < len(payload) and payload[at] >= 0x80:
            at += 1
        at += 1
    return payload[at] >> 3 if at < len(payload) and payload[at] < 0x80 else 0


def item_path(encoded: bytes) -> tuple[str, ...] | None:
    """The key of one encoded item, or the parts of a nested one; None if they are no text."""
    try:
        item: Any = _ITEM_MESSAGE.FromString(encoded)
    except DecodeError:
        return None
    return (item.key,) if item.key else tuple(item.nested_key)


class Batch(NamedTuple):
    """Whole records, one after the other."""

    blob: bytes
    sizes: NDArray[np.int64]
    """Bytes of each record."""

    def payloads(self) -> Iterator[bytes]:
        ends = np.cumsum(self.sizes)
        for start, end in zip((ends - self.sizes).tolist(), ends.tolist(), strict=True):
            yield self.blob[start:end]


class RecordLog:
    """One pass over the records of a file; the counters are right once the pass is over.

    `from_block` starts at that block instead of the first: for a look at the end of a long file.
    `window_blocks` are read at a time.
    """

    def __init__(
        self, path: Path, *, from_block: int = 0, window_blocks: int = WINDOW_BLOCKS
    ) -> None:
        self.path = path
        self.read = 0
        self.bytes_read = 0
        """Size of the file as far as it was read."""
        self.damaged_bytes = 0
        self.tail_bytes = 0
        """Bytes of a record that the end of the file cuts off."""
        self._from = from_block * BLOCK
        self._window_bytes = window_blocks * BLOCK
        self._spots = 0
        self._last_num = 0
        self._gaps = 0
        self._parts: list[memoryview | bytes] = []

    @property
    def damaged(self) -> int:
        """Records known to be lost, the one cut off at the end included."""
        return max(self._spots, self._gaps) + (1 if self.tail_bytes else 0)

    @property
    def spots(self) -> int:
        """Places inside the file where records are damaged."""
        return self._spots

    @property
    def expected(self) -> int:
        """Records that the file held up to the last one read."""
        return self.read + max(self._spots, self._gaps)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(kind as `kind_of` gives it, decoded record) of each record that is whole."""
        for batch in self.batches():
            for payload in batch.payloads():
                record = self.decoded(payload)
                if record is not None:
                    self.took([record.num])
                    yield kind_of(payload), record

    def decoded(self, payload: bytes) -> Any:
        """The record; None if it is none, which is counted as damage."""
        try:
            return _RECORD.FromString(payload)
        except DecodeError:
            self._spots += 1
            self.damaged_bytes += len(payload)
            return None

    def took(self, nums: ArrayLike) -> None:
        """Counts records by their `num`, in the order of the file; a gap tells what is lost."""
        num = np.asarray(nums, dtype=np.int64)
        if not len(num):
            return
        before = np.concatenate([[self._last_num], num[:-1]])
        known = (before != 0) | (self._from == 0)
        self._gaps += int(np.maximum(num - before - 1, 0)[known].sum())
        self._last_num = int(num[-1])
        self.read += len(num)

    def batches(self) -> Iterator[Batch]:
        """All records whose fragments are whole and fit their CRC."""
        with self.path.open("rb") as file:
            at = len(HEADER)
            if self._from:
                file.seek(self._from)
                at = 0
            # a file that still grows is read as long as it is now: its blocks must line up
            left = os.fstat(file.fileno()).st_size - self._from
            while left > 0 and (window := file.read(min(left, self._window_bytes))):
                left -= len(window)
                self.bytes_read += len(window)
                yield self._window(window, at, last=left <= 0)
                at = 0
        if self._parts:
            self.tail_bytes += sum(map(len, self._parts))
            self._parts = []

    def _window(self, window: bytes, at: int, *, last: bool) -> Batch:
        pieces: list[memoryview | bytes] = []
        sizes: list[int] = []
        size, view, crc32 = len(window), memoryview(window), zlib.crc32
        unpack, seeds = _FRAGMENT.unpack_from, _SEEDS
        for block in range(0, size, BLOCK):
            limit = min(block + BLOCK, size)
            while limit - at >= 7:
                crc, length, kind = unpack(window, at)
                end = at + 7 + length
                data = view[at + 7 : end]
                fits = 1 <= kind <= _LAST and end <= block + BLOCK
                if fits and end > size:
                    break
                if not fits or crc32(data, seeds[kind]) != crc:
                    if last and limit == size and not any(view[at:]):
                        break  # space that the file system allocated and the process never filled
                    self._lose(limit - at)
                    at = limit
                elif kind == _WHOLE and not self._parts:
                    pieces.append(data)
                    sizes.append(length)
                    at = end
                else:
                    self._fragment(kind, data, pieces, sizes)
                    at = end
            # a block's last bytes are padding where no head fits in; others are cut off
            if block + BLOCK - at >= 7:
                self.tail_bytes += limit - at
            at = limit
        # views would keep the whole window in memory
        self._parts = [bytes(part) for part in self._parts]
        return Batch(b"".join(pieces), np.array(sizes, dtype=np.int64))

    def _fragment(
        self, kind: int, data: memoryview, pieces: list[memoryview | bytes], sizes: list[int]
    ) -> None:
        """Takes one fragment of a record of several, or one that comes unexpectedly."""
        if kind in {_WHOLE, _FIRST} and self._parts:
            self._lose(0)
        if kind == _WHOLE:
            pieces.append(data)
            sizes.append(len(data))
        elif kind == _FIRST:
            self._parts = [data]
        elif not self._parts:
            # the rest of a record whose beginning is lost, or lies before `from_block`
            self.damaged_bytes += len(data)
        elif sum(map(len, self._parts)) + len(data) > MAX_RECORD:
            self._lose(len(data))
        else:
            self._parts.append(data)
            if kind == _LAST:
                pieces += self._parts
                sizes.append(sum(map(len, self._parts)))
                self._parts = []

    def _lose(self, size: int) -> None:
        self._spots += 1
        self.damaged_bytes += size + sum(map(len, self._parts))
        self._parts = []
