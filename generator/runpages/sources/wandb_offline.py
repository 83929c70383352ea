"""Weights & Biases: offline run folders and single .wandb files, read without the SDK."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from runpages.errors import SourceError
from runpages.model import Provenance, Run, RunRef

from ._textfiles import seconds
from ._wandb_build import (
    attempts_of,
    console_of,
    environment_of,
    exit_state,
    losses_of,
    lossy_of,
    summary_of,
    warnings_of,
)
from ._wandb_curves import Curves, curves_of
from ._wandb_facts import Facts, code_of, command_of, facts_of, hardware_of
from ._wandb_history import Store
from ._wandb_media import Media, media_of
from ._wandb_part import Part, clock, read_part
from ._wandb_records import BLOCK, RecordLog, has_header
from ._wandb_steps import Placed, place
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["WandbOffline"]

READER = "wandb 1"

_RUN_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)", re.DOTALL)
_HEAD_RECORDS = 50
"""The run record is the second one of a file; this many are looked at for it."""
_HEAD_BLOCKS = 8
_TAIL_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What a light look at one file tells."""

    path: Path
    run_id: str
    project: str
    name: str
    start: float | None
    stamp: tuple[int, int]
    """Recorded start, as seconds and nanoseconds."""
    recorded: bool = True
    """Whether the file has a run record; otherwise its name and its folder's are all there is."""

    @property
    def folder_time(self) -> str:
        """Local time in the folder's name, fit for comparing; empty where the name has none."""
        found = _RUN_FOLDER.fullmatch(self.path.parent.name)
        return found[1] if found else ""


class WandbOffline(FileSource):
    """Folders that W&B's SDK wrote. Several folders with one id are attempts of one run."""

    kind: ClassVar[str] = "wandb"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        """A run folder as a whole; elsewhere the .wandb files alone."""
        logs = tuple(name for name in folder.files if name.endswith(".wandb"))
        named = [name for name in logs if name.startswith("run-")]
        if len(named) == 1 and (
            _RUN_FOLDER.fullmatch(folder.path.name) or (folder.path / "files").is_dir()
        ):
            others = tuple(name for name in folder.files if name not in logs)
            return Claim(logs=logs, companions=others, whole_tree=True)
        markers = tuple(name for name in folder.files if name.endswith(".wandb.synced"))
        return Claim(logs=logs, companions=markers if logs else ())

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        heads = [head for path in logs if (head := self._head(path)) is not None]
        runs = self._stitched(heads)
        for (project, run_id), heads in sorted(runs.items()):
            kept = self._without_copies(heads)
            parts = tuple(str(head.path) for head in kept)
            yield RunRef(
                source=self.name,
                project=project,
                run_id=run_id,
                name=next((h.name for h in reversed(kept) if h.name), run_id),
                state=_light_state(kept, self.settle_minutes),
                location=parts[0],
                kind=self.kind,
                parts=parts,
            )

    def _head(self, path: Path) -> _Head | None:
        try:
            if path.stat().st_size == 0:
                self.skipped.append((str(path), "the file is empty"))
                return None
            if not has_header(path):
                self.skipped.append((str(path), "does not begin as a .wandb file does"))
                return None
            return _look(path)
        except OSError as error:
            self.skipped.append((str(path), f"{UNREADABLE}: {error.strerror}"))
            return None

    def _stitched(self, heads: Sequence[_Head]) -> dict[tuple[str, str], list[_Head]]:
        """By project and id. A file without a run record joins the run that has its id."""
        runs: dict[tuple[str, str], list[_Head]] = {}
        for head in heads:
            if head.recorded:
                runs.setdefault((head.project, head.run_id), []).append(head)
        for head in heads:
            if head.recorded:
                continue
            above = head.path.parent.parent
            places = [key for key in runs if key[1] == head.run_id]
            beside = [k for k in places if any(h.path.parent.parent == above for h in runs[k])]
            if len(places) > 1 and len(beside) != 1:
                why = f"has no run record, and several projects have a run {head.run_id}"
                self.skipped.append((str(head.path), why))
                continue
            key = (beside or places or [("", head.run_id)])[0]
            runs.setdefault(key, []).append(head)
        return runs

    def _without_copies(self, heads: list[_Head]) -> list[_Head]:
        """Ordered by start; of several files with one start the largest."""
        kept: list[_Head] = []
        for head in _ordered(heads, self._below):
            if not kept or not _same_start(head, kept[-1]):
                kept.append(head)
                continue
            larger = head.path.stat().st_size > kept[-1].path.stat().st_size
            winner, other = (head, kept[-1]) if larger else (kept[-1], head)
            kept[-1] = winner
            why = f"the same run with the same start is read from {self._below(winner.path)}"
            self.skipped.append((str(other.path), why))
        return kept

    def _below(self, path: Path) -> str:
        return self.relative(path) if path.is_relative_to(self.root) else path.name

    def read(self, ref: RunRef) -> Run:
        paths = [Path(part) for part in ref.parts or (ref.location,)]
        with Store() as store:
            parts = _parts(paths, store)
            placed = place(parts)
            curves = curves_of(parts, placed)
        facts = [facts_of(part) for part in parts]
        media = media_of(parts, placed, curves)
        return self._run(ref, parts, placed, curves, facts, media)

    def _run(
        self,
        ref: RunRef,
        parts: list[Part],
        placed: Placed,
        curves: Curves,
        facts: list[Facts],
        media: Media,
    ) -> Run:
        fields: dict[str, Any] = {}
        config: dict[str, Any] = {}
        for part in parts:
            fields |= part.run
            config |= part.config
        attempts = attempts_of(parts, placed, curves, facts, self.settle_minutes)
        seed = config.get("seed")
        return Run(
            ref=ref,
            name=fields.get("display_name") or ref.name,
            state=attempts[-1].state,
            incomplete=tuple(s for part in parts for s in losses_of(part, self._below(part.path))),
            start=next((p.start for p in parts if p.start is not None), None),
            end=max((a.end for a in attempts if a.end is not None), default=None),
            attempts=attempts,
            series=curves.series,
            config=config,
            summary=summary_of(parts),
            group=fields.get("run_group") or fields.get("sweep_id", ""),
            parent=_parent(ref, fields),
            job_type=fields.get("job_type", ""),
            author=next((f.texts["username"] for f in facts if "username" in f.texts), ""),
            tags=fields.get("tags", ()),
            description=fields.get("notes", ""),
            code=code_of(facts),
            hardware=hardware_of(facts),
            environment=environment_of(facts),
            command=command_of(facts),
            seed=seed if type(seed) is int else None,
            datasets=tuple(media.datasets),
            checkpoints=tuple(media.checkpoints),
            samples=tuple(media.samples),
            logged_events=tuple(media.events),
            console=console_of(parts),
            provenance=self._provenance(parts, placed, facts, media),
        )

    def _provenance(
        self, parts: list[Part], placed: Placed, facts: list[Facts], media: Media
    ) -> Provenance:
        files = [(part.path, part.log.bytes_read) for part in parts]
        files += [entry for one in facts for entry in one.files]
        files += media.files
        return Provenance(
            reader=READER,
            files=tuple(dict.fromkeys((self._below(path), size) for path, size in files)),
            records_read=sum(p.log.read for p in parts),
            records_expected=sum(p.log.expected for p in parts),
            records_damaged=sum(p.log.damaged for p in parts),
            bytes_damaged=sum(p.log.damaged_bytes + p.log.tail_bytes for p in parts),
            step_source=placed.step_source,
            lossy=lossy_of(parts),
            warnings=(
                *placed.warnings,
                *warnings_of(parts, placed),
                *(w for one in facts for w in one.warnings),
                *media.warnings,
            ),
        )


def _parts(paths: Sequence[Path], store: Store) -> list[Part]:
    """Everything of each file. Raises SourceError if nothing of them can be used."""
    try:
        for path in paths:
            if not has_header(path):
                raise SourceError(path, "does not begin as a .wandb file does")
        parts = [read_part(path, store) for path in paths]
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(error.filename or paths[0], f"cannot be read: {reason}") from error
    if not any(part.log.read for part in parts):
        raise SourceError(
            paths[0],
            "no record in it is whole",
            place=f"{sum(p.log.bytes_read for p in parts):,} bytes",
            remedy="copy the file again from where it was written",
        )
    return parts


def _parent(ref: RunRef, fields: Mapping[str, Any]) -> str:
    """The run that this one was forked from."""
    point = fields.get("branch_point")
    return str(point.run) if point is not None and point.run != ref.run_id else ""


def _look(path: Path) -> _Head:
    """Identity by the run record; without one by the file's name."""
    for seen, (_, record) in enumerate(RecordLog(path, window_blocks=_HEAD_BLOCKS)):
        if record.HasField("run") and record.run.run_id:
            run = record.run
            stamp = (run.start_time.seconds, run.start_time.nanos)
            return _Head(
                path=path,
                run_id=run.run_id,
                project=run.project,
                name=run.display_name,
                start=clock(run.start_time),
                stamp=stamp,
            )
        if seen >= _HEAD_RECORDS:
            break
    found = _RUN_FOLDER.fullmatch(path.parent.name)
    run_id = found[2] if found else path.name.removeprefix("run-").removesuffix(".wandb")
    return _Head(
        path=path, run_id=run_id, project="", name="", start=None, stamp=(0, 0), recorded=False
    )


def _ordered(heads: Sequence[_Head], below: Callable[[Path], str]) -> list[_Head]:
    """By recorded start; a file without one by the time in its folder's name, else at the end."""
    recorded = [head for head in heads if head.recorded]

    def key(head: _Head) -> tuple[tuple[int, int], bool, str, str]:
        stamp = head.stamp
        if not head.recorded:
            own = head.folder_time
            before = [h.stamp for h in recorded if not own or h.folder_time <= own]
            stamp = max(before, default=(0, 0))
        return stamp, not head.recorded, head.folder_time, below(head.path)

    return sorted(heads, key=key)


def _same_start(head: _Head, before: _Head) -> bool:
    if head.recorded:
        return head.stamp != (0, 0) and head.stamp == before.stamp
    return head.folder_time != "" and head.folder_time == before.folder_time


def _light_state(heads: Sequence[_Head], settle_minutes: float) -> str:
    """By the last blocks of the newest file: exit record, else the last recorded time.

    A file that died before it recorded a time says nothing; the one before it does.
    """
    for head in reversed(heads):
        exit_code, last = _end_of(head)
        if exit_code is not None and head is heads[-1]:
            return exit_state(exit_code)
        if last is not None:
            return settled_state(last, settle_minutes)
    return settled_state(None, settle_minutes)


def _end_of(head: _Head) -> tuple[int | None, float | None]:
    """(exit code, last recorded time) by the last blocks of a file."""
    blocks = head.path.stat().st_size // BLOCK
    last = head.start
    for _, record in RecordLog(head.path, from_block=max(0, blocks - _TAIL_BLOCKS)):
        if record.HasField("exit"):
            return record.exit.exit_code, last
        for stamp in (record.stats.timestamp, record.output_raw.timestamp):
            last = max(clock(stamp) or 0.0, last or 0.0) or None
        for item in record.history.item:
            if "_timestamp" in (item.key, *item.nested_key):
                last = max(seconds(item.value_json) or 0.0, last or 0.0) or None
    return None, last
