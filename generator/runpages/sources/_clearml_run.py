"""What the events of a ClearML task add up to: series, samples, console, the task's own summary.

Offline logs and servers give the same events, so both are collected here.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from runpages.analysis.roles import role_of
from runpages.model import Attempt, Sample

from ._clearml_tables import table_of
from .spool import Spool

__all__ = ["LOSSY", "SINGLE_VALUE_STEP", "Collected", "Picture", "counted", "seconds_of", "step_of"]

SINGLE_VALUE_STEP = -(2**31)
"""`report_single_value` is a scalar of this iteration."""
CONSOLE_BYTES = 64_000
MAX_ATTEMPTS = 10_000
MAX_PICTURES = 20_000
MAX_WORKERS = 1000
_TABLES_PER_NAME = 24
_TABLE_CHARS = 64_000_000
"""Text that is kept of all tables together."""
_TOLD_METRICS = 12
_BATCH_SECONDS = 30.0
"""The SDK writes what was reported every 5 s, later where the writing takes long."""

LOSSY = (
    "ClearML's SDK stores NaN and infinities as 0 unless it is told otherwise: a value that is"
    " exactly 0 can be one of them"
)

_MONITOR = ":monitor:"
_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A debug sample, before anybody has looked at its bytes."""

    name: str
    step: int | None
    time: float | None
    attempt: int
    key: str
    url: str
    batch: int | None
    raced: bool = False
    """Whether its file was written for several steps at once: nobody knows which it shows."""


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def seconds_of(value: object) -> float | None:
    """UTC seconds from ClearML's milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000 if 0 < value < 1e14 else None


def step_of(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 2**62 else None


@dataclass(slots=True)
class Collected:
    """Takes the events of one task, one by one."""

    task_id: str
    spool: Spool = field(default_factory=Spool)
    summary: dict[str, object] = field(default_factory=dict)
    workers: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Worker (the host's name unless it was set) -> (first, last) time of its console messages."""
    attempt: int = 1
    start: float | None = None
    end: float | None = None
    first: dict[int, float] = field(default_factory=dict)
    """Attempt -> time of its first row."""
    last: dict[int, float] = field(default_factory=dict)
    foreign: int = 0
    """Events of a model, which are not the task's."""
    overwritten: int = 0
    """Pictures whose file a later step has taken."""
    plots: int = 0
    vectors: int = 0
    not_kept: Counter[str] = field(default_factory=Counter)
    pictures: dict[str, Picture] = field(default_factory=dict)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _newest: dict[str, int] = field(default_factory=dict)
    _zeros: Counter[str] = field(default_factory=Counter)
    _tables: dict[str, deque[Sample]] = field(default_factory=dict)
    _table_count: Counter[str] = field(default_factory=Counter)
    _table_chars: int = 0
    _console: deque[str] = field(default_factory=deque)
    _console_size: int = 0

    def take(self, event: dict[str, Any], *, batch: int | None = None) -> str:
        """Keep what the event says; the reason if it is of no use.

        Events of one `batch` were written at once; None = by their times.
        """
        if not self.task_id:
            self.task_id = str(event.get("task") or "")
        if event.get("task", self.task_id) != self.task_id or event.get("model_event"):
            self.foreign += 1
            return ""
        kind = event.get("type")
        if kind == "training_stats_scalar":
            return self._scalar(event)
        if kind == "log":
            return self._log(event)
        if kind == "plot":
            return self._plot(event)
        if kind == "training_debug_image":
            return self._picture(event, batch)
        if kind == "training_stats_vector":
            self.vectors += 1
            return ""
        return "an event of a kind that ClearML's SDK does not write"

    def _scalar(self, event: dict[str, Any]) -> str:
        value, step = event.get("value"), step_of(event.get("iter"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a scalar without a number under `value`"
        try:
            number = float(value)
        except OverflowError:
            return "a scalar whose number is too large"
        title, series = str(event.get("metric") or ""), str(event.get("variant") or "")
        if step == SINGLE_VALUE_STEP:
            self.summary[series or title] = number
            self._zeros[f"{series or title} (single value)"] += number == 0
            return ""
        if step is None:
            return "a scalar without a whole number under `iter`"
        clock = self._clock(event)
        if title.startswith(_MONITOR):
            self.spool.sample(self._name(title, series), clock, number, attempt=self.attempt)
            return ""
        name = self._name(title, series)
        if step < self._newest.get(name, step):
            if self.attempt >= MAX_ATTEMPTS:
                return f"a step falls for more than the {MAX_ATTEMPTS:,}th time"
            self.attempt += 1
            self._newest.clear()
        self._newest[name] = step
        if not math.isnan(clock):
            self.first[self.attempt] = min(self.first.get(self.attempt, clock), clock)
            self.last[self.attempt] = max(self.last.get(self.attempt, clock), clock)
        if number == 0:
            self._zeros[name] += 1
        self.spool.add(name, step, clock, number, attempt=self.attempt)
        return ""

    def _clock(self, event: dict[str, Any]) -> float:
        """Time of an event; NaN where it has none."""
        seconds = seconds_of(event.get("timestamp"))
        if seconds is None:
            return math.nan
        self.start = seconds if self.start is None else min(self.start, seconds)
        self.end = seconds if self.end is None else max(self.end, seconds)
        return seconds

    def attempt_at(self, seconds: float) -> int:
        """The attempt that was alive at a time; the first where it is not known."""
        began = (n for n, first in self.first.items() if first <= seconds)
        return max(began, default=1)

    def _name(self, title: str, series: str) -> str:
        """One name a (title, series); two that would be written alike are told apart."""
        known = self._names.get((title, series))
        if known is not None:
            return known
        name = _written(title, series)
        if name in self._taken:
            name = f"{title}/{series}"
        number = 2
        while name in self._taken:
            name, number = f"{title}/{series} ({number})", number + 1
        self._taken.add(name)
        self._names[title, series] = name
        return name

    def _log(self, event: dict[str, Any]) -> str:
        said = event.get("msg")
        if not isinstance(said, str):
            return "a console message without text under `msg`"
        clock, worker = self._clock(event), event.get("worker")
        if isinstance(worker, str) and worker and len(self.workers) < MAX_WORKERS:
            low, high = self.workers.get(worker, (clock, clock))
            self.workers[worker] = (min(low, clock), max(high, clock))
        said = _ANSI.sub("", said[-CONSOLE_BYTES:])
        self._console.append(said)
        self._console_size += len(said) + 1
        while self._console_size - len(self._console[0]) > CONSOLE_BYTES:
            self._console_size -= len(self._console.popleft()) + 1
        return ""

    @property
    def console(self) -> str:
        text = "\n".join(part.rstrip("\n") for part in self._console)
        data = text.encode(errors="backslashreplace")[-CONSOLE_BYTES:]
        return data.decode(errors="ignore")

    def _plot(self, event: dict[str, Any]) -> str:
        name = _written(str(event.get("metric") or ""), str(event.get("variant") or ""))
        clock = self._clock(event)
        plot = event.get("plot_str")
        if not isinstance(plot, str) or '"table"' not in plot:
            self.plots += 1
            return ""
        try:
            data = json.loads(plot)
        except (ValueError, RecursionError):
            return "a plot that is not JSON"
        found = table_of(
            data,
            name,
            step_of(event.get("iter")),
            time=None if math.isnan(clock) else clock,
            attempt=self.attempt_at(clock),
        )
        if not found:
            self.plots += 1
            return ""
        self._table_count[name] += 1
        kept = self._tables.setdefault(name, deque())
        if len(kept) == _TABLES_PER_NAME:
            self._table_chars -= _chars(kept.popleft())
        if self._table_chars + _chars(found) > _TABLE_CHARS:
            self.not_kept["tables"] += 1
            return ""
        self._table_chars += _chars(found)
        kept.append(found)
        return ""

    def _picture(self, event: dict[str, Any], batch: int | None) -> str:
        """The SDK writes the files of a series in rotation: the latest event has the file.

        Files of one batch are written side by side, so of two events with one file in a batch
        either can be the later.
        """
        key = str(event.get("key") or event.get("url") or "")
        if not key:
            return "a debug sample without the place of its file"
        clock = self._clock(event)
        before = self.pictures.pop(key, None)
        if before is not None:
            self.overwritten += 1
        if len(self.pictures) >= MAX_PICTURES:
            self.not_kept["debug samples"] += 1
            return ""
        picture = Picture(
            name=_written(str(event.get("metric") or ""), str(event.get("variant") or "")),
            step=step_of(event.get("iter")),
            time=None if math.isnan(clock) else clock,
            attempt=self.attempt_at(clock),
            key=key,
            url=str(event.get("url") or ""),
            batch=batch,
        )
        if before is not None and _side_by_side(before, picture):
            picture = replace(picture, raced=True)
        self.pictures[key] = picture
        return ""

    @property
    def samples(self) -> Iterator[Sample]:
        for kept in self._tables.values():
            yield from kept

    def warnings(self) -> Iterator[str]:
        """What was met and set aside, and where a 0 may hide a NaN."""
        # a loss of 0 misleads most
        zeros = [(name, count) for name, count in self._zeros.items() if count]
        ordered = sorted(zeros, key=lambda item: "loss" not in (role_of(item[0]) or ""))
        for name, count in ordered[:_TOLD_METRICS]:
            values = "1 value is" if count == 1 else f"{count:,} values are"
            yield f"{name}: {values} exactly 0, which is also how ClearML stores NaN and infinities"
        if len(zeros) > _TOLD_METRICS:
            yield f"{len(zeros) - _TOLD_METRICS} more metrics have values that are exactly 0"
        for name, count in self._table_count.items():
            if count > _TABLES_PER_NAME:
                yield f"{name}: the last {_TABLES_PER_NAME} of its {count:,} tables are kept"
        for what, count in self.not_kept.items():
            yield f"{count:,} {what} are too many; left out"

    def lossy(self) -> Iterator[str]:
        yield LOSSY
        if self.overwritten:
            yield (
                f"{counted(self.overwritten, 'debug sample')} overwritten by the SDK, which keeps"
                " few files a series"
            )
        raced = sum(picture.raced for picture in self.pictures.values())
        if raced:
            yield (
                f"{counted(raced, 'debug sample')} left out: several steps wrote the file at once,"
                " and which of them it shows is not recorded"
            )
        if self.plots:
            yield f"not read: {counted(self.plots, 'plot')} other than tables"
        if self.vectors:
            yield f"not read: {counted(self.vectors, 'vector')}"
        if self.foreign:
            yield f"not read: {counted(self.foreign, 'event')} of models"

    def attempts(
        self, spans: dict[int, tuple[int, int]], *, state: str, devices: int | None, host: str
    ) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(
                number=number,
                start=self.start if number == 1 else self.first.get(number),
                end=self.end if number == self.attempt else self.last.get(number),
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
                state=state if number == self.attempt else "ended",
                host=self._host(number) or host,
                devices=devices,
            )
            for number in range(1, self.attempt + 1)
        )

    def _host(self, attempt: int) -> str:
        """The one worker that spoke while the attempt was alive."""
        low = -math.inf if attempt == 1 else self.first.get(attempt, math.inf)
        high = math.inf if attempt == self.attempt else self.last.get(attempt, -math.inf)
        spoke = [w for w, (first, last) in self.workers.items() if first <= high and last >= low]
        return spoke[0] if len(spoke) == 1 else ""


def _chars(table: Sample) -> int:
    return sum(len(cell) for row in table.rows for cell in row)


def _side_by_side(one: Picture, other: Picture) -> bool:
    if one.batch is not None or other.batch is not None:
        return one.batch == other.batch
    if one.time is None or other.time is None:
        return True
    return abs(other.time - one.time) < _BATCH_SECONDS


def _written(title: str, series: str) -> str:
    """`title/series`; the title alone where the series says no more; `system/...` for monitors."""
    if title.startswith(_MONITOR):
        head, _, rest = title.removeprefix(_MONITOR).partition(":")
        parts = [series, rest] if head in {"gpu", "machine"} else [head, rest, series]
        return "/".join(["system", *(part for part in parts if part)])
    if not series or series == title:
        return title
    return f"{title}/{series}" if title else series
