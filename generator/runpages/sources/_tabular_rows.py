"""From rows to series: which step, which time, which attempt a row belongs to."""

from __future__ import annotations

import math
import re
import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runpages.analysis.roles import role_of

from ._tabular_blocks import Block, Cells
from ._textfiles import Ledger, Line, number, seconds, whole
from .spool import Spool

__all__ = ["MAX_ATTEMPT", "TRAINING", "Lives", "Meaning", "Rows", "label_of"]

MAX_ATTEMPT = 1_000_000
_MAX_SPANS = 64
"""A block that falls into more pieces is read line by line."""
_HEAD_ROWS = 50
TRAINING = frozenset({"train", "training"})
"""Words for the split whose metrics keep their names."""
_BLOWS_UP = frozenset({"loss", "val_loss", "grad_norm"})
"""Roles of metrics that can blow up."""
_WORD = re.compile(r"[^a-z]+")
_EXACT = 2**53
_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the columns of a file stand for; the others are metrics."""

    step: str = "step"
    time: str = "time"
    """UTC seconds or ISO 8601; empty if there is no clock."""
    time_unit: float = 1.0
    """Seconds in one unit of a numeric time."""
    attempt: str = ""
    """Column that numbers the attempts; empty if there is none."""
    by_metric: bool = False
    """Without numbers, an attempt begins where a metric falls behind itself; else where a row falls
    behind the row before it."""
    prefix: str = ""
    """Put before the name of each metric."""
    most_metrics: int = sys.maxsize
    epoch: str = ""
    """Column to compare with where an attempt begins: see `Rows.renewed`."""
    iteration: str = ""
    """Column that only the rows of training have: the `step` of the others may be an epoch."""
    split: str = ""
    """Column that says whether a row tells of training or of validation, test...: then the names of
    the others' metrics begin with what it says, as in `val/loss`."""
    tail: int = 0
    """How many of the last values of each loss and gradient norm `Rows.tails` keeps."""


class _Span(NamedTuple):
    """Rows first <= row < stop of a block belong to one attempt."""

    first: int
    stop: int
    attempt: int


@dataclass(slots=True)
class Lives:
    """Numbers the attempts.

    A label is the `attempt` that a file gives. Where steps fall, a further attempt begins: without
    labels when a row falls behind the row before it, within a label (a rollback inside one
    process) when a metric falls behind itself.
    """

    numbers: dict[int, list[int]] = field(default_factory=dict)
    """Label -> the numbers of its attempts."""
    _label: int = 1
    _shift: int = 0
    _newest: dict[int, dict[str, int]] = field(default_factory=dict)

    def place(self, label: int | None, step: int, names: Collection[str]) -> int:
        """The attempt of a row."""
        if label is None:
            keys: Collection[str] = ("",)
            if self._newest and self._newest[self.numbers[self._label][-1]].get("", step) > step:
                self._label += 1
        else:
            keys = names
            self._label = label
        if self._label not in self.numbers:
            self._begin(self._label + self._shift)
        newest = self._newest[self.numbers[self._label][-1]]
        if any(newest.get(key, step) > step for key in keys):
            self._shift += 1
            newest = self._begin(max(self._newest) + 1)
        for key in ("", *names):
            newest[key] = step
        return self.numbers[self._label][-1]

    def place_all(
        self, label: int | None, steps: _Ints, present: Mapping[str, _Ints]
    ) -> Iterator[_Span]:
        """As `place` for each row in turn, of rows whose steps do not fall.

        `present` are the rows, rising, in which a metric was recorded.
        """
        first = 0
        while first < len(steps):
            at = {name: int(np.searchsorted(rows, first)) for name, rows in present.items()}
            names = [n for n, i in at.items() if i < len(present[n]) and present[n][i] == first]
            attempt = self.place(label, int(steps[first]), names)
            newest = self._newest[attempt]
            stop = len(steps)
            for name, rows in present.items() if label is not None else ():
                later = rows[int(np.searchsorted(rows, first + 1)) :]
                # once it has been recorded, its steps do not fall any more
                if len(later) and newest.get(name, steps[later[0]]) > steps[later[0]]:
                    stop = min(stop, int(later[0]))
            for name, rows in present.items():
                behind = int(np.searchsorted(rows, stop))
                if behind > at[name]:
                    newest[name] = int(steps[rows[behind - 1]])
            newest[""] = int(steps[stop - 1])  # a metric without a name may stand there, too
            yield _Span(first, stop, attempt)
            first = stop

    def _begin(self, attempt: int) -> dict[str, int]:
        while attempt in self._newest:
            attempt += 1
        self.numbers.setdefault(self._label, []).append(attempt)
        return self._newest.setdefault(attempt, {})

    def at(self, label: int | None, clock: float, began: Mapping[int, float]) -> int:
        """The attempt of something that is no row, by its label and its time (NaN: unknown)."""
        if label is None:
            numbers = sorted(self._newest) or [1]
        else:
            numbers = self.numbers.get(label) or [label + self._shift]
        if math.isnan(clock):
            return numbers[0] if label is None else numbers[-1]
        return [numbers[0], *(n for n in numbers if began.get(n, math.inf) <= clock)][-1]


@dataclass(slots=True)
class Rows:
    """Collects the rows of one file."""

    ledger: Ledger
    meaning: Meaning
    spool: Spool = field(default_factory=Spool)
    lives: Lives = field(default_factory=Lives)
    first: dict[int, float] = field(default_factory=dict)
    """Attempt -> its earliest time."""
    last: dict[int, float] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    """Metrics, as they stand in the file."""
    too_many: set[str] = field(default_factory=set)
    """Metrics left out because there are more than `most_metrics`."""
    without_step: int = 0
    """Records of a foreign file that hold no step at all."""
    renewed: list[bool] = field(default_factory=list)
    """Of each attempt that began among the rows: whether the epoch had risen there."""
    head: list[int] = field(default_factory=list)
    """Steps of the first rows."""
    tails: dict[str, deque[float]] = field(default_factory=dict)
    """Last values of the metrics that can blow up."""
    moved: int = 0
    """Evaluations whose step was an epoch."""
    _epoch: float = math.nan
    _trained: set[str] = field(default_factory=set)
    """Keys of the rows that count iterations."""
    _iteration: tuple[int | None, int | None] = (None, None)
    """(epoch, step) of the last of them."""

    def collect(self, pieces: Iterable[Line | Block]) -> None:
        for piece in pieces:
            if isinstance(piece, Line):
                self._line(piece)
            elif not self._block(piece):
                for line in piece.lines():
                    self._line(line)

    def clock(self, row: Mapping[str, Any], place: str, *, key: str = "time") -> float:
        """The time of a row, NaN where it has none; what is no time is a warning."""
        value = row.get(key)
        found = seconds(self._scaled(value))
        if found is None and value is not None:
            self.ledger.warn(f"{place}: {str(value)[:40]!r} is no time; the row is kept without")
        return math.nan if found is None else found

    def _scaled(self, value: Any) -> Any:
        if self.meaning.time_unit == 1.0:
            return value
        found = None if isinstance(value, bool) else number(value)
        return value if found is None else found * self.meaning.time_unit

    def saw(self, attempt: int, clock: float) -> None:
        """Something of this attempt was recorded at this time (NaN: unknown)."""
        self.seen.add(attempt)
        if not math.isnan(clock):
            self.first[attempt] = min(self.first.get(attempt, clock), clock)
            self.last[attempt] = max(self.last.get(attempt, clock), clock)

    def _line(self, line: Line) -> None:
        place, _, row = line
        meaning = self.meaning
        step = whole(row.get(meaning.step))
        if step is None:
            if meaning.by_metric and meaning.step not in row:
                self.without_step += 1  # a foreign program may log other things between
            else:
                self.ledger.reject(line, f"no whole number under `{meaning.step}`")
            return
        step, evaluated = self._evaluated(step, row) if meaning.iteration else (step, False)
        values = self._values(row, place, evaluated=evaluated)
        attempt = self.lives.place(self._label(row), step, values)
        clock = self.clock(row, place, key=meaning.time) if meaning.time else math.nan
        self._compare_epochs(attempt, number(row.get(meaning.epoch)))
        self.saw(attempt, clock)
        if len(self.head) < _HEAD_ROWS:
            self.head.append(step)
        for key, found in values.items():
            if key in self.tails:
                self.tails[key].append(found)
            self.spool.add(f"{meaning.prefix}{key}", step, clock, found, attempt=attempt)

    def _values(self, row: Mapping[str, Any], place: str, *, evaluated: bool) -> dict[str, float]:
        meaning = self.meaning
        special = (meaning.step, meaning.time, meaning.attempt, meaning.split or meaning.step)
        split = split_named(row.get(meaning.split)) if meaning.split else ""
        values = {}
        for key, value in row.items():
            if value is None or key in special:
                continue
            found = number(value)
            name = f"val/{key}" if evaluated and key in self._trained else key
            if split and split not in _WORD.split(key.lower()):
                name = f"{split}/{key}"
            if found is None:
                self.ledger.no_number(key, place)
            elif self._is_kept(name):
                values[name] = found
        return values

    def _evaluated(self, step: int, row: Mapping[str, Any]) -> tuple[int, bool]:
        """The step of a row and whether it is an evaluation, if only training counts iterations.

        mmengine numbers the evaluations of a loop over epochs by the epoch: they stand where the
        last row of that epoch does.
        """
        if self.meaning.iteration in row:
            self._trained.update(row)
            self._iteration = (whole(row.get("epoch")), step)
            return step, False
        epoch, last = self._iteration
        if step == epoch and last is not None and step < last:
            self.moved += 1
            return last, True
        return step, True

    def _label(self, row: Mapping[str, Any]) -> int | None:
        label = label_of(row.get(self.meaning.attempt)) if self.meaning.attempt else None
        return 1 if label is None and self.meaning.by_metric else label

    def _is_kept(self, name: str) -> bool:
        if name in self.names:
            return True
        if len(self.names) >= self.meaning.most_metrics:
            self.too_many.add(name)
            return False
        self.names.add(name)
        if self.meaning.tail and role_of(name) in _BLOWS_UP:
            self.tails[name] = deque(maxlen=self.meaning.tail)
        return True

    def _compare_epochs(self, attempt: int, epoch: float | None) -> None:
        if not self.meaning.epoch:
            return
        if self.seen and attempt not in self.seen:
            self.renewed.append(epoch is not None and epoch > self._epoch)
        if epoch is not None:
            self._epoch = epoch

    def _block(self, block: Block) -> bool:
        """Take all rows of a block, or none and give False."""
        columns, meaning = dict(block.columns), self.meaning
        if meaning.split or meaning.iteration:
            return False
        step = _whole_column(columns.pop(meaning.step, None), block.rows)
        clock = self._clocks(columns.pop(meaning.time, None), block.rows)
        labels = _label_column(columns.pop(meaning.attempt, None), block.rows)
        if step is None or clock is None or labels is None:
            return False
        step.flags.writeable = clock.flags.writeable = False  # shared by all metrics
        pieces = _pieces(step, labels)
        if len(pieces) > _MAX_SPANS:
            return False
        numeric, wordy = {}, {}
        for key, cells in columns.items():
            found, others = _split(cells)
            if len(found.rows):
                numeric[key] = found
            if len(others):
                wordy[key] = others
        self.ledger.records += block.rows
        for key in _in_order(block, wordy):
            self.ledger.no_number(key, block.place(int(wordy[key][0])), rows=len(wordy[key]))
        kept = self._kept(block, numeric)
        epochs = columns.get(meaning.epoch) if meaning.epoch else None
        for first, stop in pieces:
            label = int(labels[first]) or (1 if meaning.by_metric else None)
            self._piece(label, first, step[first:stop], clock[first:stop], kept, epochs)
        return True

    def _kept(self, block: Block, numeric: Mapping[str, Cells]) -> dict[str, Cells]:
        new = {key: cells.rows for key, cells in numeric.items() if key not in self.names}
        order = [key for key in _in_order(block, new) if self._is_kept(key)]
        return {key: numeric[key] for key in numeric if key not in new} | {
            key: numeric[key] for key in order
        }

    def _piece(
        self,
        label: int | None,
        offset: int,
        step: _Ints,
        clock: _Floats,
        columns: Mapping[str, Cells],
        epochs: Cells | None,
    ) -> None:
        """Rows of one label whose steps do not fall; `offset` is their first row."""
        inner = {}
        for key, cells in columns.items():
            low, high = np.searchsorted(cells.rows, [offset, offset + len(step)])
            if high > low:
                rows = cells.rows[low:high]
                inner[key] = (rows - offset if offset else rows, _numbers(cells)[low:high])
        self.head += step[: _HEAD_ROWS - len(self.head)].tolist()
        for key in self.tails.keys() & inner.keys():
            self.tails[key].extend(inner[key][1][-self.meaning.tail :].tolist())
        present = {key: rows for key, (rows, _) in inner.items()}
        for span in self.lives.place_all(label, step, present):
            here = slice(span.first, span.stop)
            self._compare_span(span, offset, epochs)
            self._saw_all(span.attempt, clock[here])
            for key, (rows, values) in inner.items():
                low, high = np.searchsorted(rows, [span.first, span.stop])
                if high == low:
                    continue
                at: slice | _Ints = rows[low:high]
                if high - low == span.stop - span.first:
                    at = here
                self.spool.extend(
                    f"{self.meaning.prefix}{key}",
                    step[at],
                    clock[at],
                    values[low:high],
                    attempt=span.attempt,
                )

    def _compare_span(self, span: _Span, offset: int, epochs: Cells | None) -> None:
        rows, values = _split(epochs)[0][:2] if epochs is not None else (np.empty(0), None)
        low, high = np.searchsorted(rows, [offset + span.first, offset + span.stop])
        if values is None or low == high:
            self._compare_epochs(span.attempt, None)
            return
        at_first = rows[low] == offset + span.first
        self._compare_epochs(span.attempt, float(values[low]) if at_first else None)
        if self.meaning.epoch:
            self._epoch = float(values[high - 1])

    def _saw_all(self, attempt: int, clock: _Floats) -> None:
        known = clock[~np.isnan(clock)]
        self.saw(attempt, float(known.min()) if len(known) else math.nan)
        if len(known):
            self.saw(attempt, float(known.max()))

    def _clocks(self, cells: Cells | None, rows: int) -> _Floats | None:
        """Time of each row, NaN where there is none; None if something there is no time."""
        clock = np.full(rows, np.nan)
        if cells is None:
            return clock
        if cells.values is not None:
            if cells.values.dtype == np.bool_:
                return None
            values = _numbers(cells) * self.meaning.time_unit
            if not ((values > 0) & (values < 1e11)).all():
                return None
            clock[cells.rows] = values
            return clock
        known = {word: seconds(self._scaled(word)) for word in set(cells.words or ())}
        found = [known[word] for word in cells.words or ()]
        if len(found) < len(cells.rows) or None in found:
            return None
        clock[cells.rows] = found
        return clock


def split_named(value: object) -> str:
    """The split whose metrics are named after it: `val`, `test`...; empty for training."""
    said = value.strip().lower() if isinstance(value, str) else ""
    return "" if said in TRAINING else said


def label_of(value: object) -> int | None:
    """The attempt that a row names; None for what can be no number of an attempt."""
    label = whole(value)
    return label if label is not None and 1 <= label <= MAX_ATTEMPT else None


def _numbers(cells: Cells) -> _Floats:
    assert cells.values is not None  # noqa: S101 - asked of columns of numbers only
    return cells.values.astype(np.float64, copy=False)


def _whole_column(cells: Cells | None, rows: int) -> _Ints | None:
    """A whole number for each row, or None."""
    values = None if cells is None or len(cells.rows) < rows else cells.values
    if values is None or values.dtype == np.bool_:
        return None
    if values.dtype == np.int64:
        return values.astype(np.int64) if values.min() > -(2**63) else None
    if not np.isfinite(values).all() or not (np.abs(values) < _EXACT).all():
        return None
    found = values.astype(np.int64)
    return found if (found == values).all() else None


def _label_column(cells: Cells | None, rows: int) -> _Ints | None:
    """The label of each row, 0 where it has none; None if only single rows can tell."""
    if cells is None:
        return np.zeros(rows, dtype=np.int64)
    found = _whole_column(cells, rows)
    return found if found is not None and 1 <= found.min() <= found.max() <= MAX_ATTEMPT else None


def _pieces(step: _Ints, labels: _Ints) -> list[tuple[int, int]]:
    """(first, behind the last) of rows of one label whose steps do not fall."""
    cuts = np.flatnonzero((step[1:] < step[:-1]) | (labels[1:] != labels[:-1])) + 1
    bounds = [0, *cuts.tolist(), len(step)]
    return list(zip(bounds, bounds[1:], strict=False))


def _split(cells: Cells) -> tuple[Cells, _Ints]:
    """The numbers of a column, and the rows in which it holds something else."""
    if cells.values is not None:
        return cells, cells.rows[:0]
    if cells.words is None:
        return Cells(cells.rows[:0], np.empty(0)), cells.rows
    known = {word: number(word) for word in set(cells.words)}
    found = [known[word] for word in cells.words]
    good = np.array([value is not None for value in found], dtype=bool)
    values = np.array([value for value in found if value is not None], dtype=np.float64)
    return Cells(cells.rows[good], values), cells.rows[~good]


def _in_order(block: Block, rows: Mapping[str, _Ints]) -> list[str]:
    """Columns in the order in which reading line by line meets them."""
    groups: dict[int, list[str]] = {}
    for key, at in rows.items():
        groups.setdefault(int(at[0]), []).append(key)
    order = []
    for row in sorted(groups):
        names = groups[row]
        order += names if len(names) == 1 else sorted(names, key=block.keys(row).index)
    return order
