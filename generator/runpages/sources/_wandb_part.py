"""One .wandb file as it stands: rows of the history by column, and everything else by kind."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message

from ._textfiles import MAX_SECONDS, seconds
from ._wandb_history import History, Rows, Store
from ._wandb_records import HISTORY, OUTPUT, STATS, SUMMARY, Batch, RecordLog, kind_of
from ._wandb_rows import Found, Others, Row, nested, parsed, row_of
from ._wandb_walk import Walk, walk

__all__ = ["CONSOLE_BYTES", "Artifact", "Part", "clock", "read_part"]

CONSOLE_BYTES = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact as its record names it; its files lie elsewhere."""

    row: int
    """Rows that stood before it."""
    type: str
    name: str
    digest: str = ""
    aliases: tuple[str, ...] = ()
    metadata: str = ""
    """JSON."""
    files: int = 0
    size_bytes: int = 0
    used: bool = False
    """An input of the run, not something that it made."""


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
    history: History
    stats: History
    """System readings."""
    others: Others = field(default_factory=Others)
    artifacts: list[Artifact] = field(default_factory=list)
    alerts: list[Found] = field(default_factory=list)
    environment: list[Message] = field(default_factory=list)
    telemetry: dict[str, str] = field(default_factory=dict)
    console: deque[str] = field(default_factory=deque)
    console_size: int = 0

    def seen(self, seconds: float | None) -> None:
        """Takes note of a recorded time."""
        if seconds is not None and (self.last is None or seconds > self.last):
            self.last = seconds


def clock(stamp: Any) -> float | None:
    """UTC seconds of a protobuf Timestamp; None if it was not set or is no time."""
    return seconds(stamp.seconds + 1e-9 * stamp.nanos)


@dataclass(slots=True)
class _Loose:
    """What the decoder gives of one batch."""

    rows: dict[int, Row] = field(default_factory=dict)
    """Place of the record -> row of the history."""
    readings: list[Row] = field(default_factory=list)
    """System readings; their steps are the numbers of rows before them."""


def read_part(path: Path, store: Store) -> Part:
    """Everything of one file that can be read; damage is counted in `Part.log`. Raises OSError."""
    log = RecordLog(path)
    part = Part(path=path, log=log, history=History(store), stats=History(store))
    for batch in log.batches():
        found = walk(batch)
        part.others.count(found.texts)
        loose = _one_by_one(part, batch, found)
        rows, names = _rows_of(found, loose.rows)
        part.history.add(rows, names)
        part.stats.add(*_listed(loose.readings))
        times = rows.times[np.isfinite(rows.times)]
        part.seen(float(times.max()) if len(times) else None)
    part.history.seal()
    part.stats.seal()
    return part


def _one_by_one(part: Part, batch: Batch, found: Walk) -> _Loose:
    """Decodes the records that `walk` left."""
    left = np.flatnonzero(~found.plain)
    ends = np.cumsum(batch.sizes)
    starts = (ends - batch.sizes)[left].tolist()
    rows = np.cumsum(found.history, dtype=np.int64) - found.history + part.history.rows
    nums, whole = found.nums, found.plain.copy()
    loose = _Loose()
    changed = 0
    where = zip(left.tolist(), starts, ends[left].tolist(), rows[left].tolist(), strict=True)
    for place, start, end, row_before in where:
        payload = batch.blob[start:end]
        record = part.log.decoded(payload)
        if record is None:
            continue
        nums[place], whole[place] = record.num, True
        row, kind = row_before + len(loose.rows), kind_of(payload)
        if kind == OUTPUT:
            _output(part, record.output_raw, row)
        elif kind == STATS:
            loose.readings.append(_readings(part, record.stats, row))
        elif kind == HISTORY or record.HasField("history"):
            loose.rows[place] = row_of(record.history, row, part.others)
        elif kind == SUMMARY or record.HasField("summary"):
            changed = _summary_until(part, found, changed, place)
            _summary(part, record.summary)
        elif record.HasField("stats"):
            loose.readings.append(_readings(part, record.stats, row))
        else:
            _rare(part, record, row)
    _summary_until(part, found, changed, len(ends))
    part.log.took(nums[whole])
    return loose


def _summary_until(part: Part, found: Walk, changed: int, place: int) -> int:
    """Takes the changes from number `changed` on that stand before that record."""
    while changed < len(found.summary) and found.summary[changed][0] < place:
        _, name, text = found.summary[changed]
        part.summary[found.names[name]] = text
        changed += 1
    return changed


def _rows_of(found: Walk, loose: dict[int, Row]) -> tuple[Rows, list[str]]:
    """All rows of a batch in their order, and the names that they count."""
    is_row = found.history.copy()
    is_row[list(loose)] = True
    number = np.cumsum(is_row) - 1
    steps = found.steps[is_row]
    times = np.full(len(steps), np.nan)
    row, name, value = number[found.row], found.name, found.value
    names = list(found.names)
    for own, text in enumerate(names):
        if text not in {"_step", "_timestamp"}:
            continue
        at, numbers = row[name == own], value[name == own]
        if text == "_timestamp":
            times[at] = np.where((numbers > 0) & (numbers < MAX_SECONDS), numbers, np.nan)
        else:
            usable = np.abs(numbers) < 2**53
            steps[at[usable]] = numbers[usable].astype(np.int64)
    public = np.array([text[:1] != "_" for text in names], dtype=bool)[name]
    row, name, value = row[public], name[public], value[public]
    if loose:
        for place, one in loose.items():
            steps[number[place]], times[number[place]] = one.step, one.seconds
        own_rows, own_names = _listed(loose.values())
        places = {text: at for at, text in enumerate(names)}
        known = [places.setdefault(text, len(places)) for text in own_names]
        at_row = number[list(loose)][own_rows.row]
        row = np.concatenate([row, at_row])
        name = np.concatenate([name, np.array(known, dtype=np.int64)[own_rows.name]])
        value = np.concatenate([value, own_rows.value])
        order = np.argsort(row, kind="stable")
        row, name, value = row[order], name[order], value[order]
        names = list(places)
    return Rows(steps, times, row, name, value), names


def _listed(rows: Collection[Row]) -> tuple[Rows, list[str]]:
    """Rows one by one as columns, and the names that they count."""
    places: dict[str, int] = {}
    row = [number for number, one in enumerate(rows) for _ in one.numbers]
    name = [places.setdefault(text, len(places)) for one in rows for text, _ in one.numbers]
    value = [number for one in rows for _, number in one.numbers]
    columns = Rows(
        np.array([one.step for one in rows], dtype=np.int64),
        np.array([one.seconds for one in rows], dtype=np.float64),
        np.array(row, dtype=np.int64),
        np.array(name, dtype=np.int64),
        np.array(value, dtype=np.float64),
    )
    return columns, list(places)


def _summary(part: Part, changes: Any) -> None:
    summary = part.summary
    for item in changes.update:
        summary[item.key or ".".join(item.nested_key)] = item.value_json
    for item in changes.remove:
        summary.pop(item.key or ".".join(item.nested_key), None)


def _readings(part: Part, stats: Any, row: int) -> Row:
    seconds = clock(stats.timestamp)
    part.seen(seconds)
    numbers = []
    for item in stats.item:
        try:
            value = float(item.value_json)
        except ValueError:
            continue
        if item.key and item.key[0] != "_":
            numbers.append((item.key, value))
    return Row(row, math.nan if seconds is None else seconds, numbers)


def _rare(part: Part, record: Any, row: int) -> None:
    """A record of a kind that a file holds few of."""
    for name, take in _RARE:
        if record.HasField(name):
            take(part, getattr(record, name), row)
            return


def _output(part: Part, output: Any, _: int) -> None:
    part.seen(clock(output.timestamp))
    line = output.line[-CONSOLE_BYTES:]
    part.console.append(line)
    part.console_size += len(line)
    while part.console_size - len(part.console[0]) >= CONSOLE_BYTES:
        part.console_size -= len(part.console.popleft())


def _defined(part: Part, metric: Any, _: int) -> None:
    part.definitions.append((metric.name, metric.glob_name, metric.step_metric))


def _environment(part: Part, environment: Any, _: int) -> None:
    part.environment.append(environment)
    if part.start is None:
        part.start = clock(environment.started_at)
        part.seen(part.start)


def _exit(part: Part, end: Any, _: int) -> None:
    part.exit_code = end.exit_code
    part.runtime = float(end.runtime)


def _artifact(part: Part, artifact: Any, row: int) -> None:
    contents = artifact.manifest.contents
    part.artifacts.append(
        Artifact(
            row=row,
            type=artifact.type,
            name=artifact.name,
            digest=artifact.digest,
            aliases=tuple(artifact.aliases),
            metadata=artifact.metadata,
            files=len(contents),
            size_bytes=sum(entry.size for entry in contents),
        )
    )


def _used(part: Part, artifact: Any, row: int) -> None:
    part.artifacts.append(Artifact(row=row, type=artifact.type, name=artifact.name, used=True))


def _alert(part: Part, alert: Any, row: int) -> None:
    part.alerts.append(Found(row=row, content=alert))


_RUN_TEXTS = (
    "run_id",
    "entity",
    "project",
    "run_group",
    "job_type",
    "display_name",
    "notes",
    "host",
    "sweep_id",
)


def _run(part: Part, run: Any, row: int) -> None:
    for name in _RUN_TEXTS:
        if getattr(run, name):
            part.run[name] = getattr(run, name)
    if run.tags:
        part.run["tags"] = tuple(run.tags)
    for name in ("git", "branch_point"):
        if run.HasField(name):
            part.run[name] = getattr(run, name)
    part.start = clock(run.start_time) or part.start
    part.seen(part.start)
    _config(part, run.config, row)
    _telemetry(part, run.telemetry, row)


def _path_of(item: Any) -> tuple[str, ...]:
    return (item.key,) if item.key else tuple(item.nested_key)


def _config(part: Part, changes: Any, _: int) -> None:
    for item in changes.update:
        path = _path_of(item)
        if path and path[0] != "_wandb":
            nested(part.config, path, parsed(item.value_json))
    for item in changes.remove:
        branch: Any = part.config
        *above, last = _path_of(item) or ("",)
        for name in above:
            branch = branch.get(name) if isinstance(branch, dict) else None
        if isinstance(branch, dict):
            branch.pop(last, None)


def _telemetry(part: Part, telemetry: Any, _: int) -> None:
    for name in ("python_version", "cli_version"):
        if getattr(telemetry, name):
            part.telemetry[name] = getattr(telemetry, name)


_RARE = (
    ("run", _run),
    ("config", _config),
    ("metric", _defined),
    ("environment", _environment),
    ("exit", _exit),
    ("artifact", _artifact),
    ("use_artifact", _used),
    ("alert", _alert),
    ("telemetry", _telemetry),
    ("output_raw", _output),
)
