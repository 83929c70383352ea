"""Run directories: our plain convention, written by `runpages.log` or by any other program."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from runpages.errors import SourceError
from runpages.model import (
    STATES,
    Attempt,
    Checkpoint,
    Code,
    Dataset,
    Hardware,
    LoggedEvent,
    Provenance,
    Run,
    RunRef,
    Sample,
)

from .contract import Claim, FileSource, Folder, Spool, settled_state

__all__ = ["RunDirectory"]

READER = "rundir 1"
_METRICS = ("metrics.jsonl", "metrics.csv")
_COMPANIONS = ("config.json", "config.yaml", "samples.jsonl", "events.jsonl")
_MAX_CONFIG_BYTES = 1_000_000
_MAX_WARNINGS = 20
_ROW_KEYS = frozenset({"step", "time", "attempt"})
_BY_NAME = {
    "nan": math.nan,
    "infinity": math.inf,
    "inf": math.inf,
    "-infinity": -math.inf,
    "-inf": -math.inf,
}


class RunDirectory(FileSource):
    """Each folder with a `metrics.jsonl` or `metrics.csv` whose first row has a step is a run."""

    kind = "rundir"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        names = [name for name in _METRICS if name in folder.files]
        if not names:
            # a run that died before its first row has only its start
            if "events.jsonl" in folder.files and _starts_run(folder.path / "events.jsonl"):
                names = ["events.jsonl"]
            else:
                return Claim()
        elif not _has_step(folder.path / names[0], folder.files):
            return Claim()
        return Claim(
            logs=(names[0],),
            companions=tuple(n for n in folder.files if n in {*_METRICS, *_COMPANIONS}),
        )

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found = []
        for path in logs:
            if not path.stat().st_size:
                self.skipped.append((str(path), "empty: no row was written"))
                continue
            start = _first_start(path.parent / "events.jsonl")
            run_id = self.relative(path.parent)
            run_id = self.root.name if run_id == "." else run_id
            found.append(
                RunRef(
                    source=self.name,
                    project=_text(start.get("project")),
                    run_id=run_id,
                    name=_text(start.get("name")) or path.parent.name,
                    state="",
                    location=str(path.parent),
                    kind=self.kind,
                    parts=(str(path.parent),),
                )
            )
        yield from sorted(found, key=lambda ref: ref.run_id)

    def read(self, ref: RunRef) -> Run:
        folder = Path(ref.location)
        reading = _Reading(folder)
        spool = Spool()
        reading.metrics(spool)
        reading.events()
        reading.samples()
        config = reading.config()
        if not reading.records and reading.damaged:
            raise SourceError(
                folder, "no line of its logs can be read", place=reading.warnings[0],
                remedy="write one JSON object a line",
            )  # fmt: skip
        series = spool.finish()
        facts = reading.facts
        attempts = reading.attempts(series.spans)
        times = [*reading.first.values(), *reading.last.values()]
        end = max(times, default=None)
        state = reading.state or settled_state(end, self.settle_minutes)
        hosts = tuple(dict.fromkeys(a.host for a in attempts if a.host))
        devices = facts.get("devices")
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=tuple(reading.incomplete),
            start=min(times, default=None),
            end=end,
            attempts=attempts,
            series=series,
            config=config,
            group=_text(facts.get("group")),
            author=_text(facts.get("author")),
            tags=tuple(_text(t) for t in facts["tags"])
            if isinstance(facts.get("tags"), list)
            else (),
            description=_text(facts.get("notes")),
            code=Code(commit=_text(facts.get("commit"))),
            hardware=Hardware(
                hosts=hosts,
                device=_text(facts.get("device")),
                devices=devices if isinstance(devices, int) else None,
                cpu_count=facts["cpus"] if isinstance(facts.get("cpus"), int) else None,
            ),
            environment={k: _text(facts[k]) for k in ("python", "os") if facts.get(k)},
            command=_text(facts.get("command")),
            seed=facts["seed"] if isinstance(facts.get("seed"), int) else None,
            datasets=(Dataset(name=_text(facts["dataset"])),) if facts.get("dataset") else (),
            checkpoints=tuple(reading.checkpoints),
            samples=tuple(reading.kept_samples),
            logged_events=tuple(reading.logged),
            provenance=Provenance(
                reader=READER,
                files=tuple(reading.files),
                records_read=reading.records,
                records_damaged=reading.damaged,
                bytes_damaged=reading.bytes_damaged,
                step_source="step",
                warnings=reading.told(),
            ),
        )


@dataclass(slots=True)
class _Reading:
    """The state of reading one folder."""

    folder: Path
    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    state: str = ""
    warnings: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    kept_samples: list[Sample] = field(default_factory=list)
    logged: list[LoggedEvent] = field(default_factory=list)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)
    devices: dict[int, int] = field(default_factory=dict)

    def told(self) -> tuple[str, ...]:
        more = len(self.warnings) - _MAX_WARNINGS
        kept = tuple(self.warnings[:_MAX_WARNINGS])
        return (*kept, f"and {more} more") if more > 0 else kept

    def _damage(self, name: str, line: int, size: int, problem: str) -> None:
        self.damaged += 1
        self.bytes_damaged += size
        self.warnings.append(f"{name}:{line}: {problem}; this line is left out")

    def _rows(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line number, object) of each good line of a JSON-lines file."""
        path = self.folder / name
        if not path.is_file():
            return
        self.files.append((name, path.stat().st_size))
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    cut = not line.endswith(b"\n")
                    problem = "cut off" if cut else f"not JSON ({str(error)[:80]})"
                    self._damage(name, number, len(line), problem)
                    if cut:
                        self.incomplete.append(f"{name} ends in the middle of line {number}")
                    continue
                if not isinstance(row, dict):
                    self._damage(name, number, len(line), "not a JSON object")
                    continue
                self.records += 1
                yield number, row

    def _csv_rows(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        path = self.folder / name
        self.files.append((name, path.stat().st_size))
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                self.records += 1
                yield reader.line_num, {k: v for k, v in row.items() if k is not None and v}

    def metrics(self, spool: Spool) -> None:
        """Rows into series. Falling steps without an `attempt` begin a new one."""
        name = next((n for n in _METRICS if (self.folder / n).is_file()), None)
        if name is None:
            return
        rows = self._csv_rows(name) if name.endswith(".csv") else self._rows(name)
        attempt, highest = 1, None
        for line, row in rows:
            step = _whole(row.get("step"))
            if step is None:
                self._damage(name, line, 0, "no whole number under `step`")
                continue
            given = _whole(row.get("attempt"))
            if given is not None and given >= 1:
                if given != attempt:
                    highest = None
                attempt = given
            if highest is not None and step < highest:
                attempt += 1
            highest = step
            seconds = self._clock(row.get("time"), attempt, f"{name}:{line}")
            for key, value in row.items():
                if key in _ROW_KEYS or value is None:
                    continue
                number = _number(value)
                if number is None:
                    self.warnings.append(f"{name}:{line}: {key!r} is no number; left out")
                else:
                    spool.add(key, step, seconds, number, attempt=attempt)

    def _clock(self, value: object, attempt: int, place: str) -> float:
        seconds = _seconds(value)
        if seconds is None:
            if value is not None:
                self.warnings.append(f"{place}: {str(value)[:40]!r} is no time; left out")
            return math.nan
        self.first[attempt] = min(self.first.get(attempt, seconds), seconds)
        self.last[attempt] = max(self.last.get(attempt, seconds), seconds)
        return seconds

    def events(self) -> None:
        """events.jsonl: starts, ends, checkpoints and whatever else the run reported."""
        attempt = 0
        for line, row in self._rows("events.jsonl"):
            kind = _text(row.get("event"))
            if kind == "start":
                attempt = _whole(row.get("attempt")) or attempt + 1
                self.facts |= {k: v for k, v in row.items() if v is not None}
                self.hosts[attempt] = _text(row.get("host"))
                if isinstance(row.get("devices"), int):
                    self.devices[attempt] = row["devices"]
            number = _whole(row.get("attempt")) or attempt or 1
            seconds = self._clock(row.get("time"), number, f"events.jsonl:{line}")
            clock = None if math.isnan(seconds) else seconds
            step = _whole(row.get("step"))
            if kind == "end":
                state = _text(row.get("state"))
                self.ends[number] = state if state in STATES else "ended"
            elif kind == "checkpoint" and step is not None:
                metrics = {
                    k: n
                    for k, v in row.items()
                    if k not in _EVENT_KEYS and (n := _number(v)) is not None
                }
                self.checkpoints.append(
                    Checkpoint(
                        step=step,
                        path=_text(row.get("path")),
                        time=clock,
                        attempt=number,
                        size_bytes=_whole(row.get("size_bytes")),
                        metrics=metrics,
                    )
                )
            elif kind != "start":
                text = _text(row.get("text"))
                self.logged.append(
                    LoggedEvent(kind=kind, text=text, step=step, time=clock, attempt=number)
                )
        if self.ends:
            # a process that was killed writes no end: then an earlier attempt's end says nothing
            newest = max([*self.ends, *self.first])
            self.state = self.ends.get(newest, "")

    def samples(self) -> None:
        for line, row in self._rows("samples.jsonl"):
            text = row.get("text")
            if not isinstance(text, str):
                self._damage("samples.jsonl", line, 0, "no text under `text`")
                continue
            seconds = _seconds(row.get("time"))
            self.kept_samples.append(
                Sample(
                    kind="text",
                    name=_text(row.get("name")) or "sample",
                    step=_whole(row.get("step")),
                    time=seconds,
                    attempt=_whole(row.get("attempt")) or 1,
                    prompt=_text(row.get("prompt")),
                    text=text,
                )
            )

    def config(self) -> dict[str, object]:
        """The configuration; a file that cannot be used is a warning, the run is kept."""
        for name in ("config.json", "config.yaml"):
            path = self.folder / name
            if not path.is_file():
                continue
            size = path.stat().st_size
            self.files.append((name, size))
            if size > _MAX_CONFIG_BYTES:
                self.warnings.append(
                    f"{name}: {size} bytes, more than {_MAX_CONFIG_BYTES}; left out"
                )
                continue
            try:
                text = path.read_text(encoding="utf-8")
                data = json.loads(text) if name.endswith("json") else yaml.load(text, _NoAliases)  # noqa: S506 - a SafeLoader
            except (ValueError, RecursionError, yaml.YAMLError) as error:
                reason = str(error).replace("\n", " ")[:160]
                self.warnings.append(f"{name}: cannot be read ({reason}); left out")
                continue
            if isinstance(data, dict):
                return {str(key): _jsonable(value) for key, value in data.items()}
            self.warnings.append(f"{name}: holds no mapping of settings; left out")
        return {}

    def attempts(self, spans: dict[int, tuple[int, int]]) -> tuple[Attempt, ...]:
        numbers = sorted({*spans, *self.first})
        return tuple(
            Attempt(
                number=number,
                start=self.first.get(number),
                end=self.last.get(number),
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
                state=self.ends.get(number, "ended"),
                host=self.hosts.get(number, ""),
                devices=self.devices.get(number),
            )
            for number in numbers
        )


_EVENT_KEYS = frozenset({"event", "step", "time", "attempt", "path", "size_bytes", "text"})


class _NoAliases(yaml.SafeLoader):
    """A few hundred bytes of YAML aliases can stand for a billion nodes: they are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(item) for item in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _starts_run(path: Path) -> bool:
    return bool(_first_start(path))


def _has_step(path: Path, siblings: Sequence[str]) -> bool:
    """Whether the first row names a step; Lightning's metrics.csv is not ours."""
    try:
        with path.open("rb") as stream:
            head = stream.readline(1_000_000)
    except OSError:
        return True  # claimed, so that reading says why it fails
    if path.suffix == ".csv":
        names = head.decode("utf-8", "replace").strip().split(",")
        return "step" in names and "hparams.yaml" not in siblings
    if not head.strip():
        return True
    try:
        row = json.loads(head)
    except (ValueError, RecursionError):
        return b'"step"' in head
    return isinstance(row, dict) and "step" in row


def _first_start(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                row = json.loads(line)
                if isinstance(row, dict) and row.get("event") == "start":
                    return row
    except (OSError, ValueError, RecursionError):
        pass
    return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        known = _BY_NAME.get(value.strip().lower())
        if known is not None:
            return known
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _whole(value: object) -> int | None:
    number = _number(value)
    if number is None or not math.isfinite(number) or number != int(number) or abs(number) >= 2**63:
        return None
    return int(number)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    number = _number(value)
    return number if number is not None and 0 < number < 1e11 else None
