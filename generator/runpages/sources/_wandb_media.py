"""Tables that a W&B run logged, and artifacts: samples, checkpoints, data sets, events."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runpages.model import Checkpoint, Dataset, LoggedEvent, Sample

from ._wandb_facts import inside, load_json
from ._wandb_part import Found, Part
from ._wandb_steps import Placed

__all__ = ["Media", "media_of"]

_TABLE_BYTES = 20_000_000
_ROWS = 200
_TEXT = ("text", "completion", "output", "sample", "generation", "response")
_PROMPT = ("prompt", "input", "instruction", "question")
_STEP_KEYS = ("step", "global_step", "iteration", "iter")


@dataclass(slots=True, kw_only=True)
class Media:
    samples: list[Sample] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    """Name -> kind of media objects that are not read."""
    files: list[tuple[str, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def media_of(parts: Sequence[Part], placed: Placed) -> Media:
    """A table logged by itself has the step of the last row before it that names one."""
    media = Media()
    for number, part in enumerate(parts):
        for found in part.media:
            kind = str(found.content.get("_type", ""))
            if kind in {"table-file", "table", "incremental-table-file"}:
                media.samples += _table(media, part, number, placed, found)
            else:
                media.unread.setdefault(found.name, kind)
        for found in part.artifacts:
            _artifact(media, found, placed.attempt_at(number, found.row))
        for found in part.alerts:
            alert = found.content
            text = ": ".join(t for t in (alert.title, alert.text) if t)
            attempt = placed.attempt_at(number, found.row)
            media.events.append(LoggedEvent(kind="alert", text=text, attempt=attempt))
    return media


def _table(media: Media, part: Part, number: int, placed: Placed, found: Found) -> Iterator[Sample]:
    where = str(found.content.get("path", ""))
    path = inside(part.path.parent / "files", where)
    if path is None:
        media.warnings.append(f"table {found.name}: {where or 'its file'} is not in the run folder")
        return
    try:
        data = load_json(path, max_bytes=_TABLE_BYTES)
        columns, rows = _checked(data)
    except (OSError, ValueError) as error:
        media.warnings.append(f"table {found.name}: {where} cannot be read: {error}")
        return
    media.files.append((str(path), path.stat().st_size))
    if len(rows) > _ROWS:
        media.warnings.append(f"table {found.name}: {_ROWS} of its {len(rows):,} rows are read")
    seconds = part.times[found.row]
    step = placed.step_at(number, found.row, placed.main)
    when = seconds if math.isfinite(seconds) else None
    attempt = placed.attempt_at(number, found.row + 1)
    text, prompt = _column(columns, _TEXT), _column(columns, _PROMPT)
    cells = tuple(tuple(_cell(c) for c in row) for row in rows[:_ROWS])
    if text is None:
        yield Sample(
            kind="table",
            name=found.name,
            step=step,
            time=when,
            attempt=attempt,
            columns=columns,
            rows=cells,
        )
        return
    for row in cells:
        yield Sample(
            kind="text",
            name=found.name,
            step=step,
            time=when,
            attempt=attempt,
            prompt=row[prompt] if prompt is not None else "",
            text=row[text],
        )


def _malformed(why: str) -> ValueError:
    return ValueError(why)


def _checked(data: object) -> tuple[tuple[str, ...], list[list[object]]]:
    if not isinstance(data, dict):
        raise _malformed("it holds no table")
    columns, rows = data.get("columns"), data.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise _malformed("`columns` and `data` are not lists")
    width = len(columns)
    if any(not isinstance(row, list) or len(row) != width for row in rows):
        raise _malformed(f"a row does not have the {width} cells of the header")
    return tuple(str(c) for c in columns), rows


def _column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    lower = [c.lower() for c in columns]
    return next((lower.index(name) for name in names if name in lower), None)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict) and "_type" in value:
        return f"({value['_type']})"
    return json.dumps(value, ensure_ascii=False)


def _artifact(media: Media, found: Found, attempt: int) -> None:
    record: Any = found.content
    if record.type == "run_table" or record.type.startswith("wandb-"):
        return
    if record.type == "dataset":
        version = ", ".join(record.aliases)
        media.datasets.append(Dataset(name=record.name, version=version, digest=record.digest))
        return
    metadata = _metadata(record.metadata)
    step = next((metadata[k] for k in _STEP_KEYS if type(metadata.get(k)) is int), None)
    if record.type in {"model", "checkpoint"} and step is not None:
        contents = record.manifest.contents
        media.checkpoints.append(
            Checkpoint(
                step=step,
                path=record.name,
                attempt=attempt,
                size_bytes=sum(entry.size for entry in contents) if contents else None,
                metrics={
                    k: float(v)
                    for k, v in metadata.items()
                    if isinstance(v, float) and k not in _STEP_KEYS
                },
            )
        )
        return
    media.events.append(
        LoggedEvent(kind="artifact", text=f"{record.type} {record.name}", attempt=attempt)
    )


def _metadata(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
