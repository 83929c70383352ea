"""Series: the recorded rows of one metric, and the effective curve made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Columns",
    "Extent",
    "Series",
    "SeriesInfo",
    "SeriesSet",
    "rank_key",
    "spans_of",
    "statistic_key",
    "superseded",
]

_ALL = 2**64
"""More than there is between any two steps."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Extent(NamedTuple):
    """What the rows of one metric cover in one attempt."""

    first: int
    """The smallest step."""
    last: int
    """The greatest."""
    rows: int

    def joined(self, other: Extent) -> Extent:
        return Extent(
            min(self.first, other.first), max(self.last, other.last), self.rows + other.rows
        )


class Columns(NamedTuple):
    """All recorded rows of one metric in the order in which they were written; equal lengths."""

    step: Ints
    """Optimiser step; for `axis == "time"` the number of the sample."""
    time: Floats
    """UTC seconds since 1970, NaN where the source has no clock."""
    value: Floats
    attempt: Ints
    """Number of the attempt (process life) that wrote the row, from 1."""

    def take(self, rows: NDArray[np.bool_] | Ints | slice) -> Columns:
        return Columns(self.step[rows], self.time[rows], self.value[rows], self.attempt[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """What is known of a series without loading its rows."""

    name: str
    points: int
    """Recorded rows, superseded ones included."""
    axis: str = "step"
    """`step`, or `time` for samples taken by the clock (system metrics)."""
    role: str | None = None
    told: str = ""
    """The role that the source itself states, where the name would mislead."""
    rank: int | None = None
    """The rank whose own log this is; None for the run's curve (with ranks: their mean)."""
    statistic: str = ""
    """`min` or `max` over the ranks at each step; empty for what was logged or its mean."""
    counter: str = ""
    """What its steps count where that is not the run's own step (`_step`...): the spans of the
    attempts say nothing of it then."""

    @property
    def whole(self) -> bool:
        """Whether it stands for the run: not one rank's own log, not a statistic over ranks."""
        return self.rank is None and not self.statistic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One metric. `step`, `time`, `value` are the effective curve, ordered by step."""

    info: SeriesInfo
    recorded: Columns
    superseded_rows: NDArray[np.bool_]
    effective: Columns

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def role(self) -> str | None:
        return self.info.role

    @property
    def rank_number(self) -> int | None:
        return self.info.rank

    @property
    def step(self) -> Ints:
        return self.effective.step

    @property
    def time(self) -> Floats:
        return self.effective.time

    @property
    def value(self) -> Floats:
        return self.effective.value

    def __len__(self) -> int:
        return len(self.effective.step)

    def attempt(self, number: int) -> Columns:
        """All rows that attempt `number` recorded, in file order."""
        return self.recorded.take(self.recorded.attempt == number)

    @property
    def superseded(self) -> Columns:
        """Rows that a later attempt redid."""
        return self.recorded.take(self.superseded_rows)

    def window(self, first: int, last: int) -> Columns:
        """Rows of the effective curve with first <= step <= last."""
        low = int(np.searchsorted(self.effective.step, first, side="left"))
        high = int(np.searchsorted(self.effective.step, last, side="right"))
        return self.effective.take(slice(low, high))


def rank_key(name: str, rank: int) -> str:
    """Key of what one rank logged as `name`."""
    return f"{name} [rank {rank}]"


def statistic_key(name: str, statistic: str) -> str:
    """Key of the smallest (`min`) or greatest (`max`) value of all ranks at each step."""
    return f"{name} [{statistic} of ranks]"


def superseded(rows: Columns, spans: Mapping[int, tuple[int, int]]) -> NDArray[np.bool_]:
    """Which rows a later attempt redid.

    A row is superseded when a later attempt's span of steps covers its step, or when a later
    attempt recorded this same metric at its step or before it (a rollback that died before it
    came as far again). A later attempt that only adds other metrics supersedes nothing. A metric
    with a row outside its attempt's span counts something else (epochs...): spans tell nothing
    of it.
    """
    out = np.zeros(len(rows.step), dtype=bool)
    numbers = _attempts(rows)
    if len({*spans, *numbers}) < 2:
        return out
    if not all(_is_within(rows, number, spans.get(number)) for number in numbers):
        spans = {}
    for number in sorted({*spans, *numbers}, reverse=True):
        earlier = rows.attempt < number
        if not earlier.any():
            continue
        own = rows.step[rows.attempt == number]
        if own.size:
            out |= earlier & (rows.step >= own.min())
        span = spans.get(number)
        if span is not None:
            out |= earlier & (rows.step >= span[0]) & (rows.step <= span[1])
    return out


def _is_within(rows: Columns, attempt: int, span: tuple[int, int] | None) -> bool:
    own = rows.step[rows.attempt == attempt]
    return span is not None and bool((own >= span[0]).all() and (own <= span[1]).all())


def _attempts(rows: Columns) -> list[int]:
    """Numbers of the attempts; sorting them all would take longer than all the rest."""
    if len(rows.attempt) and (rows.attempt == rows.attempt[0]).all():
        return [int(rows.attempt[0])]
    return [int(number) for number in np.unique(rows.attempt)]


def _effective(rows: Columns, gone: NDArray[np.bool_]) -> Columns:
    """The rows that stand, ordered by step; of several rows at one step the last written."""
    if not gone.any() and bool(np.all(rows.step[1:] > rows.step[:-1])):
        return rows
    kept = rows.take(~gone)
    order = np.argsort(kept.step, kind="stable")
    kept = kept.take(order)
    if len(kept.step):
        last = np.append(kept.step[1:] != kept.step[:-1], True)
        kept = kept.take(last)
    return kept


class SeriesSet(Mapping[str, Series]):
    """All series of a run by name; the rows of one are loaded when it is asked for.

    `load` gives the recorded rows of a name; `spans` the (first, last) step of each attempt, by the
    series that stand on the run's own step. Iteration is in the order in which the source met the
    names.
    """

    def __init__(
        self,
        infos: Mapping[str, SeriesInfo],
        load: Callable[[str], Columns],
        spans: Mapping[int, tuple[int, int]],
    ) -> None:
        self._infos = dict(infos)
        self._load = load
        self.spans = dict(spans)

    def __getitem__(self, name: str) -> Series:
        info = self._infos[name]
        rows = self._load(name)
        if info.axis == "time":
            gone = np.zeros(len(rows.step), dtype=bool)
            return Series(info=info, recorded=rows, superseded_rows=gone, effective=rows)
        gone = superseded(rows, {} if info.counter else self.spans)
        return Series(
            info=info, recorded=rows, superseded_rows=gone, effective=_effective(rows, gone)
        )

    def rows(self, name: str) -> Columns:
        """All recorded rows of one metric, without making its effective curve."""
        return self._load(self._infos[name].name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def info(self, name: str) -> SeriesInfo:
        return self._infos[name]

    @property
    def infos(self) -> tuple[SeriesInfo, ...]:
        return tuple(self._infos.values())

    @property
    def whole(self) -> tuple[SeriesInfo, ...]:
        """The run's own curves, without ranks' logs and statistics over ranks."""
        return tuple(info for info in self.infos if info.whole)

    def ranks(self, name: str) -> dict[int, str]:
        """Rank -> the key of its own series of the metric `name`."""
        found = ((i.rank, rank_key(name, i.rank)) for i in self.infos if i.rank is not None)
        return {rank: key for rank, key in found if key in self._infos}

    def with_role(self, role: str) -> tuple[str, ...]:
        """Names that play `role`, in the order of the source."""
        return tuple(name for name, info in self._infos.items() if info.role == role)

    def roled(
        self,
        role_of: Callable[[str], str | None],
        *,
        first: Callable[[str], str | None] = lambda _: None,
    ) -> Self:
        """The same series with their roles: by `first`, as the source tells, by `role_of(name)`."""
        infos = {
            n: replace(i, role=first(n) or i.told or role_of(n)) if i.whole else i
            for n, i in self._infos.items()
        }
        return type(self)(infos, self._load, self.spans)

    def telling(self, roles: Mapping[str, str]) -> Self:
        """The same series where the source itself states the roles of these names."""
        infos = {
            n: replace(i, told=roles[n], role=roles[n]) if n in roles else i
            for n, i in self._infos.items()
        }
        return type(self)(infos, self._load, self.spans)

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Columns],
        *,
        time_axis: frozenset[str] = frozenset(),
        spans: Mapping[int, tuple[int, int]] | None = None,
    ) -> Self:
        """From rows in memory. `time_axis` names the series sampled by the clock."""
        infos = {
            name: SeriesInfo(
                name=name,
                points=len(rows.step),
                axis="time" if name in time_axis else "step",
            )
            for name, rows in columns.items()
        }
        if spans is None:
            spans = spans_of(_extents(r) for n, r in columns.items() if n not in time_axis)
        return cls(infos, columns.__getitem__, spans)


def _extents(rows: Columns) -> dict[int, Extent]:
    found = {}
    for number in _attempts(rows):
        own = rows.step[rows.attempt == number]
        found[number] = Extent(int(own.min()), int(own.max()), len(own))
    return found


def spans_of(metrics: Iterable[Mapping[int, Extent]]) -> dict[int, tuple[int, int]]:
    """(first, last) step of each attempt, by what each metric covers of it.

    The metric with most rows sets the pace. What begins more than two of its gaps before its first
    row counts something else than it does (epochs), and so does what goes so far behind its last
    (samples): that is left out.
    """
    known = [extents for extents in metrics if extents]
    main = max(known, key=lambda e: sum(one.rows for one in e.values()), default={})
    pace = max((_gap(extent) for extent in main.values()), default=0)
    spans = {}
    for number in sorted({number for extents in known for number in extents}):
        own = [extents[number] for extents in known if number in extents]
        first, last, _ = main.get(number) or max(own, key=lambda extent: extent.rows)
        slack = 2 * (_gap(main[number]) or pace) + 1 if number in main else _ALL
        spans[number] = (
            min(extent.first for extent in own if extent.first >= first - slack),
            max(extent.last for extent in own if extent.last <= last + slack),
        )
    return spans


def _gap(extent: Extent) -> int:
    """Whole steps between two of its rows, as a mean; 0 of a single row, which does not tell."""
    return (extent.last - extent.first) // max(1, extent.rows - 1)
