"""The files of a run directory: rows and settings, with everything that had to be left out."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from runpages.errors import SourceError

__all__ = [
    "Ledger",
    "Line",
    "config_of",
    "json_rows",
    "mapping_of",
    "number",
    "rows_of",
    "seconds",
    "text",
    "whole",
]

_MAX_CONFIG_BYTES = 1_000_000
_MAX_CONFIG_DEPTH = 64
_MAX_WARNINGS = 20
_BY_NAME = {
    "nan": math.nan,
    "infinity": math.inf,
    "inf": math.inf,
    "-infinity": -math.inf,
    "-inf": -math.inf,
}


class Line(NamedTuple):
    """One good line of a file."""

    place: str
    """file:line, lines from 1."""
    size: int
    """Bytes."""
    row: dict[str, Any]


@dataclass(slots=True)
class Ledger:
    """What was read of one folder, and what was not."""

    folder: Path
    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    files: list[tuple[str, int]] = field(default_factory=list)
    unit: str = "line"
    """What a record of its files is."""
    _warnings: list[str] = field(default_factory=list)
    _more: int = 0
    _cut: list[str] = field(default_factory=list)
    _unusable: dict[str, int] = field(default_factory=dict)
    _no_numbers: dict[str, tuple[str, int]] = field(default_factory=dict)

    def warn(self, sentence: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(sentence)
        else:
            self._more += 1

    def damage(self, name: str, line: int, size: int, problem: str) -> None:
        """A line that is left out, `size` bytes long."""
        self._unusable[name] = self._unusable.get(name, 0) + 1
        self._left_out(f"{name}:{line}", size, problem)

    def reject(self, line: Line, problem: str) -> None:
        """A line that was yielded as good and is of no use."""
        self.records -= 1
        name, _, count = line.place.rpartition(":")
        self.damage(name, int(count), line.size, problem)

    def cut(self, name: str, line: int, size: int) -> None:
        self._cut.append(f"{name} ends in the middle of line {line}")
        self._left_out(f"{name}:{line}", size, "cut off before the end of the line")

    def _left_out(self, place: str, size: int, problem: str) -> None:
        self.damaged += 1
        self.bytes_damaged += size
        self.warn(f"{place}: {problem}; this {self.unit} is left out")

    @property
    def incomplete(self) -> tuple[str, ...]:
        damaged = (
            f"{name} has {count} {self.unit}{'s' * (count > 1)} that cannot be used"
            for name, count in self._unusable.items()
        )
        return (*self._cut, *damaged)

    def no_number(self, key: str, place: str) -> None:
        """Told once a column: a column of texts would fill the page."""
        first, count = self._no_numbers.get(key, (place, 0))
        self._no_numbers[key] = (first, count + 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        columns = [
            f"{place}: {key[:80]!r} is no number; left out ({count} row{'s' * (count > 1)})"
            for key, (place, count) in self._no_numbers.items()
        ]
        told = [*self._warnings, *columns]
        more = self._more + max(0, len(told) - _MAX_WARNINGS)
        return (*told[:_MAX_WARNINGS], *((f"and {more} more",) if more else ()))

    def lines(self, name: str, *, needed: bool = False) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line) of each line that is not blank."""
        path = self.folder / name
        try:
            # a pipe or a socket of this name would block for ever
            if not path.is_file():
                return
            self.files.append((name, path.stat().st_size))
            with path.open("rb") as stream:
                for count, line in enumerate(stream, start=1):
                    if line.strip():
                        yield count, line
        except OSError as error:
            reason = error.strerror or str(error)
            if needed:
                raise SourceError(path, f"cannot be read: {reason}") from error
            self.warn(f"{name}: cannot be opened: {reason}; left out")


def json_rows(ledger: Ledger, name: str, *, needed: bool = False) -> Iterator[Line]:
    """The objects of the good lines of a JSON-lines file."""
    for count, line in ledger.lines(name, needed=needed):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if line.endswith(b"\n"):
                ledger.damage(name, count, len(line), f"not JSON ({str(error)[:80]})")
            else:
                ledger.cut(name, count, len(line))
            continue
        if not isinstance(row, dict):
            ledger.damage(name, count, len(line), "not a JSON object")
            continue
        ledger.records += 1
        yield Line(f"{name}:{count}", len(line), row)


def _csv_rows(ledger: Ledger, name: str) -> Iterator[Line]:
    """As `json_rows`. Each line is parsed by itself: a stray quote costs one row, not the rest."""
    header: list[str] = []
    for count, line in ledger.lines(name, needed=True):
        if not line.endswith(b"\n"):
            # its last number may lack digits, and nothing in the line would show it
            ledger.cut(name, count, len(line))
            continue
        try:
            cells = next(csv.reader([line.decode("utf-8-sig")], strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            ledger.damage(name, count, len(line), f"not CSV ({str(error)[:80]})")
            continue
        cells = [cell.strip() for cell in cells]
        if not header:
            header = cells
            for twice in sorted({c for c in cells if cells.count(c) > 1}):
                ledger.warn(f"{name}:{count}: two columns named {twice[:80]!r}; the last is read")
        elif len(cells) > len(header):
            problem = f"{len(cells)} cells under {len(header)} columns"
            ledger.damage(name, count, len(line), problem)
        else:
            ledger.records += 1
            row = {key: cell for key, cell in zip(header, cells, strict=False) if cell}
            yield Line(f"{name}:{count}", len(line), row)


def rows_of(ledger: Ledger, name: str) -> Iterator[Line]:
    """Rows of metrics.jsonl or metrics.csv. Raises SourceError if it cannot be opened."""
    return (
        _csv_rows(ledger, name) if name.endswith(".csv") else json_rows(ledger, name, needed=True)
    )


class _NoAliases(yaml.SafeLoader):
    """A few hundred bytes of YAML aliases can stand for a billion nodes: they are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


class _Core(_NoAliases):
    """YAML 1.2, in which `no` is a text and `1e-08` a number; PyYAML reads and writes 1.1."""


_Core.yaml_implicit_resolvers = {}
_NUMBER = list("-+.0123456789")
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", _NUMBER),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _NUMBER),
):
    _Core.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def _yaml(content: str, *, core: bool) -> Any:
    return yaml.load(content, _Core if core else _NoAliases)  # noqa: S506 - SafeLoaders


def config_of(ledger: Ledger) -> dict[str, object]:
    """The configuration; a file that cannot be used is a warning, the run is kept."""
    found = (mapping_of(ledger, name) for name in ("config.json", "config.yaml"))
    return next((mapping for mapping in found if mapping is not None), {})


def mapping_of(ledger: Ledger, name: str, *, core: bool = False) -> dict[str, object] | None:
    """Settings of a JSON or YAML file; None if it is not there or, with a warning, of no use.

    `core`: YAML 1.2, as ruamel.yaml writes it, not the 1.1 of PyYAML.
    """
    path = ledger.folder / name
    try:
        if not path.is_file():
            return None
        size = path.stat().st_size
        ledger.files.append((name, size))
        if size > _MAX_CONFIG_BYTES:
            ledger.warn(f"{name}: {size} bytes, more than {_MAX_CONFIG_BYTES}; left out")
            return None
        content = path.read_text(encoding="utf-8")
        data = json.loads(content) if name.endswith("json") else _yaml(content, core=core)
        if isinstance(data, dict):
            return {str(key): _plain(value) for key, value in data.items()}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).replace(str(path), name).split())[:160]
        ledger.warn(f"{name}: cannot be read ({reason}); left out")
    else:
        ledger.warn(f"{name}: holds no mapping of settings; left out")
    return None


def _plain(value: object, depth: int = 1) -> object:
    if depth > _MAX_CONFIG_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_CONFIG_DEPTH} levels")
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(value: object) -> float | None:
    """A number, also as text and by name (NaN, Infinity); None for anything else."""
    if isinstance(value, str):
        known = _BY_NAME.get(value.strip().lower())
        if known is not None:
            return known
        if "_" in value:  # Python's own way to write long numbers, and nobody else's
            return None
    if not isinstance(value, bool | int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """A whole number that fits 64 bits; no truth value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    found = number(value)
    if found is None or not math.isfinite(found) or found != int(found) or abs(found) >= 2**63:
        return None
    return int(found)


def seconds(value: object) -> float | None:
    """UTC seconds since 1970 from a number or ISO 8601 (UTC where it names no zone)."""
    found: float | None
    if isinstance(value, str) and number(value) is None:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    else:
        found = number(value)
    return found if found is not None and 0 < found < 1e11 else None
