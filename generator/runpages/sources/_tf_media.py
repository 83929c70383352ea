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
TEXT_BYTES = 64 << 20
"""What is kept of one run's texts in all."""


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

    def add(self, draft: _Draft) -> None:
        if self.count % self.stride == 0:
            self.kept.append(draft)
            if len(self.kept) > 2 * KEPT:
                self.kept = self.kept[::2]
                self.stride *= 2
        self.last = draft
        self.count += 1

    def chosen(self) -> list[_Draft]:
        more = [self.last] if self.last is not None and self.last is not self.kept[-1] else []
        return [*self.kept, *more]


@dataclass(slots=True)
class Samples:
    """Collects what is no number."""

    _rows: dict[tuple[str, str], _Row] = field(default_factory=dict)
    _count: int = 0

    def text(self, name: str, moment: Moment, text: str) -> None:
        self._add(Sample(kind="text", name=name, text=text), moment, None)

    def media(self, sample: Sample, moment: Moment, place: MediaPlace) -> None:
        """An image or a sound."""
        self._add(sample, moment, partial(_load, place))

    def _add(self, sample: Sample, moment: Moment, load: Callable[[], bytes] | None) -> None:
        row = self._rows.setdefault((sample.kind, sample.name), _Row())
        row.add(_Draft(self._count, moment, sample, load))
        self._count += 1

    def finish(
        self, attempt_of: Callable[[int, float], int]
    ) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
        """The samples in the order of the files, media last, and what was left out."""
        told: list[str] = []
        texts: list[Sample] = []
        gallery = Gallery()
        size = excess = 0
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
            if draft.load is not None:
                gallery.add(sample, draft.load)
                continue
            size += len(sample.text)
            if size > TEXT_BYTES:
                excess += 1
            else:
                texts.append(sample)
        if excess:
            told.append(
                f"{excess:,} text samples are left out: more than {TEXT_BYTES:,} characters"
            )
        media, left_out = gallery.finish()
        return (*texts, *media), (*told, *left_out)


def _load(place: MediaPlace) -> bytes:
    with place.path.open("rb") as stream:
        stream.seek(place.offset)
        data = stream.read(place.size + 4)
    payload = data[: place.size]
    if data[place.size :] != struct.pack("<I", masked_crc(payload)):
        raise ValueError("the file has changed since it was read")
    return encoded_media(payload, place.number, place.element)
