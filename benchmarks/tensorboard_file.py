"""One large TensorBoard file, read by runpages, by TensorBoard and by its data server.

usage: tensorboard_file.py [--megabytes N] [--encoding simple|tensor] [--repeats N] [--folder DIR]
                           [--readers ours,event_accumulator,data_server]

Each reading runs in a fresh process; the figures are CPU seconds and peak memory as the system
counts them, medians over the repeats. The file has ten metrics, one value an event.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

__all__ = ["Reading", "data_server", "event_accumulator", "measured", "ours", "write"]

METRICS = ("train/loss", "train/lr", "train/grad_norm", "train/accuracy", "train/tokens_per_second",
           "val/loss", "val/accuracy", "system/step_seconds", "system/gpu_util",
           "system/gpu_memory")  # fmt: skip
_START = 1_700_000_000.0
_CHUNK = 16_384
_POLL_SECONDS = 0.2


class Reading(NamedTuple):
    """What a reader found, so that two readers can be compared."""

    points: int
    total: float
    """Sum of all finite values."""


# --- writing ------------------------------------------------------------------------------------


def write(path: Path, megabytes: float, encoding: str = "simple") -> int:
    """Write an event file of about this size as the real writers do; how many points it has.

    `encoding`: `simple` as tensorboardX and PyTorch, `tensor` as TensorFlow 2 (Keras, JAX).
    """
    per_step = sum(len(_payload(name, encoding, 1 << 15)) + 16 for name in METRICS)
    steps = math.ceil(megabytes * 1e6 / per_step)
    generator = np.random.default_rng(0)
    with path.open("wb") as stream:
        header = b"\x09" + struct.pack("<d", _START) + b"\x1a\x0dbrain.Event:2"
        stream.write(_framed(header))
        for first, last in _spans(steps):
            values = generator.standard_normal((last - first, len(METRICS)), dtype=np.float32)
            stream.write(_records(first, last, values, encoding))
    return steps * len(METRICS)


def _spans(steps: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps from 1 whose numbers take equally many bytes."""
    edges = {1, steps + 1, *range(1, steps + 1, _CHUNK), *(1 << 7 * n for n in range(1, 5))}
    ordered = sorted(edge for edge in edges if edge <= steps + 1)
    yield from zip(ordered, ordered[1:], strict=False)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(key: int, content: bytes) -> bytes:
    return bytes([key]) + _varint(len(content)) + content


def _payload(name: str, encoding: str, step: int) -> bytes:
    """An event with zeros for its time and its value."""
    tag = _field(0x0A, name.encode())
    if encoding == "simple":
        value = tag + b"\x15" + bytes(4)
    else:
        tensor = b"\x08\x01\x12\x00\x22\x04" + bytes(4)
        metadata = _field(0x0A, _field(0x0A, b"scalars"))
        value = tag + _field(0x42, tensor) + _field(0x4A, metadata)
    summary = _field(0x2A, _field(0x0A, value))
    return b"\x09" + bytes(8) + b"\x10" + _varint(step) + summary


def _records(first: int, last: int, values: NDArray[np.float32], encoding: str) -> bytes:
    step = np.arange(first, last, dtype=np.int64)
    columns = []
    for number, name in enumerate(METRICS):
        payload = _payload(name, encoding, first)
        rows = np.empty((len(step), len(payload) + 16), dtype=np.uint8)
        length = struct.pack("<Q", len(payload))
        head = length + struct.pack("<I", _masked(crc32c(length)))
        rows[:, :12] = np.frombuffer(head, dtype=np.uint8)
        rows[:, 12:-4] = np.frombuffer(payload, dtype=np.uint8)
        wall = _START + step + number / 16
        rows[:, 13:21] = wall.astype("<f8").view(np.uint8).reshape(-1, 8)
        for byte in range(len(_varint(first))):
            more = 0x80 if byte + 1 < len(_varint(first)) else 0
            rows[:, 22 + byte] = step >> 7 * byte & 0x7F | more
        at = 12 + payload.index(name.encode()) + len(name) + (1 if encoding == "simple" else 8)
        rows[:, at : at + 4] = np.ascontiguousarray(values[:, number]).view(np.uint8).reshape(-1, 4)
        crc = np.array([_masked(crc32c(row.tobytes())) for row in rows[:, 12:-4]], dtype="<u4")
        rows[:, -4:] = crc.view(np.uint8).reshape(-1, 4)
        columns.append(rows)
    return np.hstack(columns).tobytes()


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    checks = (struct.pack("<I", _masked(crc32c(part))) for part in (length, payload))
    return length + next(checks) + payload + next(checks)
