"""Rows of the history one by one: they may hold other things than numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._histogram import summarised
from ._textfiles import MAX_SECONDS

__all__ = ["MEDIA", "TABLES", "Found", "Others", "Row", "flatten", "nested", "parsed", "row_of"]

TABLES = frozenset({"table-file", "table", "incremental-table-file"})
MEDIA = frozenset({"image-file", "images/separated", "audio-file", "audio"})
_KEPT = ("_type", "path", "caption", "filenames", "captions", "audio")
"""What is kept of a media object until all rows are read."""
_OVERLAYS = ("masks", "boxes", "all_masks", "all_boxes")
_MOST_FOUND = 50_000
_MOST_BUCKETS = 10_000

_NAMED_NUMBERS = {
    "true": 1.0,
    "false": 0.0,
    '"NaN"': float("nan"),
    '"Infinity"': float("inf"),
    '"-Infinity"': float("-inf"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something other than a number, and how many rows stood before it."""

    row: int
    seconds: float = math.nan
    """UTC, as the row names it."""
    name: str = ""
    content: Any = None
    """A media object as a dictionary, an artifact or an alert as its record."""


@dataclass(slots=True)
class Others:
    """What the rows of one file hold beside numbers."""

    media: list[Found] = field(default_factory=list)
    unread: dict[tuple[str, str], int] = field(default_factory=dict)
    """(kind, name) of media objects that are not read -> how often they were logged."""
    texts: dict[str, int] = field(default_factory=dict)
    """Columns that hold neither numbers nor media -> rows."""

    def count(self, texts: Mapping[str, int]) -> None:
        for name, rows in texts.items():
            self.texts[name] = self.texts.get(name, 0) + rows

    def leave(self, kind: str, name: str) -> None:
        self.unread[kind, name] = self.unread.get((kind, name), 0) + 1


@dataclass(slots=True)
class Row:
    """One row: its step, its time, and its numbers in the order in which they stand."""

    step: int
    seconds: float
    numbers: list[tuple[str, float]]


def nested(root: dict[str, Any], path: Iterable[str], value: object) -> None:
    """Sets `value` in dictionaries of dictionaries; a leaf in the way is replaced."""
    *above, last = path
    for name in above:
        inner = root.get(name)
        if not isinstance(inner, dict):
            inner = root[name] = {}
        root = inner
    root[last] = value


def flatten(name: str, value: object) -> Iterator[tuple[str, object]]:
    """(dotted name, leaf) of nested dictionaries; a media object is a leaf."""
    if isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from flatten(f"{name}.{key}", inner)
    else:
        yield name, value


def parsed(text: str) -> Any:
    """The value of a JSON text; the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def row_of(history: Any, number: int, others: Others) -> Row:
    """Row `number` of a file, from its record; what is no number goes to `others`."""
    step, seconds = history.step.num, math.nan
    numbers: list[tuple[str, float]] = []
    plain = True
    for item in history.item:
        value = _number(item.value_json)
        if value is None:
            plain = False
            continue
        name = item.key or ".".join(item.nested_key)
        if name[:1] != "_":
            numbers.append((name, value))
        elif name == "_step" and abs(value) < 2**53:
            step = int(value)
        elif name == "_timestamp":
            seconds = value if 0 < value < MAX_SECONDS else math.nan
    if not plain:
        numbers = list(_mixed(history, number, seconds, others))
    return Row(step, seconds, numbers)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return _NAMED_NUMBERS.get(text)


def _mixed(
    history: Any, number: int, seconds: float, others: Others
) -> Iterator[tuple[str, float]]:
    """The numbers of a row that also holds other things, which are put aside by kind."""
    tree: dict[str, Any] = {}
    for item in history.item:
        path = (item.key,) if item.key else tuple(item.nested_key)
        if path and path[0] and path[0][0] != "_":
            found = _number(item.value_json)
            nested(tree, path, parsed(item.value_json) if found is None else found)
    for key, branch in tree.items():
        for name, value in flatten(key, branch):
            if isinstance(value, bool | int | float):
                yield name, _float(value)
            elif isinstance(value, dict):
                yield from _object(value, others, Found(row=number, seconds=seconds, name=name))
            elif isinstance(value, str) and f'"{value}"' in _NAMED_NUMBERS:
                yield name, _NAMED_NUMBERS[f'"{value}"']
            elif value is not None:
                others.count({name: 1})


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _object(value: Mapping[str, Any], others: Others, found: Found) -> Iterator[tuple[str, float]]:
    """Numbers of a histogram; other objects are put aside."""
    kind = str(value["_type"])
    if kind == "histogram":
        numbers = _histogram(value)
        if numbers is None:
            others.leave(kind, found.name)
        else:
            yield from ((f"{found.name}/{key}", number) for key, number in numbers.items())
    elif kind not in MEDIA | TABLES or len(others.media) >= _MOST_FOUND:
        others.leave(kind, found.name)
    else:
        if any(key in value for key in _OVERLAYS):
            others.leave("masks and boxes of images", found.name)
        content = {key: value[key] for key in _KEPT if key in value}
        others.media.append(
            Found(row=found.row, seconds=found.seconds, name=found.name, content=content)
        )


def _histogram(value: Mapping[str, Any]) -> dict[str, float] | None:
    """Of counts in `values` over `bins`, or over evenly spaced `packedBins`; None for no sense."""
    counts, edges = value.get("values"), value.get("bins")
    packed = value.get("packedBins")
    try:
        if edges is None and isinstance(packed, dict):
            steps = np.arange(min(int(packed["count"]), _MOST_BUCKETS) + 1)
            edges = float(packed["min"]) + float(packed["size"]) * steps
        if counts is None or edges is None or len(counts) > _MOST_BUCKETS:
            return None
        edge = np.asarray(edges, dtype=np.float64)
        if not np.isfinite(edge).all():
            return None
        with np.errstate(all="ignore"):  # ends near the largest number
            return summarised(edge, counts)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
