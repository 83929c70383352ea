"""Where in the training a row is, if its line does not say the step itself."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._textlog_dialects import ANY_EPOCH, Dialect, RowLine
from ._textlog_lines import Counts, text_lines
from ._textlog_rows import Row, RowFinder

__all__ = ["NUMBERED", "SUMMED", "Places", "places_of"]

EPOCHS = "epochs"
_MOST_STEPS = 2**63
_MOST_WITHOUT = 10_000
SUMMED = "steps within each epoch, those of the epochs before added"
NUMBERED = "number of the record, from 0: the log counts within each epoch only"
"""Or it does not count within the epoch at all."""


def places_of(path: Path, dialect: Dialect) -> Places:
    """How a log of unknown make counts; for others there is nothing to be found. Raises OSError."""
    if dialect.general and dialect.unit == EPOCHS:
        return Places(several=_tells_epochs_often(path, dialect))
    if any(line.epochs_from == ANY_EPOCH for line in dialect.row):
        return Places(within=_counts_within_epochs(path, dialect))
    return Places()


def _tells_epochs_often(path: Path, dialect: Dialect) -> bool:
    """Whether the same figures come more than twice in an epoch: they are of its batches."""
    finder = RowFinder(dialect)
    last: dict[tuple[str, ...], tuple[int | None, int]] = {}
    rows = 0
    for line in text_lines(path, Counts()):
        row = finder.find(line.data)
        if row is None:
            continue
        epoch, count = last.get(row.names, (row.step, 0))
        last[row.names] = (row.step, count + 1 if epoch == row.step else 1)
        rows += 1
        if last[row.names][1] > 2 or rows > _MOST_WITHOUT:
            break
    return any(count > 2 for _, count in last.values())


def _counts_within_epochs(path: Path, dialect: Dialect) -> bool:
    """Whether the steps begin again in each epoch.

    They do if a step is below the one before although the epoch is above, and if every epoch has
    the same one step. The first epoch that tells decides.
    """
    finder = RowFinder(dialect)
    last: dict[tuple[str, ...], tuple[float, int]] = {}
    without = same = 0
    for line in text_lines(path, Counts()):
        row = finder.find(line.data)
        if row is None or row.step is None:
            continue
        if "epoch" not in row.names:
            without += 1
            if without > _MOST_WITHOUT and not last:
                return False
            continue
        now = row.values[row.names.index("epoch")]
        epoch, step = last.get(row.names, (now, row.step))
        same += now > epoch and row.step == step
        if (now > epoch and row.step != step) or same > 1:
            return row.step <= step
        last[row.names] = (now, row.step)
    return False


@dataclass(slots=True)
class Places:
    """Gives rows their steps, in the order of the log."""

    within: bool = False
    """The steps of a log of unknown make begin again in each epoch."""
    several: bool = False
    """A log that names the epoch only has several rows of each."""
    ways: Counter[str] = field(default_factory=Counter)
    """How the steps were found -> number of rows."""
    tick: int | None = None
    """The step that the last tick told."""
    _total: int | None = None
    """Of the progress bar of the training."""
    _base: int | None = None
    """The number of the first epoch."""
    _epoch: int = 0
    _steps: int | None = None
    """How many an epoch has."""
    _positions: list[tuple[int, ...]] = field(default_factory=list)
    _records: int = 0

    def counts(self, row: Row) -> bool:
        """Whether the row's step is counted within its epoch."""
        first = row.line.epochs_from
        return first is not None and (first != ANY_EPOCH or (self.within and row.epoch is not None))

    def next_record(self) -> int:
        """The number of a record where nothing else can be told of its place."""
        self.ways[NUMBERED] += 1
        self._records += 1
        return self._records - 1

    def number(self, position: tuple[int, ...]) -> int:
        """The number of a record from 0. One that goes back stands where it stood before."""
        self.ways[NUMBERED] += 1
        if self._positions and position <= self._positions[-1]:
            at = bisect_left(self._positions, position)
            del self._positions[at:]
        self._positions.append(position)
        return len(self._positions) - 1

    def step(self, row: Row) -> int | None:
        """The step since the beginning of a row that counts within its epoch, if it can be told."""
        epoch = self._epoch if row.epoch is None else row.epoch
        first = row.line.epochs_from
        if self._base is None or first != ANY_EPOCH:
            self._base = min(epoch, 1) if first is None or first == ANY_EPOCH else first
        ended = epoch - self._base
        if row.step is None:
            if self._positions:
                return len(self._positions) - 1
            return self._summed(ended + 1, 0)
        self._epoch = epoch
        if row.steps is None and self._steps is None:
            return self.number((epoch, row.step))
        self._steps = row.steps or self._steps
        return self._summed(ended, row.step)

    def _summed(self, epochs: int, step: int) -> int | None:
        if self._steps is None or epochs < 0:
            return None
        found = epochs * self._steps + step
        if not 0 <= found < _MOST_STEPS:
            return None
        self.ways[SUMMED] += 1
        return found

    def see_tick(self, row: Row, waiting: Sequence[RowLine]) -> bool:
        """Whether it tells the step of the lines that wait, or of those that come after it.

        A bar of something else than the training has another total.
        """
        if row.steps is not None:
            if not waiting or (
                all(line.known_total for line in waiting) and row.steps != self._total
            ):
                return False
            self._total = row.steps
        self.tick = row.step
        return True
