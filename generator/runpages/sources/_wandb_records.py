"""The .wandb file: a LevelDB-style log of protobuf records.

Layout: 7 bytes `<4sHB` = ":W&B", 0xBEE1, 0; then blocks of 32 KiB counted from the start of the
file, the first one short by these 7 bytes. A block holds fragments: `<IHB` CRC, length, type (1
whole record, 2 first part, 3 middle, 4 last), then the data. The CRC is plain crc32 over type byte
and data. Fewer than 7 bytes at the end of a block are padding. A damaged fragment costs the rest
of its block: reading goes on at the next one.

`Record.num` counts the records of a file from 1, so a gap tells how many were lost.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message

from ._protobuf import declare

__all__ = ["BLOCK", "HEADER", "HISTORY", "SUMMARY", "RecordLog", "has_header", "kind_of"]

BLOCK = 32768
HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
HISTORY = 2
SUMMARY = 3

_WINDOW = 256 * BLOCK
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
            "host": "13 string",
            "start_time": "17 Time",
            "telemetry": "19 Telemetry",
            "git": "21 Git",
        },
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


class RecordLog:
    """One pass over the records of a file; the counters are right once the pass is over.

    `from_block` starts at that block instead of the first: for a look at the end of a long file.
    """

    def __init__(self, path: Path, *, from_block: int = 0) -> None:
        self.path = path
        self.read = 0
        self.bytes_read = 0
        """Size of the file as far as it was read."""
        self.damaged_bytes = 0
        self.tail_bytes = 0
        """Bytes of a record that the end of the file cuts off."""
        self._from = from_block * BLOCK
        self._spots = 0
        self._last_num = 0
        self._gaps = 0
        self._parts: list[bytes] = []

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
        for payload in self._payloads():
            try:
                record: Any = _RECORD.FromString(payload)
            except DecodeError:
                self._lose(len(payload))
                continue
            self.read += 1
            num = record.num
            if self._last_num and num > self._last_num + 1:
                self._gaps += num - self._last_num - 1
            elif num > 1 and not self._last_num and not self._from:
                self._gaps += num - 1
            self._last_num = num
            yield kind_of(payload), record

    def _payloads(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            start = len(HEADER)
            if self._from:
                file.seek(self._from)
                start = 0
            while window := file.read(_WINDOW):
                self.bytes_read += len(window)
                yield from self._window(window, start)
                start = 0
        if self._parts:
            self.tail_bytes += sum(map(len, self._parts))
            self._parts = []

    def _window(self, window: bytes, at: int) -> Iterator[bytes]:
        size, view, crc32 = len(window), memoryview(window), zlib.crc32
        while at < size:
            room = BLOCK - at % BLOCK
            if room < _FRAGMENT.size:
                at += room
                continue
            if at + _FRAGMENT.size > size:
                self.tail_bytes += size - at
                return
            crc, length, kind = _FRAGMENT.unpack_from(window, at)
            begin, end = at + _FRAGMENT.size, at + _FRAGMENT.size + length
            fits = 1 <= kind <= _LAST and length <= room - _FRAGMENT.size
            if fits and end > size:
                self.tail_bytes += size - at
                return
            if not fits or crc32(view[begin:end], _SEEDS[kind]) != crc:
                block_end = min(at + room, size)
                if block_end == size and not any(view[at:]):
                    # space that the file system allocated and the process never filled
                    self.tail_bytes += size - at
                    return
                self._lose(block_end - at)
                at = block_end
                continue
            yield from self._fragment(kind, bytes(view[begin:end]))
            at = end

    def _fragment(self, kind: int, data: bytes) -> Iterator[bytes]:
        if kind in {_WHOLE, _FIRST} and self._parts:
            self._lose(0)
        if kind == _WHOLE:
            yield data
        elif kind == _FIRST:
            self._parts = [data]
        elif not self._parts:
            # the rest of a record whose beginning is lost, or lies before `from_block`
            self.damaged_bytes += len(data)
        else:
            self._parts.append(data)
            if kind == _LAST:
                whole, self._parts = b"".join(self._parts), []
                yield whole

    def _lose(self, size: int) -> None:
        self._spots += 1
        self.damaged_bytes += size + sum(map(len, self._parts))
        self._parts = []
