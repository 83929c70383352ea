"""ClearML offline sessions: the folder that the SDK writes, or its zip; read without the SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from runpages.errors import SourceError
from runpages.model import Checkpoint, Run, RunRef, Sample

from ._clearml_build import run_of
from ._clearml_events import Tally, events_of
from ._clearml_files import (
    LOG,
    METRICS,
    READ_ERRORS,
    TASK,
    FolderFiles,
    SessionFiles,
    ZipFiles,
    reason_of,
)
from ._clearml_run import Collected, counted
from ._clearml_task import as_text, checkpoints_of, state_of
from ._media import MEDIA_BYTES, Gallery, media_type_of
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["ClearmlOffline"]

READER = "clearml 1"

_SESSION = re.compile(r"offline-[0-9a-f]{32}")
_HEAD = re.compile(rb'\s*\[\s*\{[^}]*"type": ?"(training_\w+|plot|log)"')
_HEAD_BYTES = 4096
_TASK_BYTES = 64 << 20
_PARTS = (METRICS, LOG, TASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What a light look at one session tells."""

    path: Path
    run_id: str
    project: str
    name: str
    state: str
    rows_size: int
    """Bytes of its metrics."""


class ClearmlOffline(FileSource):
    """Sessions that `Task.set_offline(True)` leaves: folders `offline-<id>` and their zips."""

    kind: ClassVar[str] = "clearml"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        """A session's folder as a whole; elsewhere the zips that hold a session."""
        if _is_session(folder):
            main = next(name for name in _PARTS if name in folder.files)
            others = tuple(name for name in _PARTS if name in folder.files and name != main)
            return Claim(logs=(main,), companions=others, whole_tree=True)
        zips = (name for name in folder.files if name.lower().endswith(".zip"))
        return Claim(logs=tuple(name for name in zips if _holds_session(folder.path / name)))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found: dict[tuple[str, str], list[_Head]] = {}
        for path in sorted(logs):
            head = self._head(path)
            if head is not None:
                found.setdefault((head.project, head.run_id), []).append(head)
        for (project, run_id), heads in sorted(found.items()):
            best = max(heads, key=lambda head: (head.rows_size, head.path.is_file()))
            for other in heads:
                if other is not best:
                    why = f"the same task is read from {self._below(best.path)}"
                    self.skipped.append((str(other.path), why))
            yield RunRef(
                source=self.name,
                project=project,
                run_id=run_id,
                name=best.name or run_id,
                state=best.state,
                location=str(best.path),
                kind=self.kind,
                parts=(str(best.path),),
            )

    def _head(self, log: Path) -> _Head | None:
        place = log if log.suffix.lower() == ".zip" else log.parent
        try:
            if log.stat().st_size == 0:
                self.skipped.append((str(log), "is empty: nothing was reported"))
                return None
            files = _files_of(place)
            task = _task_of(files, Tally())
            run_id = as_text(task.get("id")) or _first_id(files)
        except (OSError, ValueError) as error:
            self.skipped.append((str(log), f"{UNREADABLE}: {reason_of(error)}"))
            return None
        return _Head(
            path=place,
            run_id=run_id or place.stem,
            project=as_text(task.get("project_name")),
            name=as_text(task.get("name")),
            state=state_of(task),
            rows_size=files.size(METRICS) or 0,
        )

    def _below(self, path: Path) -> str:
        if path == self.root:
            return self.root.name
        return self.relative(path) if path.is_relative_to(self.root) else path.name

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        try:
            files = _files_of(path)
        except (OSError, ValueError) as error:
            raise SourceError(
                path,
                f"cannot be read: {reason_of(error)}",
                remedy="copy it again, or read the session's folder beside it",
            ) from error
        tally = Tally()
        task = _task_of(files, tally)
        collected = Collected(ref.run_id)
        for name in (METRICS, LOG):
            before = (tally.records, tally.damaged)
            for found in events_of(files, name, tally):
                problem = collected.take(found.event, batch=found.line)
                if problem:
                    tally.reject(found, problem)
            if path.is_dir() and (path / name).is_symlink() and files.size(name) is None:
                tally.incomplete.append(f"{name} is a link out of the session: it is not followed")
            if name == METRICS and tally.records == before[0] and tally.damaged > before[1]:
                raise SourceError(
                    path,
                    "no record of its metrics can be read",
                    place=tally.warnings[-1],
                    remedy="copy the session again from where it was written",
                )
        return self._run(ref, files, task, collected, tally)

    def _run(
        self,
        ref: RunRef,
        files: SessionFiles,
        task: dict[str, Any],
        collected: Collected,
        tally: Tally,
    ) -> Run:
        samples, media_warnings, unread = _samples(files, collected)
        path = Path(ref.location)
        # the SDK zips a session when its process ends, and does not say how it ended
        ended = path.is_file() or path.with_name(f"{path.name}.zip").is_file()
        return run_of(
            ref,
            task,
            collected,
            tally,
            reader=READER,
            undecided="ended" if ended else settled_state(collected.end, self.settle_minutes),
            samples=samples,
            checkpoints=_checkpoints(files, task),
            lossy=unread,
            warnings=media_warnings,
        )


def _is_session(folder: Folder) -> bool:
    if not set(_PARTS) & set(folder.files):
        return False
    if _SESSION.fullmatch(folder.path.name) and TASK in folder.files:
        return True
    return any(_has_events(folder.path / name) for name in (METRICS, LOG) if name in folder.files)


def _has_events(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return _HEAD.match(stream.read(_HEAD_BYTES)) is not None
    except OSError:
        return False


def _holds_session(path: Path) -> bool:
    if _SESSION.fullmatch(path.stem):
        return True  # claimed, so that it is said why it cannot be read
    try:
        return ZipFiles(path).is_session
    except (OSError, ValueError):
        return False


def _files_of(path: Path) -> SessionFiles:
    """Raises OSError or ValueError."""
    if path.is_dir():
        return FolderFiles(path)
    files = ZipFiles(path)
    if not files.is_session:
        raise ValueError("the zip holds no task.json with metrics.jsonl or log.jsonl beside it")
    return files


def _task_of(files: SessionFiles, tally: Tally) -> dict[str, Any]:
    """The task's description; empty, with a warning, where it cannot be used."""
    try:
        size = files.size(TASK)
        if size is None:
            tally.warn(f"{TASK} is missing: neither name nor configuration are known")
            return {}
        task = json.loads(files.read(TASK, max_bytes=_TASK_BYTES))
    except (*READ_ERRORS, RecursionError) as error:
        tally.damage(TASK, size or 0, f"cannot be read ({reason_of(error)})")
        tally.incomplete.append(f"{TASK} cannot be read")
        return {}
    if not isinstance(task, dict):
        tally.damage(TASK, size, "holds no description of a task")
        tally.incomplete.append(f"{TASK} cannot be read")
        return {}
    tally.files.append((TASK, size))
    tally.records += 1
    return task


def _first_id(files: SessionFiles) -> str:
    for name in (METRICS, LOG):
        for found in events_of(files, name, Tally()):
            if as_text(found.event.get("task")):
                return as_text(found.event["task"])
    return ""


def _samples(
    files: SessionFiles, collected: Collected
) -> tuple[tuple[Sample, ...], tuple[str, ...], tuple[str, ...]]:
    """Debug samples that are images or sounds, what was left out, and what is not read."""
    gallery, other = Gallery(), 0
    for picture in collected.pictures.values():
        if picture.raced:
            continue
        name = f"data/{picture.key}"
        try:
            with files.open(name) as stream:
                kind = media_type_of(stream.read(12)).partition("/")[0]
        except READ_ERRORS:
            kind = "image"  # the gallery says why it cannot be read
        if not kind:
            other += 1
            continue
        sample = Sample(
            kind=kind,
            name=picture.name,
            step=picture.step,
            time=picture.time,
            attempt=picture.attempt,
        )
        gallery.add(sample, lambda name=name: files.read(name, max_bytes=MEDIA_BYTES))  # type: ignore[misc]
    samples, told = gallery.finish()
    unread = (f"not read: {counted(other, 'debug sample')} neither image nor sound",)
    return samples, told, unread if other else ()


def _checkpoints(files: SessionFiles, task: dict[str, Any]) -> tuple[Checkpoint, ...]:
    models = task.get("offline_output_models")
    models = models if isinstance(models, list) else []
    sizes = {}
    for checkpoint in checkpoints_of(models):
        size = files.size(checkpoint.path)
        if size is not None:
            sizes[checkpoint.path] = size
    return tuple(checkpoints_of(models, sizes))
