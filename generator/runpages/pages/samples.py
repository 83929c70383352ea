"""What the model produced: the newest two steps of each prompt in the page, all in samples.json."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from runpages import units
from runpages.markup import Safe, json_bytes, pre
from runpages.model import Media, Run, Sample

__all__ = ["SampleGroup", "Shown", "sample_groups", "samples_file"]

_STEPS = 2
_GROUPS = 4
_TEXT = 1500
_ROWS = 8
_PER_STEP = 4
"""Media of one step."""
_SIDE = 480
"""Pixels of the longer side of an image as it is shown."""
_PIXELS_MAX = 40_000_000
_AUDIO_MAX = 120_000
_PAGE_BYTES = 200_000
"""All media of one page; what is more stays in the archive."""
_AUDIO_TYPES = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/flac": "flac"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One sample as the page shows it: text, image or sound."""

    when: str
    words: Safe | None = None
    caption: str = ""
    image: str = ""
    """File name beside the page's data."""
    width: int = 0
    height: int = 0
    audio: str = ""
    """File name beside the page's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleGroup:
    """Samples of one name and prompt, the newest steps, oldest of them first."""

    name: str
    prompt: str
    items: tuple[Shown, ...]
    more: int
    """How many earlier ones are in samples.json only."""


def samples_file(run: Run) -> bytes:
    """All samples in the order of the log."""
    rows = [
        {
            "kind": s.kind,
            "name": s.name,
            "step": s.step,
            "attempt": s.attempt,
            "prompt": s.prompt,
            "text": s.text,
            "columns": s.columns,
            "rows": s.rows,
            "decoding": {key: str(value) for key, value in s.decoding.items()},
            "media": _described(s.media),
        }
        for s in run.samples
    ]
    return json_bytes({"schema": "runpages.samples/1", "samples": rows})


def _described(media: Media | None) -> dict[str, object] | None:
    if media is None:
        return None
    return {"type": media.media_type, "bytes": media.size_bytes, "sha256": media.sha256}


def sample_groups(run: Run) -> tuple[list[SampleGroup], dict[str, bytes]]:
    """Samples grouped by name and prompt as they first appear, and the files that they need."""
    grouped: dict[tuple[str, str], list[Sample]] = {}
    for sample in run.samples:
        # the captions of one grid of images differ, its name does not
        grouped.setdefault((sample.name, sample.prompt), []).append(sample)
    album = _Album()
    groups = []
    for (name, prompt), found in list(grouped.items())[:_GROUPS]:
        newest = _newest(found)
        groups.append(
            SampleGroup(
                name=name,
                prompt=_cut(prompt),
                items=tuple(album.shown(sample) for sample in newest),
                more=len(found) - len(newest),
            )
        )
    return groups, album.files


@dataclass(slots=True)
class _Album:
    """Media files of one page, within its budget."""

    files: dict[str, bytes] = field(default_factory=dict)
    size: int = 0

    def shown(self, sample: Sample) -> Shown:
        when = _when(sample)
        media = sample.media
        if media is None:
            return Shown(when=when, words=pre(_words(sample)))
        kind = sample.kind
        if kind == "image" and (made := _thumbnail(media)) is not None:
            data, width, height = made
            if name := self._keep(f"media-{media.sha256[:12]}.webp", data):
                return Shown(
                    when=when, caption=_cut(sample.text), image=name, width=width, height=height
                )
        elif kind == "audio" and media.size_bytes <= _AUDIO_MAX:
            extension = _AUDIO_TYPES.get(media.media_type, "")
            name = f"media-{media.sha256[:12]}.{extension}"
            if extension and (name := self._keep(name, media.read())):
                return Shown(when=when, caption=_cut(sample.text), audio=name)
        size = units.bytes_text(media.size_bytes)
        return Shown(when=when, words=pre(f"({kind} of {size}: in the archive only)"))

    def _keep(self, name: str, data: bytes) -> str:
        if name not in self.files:
            if self.size + len(data) > _PAGE_BYTES:
                return ""
            self.files[name] = data
            self.size += len(data)
        return name


def _thumbnail(media: Media) -> tuple[bytes, int, int] | None:
    """The image drawn anew, small: (WebP, width, height). Nothing of the file itself is published.

    None for what is no image that can be decoded, or a larger one than any screen shows.
    """
    out = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd metadata
            with Image.open(BytesIO(media.read())) as image:
                if image.width * image.height > _PIXELS_MAX:
                    return None
                drawn = image.convert("RGBA" if image.has_transparency_data else "RGB")
            drawn.thumbnail((_SIDE, _SIDE))
            drawn.save(out, "WEBP", quality=80, method=4)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return out.getvalue(), drawn.width, drawn.height


def _newest(samples: list[Sample]) -> list[Sample]:
    """The newest steps: of texts and tables the last sample each, of media the first few."""
    by_step: dict[int | None, list[Sample]] = {}
    for sample in samples:
        by_step.setdefault(sample.step, []).append(sample)
    steps = sorted(by_step, key=lambda step: -1 if step is None else step)
    newest: list[Sample] = []
    for step in steps[-_STEPS:]:
        own = by_step[step]
        newest += own[-1:] if own[-1].media is None else own[:_PER_STEP]
    return newest


def _when(sample: Sample) -> str:
    return "step not logged" if sample.step is None else f"step {units.count(sample.step)}"


def _words(sample: Sample) -> str:
    if sample.text:
        return _cut(sample.text)
    if sample.rows:
        lines = [sample.columns, *sample.rows[:_ROWS]]
        return _cut("\n".join(" | ".join(line) for line in lines))
    return f"({sample.kind}; its file is not shown)"


def _cut(words: str) -> str:
    if len(words) <= _TEXT:
        return words
    return f"{words[:_TEXT]}… (first {units.count(_TEXT)} of {units.count(len(words))} characters)"
