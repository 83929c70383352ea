"""Text logs: what training programs print, read by small tables of patterns (`dialects.toml`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from runpages.errors import SourceError, UsageError
from runpages.model import (
    Attempt,
    Code,
    Hardware,
    ModelFacts,
    Provenance,
    Run,
    RunRef,
    SeriesSet,
)

from ._textlog_dialects import DIALECTS, LINE_CHARS, Dialect, load_all
from ._textlog_read import Reading, Section
from ._textlog_rows import Clock
from ._textlog_sniff import Sniffed, looks_like_a_log, sections_of, sniff_text
from .contract import SETTLE_MINUTES, UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["TextLog"]

READER = "textlog 1"
_ERROR_SUFFIXES = (".err", ".stderr")
_SAME_ROWS_BYTES = 64 << 20
_WESTERNMOST_SECONDS = 12 * 3600
"""A clock without zone may be this much behind UTC."""


class TextLog(FileSource):
    """Each text file with rows of a known dialect is a run; several where headers say so.

    `dialects` are tables of the fields that `dialects.toml` has; they are asked before the
    built-in ones. `zone` is the time zone of clocks that name none, e.g. `Europe/Berlin`.
    """

    kind = "textlog"
    general = True

    def __init__(
        self,
        location: str,
        *,
        name: str = "",
        settle_minutes: float = SETTLE_MINUTES,
        dialects: Sequence[Mapping[str, object]] = (),
        zone: str = "",
    ) -> None:
        super().__init__(location, name=name, settle_minutes=settle_minutes)
        self.dialects = (*load_all(dialects, DIALECTS), *DIALECTS)
        try:
            self.zone = ZoneInfo(zone) if zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(f"textlog: there is no time zone named {zone!r}") from error
        self._sniffed: dict[Path, Sniffed] = {}

    def claim(self, folder: Folder) -> Claim:  # type: ignore[override]  # a team's dialects are the instance's
        logs = []
        companions = set()
        for name in folder.files:
            if not looks_like_a_log(name):
                continue
            sniffed = self._sniff(folder.path / name)
            if sniffed.dialect is not None or sniffed.reason:
                logs.append(name)
            if sniffed.dialect is not None:
                beside = self._beside(folder.path / name, sniffed.dialect, folder.files)
                companions |= set(beside)
        claimed = tuple(name for name in logs if name not in companions)
        return Claim(logs=claimed, companions=tuple(sorted(companions)))

    def _sniff(self, path: Path) -> Sniffed:
        if path not in self._sniffed:
            try:
                found = sniff_text(path, self.dialects) if path.is_file() else None
                self._sniffed[path] = found or Sniffed(None, "is no regular file")
            except OSError as error:
                self._sniffed[path] = Sniffed(None, f"{UNREADABLE}: {error.strerror}")
        return self._sniffed[path]

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found = []
        for path in logs:
            dialect, reason = self._sniff(path)
            if dialect is not None:
                reason = self._same_rows(path, dialect, logs)
            if dialect is None or reason:
                self.skipped.append((str(path), reason or "no line is of a dialect that is known"))
                continue
            found += self._refs(path, dialect)
        yield from sorted(found, key=lambda ref: (ref.parts[0], _section_number(ref.run_id)))

    def _refs(self, path: Path, dialect: Dialect) -> list[RunRef]:
        try:
            count = len(sections_of(path, dialect))
            siblings = tuple(sorted(p.name for p in path.parent.iterdir() if p.is_file()))
        except OSError as error:
            self.skipped.append((str(path), f"{UNREADABLE}: {error.strerror}"))
            return []
        run_id = self.relative(path)
        beside = self._beside(path, dialect, siblings)
        parts = (str(path), *(str(path.parent / name) for name in beside))
        name = "/".join(Path(run_id).with_suffix("").parts[-2:])
        return [
            RunRef(
                source=self.name,
                project="",
                run_id=run_id if number == 1 else f"{run_id}#{number}",
                name=name if number == 1 else f"{name} #{number}",
                state="",
                location=str(path),
                kind=self.kind,
                parts=parts,
            )
            for number in range(1, count + 1)
        ]

    def _beside(self, path: Path, dialect: Dialect, files: Sequence[str]) -> Iterator[str]:
        """Files that belong to a log: its options, its job's error stream if that has no rows."""
        if dialect.options_file and dialect.options_file in files:
            yield dialect.options_file
        if path.suffix not in _ERROR_SUFFIXES:
            for name in (path.stem + suffix for suffix in _ERROR_SUFFIXES):
                if name in files and self._sniff(path.parent / name).dialect is None:
                    yield name

    def _same_rows(self, path: Path, dialect: Dialect, logs: Sequence[Path]) -> str:
        """Whether another file of the folder has all rows of this one; the reason, or empty."""
        for other in logs if dialect.same_as else ():
            there = self._sniff(other).dialect
            if other == path or other.parent != path.parent or there is None:
                continue
            names = dialect.same_as.get(there.name)
            if names and _all_rows_in(path, dialect, other, there, names):
                return f"holds the same rows as {other.name}, which is read"
        return ""

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        try:
            dialect = sniff_text(path, self.dialects).dialect
            if dialect is None:
                raise SourceError(path, "no line is of a dialect that is known")
            sections = sections_of(path, dialect)
            number = _section_number(ref.run_id)
            if number > len(sections):
                raise SourceError(path, f"there is no run number {number} in this file any more")
            reading = Reading(dialect, Clock(self.zone))
            reading.read(path, sections[number - 1])
            size = path.stat().st_size
        except OSError as error:
            raise SourceError(path, f"cannot be read: {error.strerror or error}") from error
        files = [(path.name, size)]
        warnings = list(_warnings(reading, path.name))
        if number == len(sections):
            _read_beside(reading, ref.parts[1:], files, warnings)
        if not reading.sink.rows and not reading.summary:
            raise SourceError(path, "no row of it can be used", place=next(iter(warnings), ""))
        return self._run(ref, reading, files=files, warnings=warnings)

    def _run(
        self, ref: RunRef, reading: Reading, *, files: list[tuple[str, int]], warnings: list[str]
    ) -> Run:
        series, sink = reading.sink.finish(), reading.sink
        end = max(sink.last.values(), default=None)
        state = reading.states.get(sink.attempt) or self._unproven(reading, end)
        began = None if math.isnan(reading.began) else reading.began
        starts = [began] if began is not None else [*sink.first.values()]
        damaged = reading.counts.long_lines + (1 if reading.cut_line else 0)
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=_incomplete(reading, ref.location),
            start=min(starts, default=None),
            end=end,
            attempts=_attempts(reading, series, state),
            series=series,
            config=reading.settings.values,
            summary=reading.summary,
            model=ModelFacts(
                architecture=reading.hints.get("architecture", ""),
                parameters=reading.whole_hint("parameters"),
                context=reading.whole_hint("context"),
            ),
            code=Code(),
            hardware=Hardware(
                device=reading.hints.get("device", ""), devices=reading.whole_hint("devices")
            ),
            environment={
                key: reading.hints[key]
                for key in ("python", "torch", "cuda")
                if key in reading.hints
            },
            seed=reading.whole_hint("seed"),
            checkpoints=tuple(reading.checkpoints),
            samples=tuple(reading.samples),
            logged_events=tuple(reading.events),
            console=reading.console,
            provenance=Provenance(
                reader=f"{READER}, {reading.dialect.name}",
                files=tuple(files),
                records_read=sink.rows,
                records_damaged=damaged,
                bytes_damaged=reading.counts.zeros + reading.counts.long_bytes + reading.cut_bytes,
                ranks_seen=sink.ranks if len(sink.ranks) > 1 else (),
                ranks_expected=reading.whole_hint("world_size"),
                step_source=_step_source(reading.dialect),
                lossy=_lossy(reading, series),
                warnings=tuple(warnings),
            ),
        )

    def _unproven(self, reading: Reading, end: float | None) -> str:
        if end is not None and reading.clock.guessed:
            end += _WESTERNMOST_SECONDS
        return settled_state(end, self.settle_minutes)


def _section_number(run_id: str) -> int:
    _, mark, number = run_id.rpartition("#")
    return int(number) if mark and number.isdecimal() else 1


def _read_beside(
    reading: Reading, parts: Sequence[str], files: list[tuple[str, int]], warnings: list[str]
) -> None:
    for part in map(Path, parts):
        try:
            if not part.is_file():
                continue
            if part.suffix in _ERROR_SUFFIXES:
                _read_errors(reading, part)
                files.append((part.name, part.stat().st_size))
            else:
                files.append((part.name, reading.settings.read_options(part)))
        except OSError as error:
            warnings.append(f"{part.name}: cannot be read: {error.strerror}; left out")


def _read_errors(reading: Reading, path: Path) -> None:
    """Errors that went to a stream of their own; they are the last attempt's if there is one."""
    other = Reading(reading.dialect, reading.clock)
    other.read(path, Section())
    if other.sink.rows:
        return
    reading.events += other.events
    proofs = [state for state in other.states.values() if state]
    if proofs and len(reading.sink.attempts) == 1:
        reading.states.setdefault(reading.sink.attempt, proofs[-1])


def _attempts(reading: Reading, series: SeriesSet, state: str) -> tuple[Attempt, ...]:
    sink = reading.sink
    began = 0.0 if math.isnan(reading.began) else reading.began
    return tuple(
        Attempt(
            number=number,
            start=began if number == 1 and began else sink.first.get(number),
            end=sink.last.get(number),
            first_step=series.spans[number][0] if number in series.spans else None,
            last_step=series.spans[number][1] if number in series.spans else None,
            state=state if number == sink.attempt else reading.states.get(number, "ended"),
            devices=reading.whole_hint("devices"),
        )
        for number in sorted(sink.attempts)
    )


def _step_source(dialect: Dialect) -> str:
    if any(row.position for row in dialect.row):
        return "number of the record, from 0: the log counts within each epoch only"
    return next((row.step for row in dialect.row if row.step), "step")


def _incomplete(reading: Reading, location: str) -> tuple[str, ...]:
    told = []
    name = Path(location).name
    if reading.cut_line:
        told.append(f"{name} ends in the middle of line {reading.cut_line}")
    if reading.counts.zeros:
        told.append(f"{name} has {reading.counts.zeros:,} zero bytes where text was to be")
    return tuple(told)


def _warnings(reading: Reading, name: str) -> Iterator[str]:
    if reading.cut_line:
        yield f"{name}:{reading.cut_line}: cut off before the end of the line; left out"
    if reading.counts.long_lines:
        yield (
            f"{name}: {reading.counts.long_lines:,} lines of more than {LINE_CHARS:,} bytes"
            " are passed over"
        )
    for reason, count in reading.left_out.items():
        yield f"{name}: {count:,} rows are left out: {reason}"
    if reading.not_kept:
        yield f"{name}: {reading.not_kept:,} events, checkpoints or samples are not kept"
    if reading.sink.ranks_left_out:
        yield f"{name}: {reading.sink.ranks_left_out:,} rows of further ranks are left out"
    yield from reading.settings.warnings


def _lossy(reading: Reading, series: SeriesSet) -> tuple[str, ...]:
    told = ["values have as many digits as were printed"]
    if reading.clock.guessed:
        told.append(
            "its clock names no time zone and is read as UTC: durations are right, "
            "dates may be off by some hours"
        )
    if not reading.sink.last and len(series):
        told.append("its rows have no clock")
    return tuple(told)


def _all_rows_in(
    path: Path, dialect: Dialect, other: Path, there: Dialect, names: Mapping[str, str]
) -> bool:
    """Whether every row of `path` stands in `other` as well, step for step and value for value."""
    try:
        if path.stat().st_size + other.stat().st_size > _SAME_ROWS_BYTES:
            return False
        sets = []
        for file, of in ((path, dialect), (other, there)):
            reading = Reading(of, Clock(None))
            reading.read(file, Section())
            sets.append(reading.sink.finish())
    except OSError:
        return False
    mine, theirs = sets
    if not len(mine):
        return False
    for name in mine:
        key = names.get(name, "")
        if key not in theirs:
            return False
        one, two = mine[name].recorded, theirs[key].recorded
        if not (
            np.array_equal(one.step, two.step)
            and np.array_equal(one.value, two.value, equal_nan=True)
        ):
            return False
    return True
