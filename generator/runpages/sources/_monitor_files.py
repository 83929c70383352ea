"""One monitor file: its header, its episodes, and where another process began to append to it."""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._textfiles import Ledger, number, seconds, text, whole

__all__ = ["Episodes", "MonitorFile", "Rows", "read_monitor"]

COLUMNS = ("r", "l", "t")
"""Reward, length in steps of the environment, seconds since the environment was made."""

_MAX_LENGTH = 2**31
"""No episode is longer; so no sum of lengths leaves 64 bits."""
_MAX_SECONDS = 1e9
"""No training takes longer; so a start and it are a point in time."""


@dataclass(slots=True)
class MonitorFile:
    """The episodes of one environment in the order in which they ended."""

    began: float | None = None
    """UTC seconds at which the first process made the environment."""
    environment: str = ""
    length: array[int] = field(default_factory=lambda: array("q"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    life: array[int] = field(default_factory=lambda: array("q"))
    """Number of the process, from 1: a later one appends, and its clock begins at 0 again."""
    values: dict[str, tuple[array[int], array[float]]] = field(default_factory=dict)
    """Name -> (numbers of the episodes that have it, values)."""

    def add(self, length: int, elapsed: float, cells: Mapping[str, float]) -> None:
        life = self.life[-1] if self.life else 1
        if self.seconds and elapsed < self.seconds[-1]:
            life += 1
        for name, value in cells.items():
            rows, values = self.values.setdefault(name, (array("q"), array("d")))
            rows.append(len(self.length))
            values.append(value)
        self.length.append(length)
        self.seconds.append(elapsed)
        self.life.append(life)


def read_monitor(ledger: Ledger, name: str) -> MonitorFile:
    """What can be read of a file; the rest is told."""
    found = MonitorFile()
    columns: list[str] = []
    for count, line in ledger.lines(name):
        if not line.endswith(b"\n"):
            # its last number may lack digits, and nothing in the line would show it
            ledger.cut(name, count, len(line))
        elif line.startswith(b"#"):
            _header(ledger, found, name, count, line)
        else:
            try:
                cells = next(csv.reader([line.decode()], strict=True))
            except (UnicodeDecodeError, csv.Error) as error:
                ledger.damage(name, count, len(line), f"not CSV ({str(error)[:80]})")
                continue
            if not columns and cells[:3] == list(COLUMNS):
                columns = cells
            else:
                _episode(ledger, found, f"{name}:{count}", cells, columns or list(COLUMNS))
    return found


def _header(ledger: Ledger, found: MonitorFile, name: str, count: int, line: bytes) -> None:
    try:
        header = json.loads(line[1:])
        facts = header if isinstance(header, dict) else {}
    except (ValueError, RecursionError):
        facts = {}
    began = seconds(facts.get("t_start"))
    if began is None:
        ledger.damage(name, count, len(line), "no `t_start`, so the episodes have no time")
    found.began = began
    environment = text(facts.get("env_id"))
    found.environment = "" if environment == "None" else environment


def _episode(
    ledger: Ledger, found: MonitorFile, place: str, cells: list[str], columns: list[str]
) -> None:
    row = dict(zip(columns, cells, strict=False))
    length, elapsed = _length(row.get("l")), _elapsed(row.get("t"))
    if len(cells) > len(columns) or length is None or elapsed is None:
        name, _, line = place.rpartition(":")
        problem = "no length and time; the count of steps behind it lacks its steps"
        ledger.damage(name, int(line), len(",".join(cells)) + 1, problem)
        return
    numbers = {"l": float(length)}
    for key, cell in row.items():
        if key in {"l", "t"} or not cell:
            continue
        value = number(cell)
        if value is None:
            ledger.no_number(key, place)
        else:
            numbers[key] = value
    ledger.records += 1
    found.add(length, elapsed, numbers)


def _elapsed(cell: str | None) -> float | None:
    found = number(cell)
    return found if found is not None and abs(found) < _MAX_SECONDS else None


def _length(cell: str | None) -> int | None:
    found = whole(cell)
    return found if found is not None and 0 <= found < _MAX_LENGTH else None


class Rows(NamedTuple):
    """Rows of one metric and process, ordered by step; equal lengths."""

    step: NDArray[np.int64]
    time: NDArray[np.float64]
    value: NDArray[np.float64]
    worker: NDArray[np.int64]


class Episodes:
    """The episodes of all environments in the order in which they ended.

    The step of an episode is the number of steps that all environments had done in episodes that
    ended by then. Times after the first process are not known: the file keeps only its start.
    """

    def __init__(self, files: Mapping[int, MonitorFile]) -> None:
        self._files = dict(files)
        counts = [len(file.length) for file in files.values()]
        self._offset = dict(zip(files, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
        length = _joined([file.length for file in files.values()], np.int64)
        elapsed = _joined([file.seconds for file in files.values()], np.float64)
        self.life = _joined([file.life for file in files.values()], np.int64)
        self.worker = np.repeat(np.array([*files], dtype=np.int64), counts)
        began = [math.nan if file.began is None else file.began for file in files.values()]
        start = np.where(
            self.life == 1, np.repeat(np.array(began, dtype=np.float64), counts), math.nan
        )
        self.time = start + elapsed
        # without a known start of all, the time since the start is the best order there is
        known = bool(np.isfinite(self.time[self.life == 1]).all())
        clock = np.where((self.life == 1) & known, self.time, elapsed)
        order = np.lexsort((self.worker, clock, self.life))
        self.step = np.empty(len(order), dtype=np.int64)
        self.step[order] = np.cumsum(length[order])

    @property
    def names(self) -> tuple[str, ...]:
        found = dict.fromkeys(("r", "l"))
        for file in self._files.values():
            found |= dict.fromkeys(file.values)
        return tuple(name for name in found if any(name in f.values for f in self._files.values()))

    def rows(self, name: str, life: int) -> Rows:
        at, value = [], []
        for worker, file in self._files.items():
            if name in file.values:
                numbers, values = file.values[name]
                at.append(np.array(numbers, dtype=np.int64) + self._offset[worker])
                value.append(np.array(values, dtype=np.float64))
        rows, values_of = np.concatenate(at), np.concatenate(value)
        mine = self.life[rows] == life
        rows, values_of = rows[mine], values_of[mine]
        order = np.argsort(self.step[rows], kind="stable")
        rows = rows[order]
        return Rows(self.step[rows], self.time[rows], values_of[order], self.worker[rows])


def _joined(columns: list[array[int]] | list[array[float]], kind: type) -> NDArray[np.generic]:
    return np.concatenate([np.array(column, dtype=kind) for column in columns])
