"""Sources → archive: read each new run, redact it, keep it. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runpages.archive import Archive, locked, write_atomically
from runpages.config import Settings, SourceSettings
from runpages.engine import open_engine, run_all
from runpages.errors import ArchiveError, RunpagesError, UnreachableError, UsageError
from runpages.model import Run, RunRef
from runpages.redact import redact
from runpages.sources import TELEMETRY, UNREADABLE, open_source, sniff
from runpages.sources.telemetry import join

__all__ = ["FoundRuns", "Outcome", "Pulled", "find_runs", "pull"]

SAME_START_SECONDS = 10.0
"""Two records of one run id that begin within this time are one run seen by two trackers."""

TEXTLOG = "textlog"
"""The kind of source that `[[dialect]]` is for."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one run that was found."""

    ref: RunRef
    status: str
    """`written`, `unchanged`, `skipped` or `failed`."""
    reason: str = ""
    redacted: int = 0
    """Secrets that were replaced before the run was kept."""
    damaged: int = 0
    """Records that could not be read."""
    warnings: tuple[str, ...] = ()
    """What was met on reading, one sentence each."""
    joined: tuple[str, ...] = ()
    """Hardware logs that recorded something while the run ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull did."""

    outcomes: tuple[Outcome, ...]
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of what is no run."""
    unreachable: tuple[str, ...] = ()
    """One sentence for each tracker that did not answer."""

    def slugs(self, status: str) -> tuple[str, ...]:
        return tuple(o.ref.slug for o in self.outcomes if o.status == status)

    @property
    def partial(self) -> bool:
        """Whether something that is there could not be read, or not all of it."""
        unread = any(reason.startswith(UNREADABLE) for _, reason in self.skipped)
        return unread or any(o.status == "failed" or o.damaged for o in self.outcomes)

    def of(self, status: str) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status == status)


class _Located(NamedTuple):
    """A run that was found, and how its source is opened again in a worker."""

    ref: RunRef
    location: str
    time_zone: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Runs that may be one and the same, read one after the other."""

    located: tuple[_Located, ...]
    archive: str
    since: float | None
    running: bool
    """Keep runs that are still running (a preview shows them; a pull waits)."""


@dataclass(slots=True, kw_only=True)
class FoundRuns:
    """What the configured sources hold and their `include` lets in."""

    located: list[_Located] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


def find_runs(settings: Settings) -> FoundRuns:
    """Every run of every source; a tracker that does not answer does not stop the others."""
    found = FoundRuns()
    for source in settings.source:
        location = _location(settings, source)
        try:
            refs = _discover(settings, source, location, found.skipped)
        except UnreachableError as error:
            found.unreachable.append(str(error))
            continue
        for ref in refs:
            names = (ref.run_id, ref.name, ref.project)
            if any(fnmatchcase(n, p) for n in names for p in source.include):
                options = _options(settings, source, ref.kind) | {"name": ref.source}
                found.located.append(_Located(ref, location, source.time_zone, options))
            else:
                found.skipped.append(
                    (ref.location, f"run {ref.run_id!r} is not in this source's include")
                )
    return found


def _discover(
    settings: Settings, source: SourceSettings, location: str, skipped: list[tuple[str, str]]
) -> Iterable[RunRef]:
    if source.kind != "auto":
        opened = open_source(source.kind, location, **_options(settings, source, source.kind))
        refs = tuple(opened.discover())
        skipped += opened.skipped
        return refs
    if "://" in location:
        raise UsageError(f"location = {location!r}: name the `kind` of a tracker at an address")
    seen = sniff(
        location,
        name=source.name,
        settle_minutes=source.settle_minutes,
        options={kind: _own(settings, source, kind) for kind in (TELEMETRY, TEXTLOG)},
    )
    skipped += seen.skipped
    return seen.runs


def _location(settings: Settings, source: SourceSettings) -> str:
    """Relative folders start where runpages.toml lies; addresses stay."""
    return source.location if "://" in source.location else str(settings.folder / source.location)


def _own(settings: Settings, source: SourceSettings, kind: str) -> dict[str, object]:
    """Options that one kind of source alone has."""
    if kind == TEXTLOG:
        return {"dialects": settings.dialect, "time_zone": source.time_zone}
    if kind == TELEMETRY:
        return {"time_zone": source.time_zone}
    return {}


def _options(settings: Settings, source: SourceSettings, kind: str) -> dict[str, object]:
    """What `open_source` is told beside kind and location."""
    options: dict[str, object] = {"name": source.name, "settle_minutes": source.settle_minutes}
    if "://" in source.location:
        options |= {
            "project": source.project,
            "filter": source.filter,
            "run_seconds": 60 * source.run_minutes,
        }
        return options
    options |= _own(settings, source, kind)
    if source.project or source.filter:
        wanted = "project" if source.project else "filter"
        raise UsageError(f"source {source.location!r}: `{wanted}` is for trackers at an address")
    return options


def pull(
    settings: Settings,
    *,
    again: bool = False,
    only: str = "",
    since: float | None = None,
    running: bool = False,
    progress: Progress | None = None,
) -> Pulled:
    """Read what is new into the archive; one bad run does not stop the others.

    `again` reads runs whose files have not changed as well; `only` takes the one run with this id
    or slug; `since` (UTC seconds) leaves out runs that ended before. Raises LockedError.
    """
    archive = Archive(settings.archive_path)
    with locked(settings.cache_path):
        found = find_runs(settings)
        fresh: list[_Located] = []
        outcomes: list[Outcome] = []
        withdrawn = archive.withdrawn()
        # before they are read: what a program writes meanwhile is for the next time
        fingerprints: dict[str, str] = {}
        for slug, located in _by_slug(found.located, only).items():
            refs = [item.ref for item in located]
            fingerprints[slug] = _fingerprint(refs)
            if slug in withdrawn:
                reason = f"{refs[0].location}: withdrawn: {withdrawn[slug]}"
                outcomes.append(Outcome(ref=refs[0], status="skipped", reason=reason))
            elif not again and slug in archive and _seen(settings, slug) == fingerprints[slug]:
                outcomes.append(Outcome(ref=refs[0], status="unchanged"))
            else:
                fresh += located
        known = archive.slugs()
        tasks = [
            _Task(located=group, archive=str(archive.location), since=since, running=running)
            for group in _alike(fresh)
        ]
        with open_engine(settings.engine.kind if len(tasks) > 1 else "serial") as executor:
            for number, (task, future) in enumerate(run_all(executor, _pull, tasks), start=1):
                outcomes += future.result()
                if progress:
                    progress(number, len(tasks), task.located[0].ref.name)
        for outcome in outcomes:
            if outcome.status in {"written", "unchanged"}:
                _remember(settings, outcome.ref.slug, fingerprints[outcome.ref.slug])
    outcomes = list(_without_known(archive, known, outcomes))
    outcomes.sort(key=lambda o: (o.ref.source, o.ref.project, o.ref.run_id))
    return Pulled(
        outcomes=tuple(outcomes),
        skipped=(*found.skipped, *_unjoined(outcomes)),
        unreachable=tuple(found.unreachable),
    )


def _by_slug(located: list[_Located], only: str) -> dict[str, list[_Located]]:
    """Runs of one slug together: two logs in one folder have the same identity."""
    found: dict[str, list[_Located]] = defaultdict(list)
    for item in located:
        if not only or only in {item.ref.run_id, item.ref.slug}:
            found[item.ref.slug].append(item)
    return found


def _unjoined(outcomes: list[Outcome]) -> Iterator[tuple[str, str]]:
    """Hardware logs beside runs that were all read, none of which ran at their time."""
    beside = defaultdict(list)
    for outcome in outcomes:
        for path in outcome.ref.telemetry:
            beside[path].append(outcome)
    for path, near in beside.items():
        if all(o.status == "written" and path not in o.joined for o in near):
            yield path, "hardware log: no run beside it ran at its time"


def _tail(ref: RunRef) -> str:
    return ref.run_id.rpartition("/")[2]


def _alike(located: list[_Located]) -> Iterator[tuple[_Located, ...]]:
    groups: dict[str, list[_Located]] = defaultdict(list)
    for item in located:
        groups[_tail(item.ref)].append(item)
    yield from (tuple(group) for group in groups.values())


def _pull(task: _Task) -> list[Outcome]:
    """Runs in a worker: read, redact, keep."""
    archive = Archive(task.archive)
    outcomes = []
    kept: dict[str, Run] = {}
    for ref, location, time_zone, options in task.located:
        try:
            run = open_source(ref.kind, location, **options).read(ref)
            run, joined = join(run, ref.telemetry, time_zone)
            run = redact(run)
        except RunpagesError as error:
            outcomes.append(Outcome(ref=ref, status="failed", reason=str(error)))
            continue
        twin = next((other for other in kept.values() if _same(run, other)), None)
        if ref.slug in kept:
            first = kept[ref.slug].ref
            reason = (
                f"{ref.location}: the same run as {first.location}, found twice; kept as"
                f" {first.kind} recorded it"
            )
        elif twin is not None:
            reason = _twin_sentence(run, twin)
        elif run.state == "running" and not task.running:
            reason = (
                f"{ref.location}: still running (less than {options['settle_minutes']:g} min since"
                " its last record); pull again when it has ended, or lower settle_minutes"
            )
        elif task.since is not None and run.end is not None and run.end < task.since:
            reason = "ended before --since"
        else:
            kept[ref.slug] = run
            outcomes.append(replace(_keep(archive, run), ref=ref, joined=joined))
            continue
        outcomes.append(Outcome(ref=ref, status="skipped", reason=reason))
    return outcomes


def _keep(archive: Archive, run: Run) -> Outcome:
    return Outcome(
        ref=run.ref,
        status="written" if archive.put(run) else "unchanged",
        redacted=sum(run.provenance.redactions.values()),
        damaged=run.provenance.records_damaged,
        warnings=(*run.incomplete, *run.provenance.warnings),
    )


def _same(one: Run, other: Run) -> bool:
    """Two trackers' records of one run, or one record met at two places.

    Runs of a sweep that were launched together have the same last part of their ids and nearly the
    same start: of one kind of log only the very same rows are the same run.
    """
    if _tail(one.ref) != _tail(other.ref) or one.start is None or other.start is None:
        return False
    if one.ref.kind == other.ref.kind:
        return (one.start, one.end) == (other.start, other.end) and _same_rows(one, other)
    return abs(one.start - other.start) <= SAME_START_SECONDS


def _same_rows(one: Run, other: Run) -> bool:
    return list(one.series) == list(other.series) and all(
        np.array_equal(left, right, equal_nan=True)
        for name in one.series
        for left, right in zip(one.series.rows(name), other.series.rows(name), strict=True)
    )


def _twin_sentence(run: Run, twin: Run) -> str:
    return (
        f"{run.ref.location}: the same run as {twin.slug} (same id, started within"
        f" {SAME_START_SECONDS:.0f} s), kept once as {twin.ref.kind} recorded it"
    )


def _without_known(
    archive: Archive, known: tuple[str, ...], outcomes: list[Outcome]
) -> Iterator[Outcome]:
    """Take back a run that an earlier pull has kept under another slug."""
    before = set(known)
    readable = defaultdict(list)
    for slug in known:
        readable[slug[:-11]].append(slug)
    for outcome in outcomes:
        if outcome.status == "written" and outcome.ref.slug not in before:
            stem = outcome.ref.slug[:-11]
            near = [s for r, slugs in readable.items() for s in slugs if _ends(stem, r)]
            run = archive.get(outcome.ref.slug) if near else None
            for slug in near:
                twin = _readable(archive, slug)
                if run and twin and slug != run.slug and _same(run, twin):
                    archive.discard(run.slug)
                    told = _twin_sentence(run, twin)
                    yield Outcome(ref=run.ref, status="skipped", reason=told)
                    break
            else:
                yield outcome
        else:
            yield outcome


def _readable(archive: Archive, slug: str) -> Run | None:
    """None for a run whose record is damaged: it is mended by reading it again."""
    try:
        return archive.get(slug)
    except ArchiveError:
        return None


def _ends(one: str, other: str) -> bool:
    return one == other or one.endswith(f"-{other}") or other.endswith(f"-{one}")


def _cursor(settings: Settings, slug: str) -> Path:
    return settings.cache_path / "pull" / f"{slug}.json"


def _fingerprint(refs: Sequence[RunRef]) -> str:
    """Sizes and times of a run's files: only to know that nothing has changed."""
    digest = hashlib.sha256()
    for ref in refs:
        digest.update(ref.stamp.encode())
        for file in () if ref.stamp else _files_of(ref):
            digest.update(_size_and_time(file).encode(errors="backslashreplace"))
    return digest.hexdigest()


def _files_of(ref: RunRef) -> Iterator[Path]:
    """Everything in the run's folders, and beside its files."""
    for part in (*(ref.parts or (ref.location,)), *ref.telemetry):
        path = Path(part)
        yield from sorted(path.rglob("*") if path.is_dir() else path.parent.glob("*"))


def _size_and_time(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    regular = stat.S_ISREG(found.st_mode)
    return f"{path.name} {found.st_size} {found.st_mtime_ns}\n" if regular else ""


def _seen(settings: Settings, slug: str) -> str:
    try:
        return str(json.loads(_cursor(settings, slug).read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remember(settings: Settings, slug: str, fingerprint: str) -> None:
    if _seen(settings, slug) != fingerprint:
        data = json.dumps({"fingerprint": fingerprint}).encode()
        write_atomically(_cursor(settings, slug), data)
