"""Rows of a W&B server as the offline reader's `Part`, so that one set of rules places both."""

from __future__ import annotations

import bisect
import json
import math
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._wandb_part import Found, Part, flatten
from ._wandb_records import RecordLog

__all__ = ["add_events", "add_row", "add_summary", "empty_part", "named_number", "plain"]

_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def empty_part(name: str) -> Part:
    path = Path(name)
    return Part(path=path, log=RecordLog(path))  # a log of which nothing is read


def named_number(value: object) -> float | None:
    """Of `NaN` and the infinities, which JSON knows no numbers for."""
    return _NAMED.get(value) if isinstance(value, str) else None


def plain(value: object) -> object:
    """The same value with NaN and the infinities as numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    number = named_number(value)
    return value if number is None else number


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if isinstance(value, int) and value > 0 else -math.inf
    return named_number(value)


def add_row(part: Part, step: int, row: dict[str, Any]) -> None:
    """One row of the history: numbers by column, media and texts put aside."""
    number = len(part.steps)
    seconds = _number(row.get("_timestamp"))
    seconds = math.nan if seconds is None else seconds
    part.steps.append(step)
    part.times.append(seconds)
    part.seen(seconds if math.isfinite(seconds) else None)
    values: list[tuple[str, float]] = []
    for key, branch in row.items():
        if key[:1] == "_" or not key:
            continue
        for name, value in flatten(key, branch):
            found = _number(value)
            if found is not None:
                values.append((name, found))
            elif isinstance(value, dict):
                part.media.append(Found(row=number, name=name, content=value))
            elif value is not None:
                part.texts[name] = part.texts.get(name, 0) + 1
    # the server gives the keys of a row in any order: that of the series must not depend on it
    for name in sorted(name for name, _ in values if name not in part.columns):
        part.columns[name] = (array("q"), array("d"))
    for name, value in values:
        column = part.columns[name]
        column[0].append(number)
        column[1].append(value)


def add_events(part: Part, rows: Iterable[dict[str, Any]]) -> None:
    """System readings by name, without the server's `system.`; after all rows of the history."""
    times = part.times if all(map(math.isfinite, part.times)) else array("d")
    ordered = array("d", sorted(times))
    for row in rows:
        seconds = _number(row.get("_timestamp"))
        seconds = math.nan if seconds is None else seconds
        part.seen(seconds if math.isfinite(seconds) else None)
        before = bisect.bisect_right(ordered, seconds) if math.isfinite(seconds) else 0
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
