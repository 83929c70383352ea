"""Run directories: our plain convention, written by `runpages.log` or by any other program."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

from ._tabular_blocks import Form, Table
from ._tabular_rows import Meaning, Rows, label_of
from ._textfiles import Ledger, config_of, json_rows, number, text, whole
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["RunDirectory"]

READER = "rundir 2"
_METRICS = ("metrics.jsonl", "metrics.csv")
_EVENTS = "events.jsonl"
_COMPANIONS = frozenset({*_METRICS, _EVENTS, "config.json", "config.yaml", "samples.jsonl"})
_HEAD_BYTES = 1_000_000
_OURS = frozenset({"step", "time", "attempt"})
_MORE_BYTES = 64 << 10
_VERSION = re.compile(r"version_\d+")
"""Folders of Lightning's loggers."""
_MEANING = Meaning(step="step", time="time", attempt="attempt")
_CHECKPOINT_KEYS = frozenset({"event", "step", "time", "attempt", "path", "size_bytes", "text"})
_END_STATES = frozenset(STATES) - {"running"}


class RunDirectory(FileSource):
    """Each folder with a `metrics.jsonl` or `metrics.csv` whose first row has a step is a run.

    A run that died before its first row has only an `events.jsonl` with its start.
    """

    kind = "rundir"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        log = next((name for name in _METRICS if name in folder.files), "")
        if log and not _has_step(folder.path / log, folder.files):
            return Claim()
        if not log:
            if _EVENTS not in folder.files or not _first_start(folder.path / _EVENTS):
                return Claim()
            log = _EVENTS
        return Claim(logs=(log,), companions=tuple(n for n in folder.files if n in _COMPANIONS))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found = []
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
                continue
            start = _first_start(path.parent / _EVENTS)
            found.append(
                RunRef(
                    source=self.name,
                    project=text(start.get("project")),
                    run_id=self.identity(path.parent),
                    name=text(start.get("name")) or path.parent.name,
                    state="",
                    location=str(path.parent),
                    kind=self.kind,
                    parts=(str(path.parent),),
                )
            )
        yield from sorted(found, key=lambda ref: ref.run_id)

    def read(self, ref: RunRef) -> Run:
        folder = Path(ref.location)
        ledger = Ledger(folder)
        reading = _Reading(ledger, Rows(ledger, _MEANING))
        reading.metrics()
        reading.events()
        reading.samples()
        config = config_of(ledger)
        if not ledger.records and ledger.damaged:
            raise SourceError(
                folder,
                "no line of its logs can be read",
                place=next(iter(ledger.warnings), ""),
                remedy="write one JSON object a line",
            )
        return reading.run(ref, config, self.settle_minutes)


@dataclass(slots=True)
class _Reading:
    """One folder, while its files are read in turn: metrics, events, samples."""

    ledger: Ledger
    rows: Rows
    facts: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    kept_samples: list[Sample] = field(default_factory=list)
    logged: list[LoggedEvent] = field(default_factory=list)
    ends: dict[int, str] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)
    devices: dict[int, int] = field(default_factory=dict)

    def metrics(self) -> None:
        """Rows into series."""
        present = [name for name in _METRICS if (self.ledger.folder / name).is_file()]
        if len(present) > 1:
            self.ledger.warn(f"{present[1]} is left out: {present[0]} stands beside it")
        if present:
            form = Form(delimiter="," if present[0].endswith(".csv") else "")
            self.rows.collect(Table(self.ledger, present[0], form).pieces())

    def events(self) -> None:
        """events.jsonl: starts, ends, checkpoints and whatever else the run reported."""
        label = 0
        for line in json_rows(self.ledger, _EVENTS):
            place, _, row = line
            kind = text(row.get("event"))
            if not kind:
                self.ledger.reject(line, "no kind under `event`")
                continue
            given = label_of(row.get("attempt"))
            if kind == "start":
                label = given or label + 1
            clock = self.rows.clock(row, place)
            named = given or label or 1
            numbers = self.rows.lives.numbers.get(named, [])
            if kind in {"start", "end"} and numbers:
                attempt = numbers[0 if kind == "start" else -1]
            else:
                attempt = self.rows.lives.at(named, clock, self.rows.first)
            self.rows.saw(attempt, clock)
            if kind == "start":
                self._start(row, numbers or [attempt])
            else:
                self._event(kind, row, attempt, None if math.isnan(clock) else clock)

    def _start(self, row: Mapping[str, Any], attempts: Sequence[int]) -> None:
        """One process: it may have gone through several attempts, if it rolled back by itself."""
        before = text(self.facts.get("command"))
        self.facts |= {k: v for k, v in row.items() if v is not None}
        if before:
            self.facts["command"] = _commands(before, text(row.get("command")), attempts[0])
        devices = whole(row.get("devices"))
        for attempt in attempts:
            self.hosts[attempt] = text(row.get("host"))
            if devices is not None:
                self.devices[attempt] = devices

    def _event(self, kind: str, row: Mapping[str, Any], attempt: int, clock: float | None) -> None:
        step, said = whole(row.get("step")), text(row.get("text"))
        if kind == "end":
            state = text(row.get("state"))
            self.ends[attempt] = state if state in _END_STATES else "ended"
            return
        if kind == "checkpoint" and step is not None:
            others = {k: number(v) for k, v in row.items() if k not in _CHECKPOINT_KEYS}
            self.checkpoints.append(
                Checkpoint(
                    step=step,
                    path=text(row.get("path")),
                    time=clock,
                    attempt=attempt,
                    size_bytes=whole(row.get("size_bytes")),
                    metrics={k: n for k, n in others.items() if n is not None},
                )
            )
            return
        self.logged.append(
            LoggedEvent(kind=kind, text=said, step=step, time=clock, attempt=attempt)
        )

    def samples(self) -> None:
        for line in json_rows(self.ledger, "samples.jsonl"):
            place, _, row = line
            said = row.get("text")
            if not isinstance(said, str):
                self.ledger.reject(line, "no text under `text`")
                continue
            clock = self.rows.clock(row, place)
            self.kept_samples.append(
                Sample(
                    kind="text",
                    name=text(row.get("name")) or "sample",
                    step=whole(row.get("step")),
                    time=None if math.isnan(clock) else clock,
                    attempt=self.rows.lives.at(
                        label_of(row.get("attempt")), clock, self.rows.first
                    ),
                    prompt=text(row.get("prompt")),
                    text=said,
                )
            )

    def run(self, ref: RunRef, config: dict[str, object], settle_minutes: float) -> Run:
        facts, ledger = self.facts, self.ledger
        series = self.rows.spool.finish()
        end = max(self.rows.last.values(), default=None)
        newest = max(self.rows.seen, default=1)
        # a process that was killed writes no end: then an earlier attempt's end says nothing
        state = self.ends.get(newest) or settled_state(end, settle_minutes)
        tags = facts.get("tags")
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=ledger.incomplete,
            start=min(self.rows.first.values(), default=None),
            end=end,
            attempts=self._attempts(series.spans, newest, state),
            series=series,
            config=config,
            group=text(facts.get("group")),
            author=text(facts.get("author")),
            tags=tuple(text(tag) for tag in tags) if isinstance(tags, list) else (),
            description=text(facts.get("notes")),
            code=Code(commit=text(facts.get("commit"))),
            hardware=Hardware(
                hosts=tuple(dict.fromkeys(host for host in self.hosts.values() if host)),
                device=text(facts.get("device")),
                devices=whole(facts.get("devices")),
                cpu_count=whole(facts.get("cpus")),
            ),
            environment=_environment(facts),
            command=text(facts.get("command")),
            seed=whole(facts.get("seed")),
            datasets=(Dataset(name=text(facts["dataset"])),) if facts.get("dataset") else (),
            checkpoints=tuple(self.checkpoints),
            samples=tuple(self.kept_samples),
            logged_events=tuple(self.logged),
            provenance=Provenance(
                reader=READER,
                files=tuple(ledger.files),
                records_read=ledger.records,
                records_damaged=ledger.damaged,
                bytes_damaged=ledger.bytes_damaged,
                warnings=ledger.warnings,
            ),
        )

    def _attempts(
        self, spans: Mapping[int, tuple[int, int]], newest: int, state: str
    ) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(
                number=attempt,
                start=self.rows.first.get(attempt),
                end=self.rows.last.get(attempt),
                first_step=spans[attempt][0] if attempt in spans else None,
                last_step=spans[attempt][1] if attempt in spans else None,
                state=state if attempt == newest else self.ends.get(attempt, "ended"),
                host=self.hosts.get(attempt, ""),
                devices=self.devices.get(attempt),
            )
            for attempt in sorted(self.rows.seen)
        )


def _unusable(path: Path) -> str:
    """Why nothing can be read of the log; empty if something can."""
    try:
        if not path.is_file():
            return "is no regular file"
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "empty: no row was written" if empty else ""


def _has_step(path: Path, siblings: Sequence[str]) -> bool:
    """Whether the first row names a step.

    Lightning's metrics.csv is not ours, nor are rows that hold all their metrics in objects: in a
    table of any program those are read.
    """
    try:
        if not path.is_file():
            return True  # claimed, so that it is said why it cannot be read
        with path.open("rb") as stream:
            head = stream.readline(_HEAD_BYTES)
            more = stream.read(_MORE_BYTES)
    except OSError:
        return True
    # a file that is named alone has no siblings in the walk
    settings = path.with_name("hparams.yaml").is_file()
    lightning = settings or _VERSION.fullmatch(path.parent.name)
    if path.suffix == ".csv":
        try:
            names = next(csv.reader([head.decode("utf-8-sig", "replace")]), [])
        except csv.Error:
            return False
        return not lightning and (not head or "step" in map(str.strip, names))
    if not head.strip():
        return True
    if _EVENTS not in siblings and any(map(_is_nested, [head, *more.split(b"\n")])):
        return False
    row = _object(head)
    return b'"step"' in head if row is None else "step" in row


def _is_nested(line: bytes) -> bool:
    row = _object(line) or {}
    values = [value for key, value in row.items() if key not in _OURS]
    return "step" in row and bool(values) and all(isinstance(value, dict) for value in values)


def _object(line: bytes) -> dict[str, Any] | None:
    """What a line of JSON holds; empty for what is no object, None for what is no JSON."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else {}


def _first_start(path: Path) -> dict[str, Any]:
    """The first start that can be read: it names the run."""
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as stream:
            for line in stream:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict) and row.get("event") == "start":
                    return row
    except OSError:
        pass
    return {}


def _commands(before: str, command: str, attempt: int) -> str:
    """What began the run; how it was resumed stays as a comment below it."""
    first = before.partition("\n# attempt ")[0]
    if not command or command == first:
        return before
    return f"{before}\n# attempt {attempt}: {' '.join(command.split())}"


def _environment(facts: Mapping[str, Any]) -> dict[str, str]:
    found = {key: text(facts[key]) for key in ("python", "os") if facts.get(key)}
    libraries = facts.get("libraries")
    if isinstance(libraries, dict):
        found |= {str(name): text(version) for name, version in libraries.items()}
    return {name: version for name, version in found.items() if version}
