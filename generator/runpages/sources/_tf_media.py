"""Texts, images and sounds of a run: thinned while they are read, fetched when they are wanted."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runpages.model import Sample

from ._media import Gallery
from ._tf_values import encoded_media
from ._tfevents import masked_crc

__all__ = ["MediaPlace", "Moment", "Samples"]

KEPT = 500
"""Samples of one name: of more, every second, fourth... and the last are kept."""
TEXT_CHARACTERS = 1_000_000
"""A longer text is left out and counted."""
HELD_BYTES = 64 << 20
"""What the samples of one run may take while they are collected, media not counted."""
_DRAFT_BYTES = 700


class Moment(NamedTuple):
    """When a sample was taken; its attempt is known when all files are read."""

    life: int
    step: int
    time: float


class MediaPlace(NamedTuple):
    """Where the bytes of an image or a sound are."""

    path: Path
    offset: int
    """Of its event's payload in the file."""
    size: int
    """Of that payload."""
    number: int
    """Of the value in the event."""
    element: int
    """Of the image or sound in the value."""


class _Draft(NamedTuple):
    order: int
    moment: Moment
    sample: Sample
    load: Callable[[], bytes] | None


@dataclass(slots=True)
class _Row:
    """The samples of one name."""

    count: int = 0
    stride: int = 1
    kept: list[_Draft] = field(default_factory=list)
    last: _Draft | None = None

    def add(self, draft: _Draft) -> list[_Draft]:
        """Those that are given up for it."""
        gone = self.chosen()[len(self.kept) :]
        if self.count % self.stride == 0:
            self.kept.append(draft)
            if len(self.kept) > 2 * KEPT:
                gone += self.kept[1::2]
                self.kept = self.kept[::2]
                self.stride *= 2
        self.last = draft
        self.count += 1
        return gone

    def chosen(self) -> list[_Draft]:
        more = [self.last] if self.last is not None and self.last is not self.kept[-1] else []
        return [*self.kept, *more]


@dataclass(slots=True)
class Samples:
    """Collects what is no number."""

    _rows: dict[tuple[str, str], _Row] = field(default_factory=dict)
    _order: int = 0
    _bytes: int = 0
    """What the drafts take in memory, about."""
    _excess: int = 0

    def text(self, name: str, moment: Moment, text: str) -> None:
        if len(text) > TEXT_CHARACTERS:
            self._excess += 1
        else:
            self._add(Sample(kind="text", name=name, text=text), moment, None)

    def media(self, sample: Sample, moment: Moment, place: MediaPlace) -> None:
        """An image or a sound."""
        self._add(sample, moment, partial(_load, sample.kind, place))

    def _add(self, sample: Sample, moment: Moment, load: Callable[[], bytes] | None) -> None:
        draft = _Draft(self._order, moment, sample, load)
        self._order += 1
        if self._bytes + _bytes_of(draft) > HELD_BYTES:
            self._excess += 1
            return
        gone = self._rows.setdefault((sample.kind, sample.name), _Row()).add(draft)
        self._bytes += _bytes_of(draft) - sum(_bytes_of(other) for other in gone)

    def finish(
        self, attempt_of: Callable[[int, float], int]
    ) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
        """The samples in the order of the files, media last, and what was left out."""
        told: list[str] = []
        texts: list[Sample] = []
        gallery = Gallery()
        chosen: list[_Draft] = []
        for (kind, name), row in self._rows.items():
            own = row.chosen()
            chosen += own
            if len(own) < row.count:
                of = f"{len(own)} of its {row.count:,} {kind} samples"
                told.append(f"{name}: {of} are kept, evenly spaced and the last")
        for draft in sorted(chosen, key=lambda draft: draft.order):
            life, step, time = draft.moment
            sample = replace(
                draft.sample,
                step=step,
                time=None if math.isnan(time) else time,
                attempt=attempt_of(life, time),
            )
            if draft.load is None:
                texts.append(sample)
            else:
                gallery.add(sample, draft.load)
        if self._excess:
            told.append(
                f"{self._excess:,} samples are left out: texts of more than {TEXT_CHARACTERS:,}"
                f" characters, or more than {HELD_BYTES >> 20} MiB in all"
            )
        media, left_out = gallery.finish()
        return (*texts, *media), (*told, *left_out)


def _bytes_of(draft: _Draft) -> int:
    return _DRAFT_BYTES + len(draft.sample.text)


def _load(kind: str, place: MediaPlace) -> bytes:
    with place.path.open("rb") as stream:
        stream.seek(place.offset)
        data = stream.read(place.size + 4)
    payload = data[: place.size]
    if data[place.size :] != struct.pack("<I", masked_crc(payload)):
        raise ValueError("the file has changed since it was read")
    return encoded_media(payload, kind, place.number, place.element)
