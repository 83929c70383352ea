"""Dialects: how a training program prints its figures, as tables of patterns.

The built-in tables stand in `dialects.toml`; a team adds its own as mappings of the same fields.
An unknown field, a wrong type or a pattern that does not compile is a UsageError that names it.

Patterns are Python regular expressions, matched from the start of what a line says (launcher
prefixes, clock and logger's decoration are taken off before) and only against lines of at most
`LINE_CHARS` characters: a pattern that backtracks badly (`(a+)+`) is slow, never endless.
`{num}` stands for a number as programs print it, `{name}` for a metric's name of up to four words,
`{word}` for one of one word.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from runpages.errors import UsageError

__all__ = [
    "ANY_EPOCH",
    "DIALECTS",
    "EVENTS",
    "LINE_CHARS",
    "NUMBER",
    "ConfigLines",
    "Dialect",
    "EventLine",
    "RowLine",
    "any_of",
    "load_all",
]

LINE_CHARS = 16_384
ANY_EPOCH = -1
"""As `epochs_from`: whether and from which number the log counts is to be seen in the log."""
NUMBER = (
    r"(?:[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
    r"|[-+]?(?:nan|NaN|NAN|inf(?:inity)?|Inf(?:inity)?|INF))"
)
_WORD = r"[A-Za-z_\u00aa-\U0010ffff][\w\u0080-\U0010ffff./@%+#-]*(?<![.-])"
NAME = rf"(?:{_WORD}(?: {_WORD}){{0,3}}(?: ?\([^()=:]{{1,40}}\))?)"
_MACROS = {"{num}": NUMBER, "{name}": NAME, "{word}": _WORD}
_FACTS = frozenset({"world_size", "devices", "seed", "context", "parameters"})
_HINTS = frozenset(
    {"architecture", "cuda", "device", "devices", "parameters", "python", "seed", "torch"}
    | {"world_size", "more_parameters", "used_mib"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLine:
    """A line with figures of one step.

    Each named group of `line` is a metric of that name, but for `step`, `steps`, `planned` (how
    many steps the training is to make), `pairs` and `label`.
    """

    line: re.Pattern[str]
    mark: str = ""
    """A text that every such line has; lines without it are not matched at all."""
    pairs: re.Pattern[str] | None = None
    """Applied again and again to the group `pairs`: groups `name` and `value`, with `unit` the
    unit becomes part of the name; `more` and `more_unit` are a second value of the same name;
    `scale` is K, M, G or B, T, P, E: the value is so many thousands, millions..."""
    step: str = ""
    """Which of the pairs is the step, where the line has no group `step`."""
    prefix: str = ""
    """Comes before each metric's name."""
    names: Mapping[str, str]
    """Group, or name as printed -> the metric's name."""
    skip: frozenset[str] = frozenset()
    """Names that are no metrics."""
    absent: Mapping[str, float]
    """Metric -> the value that is printed where there is none."""
    nan_absent: frozenset[str] = frozenset()
    """Metrics that are printed as nan where there is no value yet."""
    waits: int | None = None
    """The line has no step: it is the next row's, plus this number."""
    position: tuple[str, ...] = ()
    """Groups that tell where in the training a row is; its step is the number of the record."""
    epochs_from: int | None = None
    """The step counts within each epoch: groups `epoch`, `step` and `steps`, how many an epoch has.
    This is the number of the first epoch; -1: as the log tells, if it counts so at all."""
    after: bool = False
    """The line has no step: it is the last tick's, or the last row's; with `epochs_from` the end of
    its epoch."""
    tick: bool = False
    """The line tells a step (and `steps`, of how many) and no figure: what waits is of this one."""
    known_total: bool = False
    """It waits for a tick with the same total as the one before."""
    follow: re.Pattern[str] | None = None
    """Lines right after it with groups `name` and `value`, of the same step."""
    whole: bool = False
    """The pattern ends in a character that closes the line: one without its end counts."""
    progress: bool = False
    """A progress bar: the same figures shown again are one row."""
    with_last: bool = False
    """Counts only if it names the step of the row before it."""
    summary: bool = False
    """Figures without a step, named after the group `label`: they go to the run's summary."""
    strict: bool = False
    """What stands between the pairs must be punctuation, times and settings like `phase=train`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """A line that reports something: an error, a stop."""

    line: re.Pattern[str]
    mark: str = ""
    kind: str = "note"
    state: str = ""
    """What it proves of the process: `failed`, `crashed` or `killed`; empty = nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigLines:
    """Settings: lines with groups `key` and `value`, or with a group `pairs`.

    With `begin` and `end` only the lines between them.
    """

    line: re.Pattern[str]
    pairs: re.Pattern[str] | None = None
    begin: re.Pattern[str] | None = None
    end: re.Pattern[str] | None = None
    skip: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one training program prints."""

    name: str
    source: str = ""
    """Where its print statements stand."""
    least: int = 2
    """Rows that a file must have to be a log of this dialect."""
    general: bool = False
    """Asked only where no other dialect matches."""
    figures: re.Pattern[str] | None = None
    """Of a general dialect: only lines with a metric whose name has this tell of a training."""
    unit: str = ""
    """What its steps count, if not the optimiser's steps."""
    include: tuple[str, ...] = ()
    """Dialects all of whose lines it has as well."""
    row: tuple[RowLine, ...] = ()
    begin: tuple[re.Pattern[str], ...] = ()
    """Lines that a process prints once, before its first row; a group `began` is a date."""
    begin_mark: tuple[str, ...] = ()
    """Every such line has one of these texts: files without two are not searched for runs."""
    end: tuple[re.Pattern[str], ...] = ()
    """Lines that prove that the training came to its own end."""
    checkpoint: tuple[re.Pattern[str], ...] = ()
    """Groups `step` (else the last row's) and `path`."""
    sample: tuple[re.Pattern[str], ...] = ()
    """Groups `text` and perhaps `name`; the text goes on until a line that is known."""
    hints: tuple[re.Pattern[str], ...] = ()
    """Groups named after facts: device, world_size, parameters, architecture, python, torch...
    `more_parameters` are added to `parameters`; `used_mib` is the memory that one device of a table
    has in use: those that have enough for a process are counted."""
    config: tuple[ConfigLines, ...] = ()
    event: tuple[EventLine, ...] = ()
    facts: Mapping[str, str]
    """Fact -> the key of the configuration that states it."""
    options_file: str = ""
    """A file beside the log with the settings of its last run."""
    same_as: Mapping[str, Mapping[str, str]]
    """Dialect of another file in the same folder -> {metric here: metric there}."""


class _Checker:
    """Takes fields from one table; knows how to name what is wrong."""

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        if not isinstance(table, Mapping):
            raise UsageError(f"{where}: a table of fields is expected, not {table!r}")
        self.table, self.where = table, where

    def known(self, cls: type) -> None:
        names = {field.name for field in fields(cls)}
        for key in self.table:
            if key not in names:
                raise UsageError(
                    f"{self.where}: no field named {key!r}; there are: {', '.join(sorted(names))}"
                )

    def get(self, key: str, kind: type, default: Any) -> Any:
        value = self.table.get(key, default)
        wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        if wrong and value is not default:
            raise UsageError(
                f"{self.where}: {key} must be of type {kind.__name__}, not {value!r:.80}"
            )
        return value

    def pattern(self, key: str, *, groups: Iterable[str] = ()) -> re.Pattern[str] | None:
        text = self.get(key, str, "")
        return self._compiled(key, text, groups) if text else None

    def patterns(self, key: str, *, groups: Iterable[str] = ()) -> tuple[re.Pattern[str], ...]:
        return tuple(self._compiled(key, text, groups) for text in self.texts(key))

    def texts(self, key: str, *, one: bool = False) -> tuple[str, ...]:
        values = self.get(key, Sequence, ())
        if one and isinstance(values, str):
            values = [values] if values else []
        if isinstance(values, str) or not all(isinstance(text, str) for text in values):
            raise UsageError(f"{self.where}: {key} must be a list of texts, not {values!r:.80}")
        return tuple(values)

    def mapping(self, key: str, *kinds: type) -> dict[str, Any]:
        values = self.get(key, Mapping, {})
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise UsageError(f"{self.where}: {key}.{name} must be of type {wanted}")
        return dict(values)

    def tables(self, key: str, make: Callable[[_Checker], Any]) -> tuple[Any, ...]:
        values = self.get(key, Sequence, ())
        if isinstance(values, str):
            raise UsageError(f"{self.where}: {key} must be a list of tables")
        return tuple(
            make(_Checker(value, f"{self.where}.{key}[{number}]"))
            for number, value in enumerate(values)
        )

    def _compiled(self, key: str, text: str, groups: Iterable[str]) -> re.Pattern[str]:
        try:
            # \d and \w are ASCII: other scripts' digits are no numbers of a log
            for macro, pattern in _MACROS.items():
                text = text.replace(macro, pattern)
            found = re.compile(text, re.ASCII)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"{self.where}: {key} is no regular expression: {error}") from error
        for group in groups:
            if group not in found.groupindex:
                raise UsageError(f"{self.where}: {key} needs a group (?P<{group}>...)")
        return found


def _row(checker: _Checker) -> RowLine:
    checker.known(RowLine)
    line = checker.pattern("line")
    if line is None:
        raise UsageError(f"{checker.where}: line is missing")
    pairs = checker.pattern("pairs", groups=("name", "value"))
    if (pairs is None) == ("pairs" in line.groupindex):
        raise UsageError(f"{checker.where}: pairs and the group (?P<pairs>...) belong together")
    row = RowLine(
        line=line,
        mark=checker.get("mark", str, ""),
        pairs=pairs,
        step=checker.get("step", str, ""),
        prefix=checker.get("prefix", str, ""),
        names=checker.mapping("names", str),
        skip=frozenset(checker.texts("skip")),
        absent=checker.mapping("absent", int, float),
        nan_absent=frozenset(checker.texts("nan_absent")),
        waits=checker.get("waits", int, None),
        position=checker.texts("position"),
        epochs_from=checker.get("epochs_from", int, None),
        after=checker.get("after", bool, False),
        tick=checker.get("tick", bool, False),
        known_total=checker.get("known_total", bool, False),
        follow=checker.pattern("follow", groups=("name", "value")),
        whole=checker.get("whole", bool, False),
        progress=checker.get("progress", bool, False),
        with_last=checker.get("with_last", bool, False),
        summary=checker.get("summary", bool, False),
        strict=checker.get("strict", bool, False),
    )
    steps = ("step" in line.groupindex, bool(row.step), row.waits is not None, bool(row.position))
    if sum((*steps, row.summary, row.after)) != 1:
        raise UsageError(
            f"{checker.where}: exactly one must say where the step is: a group (?P<step>...), "
            "step, waits, position, after or summary"
        )
    if row.step and pairs is None:
        raise UsageError(f"{checker.where}: step names one of the pairs, and there are none")
    if row.tick and "step" not in line.groupindex:
        raise UsageError(f"{checker.where}: a tick needs a group (?P<step>...)")
    for name in row.position:
        if name not in line.groupindex:
            raise UsageError(f"{checker.where}: line needs a group (?P<{name}>...) for position")
    return row


def _event(checker: _Checker) -> EventLine:
    checker.known(EventLine)
    line = checker.pattern("line")
    state = checker.get("state", str, "")
    if line is None:
        raise UsageError(f"{checker.where}: line is missing")
    if state not in {"", "failed", "crashed", "killed"}:
        raise UsageError(f"{checker.where}: state is failed, crashed or killed, not {state!r}")
    return EventLine(
        line=line,
        mark=checker.get("mark", str, ""),
        kind=checker.get("kind", str, "note"),
        state=state,
    )


def _config(checker: _Checker) -> ConfigLines:
    checker.known(ConfigLines)
    pairs = checker.pattern("pairs", groups=("name", "value"))
    line = checker.pattern("line", groups=("pairs",) if pairs else ("key", "value"))
    begin, end = checker.pattern("begin"), checker.pattern("end")
    if line is None:
        raise UsageError(f"{checker.where}: line is missing")
    if (begin is None) != (end is None):
        raise UsageError(f"{checker.where}: begin and end belong together")
    return ConfigLines(line=line, pairs=pairs, begin=begin, end=end, skip=checker.pattern("skip"))


def _dialect(table: Mapping[str, Any], known: Mapping[str, Dialect], where: str) -> Dialect:
    checker = _Checker(table, where)
    checker.known(Dialect)
    name = checker.get("name", str, "")
    if not name:
        raise UsageError(f"{where}: name is missing")
    checker.where = f"dialect {name!r}"
    dialect = Dialect(
        name=name,
        source=checker.get("source", str, ""),
        least=checker.get("least", int, 2),
        general=checker.get("general", bool, False),
        figures=checker.pattern("figures"),
        unit=checker.get("unit", str, ""),
        include=checker.texts("include"),
        row=checker.tables("row", _row),
        begin=checker.patterns("begin"),
        begin_mark=checker.texts("begin_mark", one=True),
        end=checker.patterns("end"),
        checkpoint=checker.patterns("checkpoint"),
        sample=checker.patterns("sample", groups=("text",)),
        hints=checker.patterns("hints"),
        config=checker.tables("config", _config),
        event=checker.tables("event", _event),
        facts=checker.mapping("facts", str),
        options_file=checker.get("options_file", str, ""),
        same_as=checker.mapping("same_as", Mapping),
    )
    for fact in dialect.facts:
        if fact not in _FACTS:
            raise UsageError(f"{checker.where}: facts knows no {fact!r}: {sorted(_FACTS)}")
    for pattern in dialect.hints:
        for group in pattern.groupindex:
            if group not in _HINTS:
                raise UsageError(f"{checker.where}: hints knows no {group!r}: {sorted(_HINTS)}")
    return _with_included(dialect, known, checker.where)


def _with_included(dialect: Dialect, known: Mapping[str, Dialect], where: str) -> Dialect:
    parts = []
    for name in dialect.include:
        if name not in known:
            raise UsageError(f"{where}: include knows no dialect {name!r}: {sorted(known)}")
        parts.append(known[name])
    if not parts and not dialect.row:
        raise UsageError(f"{where}: no row: at least one [[dialect.row]] is needed")
    values = {field.name: getattr(dialect, field.name) for field in fields(Dialect)}
    for key in ("row", "end", "checkpoint", "sample", "hints", "config", "event"):
        for part in parts:
            values[key] += tuple(p for p in getattr(part, key) if p not in values[key])
    return Dialect(**values)


def load_all(tables: Iterable[Mapping[str, Any]], before: Sequence[Dialect] = ()) -> list[Dialect]:
    """The dialects of `tables`; they may include each other (earlier ones) and those of `before`.

    Raises UsageError naming the table and the field.
    """
    known = {dialect.name: dialect for dialect in before}
    found = []
    for number, table in enumerate(tables):
        dialect = _dialect(table, known, f"dialects[{number}]")
        if dialect.name in known:
            raise UsageError(f"dialect {dialect.name!r}: there is another one of this name")
        known[dialect.name] = dialect
        found.append(dialect)
    return found


def any_of(dialect: Dialect) -> re.Pattern[str] | None:
    """One pattern that tells quickly that a line is of none of the dialect's other kinds."""
    patterns: Sequence[re.Pattern[str]] = (
        *dialect.begin,
        *dialect.end,
        *dialect.checkpoint,
        *dialect.sample,
        *dialect.hints,
    )
    if not patterns:
        return None
    plain = (re.sub(r"\(\?P<\w+>", "(?:", pattern.pattern) for pattern in patterns)
    try:
        return re.compile("|".join(f"(?:{pattern})" for pattern in plain), re.ASCII)
    except re.error:  # flags or back references: each has to be asked
        return re.compile("")


def _built_in() -> tuple[tuple[Dialect, ...], tuple[EventLine, ...]]:
    text = files("runpages.sources").joinpath("dialects.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    tables = document["dialect"]
    # a dialect may include one that stands below it: those that include others come last
    plain = load_all(table for table in tables if "include" not in table)
    made = {d.name: d for d in plain}
    made |= {d.name: d for d in load_all((t for t in tables if "include" in t), plain)}
    events = tuple(_event(_Checker(table, "event")) for table in document["event"])
    return tuple(made[table["name"]] for table in tables), events


DIALECTS, EVENTS = _built_in()
