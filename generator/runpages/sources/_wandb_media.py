"""Images, sounds and tables that a W&B run logged, and artifacts: samples, checkpoints, events."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runpages.model import Checkpoint, Dataset, LoggedEvent, Sample

from ._artifacts import STEP_KEYS, step_told
from ._media import PER_NAME, Gallery
from ._wandb_curves import Curves
from ._wandb_facts import inside, load_json
from ._wandb_part import Artifact, Part
from ._wandb_rows import TABLES, Found
from ._wandb_steps import Placed

__all__ = ["Media", "is_internal", "media_of"]

_TABLE_BYTES = 20_000_000
_TABLES_TEXT = 32_000_000
"""Characters kept of all tables of a run."""
_ROWS = 200
_TEXT = ("text", "completion", "output", "sample", "generation", "response")
_PROMPT = ("prompt", "input", "instruction", "question")


@dataclass(slots=True, kw_only=True)
class Media:
    samples: list[Sample] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    files: list[tuple[Path, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    """Name -> files of it that are not in the run's folder."""
    text_size: int = 0


def media_of(parts: Sequence[Part], placed: Placed, curves: Curves) -> Media:
    """Media logged by itself has the step of the last row before it that names one."""
    media, gallery = Media(), Gallery()
    tables: dict[str, list[tuple[Path, str, Sample]]] = {}
    for number, part in enumerate(parts):
        files = part.path.parent / "files"
        for found in part.others.media:
            sample = Sample(
                kind="table",
                name=found.name,
                step=curves.step_of.get((number, found.row)),
                time=found.seconds if math.isfinite(found.seconds) else None,
                attempt=placed.attempt_after(number, found.row + 1),
            )
            if found.content["_type"] in TABLES:
                where = str(found.content.get("path", ""))
                tables.setdefault(found.name, []).append((files, where, sample))
            else:
                _pictures(media, gallery, files, found, sample)
        for artifact in part.artifacts:
            _artifact(media, artifact, placed.attempt_after(number, artifact.row))
        for found in part.alerts:
            alert = found.content
            text = ": ".join(t for t in (alert.title, alert.text) if t)
            attempt = placed.attempt_after(number, found.row)
            media.events.append(LoggedEvent(kind="alert", text=text, attempt=attempt))
        _branch(media, part, placed.first_attempt[number])
    for name, logged in tables.items():
        for files, where, sample in _spaced(media, name, logged):
            media.samples += _table(media, files, where, sample)
    samples, told = gallery.finish()
    media.samples += samples
    media.warnings += [
        f"{name}: {count:,} of its files {'are' if count > 1 else 'is'} not in the run's folder"
        for name, count in media.missing.items()
    ]
    media.warnings += told
    return media


def _pictures(media: Media, gallery: Gallery, files: Path, found: Found, sample: Sample) -> None:
    """Images and sounds, single ones and lists."""
    kind = "audio" if str(found.content["_type"]).startswith("audio") else "image"
    for where, caption in _listed(found.content):
        path = inside(files, where)
        if path is None:
            media.missing[found.name] += 1
        else:
            gallery.add_file(replace(sample, kind=kind, text=caption), path)


def _listed(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, caption) of each file that a media object names."""
    kind, captions = content["_type"], content.get("captions")
    if not isinstance(captions, list):
        captions = []
    if kind == "images/separated":
        paths = content.get("filenames")
    elif kind == "audio":
        sounds = content.get("audio")
        sounds = [s for s in sounds if isinstance(s, dict)] if isinstance(sounds, list) else []
        paths = [s.get("path") for s in sounds]
        captions = captions or [s.get("caption") for s in sounds]
    else:
        paths, captions = [content.get("path")], [content.get("caption")]
    for number, path in enumerate(paths if isinstance(paths, list) else []):
        caption = captions[number] if number < len(captions) else ""
        yield str(path or ""), caption if isinstance(caption, str) else ""


def _spaced(
    media: Media, name: str, logged: list[tuple[Path, str, Sample]]
) -> list[tuple[Path, str, Sample]]:
    """As many tables of one name as are kept: the first, the last, evenly spaced ones between."""
    count = len(logged)
    if count <= PER_NAME:
        return logged
    media.warnings.append(f"{name}: {PER_NAME} of its {count:,} tables are read, evenly spaced")
    return [logged[round(i * (count - 1) / (PER_NAME - 1))] for i in range(PER_NAME)]


def _table(media: Media, files: Path, where: str, sample: Sample) -> Iterator[Sample]:
    name = sample.name
    path = inside(files, where)
    if path is None:
        media.warnings.append(f"table {name}: {where or 'its file'} is not in the run folder")
        return
    try:
        data = load_json(path, max_bytes=_TABLE_BYTES)
        columns, rows = _checked(data)
    except (OSError, ValueError) as error:
        media.warnings.append(f"table {name}: {where} cannot be read: {error}")
        return
    media.files.append((path, path.stat().st_size))
    cells = tuple(tuple(_cell(c) for c in row) for row in rows[:_ROWS])
    size = sum(len(cell) for row in cells for cell in row)
    if media.text_size + size > _TABLES_TEXT:
        media.warnings.append(f"table {name}: {size:,} characters are too many; left out")
        return
    media.text_size += size
    if len(rows) > _ROWS:
        media.warnings.append(f"table {name}: {_ROWS} of its {len(rows):,} rows are read")
    text, prompt = _column(columns, _TEXT), _column(columns, _PROMPT)
    if text is None:
        yield replace(sample, columns=columns, rows=cells)
        return
    for row in cells:
        yield replace(
            sample,
            kind="text",
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
        caption = value.get("caption")
        return f"({value['_type']}: {caption})" if caption else f"({value['_type']})"
    return json.dumps(value, ensure_ascii=False)


def is_internal(artifact: Artifact) -> bool:
    """Whether W&B itself made it: tables, jobs, code."""
    return artifact.type in {"run_table", "job"} or artifact.type.startswith("wandb-")


def _artifact(media: Media, artifact: Artifact, attempt: int) -> None:
    if is_internal(artifact):
        return
    if artifact.type == "dataset":
        name, version = artifact.name, ", ".join(artifact.aliases)
        if artifact.used:
            name, _, version = artifact.name.partition(":")
        media.datasets.append(Dataset(name=name, version=version, digest=artifact.digest))
        return
    metadata = _metadata(artifact.metadata)
    step = step_told(metadata)
    if artifact.type in {"model", "checkpoint"} and step is not None:
        media.checkpoints.append(
            Checkpoint(
                step=step,
                path=artifact.name,
                attempt=attempt,
                size_bytes=artifact.size_bytes if artifact.files else None,
                metrics={
                    k: float(v)
                    for k, v in metadata.items()
                    if isinstance(v, float) and k not in STEP_KEYS
                },
            )
        )
        return
    text = f"{artifact.type} {artifact.name}"
    if artifact.used:
        text = f"uses {text}"
    media.events.append(LoggedEvent(kind="artifact", text=text, attempt=attempt))


def _metadata(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _branch(media: Media, part: Part, attempt: int) -> None:
    """Where a run was forked from another one, or taken back to an earlier step of its own."""
    point = part.run.get("branch_point")
    if point is None or not point.run:
        return
    own = point.run == part.run.get("run_id")
    text = "taken back" if own else f"forked from {point.run}"
    media.events.append(
        LoggedEvent(
            kind="rewind" if own else "fork",
            text=f"{text} at {point.metric} {point.value:g}",
            attempt=attempt,
        )
    )
