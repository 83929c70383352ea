"""The files of a run directory: rows and settings, with everything that had to be left out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from runpages.errors import SourceError

__all__ = ["Ledger", "config_of", "json_rows", "number", "rows_of", "seconds", "text", "whole"]

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


@dataclass(slots=True)
class Ledger:
    """What was read of one folder, and what was not."""

    folder: Path
    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    incomplete: list[str] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _more: int = 0
    _no_numbers: dict[str, tuple[str, int]] = field(default_factory=dict)

    def warn(self, sentence: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(sentence)
        else:
            self._more += 1

    def damage(self, place: str, size: int, problem: str) -> None:
        """`place` is file:line, `size` the bytes that are left out with it."""
        self.damaged += 1
        self.bytes_damaged += size
        self.warn(f"{place}: {problem}; this line is left out")

    def cut(self, name: str, line: int, size: int) -> None:
        self.damage(f"{name}:{line}", size, "cut off before the end of the line")
        self.incomplete.append(f"{name} ends in the middle of line {line}")

    def no_number(self, key: str, place: str) -> None:
        """Told once a column: a column of texts would fill the page."""
        first, count = self._no_numbers.get(key, (place, 0))
        self._no_numbers[key] = (first, count + 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        columns = [
            f"{place}: {key[:80]!r} is no number, here and in {count - 1} more rows; left out"
            if count > 1
            else f"{place}: {key[:80]!r} is no number; left out"
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
            self.warn(f"{name}: cannot be read ({reason}); left out")


def json_rows(
    ledger: Ledger, name: str, *, needed: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, object) of each good line of a JSON-lines file."""
    for count, line in ledger.lines(name, needed=needed):
        place = f"{name}:{count}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if line.endswith(b"\n"):
                ledger.damage(place, len(line), f"not JSON ({str(error)[:80]})")
            else:
                ledger.cut(name, count, len(line))
            continue
        if not isinstance(row, dict):
            ledger.damage(place, len(line), "not a JSON object")
            continue
        ledger.records += 1
        yield place, row


def _csv_rows(ledger: Ledger, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `json_rows`. Each line is parsed by itself: a stray quote costs one row, not the rest."""
    header: list[str] = []
    for count, line in ledger.lines(name, needed=True):
        place = f"{name}:{count}"
        if not line.endswith(b"\n"):
            # its last number may lack digits, and nothing in the line would show it
            ledger.cut(name, count, len(line))
            continue
        try:
            cells = next(csv.reader([line.decode("utf-8-sig")], strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            ledger.damage(place, len(line), f"not CSV ({str(error)[:80]})")
            continue
        cells = [cell.strip() for cell in cells]
        if not header:
            header = cells
            for twice in sorted({c for c in cells if cells.count(c) > 1}):
                ledger.warn(f"{place}: two columns named {twice[:80]!r}; the last one is read")
        elif len(cells) != len(header):
            ledger.damage(place, len(line), f"{len(cells)} cells under {len(header)} columns")
        else:
            ledger.records += 1
            yield place, {key: cell for key, cell in zip(header, cells, strict=True) if cell}


def rows_of(ledger: Ledger, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
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


def _yaml(content: str) -> Any:
    return yaml.load(content, _NoAliases)  # noqa: S506 - a SafeLoader


def config_of(ledger: Ledger) -> dict[str, object]:
    """The configuration; a file that cannot be used is a warning, the run is kept."""
    for name in ("config.json", "config.yaml"):
        path = ledger.folder / name
        try:
            if not path.is_file():
                continue
            size = path.stat().st_size
            ledger.files.append((name, size))
            if size > _MAX_CONFIG_BYTES:
                ledger.warn(f"{name}: {size} bytes, more than {_MAX_CONFIG_BYTES}; left out")
                continue
            content = path.read_text(encoding="utf-8")
            data = json.loads(content) if name.endswith("json") else _yaml(content)
            if isinstance(data, dict):
                return {str(key): _plain(value) for key, value in data.items()}
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            reason = " ".join(str(error).replace(str(path), name).split())[:160]
            ledger.warn(f"{name}: cannot be read ({reason}); left out")
        else:
            ledger.warn(f"{name}: holds no mapping of settings; left out")
    return {}


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
    if not isinstance(value, bool | int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """A whole number that fits 64 bits."""
    if type(value) is int:
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
