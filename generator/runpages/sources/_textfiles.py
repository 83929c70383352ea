"""The files of a run directory: rows and settings, with everything that had to be left out."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from runpages.errors import SourceError

__all__ = [
    "MAX_SECONDS",
    "Ledger",
    "Line",
    "Lines",
    "PlainLoader",
    "config_of",
    "core_yaml",
    "json_line",
    "json_rows",
    "mapping_of",
    "number",
    "plain_yaml",
    "seconds",
    "text",
    "whole",
]

MAX_SECONDS = 1e11
"""A later time than this is none."""
_MAX_CONFIG_BYTES = 1_000_000
_MAX_CONFIG_DEPTH = 64
_MAX_DIGITS = 1000
_MAX_WARNINGS = 20
_MAX_LINE_BYTES = 32 << 20
_LINE_FEED = 10
_CACHED_BYTES = 64 << 10


class Line(NamedTuple):
    """One good line of a file."""

    place: str
    """file:line, lines from 1."""
    size: int
    """Bytes."""
    row: dict[str, Any]


@dataclass(slots=True)
class Lines:
    """Some lines of a file."""

    first: int
    """Number of the first, from 1."""
    data: bytes
    known_count: int = 0
    """How many they are, if somebody has counted; 0 = nobody."""

    @property
    def count(self) -> int:
        if not self.known_count:
            text = np.frombuffer(self.data, np.uint8)
            # in parts that stay in the processor's cache
            parts = (text[i : i + _CACHED_BYTES] for i in range(0, len(text), _CACHED_BYTES))
            ends = sum(int(np.count_nonzero(part == _LINE_FEED)) for part in parts)
            self.known_count = ends + (not self.data.endswith(b"\n"))
        return self.known_count

    def starts(self) -> NDArray[np.int64]:
        """Offset of each line, and the end of the last."""
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == _LINE_FEED) + 1
        cut = [] if self.data.endswith(b"\n") else [len(self.data)]
        return np.concatenate([[0], ends, cut]).astype(np.int64)

    def each(self) -> Iterator[tuple[int, bytes]]:
        """(number, line) of each line that is not blank."""
        for number, line in enumerate(io.BytesIO(self.data), start=self.first):
            if line.strip():
                yield number, line


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

    def no_number(self, key: str, place: str, *, rows: int = 1) -> None:
        """Told once a column: a column of texts would fill the page."""
        first, count = self._no_numbers.get(key, (place, 0))
        self._no_numbers[key] = (first, count + rows)

    @property
    def word_columns(self) -> frozenset[str]:
        """Columns of which a cell was no number."""
        return frozenset(self._no_numbers)

    @property
    def warnings(self) -> tuple[str, ...]:
        columns = [
            f"{place}: {key[:80]!r} is no number; left out ({count} row{'s' * (count > 1)})"
            for key, (place, count) in self._no_numbers.items()
        ]
        told = [*self._warnings, *columns]
        more = self._more + max(0, len(told) - _MAX_WARNINGS)
        return (*told[:_MAX_WARNINGS], *((f"and {more} more",) if more else ()))

    def absorb(self, other: Ledger) -> None:
        """Add what another ledger of the same folder tells."""
        self.records += other.records
        self.damaged += other.damaged
        self.bytes_damaged += other.bytes_damaged
        self.files += other.files
        for sentence in other._warnings:
            self.warn(sentence)
        self._more += other._more
        self._cut += other._cut
        for name, count in other._unusable.items():
            self._unusable[name] = self._unusable.get(name, 0) + count
        for key, (place, count) in other._no_numbers.items():
            self.no_number(key, place, rows=count)

    def blocks(
        self, name: str, *, first_bytes: int, block_bytes: int, needed: bool = False
    ) -> Iterator[Lines]:
        """Whole lines, piece by piece; only the last line may be cut.

        The first piece has about `first_bytes`, the others `block_bytes`. A line of more than
        32 MiB is damage: it is passed over without being held.
        """
        path = self.folder / name
        try:
            # a pipe or a socket of this name would block for ever
            if not path.is_file():
                return
            self.files.append((name, path.stat().st_size))
            with path.open("rb") as stream:
                yield from self._pieces(name, stream, first_bytes, block_bytes)
        except OSError as error:
            reason = error.strerror or str(error)
            if needed:
                raise SourceError(path, f"cannot be read: {reason}") from error
            self.warn(f"{name}: cannot be opened: {reason}; left out")

    def lines(self, name: str, *, needed: bool = False) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line) of each line that is not blank."""
        for piece in self.blocks(name, first_bytes=1 << 20, block_bytes=1 << 20, needed=needed):
            yield from piece.each()

    def _pieces(self, name: str, stream: BinaryIO, size: int, block_bytes: int) -> Iterator[Lines]:
        number, offset = 1, 0
        while True:
            # where the line ends that the block would cut; then one read without a copy
            stream.seek(offset + size - 1)
            rest = stream.readline(_MAX_LINE_BYTES)
            stream.seek(offset)
            data = stream.read(size - 1 + len(rest))
            size, too_long = block_bytes, 0
            if len(rest) == _MAX_LINE_BYTES and not rest.endswith(b"\n"):
                end = data.rfind(b"\n") + 1
                too_long = len(data) - end + _rest_of_line(stream)
                data = data[:end]
            offset = stream.tell()
            if data:
                lines = Lines(number, data)
                yield lines
                number += lines.count
            if too_long:
                self.damage(name, number, too_long, f"more than {_MAX_LINE_BYTES:,} bytes")
                number += 1
            elif not data.endswith(b"\n"):
                return


def _rest_of_line(stream: BinaryIO) -> int:
    """Pass over what is left of a line; how many bytes that was."""
    size = 0
    while piece := stream.readline(1 << 20):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def json_line(ledger: Ledger, name: str, count: int, line: bytes) -> Line | None:
    """The object in a line; a line that holds none is damage."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            ledger.damage(name, count, len(line), f"not JSON ({str(error)[:80]})")
        else:
            ledger.cut(name, count, len(line))
        return None
    if not isinstance(row, dict):
        ledger.damage(name, count, len(line), "not a JSON object")
        return None
    ledger.records += 1
    return Line(f"{name}:{count}", len(line), row)


def json_rows(ledger: Ledger, name: str) -> Iterator[Line]:
    """The objects of the good lines of a JSON-lines file."""
    for count, line in ledger.lines(name):
        row = json_line(ledger, name, count, line)
        if row is not None:
            yield row


class PlainLoader(yaml.SafeLoader):
    """Safe, and without numbers that Python writes nowhere: `0x` and 4,000 digits more."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > _MAX_DIGITS:
            raise yaml.YAMLError(f"a number has {len(node.value):,} digits")
        return super().construct_yaml_int(node)


PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)


class _NoAliases(PlainLoader):
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


def plain_yaml(content: str) -> Any:
    """YAML 1.1, as PyYAML writes it; no aliases, no objects."""
    return yaml.load(content, _NoAliases)  # noqa: S506 - a SafeLoader


def core_yaml(content: str) -> Any:
    """YAML 1.2, as ruamel.yaml writes it; no aliases, no objects."""
    return yaml.load(content, _Core)  # noqa: S506 - a SafeLoader


def config_of(ledger: Ledger) -> dict[str, object]:
    """The configuration; a file that cannot be used is a warning, the run is kept."""
    found = (mapping_of(ledger, name) for name in ("config.json", "config.yaml"))
    return next((mapping for mapping in found if mapping is not None), {})


def mapping_of(
    ledger: Ledger, name: str, *, parse_yaml: Callable[[str], Any] = plain_yaml
) -> dict[str, object] | None:
    """Settings of a JSON or YAML file; None if it is not there or, with a warning, of no use."""
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
        data = json.loads(content) if name.endswith("json") else parse_yaml(content)
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
    if not isinstance(value, str | bool | int | float):
        return None
    if isinstance(value, str) and "_" in value:
        return None  # Python's own way to write long numbers, and nobody else's
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """A whole number that fits 64 bits; no truth value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and "_" not in value:
        with suppress(ValueError):
            value = int(value)  # a float would round what is beyond 2**53
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
        found = None if isinstance(value, bool) else number(value)
    return found if found is not None and 0 < found < MAX_SECONDS else None
