"""Samples, checkpoints and data sets of a run on a W&B server.

Media files are fetched from the tracker's own host only, by the run's own list of files; artifacts
are known by their metadata, their contents are not fetched.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runpages.model import Checkpoint, Dataset, LoggedEvent, Sample

from ._artifacts import STEP_KEYS, step_told
from ._media import MEDIA_BYTES, PER_NAME, Gallery
from ._textfiles import whole
from ._wandb_api_facts import json_object
from ._wandb_api_http import Client, Elsewhere, Refused, Spent, TooLarge, Trouble
from ._wandb_api_pages import MAX_ARTIFACTS, Place, artifacts_of, file_urls
from ._wandb_curves import Curves
from ._wandb_part import Part
from ._wandb_rows import TABLES, Found
from ._wandb_steps import Placed

__all__ = ["Files", "Kept", "samples_of", "stored_artifacts"]

TABLE_BYTES = 20_000_000
TABLE_ROWS = 200
MEDIA_FILES = 400
"""Images and sounds fetched of one run."""

TOLD = 20
"""Sentences about single media files."""
FAILURES = 3
"""So many files that cannot be fetched, and the server is not well."""

_TEXT = ("text", "completion", "output", "sample", "generation", "response")
_PROMPT = ("prompt", "input", "instruction", "question")
_MODELS = frozenset({"model", "checkpoint"})


class Files:
    """The run's files on its server; everything that was fetched is noted in `read`."""

    def __init__(self, client: Client, place: Place) -> None:
        self.read: dict[str, int] = {}
        self._client = client
        self._place = place
        self._elsewhere: Counter[str] = Counter()
        self._failures = 0

    def not_fetched(self) -> Iterator[str]:
        """One sentence for each host that was not asked."""
        for where, count in self._elsewhere.items():
            yield f"{count} file{'s' if count > 1 else ''} not fetched: each {where}"

    def fetch(self, name: str, *, max_bytes: int) -> bytes:
        """Raises ValueError with a reason, FileNotFoundError if there is none of that name."""
        if not _proper(name):
            raise ValueError(f"{name[:120]!r} is no path inside the run")
        try:
            known = file_urls(self._client, self._place, [name])
            if name not in known:
                raise FileNotFoundError(2, "the server has no such file", name)
            url, size = known[name]
            if size > max_bytes:
                raise ValueError(f"{size:,} bytes, more than the {max_bytes:,} that are read")
            data = self._client.download(url, max_bytes=max_bytes)
        except Elsewhere as error:
            self._elsewhere[error.problem] += 1
            raise FileNotFoundError(2, error.problem, name) from error
        except (Refused, TooLarge) as error:
            raise ValueError(error.problem) from error
        except Spent:
            raise
        except Trouble as error:
            self._failures += 1
            if error.unreachable or self._failures >= FAILURES:
                raise
            raise ValueError(error.problem) from error
        self.read[name] = len(data)
        return data


def _proper(name: str) -> bool:
    """A relative POSIX path that leaves no folder."""
    parts = name.split("/")
    return not (
        len(name) > 1000
        or re.search(r"[\x00-\x1f\\]", name)
        or any(part in {"", ".", ".."} for part in parts)
        or re.match(r"[A-Za-z]:", name)
    )


@dataclass(slots=True, kw_only=True)
class Kept:
    """What a run has besides numbers."""

    samples: list[Sample] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    lossy: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def samples_of(parts: Sequence[Part], placed: Placed, curves: Curves, files: Files) -> Kept:
    """Tables, images and sounds."""
    kept, gallery = Kept(), Gallery(held=True)
    load = _limited(functools.partial(files.fetch, max_bytes=MEDIA_BYTES))
    tables: dict[str, list[tuple[Sample, Found]]] = {}
    for number, part in enumerate(parts):
        for found in part.others.media:
            sample = Sample(
                kind="table",
                name=found.name,
                step=curves.step_of.get((number, found.row)),
                time=found.seconds if math.isfinite(found.seconds) else None,
                attempt=placed.attempt_after(number, found.row + 1),
            )
            if found.content["_type"] in TABLES:
                tables.setdefault(found.name, []).append((sample, found))
            for one, path in _media(sample, found.content):
                gallery.add(one, functools.partial(load, path))
    for name, logged in tables.items():
        for sample, found in _spaced(kept, name, logged):
            try:
                kept.samples += _table(sample, found.content, files, kept.warnings)
            except (OSError, ValueError) as error:
                kept.warnings.append(f"table {name}: cannot be read: {_words(error)}")
    samples, told = gallery.finish()
    kept.samples += samples
    kept.warnings += told[:TOLD]
    if len(told) > TOLD:
        kept.warnings.append(f"{len(told) - TOLD:,} more media files are left out")
    return kept


def _spaced(
    kept: Kept, name: str, logged: list[tuple[Sample, Found]]
) -> list[tuple[Sample, Found]]:
    """As many tables of one name as are kept: the first, the last, evenly spaced ones between."""
    count = len(logged)
    if count <= PER_NAME:
        return logged
    kept.warnings.append(f"{name}: {PER_NAME} of its {count:,} tables are read, evenly spaced")
    return [logged[round(i * (count - 1) / (PER_NAME - 1))] for i in range(PER_NAME)]


def _limited(fetch: Callable[[str], bytes]) -> Callable[[str], bytes]:
    count = 0

    def load(path: str) -> bytes:
        nonlocal count
        count += 1
        if count > MEDIA_FILES:
            raise ValueError(f"more than the {MEDIA_FILES} media files that are fetched of a run")
        return fetch(path)

    return load


def _words(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def _media(sample: Sample, content: dict[str, Any]) -> Iterator[tuple[Sample, str]]:
    """(sample without its bytes, path of its file) of an image or a sound, or of a list of them."""
    kind = content.get("_type")
    if kind in {"image-file", "audio-file"}:
        items = [content]
    elif kind == "images/separated":
        names = content.get("filenames")
        items = [{"path": name} for name in names] if isinstance(names, list) else []
    elif kind == "audio":
        listed = content.get("audio")
        items = [json_object(item) for item in listed] if isinstance(listed, list) else []
    else:
        return
    captions = content.get("captions")
    captions = captions if isinstance(captions, list) else []
    for number, item in enumerate(items):
        path = item.get("path")
        caption = captions[number] if number < len(captions) else item.get("caption")
        if isinstance(path, str):
            caption = caption if isinstance(caption, str) else ""
            what = "audio" if str(kind).startswith("audio") else "image"
            yield replace(sample, kind=what, text=caption), path


def _table(
    sample: Sample, content: dict[str, Any], files: Files, warnings: list[str]
) -> Iterator[Sample]:
    data = files.fetch(str(content.get("path", "")), max_bytes=TABLE_BYTES)
    columns, rows = _checked(json_object(data))
    if len(rows) > TABLE_ROWS:
        warnings.append(f"table {sample.name}: {TABLE_ROWS} of its {len(rows):,} rows are read")
    cells = tuple(tuple(_cell(cell) for cell in row) for row in rows[:TABLE_ROWS])
    text, prompt = _column(columns, _TEXT), _column(columns, _PROMPT)
    if text is None:
        yield replace(sample, columns=columns, rows=cells)
        return
    for row in cells:
        said = row[prompt] if prompt is not None else ""
        yield replace(sample, kind="text", prompt=said, text=row[text])


def _checked(data: dict[str, Any]) -> tuple[tuple[str, ...], list[list[object]]]:
    columns, rows = data.get("columns"), data.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise ValueError("its file holds no `columns` and `data`")  # noqa: TRY004 - of a file
    width = len(columns)
    if any(not isinstance(row, list) or len(row) != width for row in rows):
        raise ValueError(f"a row does not have the {width} cells of the header")
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


def stored_artifacts(client: Client, place: Place, kept: Kept) -> None:
    """Models and checkpoints that the run logged, data sets that it logged or used."""
    for used in (False, True):
        try:
            for number, node in enumerate(artifacts_of(client, place, used=used)):
                if number == MAX_ARTIFACTS:
                    what = "used" if used else "logged"
                    kept.warnings.append(
                        f"only the first {MAX_ARTIFACTS:,} {what} artifacts are read"
                    )
                    break
                _artifact(kept, node, used=used)
        except Refused as refused:
            kept.lossy.append(f"artifacts are not read: {refused.problem}")
            return


def _artifact(kept: Kept, node: dict[str, Any], *, used: bool) -> None:
    name = str(json_object(node.get("artifactSequence")).get("name") or "")
    kind = str(json_object(node.get("artifactType")).get("name") or "")
    if kind in {"run_table", "job"} or kind.startswith("wandb-"):
        return
    version = node.get("versionIndex")
    version = f"v{version}" if type(version) is int else ""
    if kind == "dataset":
        digest = node.get("digest")
        digest = digest if isinstance(digest, str) else ""
        kept.datasets.append(Dataset(name=name, version=version, digest=digest))
        return
    metadata = json_object(node.get("metadata"))
    step = step_told(metadata)
    if kind in _MODELS and step is not None and not used:
        metrics = {k: v for k, v in metadata.items() if isinstance(v, float)}
        kept.checkpoints.append(
            Checkpoint(
                step=step,
                path=f"{name}:{version}" if version else name,
                size_bytes=whole(node.get("size")),
                metrics={k: v for k, v in metrics.items() if k not in STEP_KEYS},
            )
        )
        return
    text = f"{kind} {name}:{version}" if version else f"{kind} {name}"
    kept.events.append(LoggedEvent(kind="artifact", text=f"used {text}" if used else text))
