"""Sources → archive: read each new run, redact it, keep it. Safe to repeat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import NamedTuple

from runpages.archive import Archive, locked
from runpages.config import Settings, SourceSettings
from runpages.engine import open_engine, run_all
from runpages.errors import RunpagesError, SourceError, UnreachableError, UsageError
from runpages.model import Run, RunRef
from runpages.redact import redact, redact_text
from runpages.sources import TELEMETRY, open_source, sniff
from runpages.sources.telemetry import join

from .known import BEFORE, Known, same_run, tail_of, twin_sentence
from .outcome import Outcome, Pulled

__all__ = ["FoundRuns", "find_runs", "pull"]

TEXTLOG = "textlog"
"""The kind of source that `[[dialect]]` is for."""

SILENT_RUNS = 2
"""So many runs one after the other for which a tracker did not answer, and it is gone."""

Progress = Callable[[int, int, str], None]


class _Located(NamedTuple):
    """A run that was found, and how its source is opened again in a worker."""

    ref: RunRef
    location: str
    source: SourceSettings
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Runs that may be one and the same, read one after the other."""

    located: tuple[_Located, ...]
    archive: Archive
    since: float | None
    running: bool
    """Keep runs that are still running (a preview shows them; a pull waits)."""

    @property
    def locations(self) -> set[str]:
        return {run.location for run in self.located}


@dataclass(slots=True, kw_only=True)
class FoundRuns:
    """What the configured sources hold and their `include` lets in."""

    located: list[_Located] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)


def find_runs(settings: Settings) -> FoundRuns:
    """Every run of every source; a tracker that does not answer does not stop the others."""
    found = FoundRuns()
    for source in settings.source:
        location = _location(settings, source)
        try:
            refs = _discover(settings, source, location, found.skipped)
        except UnreachableError as error:
            found.unreachable.append(_said(error))
            continue
        except SourceError as error:
            found.unlisted.append((source.name or location, _said(error)))
            continue
        for ref in refs:
            names = (ref.run_id, ref.name, ref.project)
            if any(fnmatchcase(n, p) for n in names for p in source.include):
                options = _options(settings, source, ref.kind) | {"name": ref.source}
                found.located.append(_Located(ref, location, source, options))
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
        told = redact_text(location)[0]
        raise UsageError(f"location = {told!r}: name the `kind` of a tracker at an address")
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
        # a source of somebody else need not know it
        return options | ({"file_hosts": source.file_hosts} if source.file_hosts else {})
    options |= _own(settings, source, kind)
    for wanted in ("project", "filter", "file_hosts"):
        if not getattr(source, wanted):
            continue
        raise UsageError(f"source {source.location!r}: `{wanted}` is for trackers at an address")
    return options


def pull(
    settings: Settings,
    *,
    again: bool = False,
    only: str = "",
    since: float | None = None,
    running: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pulled:
    """Read what is new into the archive; one bad run does not stop the others.

    `again` reads runs whose files have not changed as well; `only` takes the one run with this id
    or slug; `since` (UTC seconds) leaves out runs that ended before. `dry_run` reads and writes
    nothing: what would be read is told as `written`. Raises LockedError.
    """
    archive = settings.open_archive()
    with nullcontext() if dry_run else locked(settings.cache_path):
        found = find_runs(settings)
        known = Known(settings, archive)
        fresh, outcomes = _sorted_out(
            known, found.located, only=only, again=again, since=since, running=running
        )
        if dry_run:
            once = {run.ref.slug: run.ref for run in reversed(fresh)}
            outcomes += [Outcome(ref=ref, status="written") for ref in once.values()]
        else:
            tasks = [
                _Task(located=group, archive=archive, since=since, running=running)
                for group in _alike(fresh)
            ]
            outcomes += _read_all(settings, tasks, known, progress)
    outcomes.sort(key=lambda o: (o.ref.source, o.ref.project, o.ref.run_id))
    return Pulled(
        outcomes=tuple(outcomes),
        skipped=(*found.skipped, *(() if dry_run else _unjoined(outcomes))),
        unreachable=tuple(found.unreachable),
        unlisted=tuple(found.unlisted),
    )


def _sorted_out(
    known: Known,
    located: Iterable[_Located],
    *,
    only: str,
    again: bool,
    since: float | None,
    running: bool,
) -> tuple[list[_Located], list[Outcome]]:
    """Runs to read, and what becomes of the others.

    Of the sources that have one and the same run the first is read, the next only if that fails.
    """
    fresh: list[_Located] = []
    outcomes: list[Outcome] = []
    first: dict[str, tuple[RunRef, bool]] = {}
    for run in located:
        ref = run.ref
        if only and only not in {ref.run_id, ref.slug}:
            continue
        outcome = known.outcome(ref, again=again, since=since, running=running)
        if outcome is not None and outcome.status == "skipped":
            outcomes.append(outcome)
            continue
        before, read = first.setdefault(ref.slug, (ref, outcome is None))
        if before is not ref and not (read and outcome is None):
            outcomes.append(_twice(ref, before))
        elif outcome is None:
            fresh.append(run)
        else:
            outcomes.append(outcome)
    return fresh, outcomes


def _read_all(
    settings: Settings,
    tasks: list[_Task],
    known: Known,
    progress: Progress | None,
) -> list[Outcome]:
    """What became of all runs; each is noted as it comes, so that a pull can be stopped.

    A tracker that did not answer for two runs one after the other is not asked for more: each would
    be waited for.
    """
    outcomes: list[Outcome] = []
    silent: Counter[str] = Counter()
    bugs: list[BaseException] = []

    def gone(task: _Task) -> bool:
        return all(silent[run.location] >= SILENT_RUNS for run in task.located)

    kind = settings.engine.kind if len(tasks) > 1 else "serial"
    with open_engine(kind) as executor:
        for number, (task, future) in enumerate(
            run_all(executor, _pull, tasks, unless=gone), start=1
        ):
            error = None if future.cancelled() else future.exception()
            if error is not None and not isinstance(error, BrokenExecutor):
                error.add_note(f"while reading {task.located[0].ref.location}")
                bugs.append(error)
                continue
            came = _outcomes(task, future)
            for run, outcome in zip(task.located, came, strict=True):
                silent[run.location] = silent[run.location] + 1 if outcome.unreachable else 0
            came = list(known.without_twins(came))
            known.remember(came)
            outcomes += came
            if progress:
                progress(number, len(tasks), task.located[0].ref.name)
    if bugs:
        raise bugs[0]
    return outcomes


def _outcomes(task: _Task, future: Future[list[Outcome]]) -> list[Outcome]:
    """Also of a task that was not done, or whose worker process was killed."""
    refs = [run.ref for run in task.located]
    if future.cancelled():
        reason = "not read, as its tracker stopped answering; pull again"
        return [
            Outcome(ref=ref, status="failed", reason=f"{ref.location}: {reason}", unreachable=True)
            for ref in refs
        ]
    if future.exception() is not None:
        reason = (
            "a worker process was killed, as happens where memory runs out; pull again with"
            ' `[engine] kind = "serial"`'
        )
        return [
            Outcome(ref=ref, status="failed", reason=f"{ref.location}: {reason}") for ref in refs
        ]
    return future.result()


def _unjoined(outcomes: list[Outcome]) -> Iterator[tuple[str, str]]:
    """Hardware logs beside runs that were all read, none of which ran at their time."""
    beside = defaultdict(list)
    for outcome in outcomes:
        for path in outcome.ref.telemetry:
            beside[path].append(outcome)
    for path, near in beside.items():
        if all(o.status == "written" and path not in o.joined for o in near):
            yield path, "hardware log: no run beside it ran at its time"


def _alike(located: list[_Located]) -> Iterator[tuple[_Located, ...]]:
    groups: dict[str, list[_Located]] = defaultdict(list)
    for item in located:
        groups[tail_of(item.ref)].append(item)
    yield from (tuple(group) for group in groups.values())


def _pull(task: _Task) -> list[Outcome]:
    """Runs in a worker: read, redact, keep."""
    outcomes = []
    kept: dict[str, Run] = {}
    for located in task.located:
        try:
            outcomes.append(_taken(task, located, kept))
        except (RunpagesError, OSError) as error:
            unreachable = isinstance(error, UnreachableError)
            said = f"{located.ref.location}: {_said(error)}" if unreachable else _said(error)
            outcomes.append(
                Outcome(ref=located.ref, status="failed", reason=said, unreachable=unreachable)
            )
    return outcomes


def _taken(task: _Task, located: _Located, kept: dict[str, Run]) -> Outcome:
    ref, location, source, options = located
    if ref.slug in kept:
        return _twice(ref, kept[ref.slug].ref)
    run = open_source(ref.kind, location, **options).read(ref)
    run, joined = join(run, ref.telemetry, source.time_zone)
    run = redact(replace(run, group=run.group or _group(ref, source)))
    twin = next((other for other in kept.values() if same_run(run, other)), None)
    if twin is not None:
        reason = twin_sentence(run, twin)
    elif run.state == "running" and not task.running:
        reason = (
            f"{ref.location}: still running (less than {options['settle_minutes']:g} min since"
            " its last record); pull again when it has ended, or lower settle_minutes"
        )
    elif task.since is not None and run.end is not None and run.end < task.since:
        reason = BEFORE
    else:
        outcome = replace(_keep(task.archive, run), ref=ref, joined=joined)
        kept[ref.slug] = run
        return outcome
    return Outcome(ref=ref, status="skipped", reason=reason, twin=twin.slug if twin else "")


def _group(ref: RunRef, source: SourceSettings) -> str:
    """Of a run that names none, as the source's `group` says."""
    if source.group != "folder":
        return source.group
    folder = PurePosixPath(ref.run_id).parent
    return "" if "://" in source.location or folder == PurePosixPath(".") else str(folder)


def _said(error: RunpagesError | OSError) -> str:
    """The sentence without credentials, whoever has put some into an address or an answer."""
    return redact_text(str(error))[0]


def _twice(ref: RunRef, other: RunRef) -> Outcome:
    reason = (
        f"{ref.location}: the same run as {other.location}, found twice; kept as {other.kind}"
        " recorded it"
    )
    return Outcome(ref=ref, status="skipped", reason=reason)


def _keep(archive: Archive, run: Run) -> Outcome:
    return Outcome(
        ref=run.ref,
        status="written" if archive.put(run) else "unchanged",
        redacted=sum(run.provenance.redactions.values()),
        damaged=run.provenance.records_damaged,
        warnings=(*run.incomplete, *run.provenance.warnings),
    )
