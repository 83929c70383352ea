"""One line of text -> the row that it holds: launcher, clock and logger off, then the dialect."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ._textlog_dialects import ANY_EPOCH, Dialect, RowLine

__all__ = ["Clock", "Message", "Row", "RowFinder", "message_of", "number_of", "starts_of"]

_CLOCK = (
    r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
    r"(?: ?(?:Z|UTC|[+-]\d\d:?\d\d)(?![\w.]))?"
)
_START = re.compile(
    r"\s*(?:\[(?:default|rank) ?(?P<rank>\d{1,6})\]:?\s*"
    r"|\[\d+,(?P<task>\d{1,6})\]<std(?:out|err)>:\s*"
    r"|\((?:\w[\w.]* )?pid=\d+(?:, ip=[\w.:]+)?\) "  # ray-project/ray python/ray/_private/worker.py
    r"|(?P<label>\d{1,6}):\s+)?"
    rf"(?:\[?(?P<clock>{_CLOCK})\]?\s*(?:[|-]\s+)?|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s+(?:[|-]\s+)?"
    # google/glog src/logging.cc, abseil/abseil-py absl/logging/__init__.py
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ [^\s\]]{1,200}:\d+\] +)?"
)
_HOST = re.compile(r"(?=[\w.-]*\d)[A-Za-z0-9][\w.-]{0,62}:\s+")
_SEARCHED_CLOCK = re.compile(_CLOCK)
_LEVEL = re.compile(r".{0,160}?\b(?:DEBUG|INFO|NOTICE|WARN|WARNING)\b")
_DECORATION = re.compile(
    r"[\s|:\]-]*(?:\[[^\[\]]{1,80}\]|[\w.<>/=]{1,80}(?=\s*[|:\]-]))?[\s|:\]-]*"
)
_SEPARATORS = re.compile(r"[\s|:\]-]*")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - for times that name no zone
_SECOND = timedelta(seconds=1)
_SCALES = {"K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_MOST_STARTS = 8
_MOST_TEMPLATES = 12
_WORD = re.compile(r"\w")
_SILENT = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]"
    r"|[A-Za-z_][\w./ -]{0,60}[=:] *(?:\d+ days?, )?\d+(?::\d\d){1,2}(?:\.\d+)?(?!\S)"
    r"|[A-Za-z_][\w./-]{0,60}=[^\s=,;|]+"
    r"|[A-Za-z_][\w./ -]{0,60}[=:] *(?:[nN]/?[aA]|[nN]one|-)(?=[\s,;|]|$)"
    r"|(?<![\w.])\d[\d.,:/]*(?:[a-z]{1,3}(?:/[a-z]{1,7})?|%)?(?![\w.])"
)
"""What a strict line may have beside its figures: brackets, durations, settings, `n/a`, numbers
without a name."""
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
    """Where the message may begin: as it stands, behind each word of a logger, behind a host."""
    text = message.text
    yield message.start
    if not any(level in text[:200] for level in _LEVELS):
        host = _HOST.match(text, message.start)
        behind = host and _START.match(text, host.end())
        if behind:
            yield behind.end()
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
    """A number as programs print it: `1,234.5`, `1.2K`."""
    try:
        return float(text)
    except ValueError:
        scale = _SCALES.get(text[-1:], 1)
        return float(text.replace(",", "").rstrip("KMGBTPE")) * scale


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
            moment = datetime.fromisoformat(text.replace("/", "-"))
        except ValueError:
            try:
                moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+"))
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
        if moment.tzinfo is None and not self.zoned:
            self.guessed = True
            return (moment - _EPOCH) / _SECOND
        if moment.tzinfo is None:
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
    plain: bool = False
    """A step and figures, and nothing else to be thought of."""
    epoch: int | None = None
    steps: int | None = None
    """Of how many: of the epoch, or of the progress bar."""


_NO_METRICS = frozenset({"step", "steps", "planned", "pairs", "label"})
"""Groups of a line that are no figures."""


class _Finder:
    """One RowLine made ready: which groups are metrics, where the pairs' groups are."""

    def __init__(self, line: RowLine, *, within: bool) -> None:
        self.line = line
        self.mark = line.mark.encode()
        groups = line.line.groupindex
        self.groups = tuple(g for g in groups if g not in _NO_METRICS)
        self.counted = line.epochs_from is not None and (within or line.epochs_from != ANY_EPOCH)
        """Its step counts within the epoch."""
        self.simple = "step" in groups and not (
            line.position or line.follow or line.progress or line.with_last or line.tick
        )
        self._has_label = "label" in groups
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def fields(self, found: re.Match[str]) -> list[_Field] | None:
        """Every figure of the line in its order; None if it is no row."""
        fields = [_Field(g, *found.span(g)) for g in self.groups if found[g] is not None]
        pairs = self.line.pairs
        if pairs is not None:
            units = pairs.groupindex.keys() & {"unit", "more"}
            scaled = "scale" in pairs.groupindex
            start, end = found.span("pairs")
            for pair in pairs.finditer(found.string, start, end):
                name = pair["name"]
                own = f"{name}\0{pair['unit']}" if "unit" in units and pair["unit"] else name
                end_of = pair.end("scale") if scaled and pair["scale"] else pair.end("value")
                fields.append(_Field(own, pair.start("value"), end_of, pair.start("name")))
                if "more" in units and pair["more"]:
                    own = f"{name}\0{pair['more_unit']}"
                    fields.append(_Field(own, *pair.span("more"), pair.start("name")))
            if self.line.strict:
                if _WORD.search(_SILENT.sub("", pairs.sub("", found["pairs"]))):
                    return None
                fields = _numbered(fields)
        return fields if fields or self.line.follow is not None or self.line.tick else None

    def row(self, found: re.Match[str], message: Message, fields: list[_Field]) -> Row | None:
        line = self.line
        texts = [message.text[field.start : field.end] for field in fields]
        names = self.names_of(tuple(field.printed for field in fields))
        row = Row(
            line,
            int(found["step"]) if "step" in line.line.groupindex else None,
            names,
            [number_of(text) for text in texts],
            message.clock,
            message.rank,
            found["label"] if self._has_label else "",
            tuple(int(found[group]) for group in line.position),
            epoch=self._whole(found, "epoch"),
            steps=self._whole(found, "steps"),
        )
        return self._special(row, [field.printed for field in fields], texts)

    def _whole(self, found: re.Match[str], group: str) -> int | None:
        """A group of digits, if the line has it and a step is to be found with it."""
        wanted = self.counted or self.line.tick or self.line.after
        text = found[group] if wanted and group in found.re.groupindex else None
        return int(text) if text and text.isdecimal() else None

    def names_of(self, printed: tuple[str, ...]) -> tuple[str, ...]:
        names = self._names.get(printed)
        if names is None:
            names = self._names[printed] = tuple(self._name(text) for text in printed)
        return names

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
            at = [i for i, text in enumerate(printed) if _bare(text) == line.step]
            if not at:
                return None
            value = row.values[at[-1]]
            if not math.isfinite(value) or value != int(value):
                return None
            # tqdm prints three significant digits where that is shorter
            rounded = "e" in texts[at[-1]].lower() and value >= 1e5
            row = _without(row._replace(step=int(value), rounded=rounded), set(at))
        last = {name: i for i, name in enumerate(row.names)}
        gone = {
            i
            for i, (name, value) in enumerate(zip(row.names, row.values, strict=True))
            if name in line.skip or self.is_absent(name, value) or last[name] != i
        }
        return _without(row, gone) if gone else row

    def is_absent(self, name: str, value: float) -> bool:
        """Whether the value stands for none."""
        absent = self.line.absent.get(name) == value
        return absent or (name in self.line.nan_absent and math.isnan(value))


class _Field(NamedTuple):
    """Where a figure stands in its line."""

    printed: str
    """Name; behind a zero character its unit."""
    start: int
    end: int
    name_start: int = -1


def _numbered(fields: list[_Field]) -> list[_Field]:
    """Names that the line has twice are told apart: `loss`, `loss [2]`."""
    counts: Counter[str] = Counter()
    told = []
    for f in fields:
        counts[f.printed] += 1
        name, zero, unit = f.printed.partition("\0")
        number = counts[f.printed]
        own = f"{name.strip()} [{number}]{zero}{unit}" if number > 1 else f.printed
        told.append(f._replace(printed=own))
    return told


def _bare(printed: str) -> str:
    return printed.partition("\0")[0].strip()


def _without(row: Row, gone: set[int]) -> Row:
    return row._replace(
        names=tuple(name for i, name in enumerate(row.names) if i not in gone),
        values=[value for i, value in enumerate(row.values) if i not in gone],
    )


_SPACES_OR_NUMBER = re.compile(r" +|\d+(?:\.\d+)?")
_VALUE = r"([-+.,\deE]+|[-+]?[nNiI][a-zA-Z]+)"


_KINDS = {
    "step": r"(\d{1,19})", "steps": r"(\d{1,19})", "clock": rf"({_CLOCK})", "whole": r"(\d+)"
}  # fmt: skip


class _Template:
    """A line that was read once, with room for other figures: the next ones are read by it.

    Most lines of a log have the same words; finding those again is several times faster than
    taking a line apart. Where the words differ, or a figure is none, the line goes the long way.
    """

    def __init__(
        self, finder: _Finder, found: re.Match[str], message: Message, fields: list[_Field]
    ) -> None:
        self.line, self.rank = finder.line, message.rank
        ordered = sorted(fields, key=lambda field: field.start)
        spans = [(found.start("step"), found.end("step"), "step", -1)]
        at = message.text.find(message.clock) if message.clock else -1
        if at >= 0:
            spans.append((at, at + len(message.clock), "clock", -1))
        for f in ordered:
            # a group of the line itself may allow for digits only
            whole = f.name_start < 0 and message.text[f.start : f.end].isdecimal()
            spans.append((f.start, f.end, "whole" if whole else "", f.name_start))
        steps = finder.counted and "steps" in found.re.groupindex and found["steps"] is not None
        if steps:
            spans.append((*found.span("steps"), "steps", -1))
        if "planned" in found.re.groupindex and found["planned"] is not None:
            spans.append((*found.span("planned"), "planned", -1))
        pattern = _pattern_of(message, sorted(spans))
        self._match = re.compile(pattern.encode("utf-8", "surrogatepass")).fullmatch
        self._step = self._match_index(spans, "step")
        self._clock = self._match_index(spans, "clock") if at >= 0 else 0
        self._steps = self._match_index(spans, "steps") if steps else 0
        taken = {self._step, self._clock, self._steps}
        figures = (i for i, span in enumerate(sorted(spans), start=1) if span[2] != "planned")
        self._values = [i for i in figures if i not in taken]
        self.names = finder.names_of(tuple(field.printed for field in ordered))
        self._counted = finder.counted
        self._epoch = self.names.index("epoch") if "epoch" in self.names else None
        absent = finder.line.absent.keys() | finder.line.nan_absent
        self._checked = finder if absent & set(self.names) else None
        self.usable = len(set(self.names)) == len(self.names) and not (
            finder.line.skip & set(self.names)
        )

    @staticmethod
    def _match_index(spans: list[tuple[int, int, str, int]], kind: str) -> int:
        return next(i for i, span in enumerate(sorted(spans), start=1) if span[2] == kind)

    def row(self, data: bytes) -> Row | None:
        found = self._match(data)
        if found is None:
            return None
        texts = found.group(0, *self._values)[1:]
        try:
            values = list(map(float, texts))
        except ValueError:
            try:
                values = [number_of(text.decode()) for text in texts]
            except ValueError:
                return None
        if self._checked is not None and any(map(self._checked.is_absent, self.names, values)):
            return None
        clock = found[self._clock].decode() if self._clock else ""
        step = int(found[self._step])
        if not self._counted:
            return Row(self.line, step, self.names, values, clock, self.rank, plain=step < 2**63)
        epoch = None if self._epoch is None else int(values[self._epoch])
        steps = int(found[self._steps]) if self._steps else None
        return Row(self.line, step, self.names, values, clock, self.rank, epoch=epoch, steps=steps)


def _pattern_of(message: Message, spans: list[tuple[int, int, str, int]]) -> str:
    """The line as a pattern: words as they are, spaces and figures between them free.

    Figures in what a launcher put before the message (the rank) and in names stay as they are.
    """
    text = message.text
    parts = []
    end = 0
    for start, stop, kind, name_start in spans:
        named = max(name_start, end) if name_start >= 0 else start
        free = min(max(end, message.start), named)
        parts += [_words(text[end:free]), _glue(text[free:named]), _words(text[named:start])]
        # another number of planned steps is no line of this template: it is to be seen
        fixed = f"({re.escape(text[start:stop])})" if kind == "planned" else ""
        parts.append(fixed or _KINDS.get(kind, _VALUE))
        end = stop
    return "".join((*parts, _glue(text[end:])))


def _words(text: str) -> str:
    return re.sub(r"(?:\\ )+", " +", re.escape(text))


def _glue(text: str) -> str:
    parts = []
    end = 0
    for found in _SPACES_OR_NUMBER.finditer(text):
        parts.append(re.escape(text[end : found.start()]))
        kind = " +" if found[0][0] == " " else r"\d+\.\d+" if "." in found[0] else r"\d+"
        parts.append(kind)
        end = found.end()
    return "".join((*parts, re.escape(text[end:])))


class RowFinder:
    """Finds the rows of one dialect.

    `within`: rows of a log of unknown make are wanted with their epoch.
    """

    def __init__(self, dialect: Dialect, *, within: bool = False) -> None:
        self._finders = [_Finder(line, within=within) for line in dialect.row]
        self._templates: list[_Template] = []
        self._made = 0
        self.planned: int | None = None
        """Steps that the training was to make, as the last row told that told it."""

    def find(self, data: bytes) -> Row | None:
        """The row of a line; None if it is none."""
        for template in self._templates:
            row = template.row(data)
            if row is not None:
                return row
        candidates = [finder for finder in self._finders if finder.mark in data]
        if not candidates:
            return None
        message = message_of(data.decode("utf-8", "replace"))
        for start in starts_of(message):
            for finder in candidates:
                found = finder.line.line.match(message.text, start)
                if found is not None:
                    row = self._row(finder, found, message)
                    if row is not None:
                        return row
        return None

    def _row(self, finder: _Finder, found: re.Match[str], message: Message) -> Row | None:
        if found.start() != message.start and not message.clock:
            clock = _SEARCHED_CLOCK.search(message.text, 0, found.start())
            message = message._replace(clock=clock[0] if clock else "")
        try:
            fields = finder.fields(found)
            row = None if fields is None else finder.row(found, message, fields)
        except (ValueError, OverflowError):  # a number of thousands of digits
            return None
        if row is not None and "planned" in found.re.groupindex and found["planned"]:
            self.planned = int(found["planned"][:19])
        if row is not None and fields and finder.simple and self._made < _MOST_TEMPLATES:
            template = _Template(finder, found, message, fields)
            self._made += 1
            if template.usable:
                self._templates.append(template)
        return row
