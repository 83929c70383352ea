"""The archive in an object store, or whatever else fsspec reaches: `s3://bucket/folder`.

A run's content-addressed files are written first, its record last, by one PUT under a condition:
nobody else has written a record since this one was looked at. So a reader sees a run wholly or not,
and of two writers of one run the second looks again.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from runpages.errors import ArchiveError
from runpages.model import Note, Run

from .files import waited_for, write_atomically
from .folder import SWEEP_SECONDS, Archive, is_intact, withdrawal
from .mirror import comes_at_once, is_path_of_run, record_last
from .notes import NOTES, write_note
from .store import Store

__all__ = ["ObjectArchive"]

_TRIES_MAX = 20
_PAUSE_SECONDS = 0.5


class ObjectArchive(Archive):
    """Keeps runs below `url`. `mirror` is this machine's copy: `refresh` brings it up to date, and
    every other method of `Archive` reads it.

    Raises MissingExtraError or UsageError for an address that cannot be, ArchiveError if the store
    gives no answer.
    """

    def __init__(self, url: str, *, mirror: Path) -> None:
        super().__init__(mirror)
        self._store = Store(url)

    def refresh(self, *, whole: bool = False) -> None:
        """Make the mirror what the store holds now; `whole`: with all series and samples."""
        with waited_for(self.location):
            there = {p: tag for p, tag in self._store.listed("runs").items() if is_path_of_run(p)}
            last = self._store.tags_of(self.location)
            wanted = [
                path
                for path in sorted(there, key=record_last)
                if (whole or comes_at_once(path)) and self._lacks(path, there[path], last)
            ]
            for path, content in self._store.contents(wanted):
                write_atomically(self.location / path, content, durable=False)
            for left in self.location.glob("runs/**/*"):
                if left.is_file() and left.relative_to(self.location).as_posix() not in there:
                    left.unlink()
            self._store.keep_tags(self.location, there)

    def put(self, run: Run) -> bool:
        """As `Archive.put`. Raises ArchiveError for a run that was withdrawn meanwhile."""
        record = f"runs/{run.slug}/run.json"
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            staged = Archive(name)
            staged.put(run)
            folder = Path(name) / "runs" / run.slug
            own = {
                path.relative_to(name).as_posix(): path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.name != "run.json"
            }
            encoded = (folder / "run.json").read_bytes()
            changed = False
            for _ in range(_TRIES_MAX):
                before, tag = self._store.read(record)
                if reason := withdrawal(before or b""):
                    raise ArchiveError(run.slug, f"withdrawn: {reason}", "it is not kept again")
                changed = self._store.upload(own, below=f"runs/{run.slug}") or changed
                if before == encoded:
                    break
                changed = True
                if self._store.write(record, encoded, tag=tag):
                    break
                time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - not for secrets
            else:
                raise ArchiveError(record, "others keep writing this run's record", "pull again")
            self._sweep_store(run.slug, {record, *own})
            with waited_for(self.location):
                super().put(run)
        return changed

    def add_note(self, slug: str, note: Note) -> Path:
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            staged = write_note(Path(name), note)
            path = f"runs/{slug}/{NOTES}/{staged.name}"
            content = staged.read_bytes()
        if not self._store.write(path, content, tag="") and self._store.read(path)[0] != content:
            raise FileExistsError(path)
        write_atomically(self.location / path, content, durable=False)
        return self.location / path

    def withdraw(self, slug: str, reason: str) -> None:
        record = f"runs/{slug}/run.json"
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            folder = Path(name) / "runs" / slug
            folder.mkdir(parents=True)
            shutil.copy(self._folder(slug) / "run.json", folder)
            Archive(name).withdraw(slug, reason)
            tombstone = (folder / "run.json").read_bytes()
        for _ in range(_TRIES_MAX):
            if self._store.write(record, tombstone, tag=self._store.read(record)[1]):
                break
        else:
            raise ArchiveError(record, "others keep writing this run's record", "try again")
        self._store.delete(set(self._store.listed(f"runs/{slug}")) - {record})
        with waited_for(self.location):
            super().withdraw(slug, reason)

    def discard(self, slug: str) -> None:
        self._store.delete({f"runs/{slug}/run.json"})
        self._store.delete(self._store.listed(f"runs/{slug}"))
        with waited_for(self.location):
            super().discard(slug)

    def _fetched(self, path: Path) -> Path:
        if not is_intact(path):
            name = path.relative_to(self.location).as_posix()
            for _, content in self._store.contents([name]):
                write_atomically(path, content, durable=False)
        return path

    def _lacks(self, path: str, tag: str, last: Mapping[str, str]) -> bool:
        place = self.location / path
        return not place.is_file() or last.get(path) != tag

    def _sweep_store(self, slug: str, keep: set[str]) -> None:
        """Delete what no record has named for a day."""
        old = {
            path
            for path, written in self._store.times(f"runs/{slug}").items()
            if time.time() - written.timestamp() > SWEEP_SECONDS
        }
        self._store.delete({path for path in old - keep if Path(path).parent.name != NOTES})
