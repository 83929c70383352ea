"""One run folder of an MLflow file store: `mlruns/<experiment>/<run>`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from runpages.model import Dataset

from ._mlflow_artifacts import files_below
from ._mlflow_facts import RUN_ID, Artifact, Facts, LoggedModel, ModelVersion, Tally, seconds_of
from ._mlflow_meta import META, mapping_of, text_of
from ._textfiles import text, whole
from .spool import Spool

__all__ = [
    "PARTS",
    "artifacts_of_folder",
    "experiment_of",
    "facts_of_folder",
    "read_metrics",
    "status_of",
]

PARTS = ("metrics", "params", "tags")
"""Folders that a run folder holds."""

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_MAX_FILES = 50_000
_MAX_VERSIONS = 5_000
_MAX_DEPTH = 32
_LINE_BYTES = 4096
_ROWS = 65_536


def experiment_of(run: Path, tally: Tally) -> str:
    """Name of the experiment whose folder holds the run's; empty if nothing tells it."""
    found = mapping_of(run.parent / META, f"{run.parent.name}/{META}", tally)
    return text(found.get("name"))


def status_of(meta: dict[str, object]) -> str:
    """MLflow's name for the state; a file store keeps its number."""
    status = meta.get("status")
    return _STATUS.get(status, "") if isinstance(status, int) else text(status)


def facts_of_folder(run: Path, meta: dict[str, object], tally: Tally) -> Facts:
    """Everything but rows and artifacts. `meta` is the run's own meta.yaml."""
    return Facts(
        status=status_of(meta),
        start=seconds_of(meta.get("start_time")),
        end=seconds_of(meta.get("end_time")),
        user=text(meta.get("user_id")),
        source_name=text(meta.get("source_name")),
        source_version=text(meta.get("source_version")),
        params=_values(run, "params", tally),
        tags=_values(run, "tags", tally),
        datasets=list(_datasets(run, tally)),
        models=list(_models(run, tally)),
        versions=list(_versions(run, text(meta.get("run_id")) or run.name, tally)),
    )


def artifacts_of_folder(run: Path, meta: dict[str, object], tally: Tally) -> Iterator[Artifact]:
    folder = run / "artifacts"
    if folder.is_dir() and not folder.is_symlink():
        yield from files_below(folder, tally)
    elif "://" in (uri := text(meta.get("artifact_uri"))) and not uri.startswith("file:"):
        scheme = uri.partition(":")[0][:20]
        tally.lossy.append(f"its artifacts lie at another place ({scheme}) and are not read")


def _files(run: Path, part: str, tally: Tally) -> Iterator[tuple[str, Path]]:
    """(name, file) below a folder of the run, sorted; a `/` of a name is a folder."""
    top = run / part
    found = []
    if top.is_symlink():
        tally.damage(part, "is a link, which is not followed")
        return
    for current, folders, names in os.walk(top):
        here = Path(current)
        folders[:] = folders if len(here.relative_to(top).parts) < _MAX_DEPTH else []
        for name in names:
            path = here / name
            label = path.relative_to(top).as_posix()
            if path.is_symlink() or not path.is_file():
                tally.damage(f"{part}/{label}", "is no regular file")
            else:
                found.append((label, path))
        if len(found) > _MAX_FILES:
            tally.lost.append(f"{part}: more than {_MAX_FILES:,} files; the rest is not read")
            break
    yield from sorted(found)[:_MAX_FILES]


def _values(run: Path, part: str, tally: Tally) -> dict[str, str]:
    values = {}
    for label, path in _files(run, part, tally):
        value = text_of(path, f"{part}/{label}", tally)
        if value is not None:
            values[label] = value
            tally.files.append((f"{part}/{label}", len(value.encode())))
    return values


def read_metrics(run: Path, spool: Spool, tally: Tally) -> None:
    """The rows of all metrics, as they stand in their files."""
    for label, path in _files(run, "metrics", tally):
        name = f"metrics/{label}"
        try:
            tally.files.append((name, path.stat().st_size))
            for step, time, value in _batches(path, name, tally):
                tally.records += len(step)
                spool.extend(label, step, time, value)
        except OSError as error:
            tally.damage(name, f"cannot be opened: {error.strerror or error}")


def _batches(
    path: Path, name: str, tally: Tally
) -> Iterator[tuple[list[int], list[float], list[float]]]:
    rows = _rows(path, name, tally)
    while batch := list(islice(rows, _ROWS)):
        step, time, value = zip(*batch, strict=True)
        yield list(step), list(time), list(value)


def _rows(path: Path, name: str, tally: Tally) -> Iterator[tuple[int, float, float]]:
    """(step, seconds, value) of each line `milliseconds value [step [dataset digest]]`."""
    count = 0
    with path.open("rb") as stream:
        while line := stream.readline(_LINE_BYTES):
            count += 1
            whole_line = line.endswith(b"\n")
            size = len(line)
            if not whole_line and size == _LINE_BYTES:
                size += _skip_line(stream)
                tally.damage(name, "is too long for a row", place=count, size=size)
                continue
            if not line.strip():
                continue
            row = _row(line) if whole_line else None
            if row is not None:
                yield row
            elif whole_line:
                tally.damage(name, "is no row of a metric", place=count, size=size)
            else:  # its last number may lack digits, and nothing in the line would show it
                tally.damage(name, "cut off before the end of the line", place=count, size=size)
    if not count:
        tally.warn(f"{name}: empty, no row was written")


def _skip_line(stream: BinaryIO) -> int:
    """Bytes up to the end of the line."""
    size = 0
    while part := stream.readline(_LINE_BYTES):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def _row(line: bytes) -> tuple[int, float, float] | None:
    fields = line.split()
    if len(fields) < 2 or any(b"_" in field for field in fields[:3]):  # 1_000 is only Python's
        return None
    try:
        milliseconds, value = int(fields[0]), float(fields[1])
        step = int(fields[2]) if len(fields) > 2 else 0
    except ValueError:
        return None
    if abs(step) >= 2**63:
        return None
    time = seconds_of(milliseconds)
    return step, np.nan if time is None else time, value


def _datasets(run: Path, tally: Tally) -> Iterator[Dataset]:
    for label, path in _files(run, "inputs", tally):
        found = mapping_of(path, f"inputs/{label}", tally)
        source = text(found.get("source_id"))
        if found.get("source_type") != "DATASET" or not RUN_ID.fullmatch(source):
            continue
        kept = run.parent / "datasets" / source
        data = {} if kept.is_symlink() else mapping_of(kept / META, f"datasets/{source}", tally)
        tags = found.get("tags")
        split = tags.get("mlflow.data.context") if isinstance(tags, dict) else ""
        if data:
            yield Dataset(
                name=text(data.get("name")), digest=text(data.get("digest")), split=text(split)
            )


def _models(run: Path, tally: Tally) -> Iterator[LoggedModel]:
    for label, path in _files(run, "outputs", tally):
        found = mapping_of(path, f"outputs/{label}", tally)
        model_id = text(found.get("destination_id"))
        if found.get("destination_type") != "MODEL_OUTPUT" or not RUN_ID.fullmatch(model_id):
            continue
        folder = run.parent / "models" / model_id
        meta = mapping_of(folder / META, f"models/{model_id}", tally)
        spool = Spool()
        if not folder.is_symlink():
            read_metrics(folder, spool, Tally())
        linked = spool.finish()
        recorded = [(name, linked[name].recorded) for name in linked]
        yield LoggedModel(
            model_id=model_id,
            name=text(meta.get("name")),
            step=whole(found.get("step")) or 0,
            created=seconds_of(meta.get("creation_timestamp")),
            metrics=tuple(
                (name, int(step), 0 if np.isnan(time) else float(time), float(value))
                for name, rows in recorded
                for step, time, value in zip(*rows[:3], strict=True)
            ),
        )


def _versions(run: Path, run_id: str, tally: Tally) -> Iterator[ModelVersion]:
    """Entries of the registry beside the experiments that name this run."""
    registry = run.parent.parent / "models"
    for path in islice(sorted(registry.glob(f"*/version-*/{META}")), _MAX_VERSIONS):
        name = f"models/{path.parent.parent.name}/{path.parent.name}"
        scratch = Tally()
        found = mapping_of(path, name, scratch, only_with=run_id)
        if text(found.get("run_id")) != run_id:
            continue
        tally.files += scratch.files
        yield ModelVersion(
            name=text(found.get("name")),
            version=text(found.get("version")),
            stage=text(found.get("current_stage")),
            created=seconds_of(found.get("creation_timestamp")),
            link=text(found.get("run_link")),
        )
