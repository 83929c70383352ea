"""TensorBoard event files: scalars in both encodings and text."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from runpages.errors import SourceError
from runpages.model import Attempt, Provenance, Run, RunRef, Sample

from ._tf_attempts import Place, aligned, numbered
from ._tfevents import Damage, Event, records
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state
from .spool import Spool

__all__ = ["TensorBoard"]

READER = "tensorboard 2"
_PAIRED = frozenset({"train", "training", "val", "valid", "validation", "eval", "test"})
_NAME = re.compile(r"(^|\.)tfevents\.")
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
_STRING = 7
_HEAD_BYTES = 1 << 18
_SESSION_START = 1
_MAX_SECONDS = 1e11
_KINDS = {"image": "images", "images": "images", "audio": "audio", "histo": "histograms",
          "histograms": "histograms", "distributions": "histograms", "hparams": "hyper-parameters",
          "pr_curves": "PR curves", "mesh": "meshes"}  # fmt: skip


class TensorBoard(FileSource):
    """A folder with event files is a run; `train`, `val`... below one folder are one run."""

    kind = "tensorboard"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        return Claim(logs=tuple(name for name in folder.files if _NAME.search(name)))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        groups: dict[Path, list[Path]] = defaultdict(list)
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
                continue
            paired = path.parent.name.lower() in _PAIRED and path.parent != self.root
            groups[path.parent.parent if paired else path.parent].append(path)
        for folder in sorted(groups, key=lambda f: f.as_posix()):
            run_id = self.relative(folder)
            run_id = self.root.name if run_id == "." else run_id
            yield RunRef(
                source=self.name,
                project="",
                run_id=run_id,
                name=folder.name,
                state="",
                location=str(folder),
                kind=self.kind,
                parts=tuple(str(path) for path in sorted(groups[folder])),
            )

    def read(self, ref: RunRef) -> Run:
        root = Path(ref.location)
        reading = _Reading(root)
        try:
            files = [_read_file(Path(part), root) for part in ref.parts]
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(error.filename or root, f"cannot be read: {reason}") from error
        reading.sort(files)
        series = reading.spool.finish()
        damaged = sum(f.damage.records for f in files)
        if not any(f.count for f in files):
            raise SourceError(
                root, "no record of its event files can be read", remedy="restore them"
            )
        attempts = reading.attempts(series.spans)
        first = [a.start for a in attempts if a.start is not None]
        last = [a.end for a in attempts if a.end is not None]
        end = max(last, default=None)
        return Run(
            ref=ref,
            name=ref.name,
            state=settled_state(end, self.settle_minutes),
            incomplete=tuple(s for f in files if (s := _incomplete(f))),
            start=min(first, default=None),
            end=end,
            attempts=attempts,
            series=series,
            samples=tuple(reading.samples),
            provenance=Provenance(
                reader=READER,
                files=tuple((f.name, f.size) for f in files),
                records_read=sum(f.count for f in files),
                records_damaged=damaged,
                bytes_damaged=sum(f.damage.bytes for f in files),
                step_source="step of the events",
                lossy=(
                    "Event files do not tell how a run ended, its configuration, code or hardware.",
                    *(
                        f"{number} {what} are not read."
                        for what, number in sorted(reading.unread.items())
                    ),
                ),
                warnings=tuple(w for f in files if (w := _damage_sentence(f))),
            ),
        )


@dataclass(slots=True)
class _Row:
    """One summary value."""

    step: int
    time: float
    tag: str
    value: float | None
    text: str | None
    unread: str


@dataclass(slots=True)
class _File:
    name: str
    prefix: str
    size: int
    damage: Damage
    count: int = 0
    rows: list[_Row] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    """Positions in `rows` where a session began."""
    began: float = math.inf


@dataclass(slots=True)
class _Reading:
    """Rows of all files of a run, sorted into attempts."""

    root: Path
    spool: Spool = field(default_factory=Spool)
    samples: list[Sample] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    times: dict[int, tuple[float, float]] = field(default_factory=dict)

    def sort(self, files: Sequence[_File]) -> None:
        """Each row into its attempt; the files of a folder oldest first."""
        folders: dict[str, list[_File]] = defaultdict(list)
        for file in sorted(files, key=lambda f: (f.prefix, f.began, f.name)):
            folders[file.prefix].append(file)
        streams, attempts = [], []
        for own in folders.values():
            places = [[Place(r.tag, r.step, r.time) for r in file.rows] for file in own]
            starts = [frozenset(file.starts) for file in own]
            parts = numbered(list(zip(places, starts, strict=True)))
            streams.append([(file, row) for file in own for row in file.rows])
            attempts.append([number for part in parts for number in part])
        if len(streams) > 1 and any(max(numbers, default=1) > 1 for numbers in attempts):
            times = [[row.time for _, row in stream] for stream in streams]
            attempts = aligned(times, attempts) or attempts
        for stream, numbers in zip(streams, attempts, strict=True):
            for (file, row), number in zip(stream, numbers, strict=True):
                self._keep(file, row, number)

    def _keep(self, file: _File, row: _Row, attempt: int) -> None:
        low, high = self.times.get(attempt, (math.inf, -math.inf))
        # NaN is never the smaller or the greater one
        self.times[attempt] = (min(low, row.time), max(high, row.time))
        name = f"{file.prefix}{row.tag}"
        if row.value is not None:
            self.spool.add(name, row.step, row.time, row.value, attempt=attempt)
        elif row.text is not None:
            self.samples.append(
                Sample(
                    kind="text",
                    name=name,
                    step=row.step,
                    time=None if math.isnan(row.time) else row.time,
                    attempt=attempt,
                    text=row.text,
                )
            )
        else:
            self.unread[row.unread] += 1

    def attempts(self, spans: dict[int, tuple[int, int]]) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(
                number=number,
                start=first if first <= last else None,
                end=last if first <= last else None,
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
            )
            for number, (first, last) in sorted(self.times.items())
        )


def _unusable(path: Path) -> str:
    """Why nothing can be read of the file; empty if something can."""
    try:
        if not path.is_file():
            return "cannot be read: not a file, or a link to nowhere"
        size = path.stat().st_size
        if not size:
            return "empty: 0 bytes"
        file = _read_file(path, path.parent, head=_HEAD_BYTES)
        if size > _HEAD_BYTES and not _has_summaries(file):
            file = _read_file(path, path.parent)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    if not file.count:
        return (
            "no event record at its start or behind it: not an event file, or damaged all through"
        )
    if not file.rows:
        return "holds no summaries (only a graph or a file header)"
    if not _has_summaries(file):
        return "holds hyper-parameters only; they are not read"
    return ""


def _has_summaries(file: _File) -> bool:
    return any(row.unread != "hyper-parameters" for row in file.rows)


def _read_file(path: Path, root: Path, *, head: int = -1) -> _File:
    damage = Damage()
    parent = path.parent.relative_to(root).as_posix()
    file = _File(
        name=path.relative_to(root).as_posix(),
        prefix="" if parent == "." else f"{parent}/",
        size=path.stat().st_size,
        damage=damage,
    )
    for offset, payload in records(path, damage, head=head):
        event: Any = Event()
        try:
            event.ParseFromString(payload)
        except DecodeError:
            damage.note(offset, len(payload) + 16)
            continue
        file.count += 1
        seconds = event.wall_time if 0 < event.wall_time < _MAX_SECONDS else math.nan
        file.began = min(file.began, seconds)
        if event.HasField("session_log") and event.session_log.status == _SESSION_START:
            file.starts.add(len(file.rows))
        for value in event.summary.value:
            file.rows.append(_row(event.step, seconds, value))
    return file


def _row(step: int, seconds: float, value: Any) -> _Row:
    row = _Row(step, seconds, value.tag, None, None, "")
    plugin = value.metadata.plugin_data.plugin_name
    if value.HasField("tensor"):
        tensor = value.tensor
        if tensor.dtype == _STRING and plugin in {"text", ""}:
            row.text = "\n".join(part.decode("utf-8", "replace") for part in tensor.string_val)
            row.tag = row.tag.removesuffix("/text_summary")
        elif plugin in _KINDS:
            row.unread = _KINDS[plugin]
        else:
            row.value = _scalar(tensor)
            row.unread = "tensors"
    elif value.image:
        row.unread = "images"
    elif value.audio:
        row.unread = "audio"
    elif value.histo:
        row.unread = "histograms"
    elif plugin in _KINDS:
        row.unread = _KINDS[plugin]
    elif value.simple_value:
        row.value = value.simple_value[-1]
    else:
        row.unread = "other values"
    return row


def _scalar(tensor: Any) -> float | None:
    """The number of a tensor with one element; None for any other."""
    if math.prod(dim.size for dim in tensor.tensor_shape.dim) != 1 or tensor.dtype not in _DTYPES:
        return None
    if tensor.tensor_content:
        dtype = np.dtype(_DTYPES[tensor.dtype])
        if len(tensor.tensor_content) != dtype.itemsize:
            return None
        return float(np.frombuffer(tensor.tensor_content, dtype=dtype)[0])
    if tensor.dtype == 19 and len(tensor.half_val) == 1:
        return float(np.array(tensor.half_val, dtype=np.uint16).view(np.float16)[0])
    for values in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if len(values) == 1:
            return float(values[0])
    return 0.0  # protobuf leaves out a single zero


def _incomplete(file: _File) -> str:
    if file.damage.truncated:
        return f"{file.name} is cut off in its last record"
    if file.damage.records:
        one = file.damage.records == 1
        what = "record, which is" if one else "records, which are"
        return f"{file.name} has {file.damage.records} damaged {what} left out"
    return ""


def _damage_sentence(file: _File) -> str:
    damage = file.damage
    if not damage.records:
        return ""
    return (
        f"{file.name}: {damage.records} stretch(es) of {damage.bytes} bytes fail their checksum, "
        f"the first at byte {damage.first_at}; everything else is kept; copy the file again"
    )
