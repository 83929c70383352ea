"""Blank cells that stand for NaN: a loss that blew up and is never recorded again.

Some writers leave the cell of a value that is not finite blank. A blank cell is "not recorded" and
stays so, except where all of this holds:

- the metric plays the role of a loss or a gradient norm, and its last recorded value is not finite
  or more than 10 times the median of the 100 before it;
- it is not recorded any more in the rest of the file;
- later rows have the shape of those in which it was recorded: the same other columns hold
  something, where the columns that stopped in this way are not looked at;
- until then every row of that shape held it.

In these later rows its value is NaN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

__all__ = ["BLOWN_UP", "TAIL", "Row", "exploded", "silent_rows"]

BLOWN_UP = 10.0
"""Times the running median."""
TAIL = 101
"""A value and the 100 before it, over which the median runs."""


class Row(NamedTuple):
    """One row of a file."""

    step: int
    seconds: float
    attempt: int
    names: frozenset[str]
    """Columns that hold something."""


@dataclass(slots=True)
class _Watch:
    """What is known of one metric."""

    shapes: set[frozenset[str]] = field(default_factory=set)
    """In which it was recorded."""
    unsure: set[frozenset[str]] = field(default_factory=set)
    """In which it was blank and recorded later."""
    newest: tuple[int, int] = (0, 0)
    """(attempt, step) at which it was recorded last."""
    silent: dict[frozenset[str], list[Row]] = field(default_factory=lambda: defaultdict(list))
    """Rows since it was recorded last, by shape."""

    def record(self, row: Row, shape: frozenset[str]) -> None:
        self.shapes.add(shape)
        self.unsure |= self.silent.keys()
        self.silent.clear()
        self.newest = max(self.newest, (row.attempt, row.step))


def exploded(values: Sequence[float]) -> bool:
    """Whether the last of the last `TAIL` values is not finite or far above those before it."""
    *before, last = list(values)[-TAIL:] or [0.0]
    if not math.isfinite(last):
        return True
    levels = [abs(value) for value in before if math.isfinite(value)]
    return bool(levels) and abs(last) > BLOWN_UP * median(levels)


def silent_rows(rows: Iterable[Row], stopped: frozenset[str]) -> dict[str, list[Row]]:
    """The rows in which the blank cell of each metric in `stopped` means NaN."""
    watched = {name: _Watch() for name in sorted(stopped)}
    for row in rows:
        shape = row.names - stopped
        bare = row._replace(names=frozenset())
        for name, watch in watched.items():
            if name in row.names:
                watch.record(row, shape)
            elif shape not in watch.shapes:
                watch.unsure.add(shape)
            elif (row.attempt, row.step) >= watch.newest:
                watch.silent[shape].append(bare)
    return {name: found for name, watch in watched.items() if (found := _of_known_shape(watch))}


def _of_known_shape(watch: _Watch) -> list[Row]:
    """In file order: within an attempt steps do not fall."""
    rows = [row for shape, r in watch.silent.items() if shape not in watch.unsure for row in r]
    return sorted(rows, key=lambda row: (row.attempt, row.step))
