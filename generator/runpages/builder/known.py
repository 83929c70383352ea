"""What earlier pulls have kept and noted, and which runs are one and the same."""

from __future__ import annotations

import hashlib
import json
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from runpages.archive import Archive, write_atomically
from runpages.config import Settings
from runpages.errors import ArchiveError
from runpages.model import Run, RunRef

from .outcome import Outcome

__all__ = ["BEFORE", "Known", "same_run", "tail_of", "twin_sentence"]

SAME_START_SECONDS = 10.0
"""Two records of one run id that begin within this time are one run seen by two trackers."""

BEFORE = "ended before --since"
"""The reason why a run is left out."""


def tail_of(ref: RunRef) -> str:
    return ref.run_id.rpartition("/")[2]


def same_run(one: Run, other: Run) -> bool:
    """Two trackers' records of one run, or one record met at two places.

    Runs of a sweep that were launched together have the same last part of their ids and nearly the
    same start: of one kind of log only the very same rows are the same run.
    """
    if tail_of(one.ref) != tail_of(other.ref) or one.start is None or other.start is None:
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


def twin_sentence(run: Run, twin: Run) -> str:
    return (
        f"{run.ref.location}: the same run as {twin.slug} (same id, started within"
        f" {SAME_START_SECONDS:.0f} s), kept once as {twin.ref.kind} recorded it"
    )


def _ends(one: str, other: str) -> bool:
    return one == other or one.endswith(f"-{other}") or other.endswith(f"-{one}")


def _fingerprint(ref: RunRef) -> str:
    """Sizes and times of the run's files: only to know that nothing has changed."""
    digest = hashlib.sha256(ref.stamp.encode())
    if ref.stamp:
        return digest.hexdigest()
    for part in (*(ref.parts or (ref.location,)), *ref.telemetry):
        path = Path(part)
        for file in sorted(path.rglob("*") if path.is_dir() else path.parent.glob("*")):
            digest.update(_size_and_time(file).encode(errors="backslashreplace"))
    return digest.hexdigest()


def _size_and_time(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    regular = stat.S_ISREG(found.st_mode)
    return f"{path.name} {found.st_size} {found.st_mtime_ns}\n" if regular else ""


class Known:
    """What earlier pulls have kept, and what they have noted of each run."""

    def __init__(self, settings: Settings, archive: Archive) -> None:
        self._folder = settings.cache_path / "pull"
        self._archive = archive
        self._withdrawn = archive.withdrawn()
        self._before = frozenset(archive.slugs())
        self._readable: dict[str, list[str]] = defaultdict(list)
        for slug in sorted(self._before):
            self._readable[slug[:-11]].append(slug)
        self._prints: dict[RunRef, str] = {}
        """Fingerprints before reading: what is written meanwhile is new to the next pull."""

    def outcome(
        self, ref: RunRef, *, again: bool, since: float | None, running: bool
    ) -> Outcome | None:
        """What becomes of a run that need not be read; None if it must be."""
        self._prints[ref] = _fingerprint(ref)
        note = {} if again else self._note(ref)
        if note.get("fingerprint") != self._prints[ref]:
            note = {}
        reason = twin = ""
        if ref.slug in self._withdrawn:
            reason = f"{ref.location}: withdrawn: {self._withdrawn[ref.slug]}"
        elif note and ref.slug in self._before:
            return Outcome(ref=ref, status="unchanged")
        elif note.get("twin") in self._before or note.get("twin") in self._withdrawn:
            reason, twin = str(note.get("reason", "")), str(note["twin"])
        elif ref.stamp and ref.state == "running" and not running:
            reason = (
                f"{ref.location}: still running, says its tracker; pull again when it has ended"
            )
        elif since is not None and ref.latest is not None and ref.latest < since:
            reason = BEFORE
        return Outcome(ref=ref, status="skipped", reason=reason, twin=twin) if reason else None

    def remember(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            note = {"fingerprint": self._prints[outcome.ref]}
            if outcome.twin:
                note |= {"twin": outcome.twin, "reason": outcome.reason}
            elif outcome.status not in {"written", "unchanged"}:
                continue
            if self._note(outcome.ref) != note:
                write_atomically(self._path(outcome.ref), json.dumps(note).encode())

    def without_twins(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Take back a run that an earlier pull has kept under another slug."""
        for outcome in outcomes:
            if outcome.status == "written" and outcome.ref.slug not in self._before:
                yield self._twin(outcome) or outcome
            else:
                yield outcome

    def _twin(self, outcome: Outcome) -> Outcome | None:
        stem = outcome.ref.slug[:-11]
        near = [s for r, slugs in self._readable.items() for s in slugs if _ends(stem, r)]
        run = self._archive.get(outcome.ref.slug) if near else None
        for slug in near:
            try:
                twin = self._archive.get(slug)
                same = run is not None and slug != run.slug and same_run(run, twin)
            except ArchiveError:
                continue  # `build` tells of it; what cannot be read is nobody's twin
            if run is not None and same:
                self._archive.discard(run.slug)
                told = twin_sentence(run, twin)
                return Outcome(ref=outcome.ref, status="skipped", reason=told, twin=slug)
        return None

    def _path(self, ref: RunRef) -> Path:
        return self._folder / f"{ref.slug}.json"

    def _note(self, ref: RunRef) -> dict[str, object]:
        try:
            note = json.loads(self._path(ref).read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}
