"""TensorBoard event files: scalars, texts, images, sounds, histograms and hyper-parameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import Any

from runpages.errors import SourceError
from runpages.model import Provenance, Run, RunRef

from ._ranks import clock_skew, missing_ranks
from ._tf_frames import windows
from ._tf_head import Head, look
from ._tf_hparams import Session, seed_of, session_of
from ._tf_run import EventFile, Finished, Message, RunReading, Stream
from ._tf_seats import Found, grouped, seats_of
from ._tf_values import Settings, decoded
from ._tfevents import Damage
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["TensorBoard"]

READER = "tensorboard 3"
_NAME = re.compile(r"(^|\.)tfevents\.")
_PROFILER = ("plugins", "profile")
_MAX_CONFIG_CHARACTERS = 1_000_000
_MAX_CONFIG_DEPTH = 32
_SKEW_SECONDS = 1.0


class TensorBoard(FileSource):
    """A folder with event files is a run; `train`, `val`... and the ranks below it are one run."""

    kind = "tensorboard"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        """Event files, and what TensorBoard's profiler wrote: nobody else reads that either."""
        if _is_profile(folder.path):
            return Claim(logs=folder.files)
        return Claim(logs=tuple(name for name in folder.files if _NAME.search(name)))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        files = []
        for path in logs:
            head = _head(path)
            if head.reason:
                self.skipped.append((str(path), head.reason))
            else:
                files.append(Found(PurePosixPath(self.relative(path)), head))
        groups, alone = grouped(files)
        for found in alone:
            why = "holds hyper-parameters only: there is no run with values that they belong to"
            self.skipped.append((str(self.root / found.path), why))
        for group in sorted(groups, key=lambda g: g.run_id.as_posix()):
            paths = sorted(self.root / found.path for found in group.files)
            location = self.root / group.run_id
            if not all(location in path.parents for path in paths):
                location = Path(commonpath([path.parent for path in paths]))
            yield RunRef(
                source=self.name,
                project="",
                run_id=self.identity(self.root / group.run_id),
                name=(self.root / group.run_id).name,
                state="",
                location=str(location),
                kind=self.kind,
                parts=tuple(str(path) for path in paths),
            )

    def read(self, ref: RunRef) -> Run:
        reading = _Reading(self, ref)
        try:
            reading.files()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(
                error.filename or ref.location, f"cannot be read: {reason}"
            ) from error
        return reading.result()


def _is_profile(folder: Path) -> bool:
    """`plugins/profile`, or a folder of one session in it."""
    return _PROFILER in {folder.parts[-2:], folder.parts[-3:-1]}


def _head(path: Path) -> Head:
    """The begin of a file, or why nothing can be read of it."""
    if _is_profile(path.parent) and not _NAME.search(path.name):
        return Head(reason="is a profile of the program; profiles are not read")
    try:
        if not path.is_file():
            return Head(reason="cannot be read: not a file, or a link to nowhere")
        return look(path)
    except OSError as error:
        return Head(reason=f"{UNREADABLE}: {error.strerror}")


class _Reading:
    """One run, while its files are read and put together."""

    def __init__(self, source: TensorBoard, ref: RunRef) -> None:
        self.source = source
        self.ref = ref
        self.rows = RunReading()
        self.summary: dict[str, object] = {}
        self.sessions: list[EventFile] = []
        """Files that `add_hparams` wrote beside the run's own or in folders below it."""
        self.seen: tuple[int, ...] = ()

    def files(self) -> None:
        """Read them all, the files of each folder oldest first."""
        heads = {Path(part): look(Path(part)) for part in self.ref.parts}
        own = [path for path, head in heads.items() if not head.session] or list(heads)
        folders = {path: PurePosixPath(self.source.relative(path.parent)) for path in own}
        known = seats_of(folders.values())
        seats = {path: known[folder] for path, folder in folders.items()}
        self.seen = tuple(sorted({s.rank for s in seats.values() if s.rank is not None}))

        def age(path: Path) -> tuple[int, str, float, Path]:
            return seats[path].rank or 0, seats[path].prefix, heads[path].began, path

        for path in sorted(own, key=age):
            rank = seats[path].rank if len(self.seen) > 1 else None
            self.rows.read(path, Stream(rank, seats[path].prefix))
        for path in heads:
            if path not in seats:
                self._session(path)

    def _session(self, path: Path) -> None:
        """A file that `add_hparams` wrote: its metrics have one value each, the result."""
        file = EventFile(path, Stream(), 0, size=path.stat().st_size)
        for window in windows(path, file.damage):
            for number in range(len(window.start)):
                event = decoded(window.payload(number), self.rows.book.plugins)
                if event is None:
                    window.reject(number, file.damage)
                    continue
                file.events += 1
                for tag, content in event.values:
                    if isinstance(content, Settings):
                        self.rows.messages.append(Message(event.time, content.content))
                    elif isinstance(content, float):
                        self.summary[tag] = content
        self.sessions.append(file)

    def result(self) -> Run:
        ref, files = self.ref, [*self.rows.files, *self.sessions]
        if not any(file.events for file in files):
            raise SourceError(
                ref.location, "no record of its event files can be read", remedy="restore them"
            )
        finished = self.rows.finish()
        session = session_of(self.rows.messages)
        config, told = _config(session, self.rows.config_texts)
        starts = [a.start for a in finished.attempts if a.start is not None]
        ends = [a.end for a in finished.attempts if a.end is not None]
        first, last = min(starts, default=math.inf), max(ends, default=-math.inf)
        state = session.end_state(first, last, results=bool(self.summary))
        end = max(ends, default=None)
        settled = state or settled_state(end, self.source.settle_minutes)
        return Run(
            ref=ref,
            name=ref.name,
            state=settled,
            incomplete=self._incomplete(files),
            start=min(starts, default=None),
            end=end,
            attempts=(
                *finished.attempts[:-1],
                *(replace(attempt, state=settled) for attempt in finished.attempts[-1:]),
            ),
            series=finished.series,
            config=config,
            summary=self.summary,
            group=session.group,
            author=session.author,
            description=session.description,
            seed=seed_of(config),
            samples=finished.samples,
            provenance=Provenance(
                reader=READER,
                files=tuple((self._name(f), f.size) for f in files),
                records_read=sum(f.events for f in files),
                records_damaged=sum(f.damage.records for f in files),
                bytes_damaged=sum(f.damage.bytes for f in files),
                ranks_seen=self.seen,
                step_source="step of the events",
                lossy=self._lossy(bool(config), state),
                warnings=(
                    *(w for f in files if (w := _damage_sentence(self._name(f), f.damage))),
                    *self._warnings(finished, session),
                    *told,
                ),
            ),
        )

    def _name(self, file: EventFile) -> str:
        return file.path.relative_to(self.ref.location).as_posix()

    def _incomplete(self, files: Sequence[EventFile]) -> tuple[str, ...]:
        out = [s for f in files if (s := _loss(self._name(f), f.damage))]
        missing = missing_ranks(dict.fromkeys(self.seen), None)
        if missing:
            named = ", ".join(str(rank) for rank in missing[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            ranks = "rank" if len(missing) == 1 else "ranks"
            out.append(f"there is no log of {ranks} {named}{more}")
        if self.rows.book.excess:
            out.append(f"{self.rows.book.excess:,} rows are left out: too many different tags")
        return tuple(out)

    def _lossy(self, has_config: bool, state: str) -> tuple[str, ...]:  # noqa: FBT001
        unknown = [
            *([] if state else ["how a run ended"]),
            *([] if has_config else ["its configuration"]),
            "its code or hardware" if state and has_config else "code or hardware",
        ]
        return (
            f"Event files do not tell {', '.join(unknown)}.",
            *(
                f"{number} {what} are not read."
                for what, number in sorted(self.rows.unread.items())
                if number
            ),
        )

    def _warnings(self, finished: Finished, session: Session) -> Iterator[str]:
        if session.starts > 1:
            yield f"{session.starts} sets of hyper-parameters were logged; the last value counts"
        if session.malformed:
            yield f"{session.malformed} records of hyper-parameters cannot be decoded"
        for rank, seconds in clock_skew(finished.ranks).items():
            if abs(seconds) > _SKEW_SECONDS:
                way = "ahead of" if seconds > 0 else "behind"
                first = min(finished.ranks)
                yield f"the clock of rank {rank} is {abs(seconds):.1f} s {way} that of rank {first}"
        yield from finished.left_out


def _config(
    session: Session, texts: Mapping[str, str]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Hyper-parameters, and the JSON objects that Hugging Face's trainer logs as text."""
    config: dict[str, object] = {}
    told = []
    for name, text in sorted(texts.items()):
        found = _json_object(text)
        if found is None:
            told.append(f"{name}: is no JSON object; kept as text only")
        else:
            config[name] = found
    return config | session.settings, tuple(told)


def _json_object(text: str) -> dict[str, Any] | None:
    if len(text) > _MAX_CONFIG_CHARACTERS:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _depth_fits(found) else None


def _depth_fits(value: object, depth: int = 0) -> bool:
    if depth > _MAX_CONFIG_DEPTH:
        return False
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_depth_fits(item, depth + 1) for item in items)


def _loss(name: str, damage: Damage) -> str:
    if damage.truncated:
        return f"{name} is cut off in its last record"
    if damage.records:
        one = damage.records == 1
        what = "record, which is" if one else "records, which are"
        return f"{name} has {damage.records} damaged {what} left out"
    return ""


def _damage_sentence(name: str, damage: Damage) -> str:
    if not damage.records:
        return ""
    return (
        f"{name}: {damage.records} stretch(es) of {damage.bytes} bytes fail their checksum, "
        f"the first at byte {damage.first_at}; everything else is kept; copy the file again"
    )
