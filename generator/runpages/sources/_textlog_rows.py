"""One line of text -> the row that it holds: launcher, clock and logger off, then the dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ._textlog_dialects import Dialect, RowLine

__all__ = ["Clock", "Message", "Row", "RowFinder", "message_of", "number_of", "starts_of"]

_CLOCK = (
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d)(?![\w.]))?"
)
_START = re.compile(
    r"\s*(?:\[(?:default|rank) ?(?P<rank>\d{1,6})\]:?\s*"
    r"|\[\d+,(?P<task>\d{1,6})\]<std(?:out|err)>:\s*"
    r"|(?P<label>\d{1,6}):\s+)?"
    rf"(?:\[?(?P<clock>{_CLOCK})\]?\s*)?"
)
_SEARCHED_CLOCK = re.compile(_CLOCK)
_LEVEL = re.compile(r".{0,160}?\b(?:DEBUG|INFO|NOTICE|WARN|WARNING)\b")
_DECORATION = re.compile(r"[\s|:\]-]*(?:\[[^\[\]]{1,80}\]|[\w.<>/]{1,80}(?=\s*[|:-]))?[\s|:-]*")
_SEPARATORS = re.compile(r"[\s|:\]-]*")
_MOST_STARTS = 8
_WORD = re.compile(r"\w")
_LEVELS = ("INFO", "WARN", "DEBUG", "NOTICE")


class Message(NamedTuple):
    """What a line says, and who said it when."""

    text: str
    start: int
    """Where the message begins, if no logger decorates it."""
    rank: int | None
    clock: str


def message_of(text: str) -> Message:
    found = _START.match(text)
    assert found is not None  # noqa: S101 - every part is optional
    rank, task, label, clock = found.groups()
    number = rank or task or label
    return Message(text, found.end(), int(number) if number else None, clock or "")


def starts_of(message: Message) -> Iterator[int]:
    """Where the message may begin: as it stands, then behind each word of a logger."""
    text = message.text
    yield message.start
    if not any(level in text[:200] for level in _LEVELS):
        return
    level = _LEVEL.match(text)
    if level is None:
        return
    found = _SEPARATORS.match(text, level.end())
    start = found.end() if found else level.end()
    for _ in range(_MOST_STARTS):
        yield start
        word = _DECORATION.match(text, start)
        if word is None or word.end() == start:
            return
        start = word.end()


def number_of(text: str) -> float:
    """A number as programs print it: thousands may be separated by commas."""
    try:
        return float(text)
    except ValueError:
        return float(text.replace(",", ""))


class Clock:
    """Times as printed -> UTC seconds. Without a zone in the line they are read as `zone`'s."""

    def __init__(self, zone: ZoneInfo | None) -> None:
        self._zone = zone or UTC
        self.zoned = zone is not None
        self.guessed = False
        """Whether a time without any zone was read as UTC."""

    def seconds(self, text: str) -> float:
        if not text:
            return math.nan
        try:
            moment = datetime.fromisoformat(text.replace(",", ".").replace(" UTC", "Z"))
        except ValueError:
            return math.nan
        return self._utc(moment)

    def date(self, text: str) -> float:
        """A date as C's asctime writes it."""
        try:
            moment = datetime.strptime(text.strip(), "%a %b %d %H:%M:%S %Y")  # noqa: DTZ007 - below
        except ValueError:
            return self.seconds(text.strip())
        return self._utc(moment)

    def _utc(self, moment: datetime) -> float:
        if moment.tzinfo is None:
            self.guessed |= not self.zoned
            moment = moment.replace(tzinfo=self._zone)
        try:
            return moment.timestamp()
        except (OverflowError, ValueError):
            return math.nan


class Row(NamedTuple):
    """The figures of one line."""

    line: RowLine
    step: int | None
    names: tuple[str, ...]
    values: list[float]
    clock: str
    rank: int | None
    label: str = ""
    position: tuple[int, ...] = ()
    rounded: bool = False
    """The step was printed with too few digits to know it."""


class _Finder:
    """One RowLine made ready: which groups are metrics, where the pairs' groups are."""

    def __init__(self, line: RowLine) -> None:
        self.line = line
        self.mark = line.mark
        self.match = line.line.match
        groups = line.line.groupindex
        self.groups = tuple(g for g in groups if g not in {"step", "pairs", "label"})
        self.has_step = "step" in groups
        self.has_label = "label" in groups
        index = line.pairs.groupindex if line.pairs else {}
        one = bool(line.pairs) and line.pairs.groups == 1  # type: ignore[union-attr]  # bool above
        assert not one  # noqa: S101 - name and value are two
        self.at = tuple(index.get(k, 0) - 1 for k in ("name", "value", "unit", "more", "more_unit"))
        self.filtered = bool(line.absent or line.nan_absent)
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def row(self, found: re.Match[str], message: Message) -> Row | None:
        line = self.line
        step: int | None = None
        printed: list[str] = []
        texts: list[str] = []
        for group in self.groups:
            text = found[group]
            if text is not None:
                printed.append(group)
                texts.append(text)
        if line.pairs is not None and not self._pairs(found["pairs"], printed, texts):
            return None
        if not printed and line.follow is None:
            return None
        if self.has_step:
            step = int(found["step"])
        key = tuple(printed)
        names = self._names.get(key)
        if names is None:
            names = self._names[key] = tuple(self._name(text) for text in printed)
        try:
            values = [float(text) for text in texts]
        except ValueError:
            values = [number_of(text) for text in texts]
        label = found["label"] if self.has_label else ""
        position = tuple(int(found[group]) for group in line.position)
        row = Row(line, step, names, values, message.clock, message.rank, label, position)
        return self._special(row, printed, texts)

    def _pairs(self, text: str, printed: list[str], texts: list[str]) -> bool:
        assert self.line.pairs is not None  # noqa: S101 - the caller has looked
        name, value, unit, more, more_unit = self.at
        for pair in self.line.pairs.findall(text):
            printed.append(f"{pair[name]}\0{pair[unit]}" if unit >= 0 else pair[name])
            texts.append(pair[value])
            if more >= 0 and pair[more]:
                printed.append(f"{pair[name]}\0{pair[more_unit]}")
                texts.append(pair[more])
        return not (self.line.strict and _WORD.search(self.line.pairs.sub("", text)))

    def _name(self, printed: str) -> str:
        name, _, unit = printed.partition("\0")
        name = name.strip()
        name = self.line.names.get(name, name)
        if unit == "%":
            name = f"{name}(%)"
        elif unit:
            name = f"{name}_{unit.lower()}" if name.isidentifier() else f"{name} ({unit})"
        return self.line.prefix + self.line.names.get(name, name)

    def _special(self, row: Row, printed: list[str], texts: list[str]) -> Row | None:
        """Takes out what is no value: the step among the pairs, skipped names, fillers."""
        line = self.line
        if line.step:
            at = [
                i for i, text in enumerate(printed) if text.partition("\0")[0].strip() == line.step
            ]
            if not at:
                return None
            value = row.values[at[-1]]
            if not math.isfinite(value) or value != int(value):
                return None
            # tqdm prints three significant digits where that is shorter
            rounded = "e" in texts[at[-1]].lower() and value >= 1e5
            row = _without(row._replace(step=int(value), rounded=rounded), set(at))
        if line.skip:
            row = _without(row, {i for i, name in enumerate(row.names) if name in line.skip})
        if self.filtered:
            gone = {
                i
                for i, (name, value) in enumerate(zip(row.names, row.values, strict=True))
                if line.absent.get(name) == value or (name in line.nan_absent and math.isnan(value))
            }
            row = _without(row, gone) if gone else row
        if len(set(row.names)) < len(row.names):
            last = {name: i for i, name in enumerate(row.names)}
            row = _without(row, set(range(len(row.names))) - set(last.values()))
        return row


def _without(row: Row, gone: set[int]) -> Row:
    return row._replace(
        names=tuple(name for i, name in enumerate(row.names) if i not in gone),
        values=[value for i, value in enumerate(row.values) if i not in gone],
    )


class RowFinder:
    """Finds the rows of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._finders = [_Finder(line) for line in dialect.row]
        self._marks = [(finder.mark.encode(), finder) for finder in self._finders]

    def find(self, data: bytes) -> tuple[Row, Message] | None:
        """The row of a line; None if it is none."""
        candidates = [finder for mark, finder in self._marks if mark in data]
        if not candidates:
            return None
        message = message_of(data.decode("utf-8", "replace"))
        for start in starts_of(message):
            for finder in candidates:
                found = finder.match(message.text, start)
                if found is None:
                    continue
                if start != message.start and not message.clock:
                    clock = _SEARCHED_CLOCK.search(message.text, 0, start)
                    message = message._replace(clock=clock[0] if clock else "")
                try:
                    row = finder.row(found, message)
                except (ValueError, OverflowError):  # a number of thousands of digits
                    continue
                if row is not None:
                    return row, message
        return None
