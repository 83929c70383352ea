"""The files that an MLflow run stored: images, sounds, texts and tables become samples."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from runpages.model import Sample

from ._media import MEDIA_BYTES, Gallery
from ._mlflow_facts import Artifact, Tally, seconds_of

__all__ = ["MAX_FILES", "artifact_folder", "files_below", "samples_of"]

MAX_FILES = 10_000
"""Of more files than this in one run the rest is not looked at."""

_MAX_DEPTH = 32
_TEXT_BYTES = 65_536
_TABLE_BYTES = 4_000_000
_TABLE_ROWS = 1000
_MAX_TEXTS = 200
_MAX_TOLD = 20
_KINDS = {
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".gif": "image",
    ".webp": "image",
    ".wav": "audio",
    ".mp3": "audio",
    ".flac": "audio",
    ".ogg": "audio",
    ".txt": "text",
    ".md": "text",
    ".json": "table",
}
_STEPPED = re.compile(
    r"images/(?P<key>[^/]+)[+%]step[+%](?P<step>-?\d{1,18})[+%]timestamp[+%](?P<ms>\d{1,15})[+%]"
    r"[0-9a-fA-F-]+(?P<small>[+%]compressed)?\.\w+"
)
"""As `mlflow.log_image(key=, step=)` names its files; since 3.9 with `+`, before with `%`."""


def artifact_folder(root: Path, uri: str) -> Path | None:
    """The folder of a run's artifacts: the longest tail of `uri` that is a folder below `root`.

    So a store that was moved with its artifacts finds them, and nothing outside it is opened.
    """
    parts = urlsplit(uri)
    path = uri if len(parts.scheme) < 2 else unquote(parts.path)  # `E:` is a drive
    if len(parts.scheme) > 1 and parts.scheme not in {"file", "mlflow-artifacts"}:
        return None
    names = [n for n in path.replace("\\", "/").split("/") if n not in {"", ".", ".."}]
    for start in range(len(names) - 1):  # one name alone (`artifacts`) says too little
        for above in ("", "mlartifacts", "mlruns"):
            folder = root.joinpath(above, *names[start:])
            if folder.is_dir() and folder.resolve().is_relative_to(root.resolve()):
                return folder
    return None


def files_below(folder: Path, tally: Tally) -> Iterator[Artifact]:
    """The regular files of a folder, sorted; links are not followed."""
    found: list[tuple[str, Path]] = []
    for current, folders, names in os.walk(folder):
        here = Path(current)
        depth = len(here.relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < _MAX_DEPTH else []
        for name in sorted(names):
            path = here / name
            if path.is_file() and not path.is_symlink():
                found.append((path.relative_to(folder).as_posix(), path))
        if len(found) > MAX_FILES:
            tally.warn(f"artifacts: more than {MAX_FILES:,} files; the rest is not looked at")
            break
    for name, path in sorted(found)[:MAX_FILES]:
        yield Artifact(name, path.stat().st_size, lambda path=path: _bytes(path))  # type: ignore[misc]


def _bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(MEDIA_BYTES + 1)
    if len(data) > MEDIA_BYTES:
        raise ValueError(f"larger than {MEDIA_BYTES:,} bytes")
    return data


@dataclass(slots=True)
class _Shelf:
    """Samples while the files are gone through."""

    tally: Tally
    attempt_at: Callable[[float | None], int]
    gallery: Gallery = field(default_factory=lambda: Gallery(held=True))
    written: list[Sample] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)

    def put(self, artifact: Artifact) -> None:
        path = PurePosixPath(artifact.path)
        kind = _KINDS.get(path.suffix.lower(), "")
        if kind in {"image", "audio"}:
            self._media(kind, artifact)
        elif kind and len(self.written) < _MAX_TEXTS:
            self._written(kind, artifact)
        else:
            self.other[path.suffix.lower()[:12] or "no suffix"] += 1

    def _media(self, kind: str, artifact: Artifact) -> None:
        name, step, time = artifact.path, None, None
        stepped = _STEPPED.fullmatch(artifact.path)
        if stepped is not None:
            name = stepped["key"].replace("~", "/").replace("#", "/")
            step, time = int(stepped["step"]), seconds_of(int(stepped["ms"]))
        if artifact.size is not None and artifact.size > MEDIA_BYTES:
            self.tally.lossy.append(f"{artifact.path}: {artifact.size:,} bytes are too many")
            return
        sample = Sample(kind=kind, name=name, step=step, time=time, attempt=self.attempt_at(time))
        self.gallery.add(sample, artifact.load)

    def _written(self, kind: str, artifact: Artifact) -> None:
        limit = _TEXT_BYTES if kind == "text" else _TABLE_BYTES
        if artifact.size is not None and artifact.size > limit:
            self.tally.lossy.append(f"{artifact.path}: {artifact.size:,} bytes are too many")
            return
        try:
            data = artifact.load()[:limit]
            sample = self._text(artifact, data) if kind == "text" else self._table(artifact, data)
        except (OSError, ValueError, RecursionError) as error:
            self.tally.warn(f"{artifact.path}: cannot be read ({_words(error)}); left out")
            return
        if sample is None:
            self.other[".json"] += 1
        else:
            self.written.append(sample)

    def _text(self, artifact: Artifact, data: bytes) -> Sample:
        return Sample(kind="text", name=artifact.path, text=data.decode("utf-8"))

    def _table(self, artifact: Artifact, data: bytes) -> Sample | None:
        """A table as `mlflow.log_table` writes it; None for JSON of another shape."""
        found = json.loads(data)
        if not isinstance(found, dict) or set(found) != {"columns", "data"}:
            return None
        columns, rows = found["columns"], found["data"]
        if not isinstance(columns, list) or not isinstance(rows, list):
            return None
        if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            return None
        if len(rows) > _TABLE_ROWS:
            self.tally.lossy.append(
                f"{artifact.path}: the first {_TABLE_ROWS:,} of its {len(rows):,} rows are kept"
            )
        return Sample(
            kind="table",
            name=artifact.path,
            columns=tuple(map(_cell, columns)),
            rows=tuple(tuple(map(_cell, row)) for row in rows[:_TABLE_ROWS]),
        )


def samples_of(
    artifacts: Iterable[Artifact], tally: Tally, attempt_at: Callable[[float | None], int]
) -> tuple[Sample, ...]:
    """What can be shown of a run's files; the rest is counted in `tally.lossy`."""
    found = {artifact.path: artifact for artifact in artifacts}
    models = {str(PurePosixPath(p).parent) for p in found if PurePosixPath(p).name == "MLmodel"}
    shelf = _Shelf(tally, attempt_at)
    for path, artifact in sorted(found.items()):
        stepped = _STEPPED.fullmatch(path)
        if stepped is not None and stepped["small"]:
            continue  # MLflow's own reduced copy of the image beside it
        if any(str(parent) in models for parent in PurePosixPath(path).parents):
            continue
        shelf.put(artifact)
    if models:
        plural = "s" if len(models) > 1 else ""
        tally.lossy.append(f"{len(models)} folder{plural} with a model are not opened")
    if shelf.other:
        count = sum(shelf.other.values())
        kinds = ", ".join(f"{n} {suffix}" for suffix, n in shelf.other.most_common(6))
        plural = "s of other kinds are" if count > 1 else " of another kind is"
        tally.lossy.append(f"{count:,} stored file{plural} not read: {kinds}")
    media, told = shelf.gallery.finish()
    tally.lossy += told[:_MAX_TOLD]
    if len(told) > _MAX_TOLD:
        tally.lossy.append(f"and {len(told) - _MAX_TOLD:,} more media files are left out")
    return (*media, *shelf.written)


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _words(error: Exception) -> str:
    said = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return " ".join(said.split())[:120]
