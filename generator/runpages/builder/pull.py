"""Sources → archive: read each new run, redact it, keep it. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from runpages.archive import Archive, locked, write_atomically
from runpages.config import Settings, SourceSettings
from runpages.engine import open_engine, run_all
from runpages.errors import RunpagesError
from runpages.model import Run, RunRef
from runpages.redact import redact
from runpages.sources import UNREADABLE, open_source, sniff

__all__ = ["Outcome", "Pulled", "find_runs", "pull"]

SAME_START_SECONDS = 10.0
"""Two records of one run id that begin within this time are one run seen by two trackers."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull did."""

    outcomes: tuple[Outcome, ...]
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of what is no run."""

    def slugs(self, status: str) -> tuple[str, ...]:
        return tuple(o.ref.slug for o in self.outcomes if o.status == status)

    @property
    def partial(self) -> bool:
        """Whether something that is there could not be read, or not all of it."""
        unread = any(reason.startswith(UNREADABLE) for _, reason in self.skipped)
        return unread or any(o.status == "failed" or o.damaged for o in self.outcomes)

    def of(self, status: str) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status == status)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Runs that may be one and the same, read one after the other."""

    located: tuple[tuple[RunRef, str, float], ...]
    """(run, location of its source, settle minutes)."""
    archive: str
    since: float | None
    running: bool
    """Keep runs that are still running (a preview shows them; a pull waits)."""


def find_runs(
    settings: Settings,
) -> tuple[list[tuple[RunRef, SourceSettings]], list[tuple[str, str]]]:
    """Every run that the configured sources hold and that their `include` lets in."""
    found: list[tuple[RunRef, SourceSettings]] = []
    skipped: list[tuple[str, str]] = []
    for source in settings.source:
        location = str(settings.folder / source.location)
        if source.kind == "auto":
            seen = sniff(location, name=source.name, settle_minutes=source.settle_minutes)
            refs: Iterable[RunRef] = seen.runs
            skipped += seen.skipped
        else:
            opened = open_source(
                source.kind, location, name=source.name, settle_minutes=source.settle_minutes
            )
            refs = tuple(opened.discover())
            skipped += opened.skipped
        for ref in refs:
            names = (ref.run_id, ref.name, ref.project)
            if any(fnmatchcase(n, p) for n in names for p in source.include):
                found.append((ref, source))
            else:
                skipped.append(
                    (ref.location, f"run {ref.run_id!r} is not in this source's include")
                )
    return found, skipped


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
        found, skipped = find_runs(settings)
        if only:
            found = [(r, s) for r, s in found if only in {r.run_id, r.slug}]
        fresh, outcomes = [], []
        for ref, source in found:
            if not again and ref.slug in archive and _seen(settings, ref) == _fingerprint(ref):
                outcomes.append(Outcome(ref=ref, status="unchanged"))
            else:
                fresh.append((ref, str(settings.folder / source.location), source.settle_minutes))
        known = archive.slugs()
        tasks = [
            _Task(located=group, archive=str(archive.location), since=since, running=running)
            for group in _alike(fresh)
        ]
        with open_engine(settings.engine.kind if len(tasks) > 1 else "serial") as executor:
            for number, (task, future) in enumerate(run_all(executor, _pull, tasks), start=1):
                outcomes += future.result()
                if progress:
                    progress(number, len(tasks), task.located[0][0].name)
        for outcome in outcomes:
            if outcome.status in {"written", "unchanged"}:
                _remember(settings, outcome.ref)
    outcomes = list(_without_known(archive, known, outcomes))
    outcomes.sort(key=lambda o: (o.ref.source, o.ref.project, o.ref.run_id))
    return Pulled(outcomes=tuple(outcomes), skipped=tuple(skipped))


def _tail(ref: RunRef) -> str:
    return ref.run_id.rpartition("/")[2]


def _alike(
    located: list[tuple[RunRef, str, float]],
) -> Iterator[tuple[tuple[RunRef, str, float], ...]]:
    groups: dict[str, list[tuple[RunRef, str, float]]] = defaultdict(list)
    for item in located:
        groups[_tail(item[0])].append(item)
    yield from (tuple(group) for group in groups.values())


def _pull(task: _Task) -> list[Outcome]:
    """Runs in a worker: read, redact, keep."""
    archive = Archive(task.archive)
    outcomes = []
    kept: dict[str, Run] = {}
    for ref, location, settle_minutes in task.located:
        try:
            source = open_source(ref.kind, location, name=ref.source, settle_minutes=settle_minutes)
            run = redact(source.read(ref))
        except RunpagesError as error:
            outcomes.append(Outcome(ref=ref, status="failed", reason=str(error)))
            continue
        twin = next((other for other in kept.values() if _same(run, other)), None)
        if ref.slug in kept:
            reason = f"{ref.location}: the same run as {kept[ref.slug].ref.location}, found twice"
        elif twin is not None:
            reason = _twin_sentence(run, twin)
        elif run.state == "running" and not task.running:
            reason = (
                f"{ref.location}: still running (last record less than {settle_minutes:g} min ago);"
                " pull again when it has ended, or lower settle_minutes"
            )
        elif task.since is not None and run.end is not None and run.end < task.since:
            reason = "ended before --since"
        else:
            kept[ref.slug] = run
            outcomes.append(_keep(archive, run))
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
    if _tail(one.ref) != _tail(other.ref) or one.start is None or other.start is None:
        return False
    return abs(one.start - other.start) <= SAME_START_SECONDS


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
                twin = archive.get(slug)
                if run is not None and slug != run.slug and _same(run, twin):
                    archive.discard(run.slug)
                    told = _twin_sentence(run, twin)
                    yield Outcome(ref=run.ref, status="skipped", reason=told)
                    break
            else:
                yield outcome
        else:
            yield outcome


def _ends(one: str, other: str) -> bool:
    return one == other or one.endswith(f"-{other}") or other.endswith(f"-{one}")


def _cursor(settings: Settings, ref: RunRef) -> Path:
    return settings.cache_path / "pull" / f"{ref.slug}.json"


def _fingerprint(ref: RunRef) -> str:
    """Sizes and times of the run's files: only to know that nothing has changed."""
    digest = hashlib.sha256()
    for part in ref.parts or (ref.location,):
        path = Path(part)
        folder = path if path.is_dir() else path.parent
        for file in sorted(folder.rglob("*") if path.is_dir() else folder.glob("*")):
            if file.is_file():
                stat = file.stat()
                digest.update(
                    f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode(
                        errors="backslashreplace"
                    )
                )
    return digest.hexdigest()


def _seen(settings: Settings, ref: RunRef) -> str:
    try:
        return str(json.loads(_cursor(settings, ref).read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remember(settings: Settings, ref: RunRef) -> None:
    if _seen(settings, ref) != (fingerprint := _fingerprint(ref)):
        data = json.dumps({"fingerprint": fingerprint}).encode()
        write_atomically(_cursor(settings, ref), data)
