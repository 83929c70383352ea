"""Rows of a W&B server as the offline reader's `Part`s, so that one set of rules places both."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ._textfiles import MAX_SECONDS
from ._wandb_history import History, Rows, Store
from ._wandb_part import Part
from ._wandb_records import RecordLog
from ._wandb_rows import Found, Row, flatten, row_of

__all__ = ["Lives", "add_events", "add_summary", "decoded"]

MAX_DEPTH = 100
_BATCH_POINTS = 1 << 17
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def decoded(text: object) -> Any:
    """Of JSON text, or of what is decoded already. Raises ValueError with what is wrong."""
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else text
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        raise ValueError("no JSON") from error
    if isinstance(text, str) and text.count("{") + text.count("[") <= MAX_DEPTH:
        return found
    level, depth = [found], 0
    while level := [
        inner
        for value in level
        if isinstance(value, dict | list)
        for inner in (value.values() if isinstance(value, dict) else value)
        if isinstance(inner, dict | list)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
    return found


def _number(value: object) -> float | None:
    """NaN and the infinities come by name: JSON knows no numbers for them."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return _NAMED.get(value) if isinstance(value, str) else None


def _seconds(row: dict[str, Any]) -> float:
    found = _number(row.get("_timestamp"))
    return found if found is not None and 0 < found < MAX_SECONDS else math.nan


def _columns(rows: Sequence[Row]) -> tuple[Rows, list[str]]:
    """Rows as columns, and the names that they count."""
    places: dict[str, int] = {}
    row = [number for number, one in enumerate(rows) for _ in one.numbers]
    name = [places.setdefault(text, len(places)) for one in rows for text, _ in one.numbers]
    columns = Rows(
        np.array([one.step for one in rows], dtype=np.int64),
        np.array([one.seconds for one in rows], dtype=np.float64),
        np.array(row, dtype=np.int64),
        np.array(name, dtype=np.int64),
        np.array([value for one in rows for _, value in one.numbers], dtype=np.float64),
    )
    return columns, list(places)


class Lives:
    """Collects the history of a run: one part a process life, where the server tells them apart.

    `restart` is when the last process began: one that goes on exactly where the one before stopped
    leaves no other trace.
    """

    def __init__(
        self, name: str, *, definitions: Sequence[tuple[str, str, str]], restart: float | None
    ) -> None:
        self.parts: list[Part] = []
        self.read = 0
        self.first: float | None = None
        """Time of the earliest row."""
        self._name = name
        self._definitions = list(definitions)
        self._restart = math.inf if restart is None else restart
        self._store = Store()
        self._waiting: list[Row] = []
        self._points = 0
        self._known: set[str] = set()
        self._highest = -math.inf
        self._mixed = False
        self._begin()

    def _begin(self) -> None:
        self._flush()
        path = Path(self._name)
        self.parts.append(
            Part(
                path=path,
                log=RecordLog(path),  # of which nothing is read
                definitions=self._definitions,
                history=History(self._store),
                stats=History(self._store),
            )
        )

    def add(self, step: int, row: dict[str, Any]) -> None:
        """One row of the server, in the order of its pages."""
        seconds = _seconds(row)
        self._mixed |= step <= self._highest
        self._highest = max(self._highest, step)
        self._turn(seconds)
        part, number = self.parts[-1], self._rows
        numbers: list[tuple[str, float]] = []
        for key, value in row.items():
            if key[:1] == "_" or not key:
                continue
            found = value if type(value) is float else _number(value)
            if found is None:
                stored = _as_record(step, row)
                numbers = row_of(stored, number, part.others).numbers
                break
            numbers.append((key, found))
        self._put(Row(step, seconds, numbers))

    @property
    def _rows(self) -> int:
        return self.parts[-1].history.rows + len(self._waiting)

    def _turn(self, seconds: float) -> None:
        went_before = self.first is not None and self.first < self._restart
        if len(self.parts) == 1 and went_before and seconds >= self._restart:
            self._begin()
            self.parts[-1].start = self._restart

    def _put(self, row: Row) -> None:
        # the server gives the keys of a row in any order: what is read must not depend on it
        if any(name not in self._known for name, _ in row.numbers):
            row.numbers.sort(key=lambda pair: pair[0])
            self._known.update(name for name, _ in row.numbers)
        if math.isfinite(row.seconds):
            self.parts[-1].seen(row.seconds)
            self.first = row.seconds if self.first is None else min(self.first, row.seconds)
        self._waiting.append(row)
        self._points += 1 + len(row.numbers)
        self.read += 1
        if self._points >= _BATCH_POINTS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self.parts[-1].history.add(*_columns(self._waiting))
        self._waiting, self._points = [], 0

    def finish(self) -> list[Part]:
        """The parts. Lives that overlap in `_step` come mixed, as the server gives rows by step:
        they are put into the order in which they were logged.
        """
        self._flush()
        rows = list(_listed(self.parts)) if self._mixed else []
        if not rows or not all(math.isfinite(row.seconds) for row, _ in rows):
            return self.parts
        before, self.parts, self.first = self.parts, [], None
        self._begin()
        others = self.parts[0].others
        for part in before:
            others.count(part.others.texts)
            for key, count in part.others.unread.items():
                others.unread[key] = others.unread.get(key, 0) + count
        for row, media in sorted(rows, key=lambda pair: pair[0].seconds):
            self._turn(row.seconds)
            self.parts[-1].others.media += [replace(one, row=self._rows) for one in media]
            self._put(row)
        self._flush()
        self.read = len(rows)
        return self.parts


def _as_record(step: int, row: dict[str, Any]) -> SimpleNamespace:
    """The row as the offline reader meets it: what is no number is sorted out in one place."""
    items = [
        SimpleNamespace(key=key, nested_key=(), value_json=json.dumps(value))
        for key, value in sorted(row.items())
        if key
    ]
    return SimpleNamespace(step=SimpleNamespace(num=step), item=items)


def _listed(parts: Sequence[Part]) -> Iterator[tuple[Row, list[Found]]]:
    """All rows one by one, each with its media."""
    for part in parts:
        media: dict[int, list[Found]] = {}
        for found in part.others.media:
            media.setdefault(found.row, []).append(found)
        for chunk in part.history:
            numbers: list[list[tuple[str, float]]] = [[] for _ in chunk.steps]
            columns = np.repeat(chunk.columns, chunk.counts).tolist()
            for column, row, value in zip(
                columns, chunk.row.tolist(), chunk.value.tolist(), strict=True
            ):
                numbers[row].append((part.history.names[column], value))
            steps, times = chunk.steps.tolist(), chunk.times.tolist()
            for at, own in enumerate(numbers):
                yield Row(steps[at], times[at], own), media.get(chunk.first + at, [])


def add_events(parts: Sequence[Part], rows: Iterable[dict[str, Any]]) -> None:
    """System readings by name, without the server's `system.`; after all rows of the history."""
    ordered = [
        np.sort(np.concatenate([np.empty(0), *(chunk.times for chunk in part.history)]))
        for part in parts
    ]
    readings: list[list[Row]] = [[] for _ in parts]
    for row in rows:
        seconds = _seconds(row)
        own = sum(part.start is not None and part.start <= seconds for part in parts[1:])
        before = 0
        if math.isfinite(seconds):
            parts[own].seen(seconds)
            before = int(np.searchsorted(ordered[own], seconds, side="right"))
        numbers = [
            (name, found)
            for key, branch in sorted(row.items())
            if key[:1] != "_"
            for name, value in flatten(key.removeprefix("system."), branch)
            if name and (found := _number(value)) is not None
        ]
        readings[own].append(Row(before, seconds, numbers))
    for part, listed in zip(parts, readings, strict=True):
        part.stats.add(*_columns(listed))


def _plain(value: object) -> object:
    """The same value with NaN and the infinities as numbers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _NAMED.get(value, value) if isinstance(value, str) else value


def add_summary(part: Part, summary: dict[str, Any]) -> None:
    """The tracker's own summary, as the offline reader keeps it: JSON text of each key."""
    part.summary |= {key: json.dumps(_plain(value)) for key, value in sorted(summary.items())}
