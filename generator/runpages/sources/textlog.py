"""Text logs: what training programs print, read by small tables of patterns (`dialects.toml`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from runpages.errors import SourceError, UsageError
from runpages.model import (
    Attempt,
    Hardware,
    ModelFacts,
    Provenance,
    Run,
    RunRef,
    SeriesSet,
)

from ._ranks import are_ranks, missing_ranks, rank_of
from ._textlog_dialects import DIALECTS, LINE_CHARS, Dialect, load_all
from ._textlog_places import NUMBERED, SUMMED, Places, places_of
from ._textlog_read import Reading, Section
from ._textlog_rows import Clock
from ._textlog_sniff import Sniffed, looks_like_a_log, sections_of, sniff_text
from .contract import SETTLE_MINUTES, UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["TextLog"]

READER = "textlog 1"
_ERROR_SUFFIXES = (".err", ".stderr")
_MOST_TOLD = 8
_SAME_ROWS_BYTES = 64 << 20
_WESTERNMOST_SECONDS = 12 * 3600
"""A clock without zone may be this much behind UTC."""


class TextLog(FileSource):
    """Each text file with rows of a known dialect is a run; several where headers say so.

    `dialects` are tables of the fields that `dialects.toml` has; they are asked before the
    built-in ones. `time_zone` is that of clocks that name none, e.g. `Europe/Berlin`.
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
        time_zone: str = "",
    ) -> None:
        super().__init__(location, name=name, settle_minutes=settle_minutes)
        self.dialects = (*load_all(dialects, DIALECTS), *DIALECTS)
        try:
            self.zone = ZoneInfo(time_zone) if time_zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(f"textlog: there is no time zone named {time_zone!r}") from error
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
        logs, ranks = self._ranked(logs)
        for run_id, paths in ranks.items():
            found.append(self._ref(run_id, paths[0], parts=paths[1:]))
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
        beside = [path.parent / name for name in self._beside(path, dialect, siblings)]
        run_id = self.relative(path)
        ids = [run_id, *(f"{run_id}#{number}" for number in range(2, count + 1))]
        return [self._ref(name, path, parts=beside) for name in ids]

    def _ref(self, run_id: str, path: Path, *, parts: Sequence[Path]) -> RunRef:
        own, mark, number = run_id.partition("#")
        return RunRef(
            source=self.name,
            project="",
            run_id=run_id,
            name="/".join(Path(own).with_suffix("").parts[-2:]) + (f" #{number}" if mark else ""),
            state="",
            location=str(path),
            kind=self.kind,
            parts=(str(path), *map(str, parts)),
        )

    def _ranked(self, logs: Sequence[Path]) -> tuple[list[Path], dict[str, list[Path]]]:
        """The logs of one rank each that make one run: its id -> its files, lowest rank first."""
        taken = {self.relative(path) for path in logs}
        groups: dict[str, dict[int, Path]] = {}
        for path in logs:
            named = self._rank(path)
            if named is not None and named[1] not in taken and self._sniff(path).dialect:
                groups.setdefault(named[1], {})[named[0]] = path
        found: dict[str, list[Path]] = {}
        for run_id, ranks in sorted(groups.items()):
            dialects = [self._sniff(path).dialect for path in ranks.values()]
            alike = all(dialect is dialects[0] for dialect in dialects)
            if (
                len(ranks) > 1
                and are_ranks(ranks)
                and alike
                and all(map(self._is_one_run, ranks.values()))
            ):
                found[run_id] = [path for _, path in sorted(ranks.items())]
        merged = {path for paths in found.values() for path in paths}
        return [path for path in logs if path not in merged], found

    def _is_one_run(self, path: Path) -> bool:
        dialect = self._sniff(path).dialect
        try:
            return dialect is not None and len(sections_of(path, dialect)) == 1
        except OSError:
            return False

    def _rank(self, path: Path) -> tuple[int, str] | None:
        return rank_of(PurePosixPath(self.relative(path)))

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
            if path.exists() and not path.is_file():
                raise SourceError(path, "is no regular file")
            dialect = sniff_text(path, self.dialects).dialect
            if dialect is None:
                raise SourceError(path, "no line is of a dialect that is known")
            sections = sections_of(path, dialect)
            number = _section_number(ref.run_id)
            if number > len(sections):
                raise SourceError(path, f"there is no run number {number} in this file any more")
            reading = Reading(dialect, Clock(self.zone), places=places_of(path, dialect))
            if self._ranks(ref):
                reading.rank, reading.sink.parted = next(iter(self._ranks(ref))), True
            reading.read(path, sections[number - 1])
            size = path.stat().st_size
        except OSError as error:
            raise SourceError(path, f"cannot be read: {error.strerror or error}") from error
        files = [(path.name, size)]
        warnings = list(_warnings(reading, path.name))
        ranks = self._ranks(ref)
        if ranks:
            _read_ranks(reading, ranks, files, warnings)
        elif number == len(sections):
            _read_beside(reading, ref.parts[1:], files, warnings)
        if not reading.sink.rows and not reading.summary:
            raise SourceError(path, "no row of it can be used", place=next(iter(warnings), ""))
        return self._run(ref, reading, files=files, warnings=warnings)

    def _ranks(self, ref: RunRef) -> dict[int, Path]:
        """Rank -> its file, if each has one."""
        named = ((self._rank(Path(part)), Path(part)) for part in ref.parts)
        ranks = {own[0]: path for own, path in named if own is not None and own[1] == ref.run_id}
        return ranks if len(ranks) == len(ref.parts) else {}

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
                step_source=_step_source(reading),
                step_unit="records" if reading.places.ways[NUMBERED] else reading.dialect.unit,
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


def _read_ranks(
    reading: Reading,
    ranks: Mapping[int, Path],
    files: list[tuple[str, int]],
    warnings: list[str],
) -> None:
    """The files of the other ranks; what is no figure is theirs only if it is an error."""
    for rank, path in ranks.items():
        if rank == reading.rank:
            continue
        places = Places(within=reading.places.within, several=reading.places.several)
        other = Reading(reading.dialect, reading.clock, sink=reading.sink, rank=rank, places=places)
        try:
            other.read(path, Section())
            files.append((path.name, path.stat().st_size))
        except OSError as error:
            warnings.append(f"{path.name}: cannot be read: {error.strerror}; left out")
            continue
        warnings += _warnings(other, path.name)
        reading.events += other.events
        if other.cut_line and not reading.cut_line:
            reading.cut_line, reading.cut_name = other.cut_line, path.name
        reading.cut_bytes += other.cut_bytes
        reading.counts.add(other.counts)
        for attempt, state in other.states.items():
            reading.states.setdefault(attempt, state)


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


def _step_source(reading: Reading) -> str:
    for way in (NUMBERED, SUMMED):
        if reading.places.ways[way]:
            return way
    return next((row.step for row in reading.dialect.row if row.step), "step")


def _incomplete(reading: Reading, location: str) -> tuple[str, ...]:
    told = []
    name = Path(location).name
    if reading.cut_line:
        cut = reading.cut_name or name
        told.append(f"{cut} ends in the middle of line {reading.cut_line}")
    size = reading.whole_hint("world_size")
    if reading.sink.parted:
        gone = missing_ranks(dict.fromkeys(reading.sink.ranks), size)
        told += [f"there is no log of rank {rank}" for rank in gone[:_MOST_TOLD]]
        if len(gone) > _MOST_TOLD:
            told.append(f"nor of {len(gone) - _MOST_TOLD:,} further ranks")
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
            "dates may be off by some hours; set `time_zone`"
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
