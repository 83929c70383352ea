"""DVCLive's tables of metrics, and the attempts that their steps tell of."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ._textfiles import Ledger, number, seconds, whole

__all__ = ["Lives", "Row", "falls_of", "rows_of_table"]


class Row(NamedTuple):
    step: int
    time: float
    """UTC seconds, NaN if the row has none."""
    value: float


def rows_of_table(ledger: Ledger, name: str, metric: str) -> Iterator[Row]:
    """The good rows of one table.

    The writer puts `step value` or, if asked for the time, `timestamp step value`, whatever the
    header says that it wrote with the first row.
    """
    header = True
    for count, line in ledger.lines(name):
        if not line.endswith(b"\n"):
            # its last number may lack digits, and nothing in the line would show it
            ledger.cut(name, count, len(line))
            continue
        if header:
            header = False
            continue
        try:
            cells = next(csv.reader([line.decode()], delimiter="\t", strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            ledger.damage(name, count, len(line), f"not a row ({str(error)[:80]})")
            continue
        step = whole(cells[-2]) if 2 <= len(cells) <= 3 else None
        if step is None:
            ledger.damage(name, count, len(line), "no whole number under `step`")
            continue
        value = number(cells[-1])
        ledger.records += 1
        if value is None:
            ledger.no_number(metric, f"{name}:{count}")
            continue
        stamp = number(cells[0]) if len(cells) == 3 else None
        clock = None if stamp is None else seconds(stamp / 1000)
        yield Row(step, math.nan if clock is None else clock, value)


def falls_of(ledger: Ledger, name: str) -> list[int]:
    """The steps to which the table falls back, in file order."""
    falls = []
    before: int | None = None
    for row in rows_of_table(ledger, name, ""):
        if before is not None and row.step < before:
            falls.append(row.step)
        before = row.step
    return falls


class Lives:
    """Numbers the attempts of a run whose tables have no common clock.

    The tables that fall most often say how many attempts there were and at which step each began.
    In every other table a row belongs to the latest attempt that had begun at its step, and to an
    earlier one only where its own steps fall behind it.
    """

    def __init__(self, falls: Sequence[list[int]]) -> None:
        most = max(map(len, falls), default=0)
        begins = zip(*(steps for steps in falls if len(steps) == most), strict=True)
        self._begins = [min(steps) for steps in begins]
        self.count = most + 1

    def at(self, step: int | None) -> int:
        """The latest attempt that had begun at `step`."""
        if step is None:
            return self.count
        started = (n for n, begin in enumerate(self._begins, start=2) if begin <= step)
        return max(started, default=1)

    def attempts(self, steps: Sequence[int]) -> list[int]:
        """The attempt of each row of one table."""
        found: list[int] = []
        attempt, after = self.count, math.inf
        for step in reversed(steps):
            if step > after:
                attempt -= 1
            attempt = min(attempt, self.at(step))
            after = step
            found.append(attempt)
        # a table that falls early and often may reach below the first attempt
        below = max(0, 1 - min(found, default=1))
        self.count = max(self.count, max(found, default=1) + below)
        return [number + below for number in reversed(found)]
