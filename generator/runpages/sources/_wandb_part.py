"""One .wandb file as it stands: rows of the history by column, and everything else by kind.

A row is one record of the history (one call of `log`). Nothing is placed on steps here.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from ._wandb_records import HISTORY, SUMMARY, RecordLog

__all__ = ["Found", "Part", "clock", "flatten", "nested", "read_part"]

CONSOLE_BYTES = 64_000

_NAMED_NUMBERS = {
    "true": 1.0,
    "false": 0.0,
    '"NaN"': float("nan"),
    '"Infinity"': float("inf"),
    '"-Infinity"': float("-inf"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something other than a number, and how many rows stood before it."""

    row: int
    name: str = ""
    content: Any = None
    """A media object as a dictionary, an artifact or an alert as its record."""


@dataclass(slots=True, kw_only=True)
class Part:
    """What one file holds."""

    path: Path
    log: RecordLog
    run: dict[str, Any] = field(default_factory=dict)
    """Fields of the run record by name; a later record replaces what it names."""
    start: float | None = None
    last: float | None = None
    """Latest recorded time of all records."""
    runtime: float = 0.0
    exit_code: int | None = None
    """None without an exit record."""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, str] = field(default_factory=dict)
    """Last JSON text of each key."""
    definitions: list[tuple[str, str, str]] = field(default_factory=list)
    """(name, glob, step metric) of each `define_metric`."""
    steps: array[int] = field(default_factory=lambda: array("q"))
    """`_step` of each row."""
    times: array[float] = field(default_factory=lambda: array("d"))
    columns: dict[str, tuple[array[int], array[float]]] = field(default_factory=dict)
    """Name -> (row numbers, values)."""
    stats: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    """Name -> (time, value, rows before it)."""
    media: list[Found] = field(default_factory=list)
    artifacts: list[Found] = field(default_factory=list)
    alerts: list[Found] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    """Columns of the history that hold neither numbers nor media -> rows."""
    environment: list[Message] = field(default_factory=list)
    telemetry: dict[str, str] = field(default_factory=dict)
    console: deque[str] = field(default_factory=deque)
    console_size: int = 0

    def seen(self, seconds: float | None) -> None:
        """Takes note of a recorded time."""
        if seconds is not None and (self.last is None or seconds > self.last):
            self.last = seconds


def clock(stamp: Any) -> float | None:
    """UTC seconds of a protobuf Timestamp; None if it was not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return float(stamp.seconds + 1e-9 * stamp.nanos)


def nested(root: dict[str, Any], path: Iterable[str], value: object) -> None:
    """Sets `value` in dictionaries of dictionaries; a leaf in the way is replaced."""
    *above, last = path
    for name in above:
        inner = root.get(name)
        if not isinstance(inner, dict):
            inner = root[name] = {}
        root = inner
    root[last] = value


def flatten(name: str, value: object) -> Iterator[tuple[str, object]]:
    """(dotted name, leaf) of nested dictionaries; a media object is a leaf."""
    if isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from flatten(f"{name}.{key}", inner)
    else:
        yield name, value


def read_part(path: Path) -> Part:
    """Everything of one file that can be read; damage is counted in `Part.log`. Raises OSError."""
    log = RecordLog(path)
    part = Part(path=path, log=log)
    for kind, record in log:
        if kind == HISTORY or record.HasField("history"):
            _history(part, record.history)
        elif kind == SUMMARY or record.HasField("summary"):
            _summary(part, record.summary)
        elif record.HasField("stats"):
            _stats(part, record.stats)
        elif record.HasField("output_raw"):
            _output(part, record.output_raw)
        else:
            _rare(part, record)
    return part


def _path_of(item: Any) -> tuple[str, ...]:
    return (item.key,) if item.key else tuple(item.nested_key)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _history(part: Part, history: Any) -> None:
    row, step, seconds = len(part.steps), history.step.num, float("nan")
    numbers: list[tuple[str, float]] = []
    plain = True
    for item in history.item:
        name = item.key or ".".join(item.nested_key)
        text = item.value_json
        try:
            value = float(text)
        except ValueError:
            if text not in _NAMED_NUMBERS:
                plain = False
                continue
            value = _NAMED_NUMBERS[text]
        if name[:1] != "_":
            numbers.append((name, value))
        elif name == "_step" and abs(value) < 2**53:
            step = int(value)
        elif name == "_timestamp":
            seconds = value
    if not plain:
        numbers = _mixed(part, row, history)
    part.steps.append(step)
    part.times.append(seconds)
    part.seen(seconds if math.isfinite(seconds) else None)
    for name, value in numbers:
        column = part.columns.get(name)
        if column is None:
            column = part.columns[name] = (array("q"), array("d"))
        column[0].append(row)
        column[1].append(value)


def _mixed(part: Part, row: int, history: Any) -> list[tuple[str, float]]:
    """The numbers of a row that also holds other things, which are put aside by kind."""
    tree: dict[str, Any] = {}
    for item in history.item:
        path = _path_of(item)
        if path and path[0] and path[0][0] != "_":
            nested(tree, path, _parsed(item.value_json))
    numbers = []
    for key, branch in tree.items():
        for name, value in flatten(key, branch):
            if isinstance(value, bool | int | float):
                numbers.append((name, _number(value)))
            elif isinstance(value, dict):
                part.media.append(Found(row=row, name=name, content=value))
            elif isinstance(value, str) and f'"{value}"' in _NAMED_NUMBERS:
                numbers.append((name, _NAMED_NUMBERS[f'"{value}"']))
            elif value is not None:
                part.texts[name] = part.texts.get(name, 0) + 1
    return numbers


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _summary(part: Part, changes: Any) -> None:
    summary = part.summary
    for item in changes.update:
        summary[item.key or ".".join(item.nested_key)] = item.value_json
    for item in changes.remove:
        summary.pop(item.key or ".".join(item.nested_key), None)


def _stats(part: Part, stats: Any) -> None:
    seconds = clock(stats.timestamp)
    part.seen(seconds)
    row, when = len(part.steps), float("nan") if seconds is None else seconds
    for item in stats.item:
        try:
            value = float(item.value_json)
        except ValueError:
            continue
        if item.key and item.key[0] != "_":
            part.stats.setdefault(item.key, []).append((when, value, row))


def _output(part: Part, output: Any) -> None:
    part.seen(clock(output.timestamp))
    line = output.line[-CONSOLE_BYTES:]
    part.console.append(line)
    part.console_size += len(line)
    while part.console_size - len(part.console[0]) >= CONSOLE_BYTES:
        part.console_size -= len(part.console.popleft())


def _rare(part: Part, record: Any) -> None:
    row = len(part.steps)
    if record.HasField("run"):
        _run(part, record.run)
    elif record.HasField("config"):
        _config(part, record.config)
    elif record.HasField("metric"):
        metric = record.metric
        part.definitions.append((metric.name, metric.glob_name, metric.step_metric))
    elif record.HasField("environment"):
        part.environment.append(record.environment)
        if part.start is None:
            part.start = clock(record.environment.started_at)
            part.seen(part.start)
    elif record.HasField("exit"):
        part.exit_code = record.exit.exit_code
        part.runtime = float(record.exit.runtime)
    elif record.HasField("artifact"):
        part.artifacts.append(Found(row=row, content=record.artifact))
    elif record.HasField("alert"):
        part.alerts.append(Found(row=row, content=record.alert))
    elif record.HasField("telemetry"):
        _telemetry(part, record.telemetry)


_RUN_TEXTS = (
    "run_id",
    "entity",
    "project",
    "run_group",
    "job_type",
    "display_name",
    "notes",
    "host",
)


def _run(part: Part, run: Any) -> None:
    for name in _RUN_TEXTS:
        if getattr(run, name):
            part.run[name] = getattr(run, name)
    if run.tags:
        part.run["tags"] = tuple(run.tags)
    if run.HasField("git"):
        part.run["git"] = run.git
    part.start = clock(run.start_time) or part.start
    part.seen(part.start)
    _config(part, run.config)
    _telemetry(part, run.telemetry)


def _config(part: Part, changes: Any) -> None:
    for item in changes.update:
        path = _path_of(item)
        if path and path[0] != "_wandb":
            nested(part.config, path, _parsed(item.value_json))
    for item in changes.remove:
        branch: Any = part.config
        *above, last = _path_of(item) or ("",)
        for name in above:
            branch = branch.get(name) if isinstance(branch, dict) else None
        if isinstance(branch, dict):
            branch.pop(last, None)


def _telemetry(part: Part, telemetry: Any) -> None:
    for name in ("python_version", "cli_version"):
        if getattr(telemetry, name):
            part.telemetry[name] = getattr(telemetry, name)
