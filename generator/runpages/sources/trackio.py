"""Trackio's databases: one SQLite file a project, its runs in shared tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runpages.errors import SourceError
from runpages.model import (
    Attempt,
    Checkpoint,
    Dataset,
    LoggedEvent,
    Provenance,
    Run,
    RunRef,
)

from ._artifacts import step_told
from ._sqlite import MAGIC, Database, opened, tables_of
from ._textfiles import Ledger, seconds, text, whole
from ._trackio_values import Content, Place, number_of, object_of
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

if TYPE_CHECKING:
    from ._trackio_parquet import ParquetTables

__all__ = ["Trackio"]

READER = "trackio 1"
_COLUMNS = frozenset({"timestamp", "run_name", "step", "metrics"})
_RUN_TABLES = ("metrics", "configs", "system_metrics", "alerts")
_BESIDE = frozenset({"media", "traces", "artifacts", "aux"})
"""Folders beside a database; in each there is one a project."""
_STATIC = "metrics.parquet"
"""The metrics of a project that was exported for a static page."""
_ENDINGS = (
    ".lock",
    ".hash",
    ".db-wal",
    ".db-shm",
    ".parquet",
    "_system.parquet",
    "_configs.parquet",
    "_traces.parquet",
    "_artifacts.parquet",
    "_artifact_versions.parquet",
    "_artifact_aliases.parquet",
    "_run_artifact_links.parquet",
    "_external_run_artifact_links.parquet",
)
LOSSY = (
    "a row's time is when Trackio's sender wrote it: rows of one half second share one",
    "Trackio does not record whether a run ended by itself",
    "a resumed run's configuration replaces the one before it",
)


class Trackio(FileSource):
    """Each run of each `<project>.db` that holds Trackio's tables."""

    kind = "trackio"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        if _belongs(folder.path):
            return Claim(companions=folder.files)
        databases = [
            n for n in folder.files if n.endswith(".db") and _ours(folder.path / n, folder)
        ]
        stems = {name.removesuffix(".db") for name in databases}
        exports = [name for name in _exports(folder) if name.removesuffix(".parquet") not in stems]
        stems |= {name.removesuffix(".parquet") for name in exports}
        beside = {f"{s}{end}" for s in stems for end in _ENDINGS} | {"runs.json", "settings.json"}
        return Claim(
            logs=(*databases, *exports),
            companions=tuple(name for name in folder.files if name in beside) if stems else (),
        )

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found: dict[tuple[str, str], RunRef] = {}
        for path in logs:
            try:
                runs = _runs_of(path)
            except SourceError as error:
                self.skipped.append((str(path), f"{UNREADABLE}: {error.problem}"))
                continue
            if not runs:
                self.skipped.append((str(path), "empty: no run was logged"))
            for run_id, name in runs.items():
                project = "" if path.name == _STATIC else path.stem
                known = found.get((project, run_id))
                if known is not None:
                    where = self.relative(Path(known.location))
                    self.skipped.append((str(path), f"its run {name} is read from {where}"))
                    continue
                found[project, run_id] = RunRef(
                    source=self.name,
                    project=project,
                    run_id=run_id,
                    name=name,
                    state="",
                    location=str(path),
                    kind=self.kind,
                    parts=(str(path),),
                )
        yield from sorted(found.values(), key=lambda ref: (ref.project, ref.run_id))

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        ledger = Ledger(path.parent, unit="row")
        with _opened(path) as database:
            ledger.files.append((path.name, path.stat().st_size))
            reading = _Reading(ledger, database, ref.run_id, Content(path.parent / "media"))
            if database.lost_bytes:
                ledger.damaged += 1
                ledger.bytes_damaged += database.lost_bytes
            config = reading.config()
            reading.metrics(seconds(config.get("_Created")))
            reading.system()
            reading.alerts()
            reading.artifacts()
            return reading.run(ref, config, self.settle_minutes)


@dataclass(slots=True)
class _Lives:
    """Numbers the attempts: one ends where a metric falls behind itself, or a process began."""

    number: int = 0
    _newest: dict[str, int] = field(default_factory=dict)
    _began: bool = False

    def place(self, step: int, names: Collection[str], *, latest: bool) -> int:
        """`latest`: whether the row was written after the latest process began."""
        falls = any(self._newest.get(name, step) > step for name in names)
        if not self.number or falls or (latest and not self._began):
            self.number += 1
            self._newest = {}
        self._began |= latest  # a row without a time says nothing
        self._newest |= dict.fromkeys(names, step)
        return self.number


@dataclass(slots=True)
class _Reading:
    """One run, while the tables that tell of it are read in turn."""

    ledger: Ledger
    database: Database | ParquetTables
    run_id: str
    content: Content
    lives: _Lives = field(default_factory=_Lives)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    events: list[LoggedEvent] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[object, ...]]:
        key = "run_id" if "run_id" in self.database.columns.get(table, ()) else "run_name"
        return self._where(table, columns, key, self.run_id)

    def _where(
        self, table: str, columns: Sequence[str], key: str, value: object
    ) -> Iterator[tuple[object, ...]]:
        if key not in self.database.columns.get(table, ()):
            return iter(())
        name = f"{self.database.path.name} {table}"

        def damaged(rowid: int, problem: str) -> None:
            if self.database.lost_bytes:  # counted once, as the end that is lacking
                self.ledger.warn(f"{name}: not all of its rows can be read ({problem})")
            else:
                self.ledger.damage(name, rowid, 0, f"what lies behind cannot be read ({problem})")

        return self.database.rows(table, columns, where=(key, value), damaged=damaged)

    def _object(self, table: str, rowid: object, data: object) -> dict[str, object] | None:
        """The JSON of a row; what is none is damage."""
        found = object_of(data)
        if found is None:
            size = len(data) if isinstance(data, str | bytes) else 0
            name = f"{self.database.path.name} {table}"
            self.ledger.damage(name, whole(rowid) or 0, size, "not a JSON object")
        return found

    def config(self) -> dict[str, object]:
        for rowid, data in self._rows("configs", ("config",)):
            return self._object("configs", rowid, data) or {}
        return {}

    def metrics(self, began: float | None) -> None:
        for rowid, stamp, at, data in self._rows("metrics", ("timestamp", "step", "metrics")):
            values = self._object("metrics", rowid, data)
            step = whole(at)
            if values is None:
                continue
            if step is None:
                name = f"{self.database.path.name} metrics"
                self.ledger.damage(name, whole(rowid) or 0, 0, "no whole number under `step`")
                continue
            self.ledger.records += 1
            clock = seconds(stamp)
            numbers = [name for name, value in values.items() if number_of(value) is not None]
            latest = clock is not None and began is not None and clock >= began
            attempt = self.lives.place(step, numbers, latest=latest)
            self._saw(attempt, clock)
            place = Place(step, math.nan if clock is None else clock, attempt)
            for name, value in values.items():
                self.content.add(name, value, place)

    def _saw(self, attempt: int, clock: float | None) -> None:
        if clock is not None:
            self.first[attempt] = min(self.first.get(attempt, clock), clock)
            self.last[attempt] = max(self.last.get(attempt, clock), clock)

    def _at(self, clock: float | None) -> int:
        """The attempt of something that has a time and no place among the rows."""
        if clock is None:
            return max(1, self.lives.number)
        begun = (number for number, first in self.first.items() if first <= clock)
        return max(begun, default=1)

    def system(self) -> None:
        for rowid, stamp, data in self._rows("system_metrics", ("timestamp", "metrics")):
            values = self._object("system_metrics", rowid, data)
            clock = seconds(stamp)
            if values is None:
                continue
            if clock is None:
                name = f"{self.database.path.name} system_metrics"
                self.ledger.damage(name, whole(rowid) or 0, 0, "no time under `timestamp`")
                continue
            self.ledger.records += 1
            for name, value in values.items():
                number = number_of(value)
                if number is None:
                    self.ledger.no_number(name, f"{self.database.path.name} system_metrics")
                else:
                    self.content.spool.sample(name, clock, number, attempt=self._at(clock))

    def alerts(self) -> None:
        for _, title, said, level, at, stamp in self._rows(
            "alerts", ("title", "text", "level", "step", "timestamp")
        ):
            clock = seconds(stamp)
            parts = [f"{text(level)}: {text(title)}", text(said)]
            event = LoggedEvent(
                kind="alert",
                text=". ".join(part for part in parts if part),
                step=whole(at),
                time=clock,
                attempt=self._at(clock),
            )
            self.events.append(event)

    def artifacts(self) -> None:
        """Versions of artifacts that the run used or made."""
        for _, version_id, direction, stamp in self._rows(
            "run_artifact_links", ("artifact_version_id", "direction", "created_at")
        ):
            columns = ("artifact_id", "version", "manifest_digest", "metadata", "size_bytes")
            for _, artifact, *version in self._where(
                "artifact_versions", columns, "id", version_id
            ):
                for _, name, kind in self._where("artifacts", ("name", "type"), "id", artifact):
                    self._artifact(text(name), text(kind), version, text(direction), seconds(stamp))

    def _artifact(
        self, name: str, kind: str, version: Sequence[object], direction: str, clock: float | None
    ) -> None:
        number, digest, metadata, size = version
        label = f"v{whole(number)}"
        if kind.lower() == "dataset":
            self.datasets.append(Dataset(name=name, version=label, digest=text(digest)))
            return
        step = step_told(object_of(metadata) or {})
        attempt = self._at(clock)
        if kind.lower() in {"model", "checkpoint"} and step is not None:
            self.checkpoints.append(
                Checkpoint(
                    step=step,
                    path=f"{name}:{label}",
                    time=clock,
                    attempt=attempt,
                    size_bytes=whole(size),
                )
            )
            return
        said = f"{direction} {kind} {name}:{label}"
        self.events.append(LoggedEvent(kind="artifact", text=said, time=clock, attempt=attempt))

    def run(self, ref: RunRef, config: Mapping[str, object], settle_minutes: float) -> Run:
        ledger, series = self.ledger, self.content.spool.finish()
        samples, told = self.content.finish()
        if not (ledger.records or config or self.events):
            raise SourceError(
                self.database.path,
                f"nothing of its run {ref.name} can be read",
                place=next(iter(ledger.warnings), ""),
            )
        clocks = [info.name for info in series.infos if info.axis == "time"]
        readings = [series[name].time for name in clocks]
        ends = [*self.last.values(), *(float(time.max()) for time in readings if len(time))]
        starts = [*self.first.values(), *(float(time.min()) for time in readings if len(time))]
        end = max(ends, default=None)
        state = settled_state(end, settle_minutes)
        seed = config.get("seed")
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=(*self._lost(), *ledger.incomplete),
            start=min(starts, default=None),
            end=end,
            attempts=self._attempts(series.spans, state),
            series=series,
            config={key: value for key, value in config.items() if not key.startswith("_")},
            group=text(config.get("_Group")),
            author=text(config.get("_Username")),
            seed=seed if type(seed) is int else None,
            datasets=tuple(self.datasets),
            checkpoints=tuple(sorted(self.checkpoints, key=lambda one: one.step)),
            samples=samples,
            logged_events=tuple(self.events),
            provenance=Provenance(
                reader=READER,
                files=tuple(ledger.files),
                records_read=ledger.records,
                records_damaged=ledger.damaged,
                bytes_damaged=ledger.bytes_damaged,
                step_source="`step` of Trackio (counts log calls unless the script gives it)",
                lossy=LOSSY,
                warnings=(*ledger.warnings, *told, *self._traces()),
            ),
        )

    def _lost(self) -> Iterator[str]:
        if self.database.lost_bytes:
            lost = f"{self.database.lost_bytes:,} bytes"
            yield f"{self.database.path.name} lacks its end: {lost} of it are not there"

    def _traces(self) -> Iterator[str]:
        count = sum(1 for _ in self._rows("traces", ()))
        if count:
            yield f"{count:,} trace{'s' * (count > 1)} (messages, spans) are not read"

    def _attempts(self, spans: Mapping[int, tuple[int, int]], state: str) -> tuple[Attempt, ...]:
        newest = max(1, self.lives.number)
        return tuple(
            Attempt(
                number=number,
                start=self.first.get(number),
                end=self.last.get(number),
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
                state=state if number == newest else "ended",
            )
            for number in range(1, newest + 1)
        )


def _exports(folder: Folder) -> Iterator[str]:
    """Tables of metrics that Trackio has exported; the files beside it tell which might be."""
    names = set(folder.files)
    for name in folder.files:
        stem = name.removesuffix(".parquet")
        beside = "runs.json" if name == _STATIC else f"{stem}_configs.parquet"
        if stem != name and beside in names:
            from ._trackio_parquet import is_export

            if is_export(folder.path / name):
                yield name


@contextmanager
def _opened(path: Path) -> Iterator[Database | ParquetTables]:
    if path.suffix == ".parquet":
        from ._trackio_parquet import ParquetTables

        yield ParquetTables(path)
    else:
        with opened(path) as database:
            yield database


def _belongs(folder: Path) -> bool:
    """Whether a folder holds media, traces or artifacts of a project, whose database lies above."""
    parts = folder.parts
    for at in range(1, len(parts)):
        if parts[at] in _BESIDE:
            above = Path(*parts[:at])
            project = parts[at + 1] if at + 1 < len(parts) else ""
            files = (f"{project}.db", f"{project}.parquet") if project else ()
            if any((above / name).is_file() for name in files):
                return True
            if (above / _STATIC).is_file() and (above / "runs.json").is_file():
                return True
    return False


def _ours(path: Path, folder: Folder) -> bool:
    """Whether the file holds Trackio's tables; one that is damaged is known by its lock file."""
    columns = tables_of(path)
    if columns:
        return set(columns.get("metrics", ())) >= _COLUMNS
    if f"{path.stem}.lock" not in folder.files:
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(len(MAGIC))
    except OSError:
        return True
    return not head or head == MAGIC


def _runs_of(path: Path) -> dict[str, str]:
    """Name by id of the runs in a database. Raises SourceError if it cannot be read."""
    try:
        if not path.stat().st_size:
            return {}
    except OSError as error:
        raise SourceError(path, text(error.strerror)) from error
    found: dict[str, str] = {}
    with _opened(path) as database:
        for table in _RUN_TABLES:
            columns = database.columns.get(table, ())
            if "run_name" not in columns:
                continue
            key = "run_id" if "run_id" in columns else "run_name"
            for run_id, name in database.distinct(table, (key, "run_name")):
                found.setdefault(text(run_id), text(name))
    return found
