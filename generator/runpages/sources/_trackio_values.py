"""What a row of Trackio holds: numbers, and objects that say their own type."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from runpages.model import Sample

from ._histogram import summarised
from ._media import PER_NAME, Gallery
from ._textfiles import text
from .spool import Spool

__all__ = ["Content", "Place", "object_of"]

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""As Trackio's `serialize_values` names them; any other text is a text."""
_MEDIA = {"trackio.image": "image", "trackio.audio": "audio"}
_MAX_TABLE_ROWS = 1_000
_MAX_TABLE_COLUMNS = 100
_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands."""

    step: int
    time: float
    """UTC seconds or NaN."""
    attempt: int

    def sample(self, kind: str, name: str, said: object = "") -> Sample:
        return Sample(
            kind=kind,
            name=name,
            step=self.step,
            time=None if math.isnan(self.time) else self.time,
            attempt=self.attempt,
            text=text(said)[:_MAX_TEXT],
        )


@dataclass(slots=True)
class _Spaced:
    """Evenly spaced samples of one name, while they come in."""

    kept: list[Sample] = field(default_factory=list)
    last: Sample | None = None
    count: int = 0
    _stride: int = 1

    def add(self, sample: Sample) -> None:
        if self.count % self._stride == 0:
            self.kept.append(sample)
        if len(self.kept) > PER_NAME:
            self.kept = self.kept[::2]
            self._stride *= 2
        self.count += 1
        self.last = sample

    def samples(self) -> list[Sample]:
        newest = self.last is not None and self.last is not self.kept[-1]
        return [*self.kept, self.last] if newest and self.last else self.kept


@dataclass(slots=True)
class Content:
    """Collects the values of a run's rows."""

    media: Path
    """The folder that holds the files of images and sounds."""
    spool: Spool = field(default_factory=Spool)
    _gallery: Gallery = field(default_factory=Gallery)
    _spaced: dict[tuple[str, str], _Spaced] = field(default_factory=dict)
    _unread: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, name: str, value: object, place: Place) -> None:
        number = number_of(value)
        if number is not None:
            self.spool.add(name, place.step, place.time, number, attempt=place.attempt)
        elif isinstance(value, str):
            self._sample(place.sample("text", name, value))
        elif isinstance(value, dict):
            self._object(name, text(value.get("_type")), value, place)
        elif value is not None:
            self._not_read(name, f"{type(value).__name__}s")

    def _object(self, name: str, kind: str, value: Mapping[str, object], place: Place) -> None:
        if kind in _MEDIA:
            self._file(_MEDIA[kind], name, value, place)
        elif kind == "trackio.markdown":
            self._sample(place.sample("text", name, value.get("_value")))
        elif kind == "trackio.table":
            self._table(name, value.get("_value"), place)
        elif kind == "trackio.histogram":
            try:
                found = summarised(value.get("bins"), value.get("values"))  # type: ignore[arg-type]
            except (TypeError, ValueError):
                self._not_read(name, "damaged histograms")
                return
            for statistic, number in found.items():
                key = f"{name}/{statistic}"
                self.spool.add(key, place.step, place.time, number, attempt=place.attempt)
        else:
            self._not_read(name, f"objects of type {kind[:40]}" if kind else "nested values")

    def _file(self, kind: str, name: str, value: Mapping[str, object], place: Place) -> None:
        named = text(value.get("file_path")).replace("\\", "/")
        path = self.media / named
        try:
            if not path.exists():  # an export for a static page leaves the project's folder out
                path = self.media / (named.partition("/")[2] or named)
            inside = path.resolve().is_relative_to(self.media.resolve())
        except (OSError, ValueError, RuntimeError):
            inside = False
        if inside:
            sample = place.sample(kind, name, value.get("caption"))
            self._gallery.add_file(sample, path)
        else:
            self._not_read(name, "files outside of the media folder")

    def _table(self, name: str, data: object, place: Place) -> None:
        if not isinstance(data, list) or any(not isinstance(row, dict) for row in data):
            self._not_read(name, "damaged tables")
            return
        columns = tuple(dict.fromkeys(key for row in data for key in row))
        if len(data) > _MAX_TABLE_ROWS or len(columns) > _MAX_TABLE_COLUMNS:
            self._not_read(name, "rows or columns of a table that is too large")
        columns = columns[:_MAX_TABLE_COLUMNS]
        rows = tuple(tuple(_cell(row.get(c)) for c in columns) for row in data[:_MAX_TABLE_ROWS])
        self._sample(replace(place.sample("table", name), columns=columns, rows=rows))

    def _sample(self, sample: Sample) -> None:
        self._spaced.setdefault((sample.kind, sample.name), _Spaced()).add(sample)

    def _not_read(self, name: str, what: str) -> None:
        self._unread[name, what] = self._unread.get((name, what), 0) + 1

    def finish(self) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
        """The samples, and one sentence for everything that was left out."""
        media, told = self._gallery.finish()
        spaced = [sample for one in self._spaced.values() for sample in one.samples()]
        return (*spaced, *media), (*told, *self._sentences())

    def _sentences(self) -> Iterator[str]:
        for (kind, name), one in self._spaced.items():
            kept = len(one.samples())
            if kept < one.count:
                yield f"{name}: {kept} of its {one.count:,} {kind} samples are kept, evenly spaced"
        for (name, what), count in self._unread.items():
            yield f"{name}: {count:,} {what} are not read"


def number_of(value: object) -> float | None:
    """A number or truth value, also one of Trackio's names for what JSON has no number for."""
    if isinstance(value, str):
        return _NUMBERS.get(value)
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def object_of(data: object) -> dict[str, object] | None:
    """The object of a JSON text; None if it is none."""
    if isinstance(data, dict):  # of an export
        return data
    if not isinstance(data, str | bytes):
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _cell(value: object) -> str:
    if value is None or isinstance(value, str):
        return text(value)
    if isinstance(value, dict) and "_type" in value:
        return f"({text(value['_type'])})"
    return json.dumps(value, ensure_ascii=False)
