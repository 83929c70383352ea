"""Rows of a W&B server as the offline reader's `Part`, so that one set of rules places both."""

from __future__ import annotations

import bisect
import json
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ._wandb_part import Found, Part, flatten
from ._wandb_records import RecordLog

__all__ = [
    "add_events",
    "add_row",
    "add_summary",
    "decoded",
    "empty_part",
    "in_order_of_time",
    "plain",
    "split_at",
]

MAX_DEPTH = 100
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def empty_part(name: str) -> Part:
    path = Path(name)
    return Part(path=path, log=RecordLog(path))  # a log of which nothing is read


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


def _named_number(value: object) -> float | None:
    """Of `NaN` and the infinities, which JSON knows no numbers for."""
    return _NAMED.get(value) if isinstance(value, str) else None


def plain(value: object) -> object:
    """The same value with NaN and the infinities as numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    number = _named_number(value)
    return value if number is None else number


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if isinstance(value, int) and value > 0 else -math.inf
    return _named_number(value)


def add_row(part: Part, step: int, row: dict[str, Any]) -> None:
    """One row of the history: numbers by column, media and texts put aside."""
    number = len(part.steps)
    seconds = _number(row.get("_timestamp"))
    seconds = math.nan if seconds is None else seconds
    part.steps.append(step)
    part.times.append(seconds)
    part.seen(seconds if math.isfinite(seconds) else None)
    values: list[tuple[str, float]] = []
    media: list[Found] = []
    for key, branch in row.items():
        if key[:1] == "_" or not key:
            continue
        if type(branch) is float:  # nearly all are
            values.append((key, branch))
            continue
        for name, value in flatten(key, branch):
            found = _number(value)
            if found is not None:
                values.append((name, found))
            elif isinstance(value, dict):
                media.append(Found(row=number, name=name, content=value))
            elif value is not None:
                part.texts[name] = part.texts.get(name, 0) + 1
    # the server gives the keys of a row in any order: what is read must not depend on it
    part.media += sorted(media, key=lambda found: found.name)
    columns = part.columns
    for name in sorted(name for name, _ in values if name not in columns):
        columns[name] = (array("q"), array("d"))
    for name, value in values:
        rows, column = columns[name]
        rows.append(number)
        column.append(value)


def in_order_of_time(part: Part) -> None:
    """Where lives of a process overlap in `_step`, puts the rows in the order they were logged in.

    The server gives them by step, so that the lives come mixed; W&B itself logs a step once.
    """
    steps, times = np.array(part.steps, dtype=np.int64), np.array(part.times, dtype=np.float64)
    if len(np.unique(steps)) == len(steps) or not np.isfinite(times).all():
        return
    order = np.argsort(times, kind="stable")
    place = np.argsort(order)
    part.steps, part.times = array("q", steps[order]), array("d", times[order])
    for name, (rows, values) in part.columns.items():
        new = place[np.array(rows, dtype=np.int64)]
        by_row = np.argsort(new)
        part.columns[name] = (array("q", new[by_row]), array("d", np.array(values)[by_row]))
    part.media[:] = sorted(
        (replace(found, row=int(place[found.row])) for found in part.media), key=lambda f: f.row
    )


def split_at(part: Part, restart: float | None) -> list[Part]:
    """The rows before and after the start of the last process; one part if there is nothing to cut.

    A process that goes on exactly where the one before stopped leaves no other trace.
    """
    times = np.array(part.times, dtype=np.float64)
    if restart is None or not np.isfinite(times).all():
        return [part]
    cut = int(np.sum(times < restart))
    if cut in {0, len(times)} or (times[:cut] >= restart).any():
        return [part]
    parts = [_rows_of(part, 0, cut), _rows_of(part, cut, len(times))]
    parts[0].texts, parts[1].start = part.texts, restart
    return parts


def _rows_of(part: Part, low: int, high: int) -> Part:
    found = empty_part(part.path.name)
    found.definitions = part.definitions
    found.steps, found.times = part.steps[low:high], part.times[low:high]
    found.seen(max(found.times))
    for name, (rows, values) in part.columns.items():
        begin, end = bisect.bisect_left(rows, low), bisect.bisect_left(rows, high)
        if end > begin:
            own = array("q", (row - low for row in rows[begin:end]))
            found.columns[name] = (own, values[begin:end])
    found.media = [replace(one, row=one.row - low) for one in part.media if low <= one.row < high]
    return found


def add_events(parts: Sequence[Part], rows: Iterable[dict[str, Any]]) -> None:
    """System readings by name, without the server's `system.`; after all rows of the history."""
    ordered = [array("d", sorted(filter(math.isfinite, part.times))) for part in parts]
    for row in rows:
        seconds = _number(row.get("_timestamp"))
        seconds = math.nan if seconds is None else seconds
        number = sum(p.start is not None and p.start <= seconds for p in parts[1:])
        part, before = parts[number], 0
        if math.isfinite(seconds):
            part.seen(seconds)
            before = bisect.bisect_right(ordered[number], seconds)
        for key, branch in row.items():
            if key[:1] == "_":
                continue
            for name, value in flatten(key.removeprefix("system."), branch):
                found = _number(value)
                if found is not None and name:
                    part.stats.setdefault(name, []).append((seconds, found, before))


def add_summary(part: Part, summary: dict[str, Any]) -> None:
    """The tracker's own summary, as the offline reader keeps it: JSON text of each key."""
    part.summary |= {key: json.dumps(plain(value)) for key, value in summary.items()}
