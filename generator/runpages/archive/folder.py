"""The archive in a folder: one sub-folder a run, its record written last."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from runpages.analysis.roles import role_of
from runpages.errors import ArchiveError, UnknownNameError
from runpages.model import Media, Note, Run, Sample, SeriesSet

from .files import scratch_file, write_atomically
from .notes import NOTES, read_notes, write_note
from .record import decode, dump
from .tables import StoredSeries, open_series, write_series

__all__ = ["SWEEP_SECONDS", "Archive", "is_intact", "withdrawal"]

SCHEMA = "runpages.archive/1"
SWEEP_SECONDS = 86_400
_MEDIA = "samples"
_WITHDRAWN = b'"withdrawn":'
"""As `dump` writes the key: never within a text, whose quotation marks are escaped."""
_NAME_DIGITS = 12
"""Of a file's sha256 in its name."""
_REBUILD = "restore it from a copy, or pull the run again with --run"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What run.json holds: the run without its arrays, and where those lie."""

    schema: str
    run: dict[str, Any] = field(default_factory=dict)
    """Its fields; as JSON values in a record that was read."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    series_file: str = ""
    series: tuple[StoredSeries, ...] = ()
    samples_file: str = ""
    withdrawn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunFields:
    """The types of Run's plain fields, for decoding."""

    samples: tuple[Sample, ...] = ()


class Archive:
    """Keeps runs for ever. `location` is a folder; it is made when the first run comes.

    run.json is the commit record of a run: it names the content-addressed files that belong to it
    and is written last, by rename. Readers start there and never see half a run. Files that no
    record names are swept a day later.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = Path(location)

    def _folder(self, slug: str) -> Path:
        return self.location / "runs" / slug

    def _record(self, slug: str) -> _Record:
        path = self._folder(slug) / "run.json"
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise UnknownNameError("run", slug, self.slugs()[:20]) from error
        with _explained(path):
            data = json.loads(content)
            record: _Record = decode(_Record, data | {"run": {}})
            record = replace(record, run=data.get("run", {}))  # decoded with Run's own types
        if record.schema != SCHEMA:
            raise ArchiveError(
                path,
                f"schema {record.schema!r} where {SCHEMA!r} was expected",
                "use the runpages version that wrote it",
            )
        return record

    def slugs(self) -> tuple[str, ...]:
        """All runs that are not withdrawn, sorted; one whose record is damaged is among them."""
        gone = self.withdrawn()
        return tuple(slug for slug in self._all() if slug not in gone)

    def _all(self) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(self.location / "runs") as folders:
            return sorted(one.name for one in folders if os.path.isfile(f"{one.path}/run.json"))
        return []

    def __contains__(self, slug: object) -> bool:
        return isinstance(slug, str) and (self._folder(slug) / "run.json").is_file()

    def withdrawn(self) -> dict[str, str]:
        """Slug -> reason of the runs that were withdrawn."""
        found = {}
        for slug in self._all():
            # most records have no such key: they need not be parsed
            if _WITHDRAWN in _content(f"{self.location}/runs/{slug}/run.json"):
                with suppress(ArchiveError):
                    found[slug] = self._record(slug).withdrawn
        return {slug: reason for slug, reason in found.items() if reason}

    def put(self, run: Run) -> bool:
        """Keep `run`, redacted already; False if the very same run was there, undamaged."""
        folder = self._folder(run.slug)
        samples = dump(tuple(_kept(s) for s in run.samples)) if run.samples else b""
        plain = {
            f.name: getattr(run, f.name) for f in fields(run) if f.name not in {"series", "samples"}
        }
        # where the log lay when it was read, and what told that it changed, is no part of the run
        plain["ref"] = replace(run.ref, location="", parts=(), telemetry=(), stamp="", latest=None)
        with scratch_file(folder) as (temporary, sink):
            stored = write_series(run.series, sink) if run.series else ()
            sink.seek(0)
            series_file = _named("series", hashlib.file_digest(sink, "sha256"), "parquet")
            record = _Record(
                schema=SCHEMA,
                run=plain,
                spans={str(number): span for number, span in run.series.spans.items()},
                series_file=series_file if stored else "",
                series=stored,
                samples_file=_addressed("samples", samples, "json"),
            )
            encoded = dump(record)
            path = folder / "run.json"
            changed = not path.is_file() or path.read_bytes() != encoded
            if stored and not is_intact(folder / series_file):
                os.fsync(sink.fileno())
                temporary.replace(folder / series_file)
                changed = True
        media = {_media_file(m): m for s in run.samples if (m := s.media) is not None}
        files = {folder / _MEDIA / name: one.read for name, one in media.items()}
        if samples:
            files[folder / record.samples_file] = lambda: samples
        for place, content in files.items():
            if not is_intact(place):
                write_atomically(place, content())
                changed = True
        if not changed:
            return False
        write_atomically(path, encoded)
        self._sweep(folder, {"run.json", NOTES, _MEDIA, series_file, record.samples_file})
        if (folder / _MEDIA).is_dir():
            self._sweep(folder / _MEDIA, set(media))
        return True

    def get(self, slug: str) -> Run:
        """The run; its series are loaded when asked for.

        Raises UnknownNameError, or ArchiveError if its record or a file of it is damaged.
        """
        record = self._record(slug)
        folder = self._folder(slug)
        if record.withdrawn:
            raise ArchiveError(folder, f"withdrawn: {record.withdrawn}", "it cannot be read back")
        samples: tuple[Sample, ...] = ()
        if record.samples_file:
            content = self._intact(folder / record.samples_file).read_bytes()
            samples = decode(_RunFields, {"samples": json.loads(content)}).samples
            samples = tuple(self._loading(folder / _MEDIA, sample) for sample in samples)
        series = SeriesSet.of({})
        if record.series_file:
            intact = partial(self._intact, folder / record.series_file)
            spans = {int(number): span for number, span in record.spans.items()}
            series = open_series(intact, record.series, spans).roled(role_of)
        with _explained(folder / "run.json"):
            plain: Run = decode(Run, record.run | {"series": None})
        return replace(plain, series=series, samples=samples)

    def digest(self, slug: str) -> str:
        """sha256 over everything that is kept of the run, notes included."""
        folder = f"{self.location}/runs/{slug}"  # asked of every run by every build: no Path
        digest = hashlib.sha256(_content(f"{folder}/run.json"))
        names: list[str] = []
        with suppress(FileNotFoundError):
            names = sorted(n for n in os.listdir(f"{folder}/{NOTES}") if n.endswith(".json"))
        for name in names:
            digest.update(name.encode() + b"\n" + _content(f"{folder}/{NOTES}/{name}"))
        return digest.hexdigest()

    def notes(self, slug: str) -> tuple[Note, ...]:
        """What people wrote about the run, oldest first; broken files are `unreadable_notes`."""
        return read_notes(self._folder(slug) / NOTES)[0]

    def unreadable_notes(self, slug: str) -> tuple[str, ...]:
        """One sentence for each file among the notes that is none."""
        return read_notes(self._folder(slug) / NOTES)[1]

    def add_note(self, slug: str, note: Note) -> Path:
        """Keep `note` in a file of its own. Raises UnknownNameError, or ValueError if it is none
        that could be read back."""
        self._record(slug)
        return write_note(self._folder(slug) / NOTES, note)

    def withdraw(self, slug: str, reason: str) -> None:
        """Delete the run's data and keep a tombstone with the reason."""
        if not reason.strip():
            raise ValueError("a withdrawal needs a reason")
        self._record(slug)
        folder = self._folder(slug)
        write_atomically(folder / "run.json", dump(_Record(schema=SCHEMA, withdrawn=reason)))
        self._sweep(folder, {"run.json"}, at_once=True)

    def discard(self, slug: str) -> None:
        """Forget a run that was never published; no tombstone."""
        shutil.rmtree(self._folder(slug))

    def _fetched(self, path: Path) -> Path:
        """A file of a run, brought here if it lies elsewhere."""
        return path

    def _intact(self, path: Path) -> Path:
        """The content-addressed file itself. Raises ArchiveError if its bytes are not the named."""
        if not self._fetched(path).is_file():
            raise ArchiveError(path, "the record names this file, but it is gone", _REBUILD)
        if not is_intact(path):
            raise ArchiveError(path, "its bytes are not those that were written", _REBUILD)
        return path

    def _loading(self, folder: Path, sample: Sample) -> Sample:
        if sample.media is None:
            return sample
        load = partial(self._bytes, folder / _media_file(sample.media), sample.media.sha256)
        return replace(sample, media=replace(sample.media, load=load))

    def _bytes(self, path: Path, sha256: str) -> bytes:
        try:
            data = self._fetched(path).read_bytes()
        except FileNotFoundError as error:
            problem = "the record names this file, but it is gone"
            raise ArchiveError(path, problem, _REBUILD) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ArchiveError(path, "its bytes are not those that were written", _REBUILD)
        return data

    def _sweep(self, folder: Path, keep: set[str], *, at_once: bool = False) -> None:
        for path in folder.iterdir():
            if path.name in keep:
                continue
            if path.is_dir():
                if at_once:
                    shutil.rmtree(path)
            elif at_once or time.time() - path.stat().st_mtime > SWEEP_SECONDS:
                path.unlink(missing_ok=True)


def withdrawal(content: bytes) -> str:
    """The reason in a run.json; empty in that of a run that was not withdrawn, or is damaged."""
    try:
        data = json.loads(content)
    except ValueError:
        return ""
    return str(data.get("withdrawn", "")) if isinstance(data, dict) else ""


def _addressed(stem: str, data: bytes, extension: str) -> str:
    return _named(stem, hashlib.sha256(data), extension) if data else ""


def _named(stem: str, digest: hashlib._Hash, extension: str) -> str:
    return f"{stem}-{digest.hexdigest()[:_NAME_DIGITS]}.{extension}"


def _media_file(media: Media) -> str:
    # `image/png` -> `png`: media types are our own words, not the log's
    return f"{media.sha256[:_NAME_DIGITS]}.{media.media_type.partition('/')[2]}"


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _kept(sample: Sample) -> Sample:
    """The sample as samples.json holds it: media by their digest only."""
    if sample.media is None:
        return sample
    return replace(sample, media=replace(sample.media, load=None))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What is wrong with the record in `path`, as one sentence."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(path, f"not a run record: {error}", _REBUILD) from error


def is_intact(path: Path) -> bool:
    """Whether the file is there and holds the bytes that its content-addressed name tells."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    return path.stem.rpartition("-")[2] == digest[:_NAME_DIGITS]
