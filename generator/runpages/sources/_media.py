"""Images and sounds of a run: known by their first bytes, thinned where there are too many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from runpages.model import Media, Sample

__all__ = ["MEDIA_BYTES", "Gallery", "media_type_of"]

MEDIA_BYTES = 16_000_000
"""A larger file is left out and counted."""
RUN_BYTES = 64_000_000
"""What is kept of one run's media in all."""
PER_NAME = 24
"""Samples kept of one name: the first, the last and evenly spaced ones between."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
)


def media_type_of(head: bytes) -> str:
    """Of an image or a sound, by its first 12 bytes; empty for anything else."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


@dataclass(slots=True)
class Gallery:
    """Collects a run's media samples; their bytes are looked at when it is `finish`ed.

    `held`: bytes that are kept stay in memory, as their server may be gone the next time.
    """

    held: bool = False
    _waiting: dict[str, list[tuple[Sample, Callable[[], bytes]]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, sample: Sample, load: Callable[[], bytes]) -> None:
        """A sample whose bytes `load` gets, now and, unless they are `held`, later once more.

        OSError and ValueError leave it out.
        """
        self._waiting[sample.name].append((sample, load))

    def add_file(self, sample: Sample, path: Path) -> None:
        def load() -> bytes:
            if not path.is_file():  # a pipe would wait for ever
                raise FileNotFoundError(2, "no such file", path.name)
            if path.stat().st_size > MEDIA_BYTES:
                raise ValueError(f"{path.name} is larger than {MEDIA_BYTES:,} bytes")
            return path.read_bytes()

        self.add(sample, load)

    def finish(self) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
        """The samples with their media, and one sentence for everything that was left out."""
        kept: list[Sample] = []
        told: list[str] = []
        total = 0
        for name, found in self._waiting.items():
            chosen = _thinned(found)
            if len(chosen) < len(found):
                told.append(
                    f"{name}: {len(chosen)} of its {len(found):,} {found[0][0].kind} samples are"
                    " kept, evenly spaced"
                )
            for sample, load in chosen:
                where = f"{name} (step {'not logged' if sample.step is None else sample.step})"
                try:
                    data = load()
                except (OSError, ValueError) as error:
                    told.append(f"{where}: its file cannot be read: {_words(error)}")
                    continue
                kind = media_type_of(data[:12])
                if not kind.startswith(f"{sample.kind}/"):
                    told.append(f"{where}: its bytes are no {sample.kind} of a known format")
                elif len(data) > MEDIA_BYTES or total + len(data) > RUN_BYTES:
                    told.append(f"{where}: {len(data):,} bytes are too many; left out")
                else:
                    total += len(data)
                    media = Media.of(kind, data, None if self.held else load)
                    kept.append(replace(sample, media=media))
        return tuple(kept), tuple(told)


def _thinned(
    found: list[tuple[Sample, Callable[[], bytes]]],
) -> list[tuple[Sample, Callable[[], bytes]]]:
    count = len(found)
    if count <= PER_NAME:
        return found
    return [found[round(i * (count - 1) / (PER_NAME - 1))] for i in range(PER_NAME)]


def _words(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
