"""Media files of one page, within its budget: images drawn anew, sounds as they are.

Nothing of an image's own file is published: it is decoded and encoded again, so that metadata (a
place, a camera, a comment) and whatever hides behind the pixels stay out.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from runpages.model import Media

from .room import Room

__all__ = ["Album", "Film"]

_FILM_BYTES = 80_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What browsers show; Pillow's other readers (one of them starts Ghostscript) are never asked."""
_PIXELS_MAX = 40_000_000
"""Larger images than any screen shows are not decoded."""
_SIDES = (480, 360, 240, 160)
"""Pixels of the longer side of a frame, tried in this order until the film fits."""
_TINY = 64
"""Images of at most so many pixels are enlarged."""
_FRAME_IMAGES = 4
_AUDIO_BYTES = 60_000
_AUDIO_TYPES = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/flac": "flac"}
_AUDIO_MAGIC = {
    "wav": (b"RIFF",),
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "ogg": (b"OggS",),
    "flac": (b"fLaC",),
}
"""First bytes (RFC 3533 for Ogg, RFC 9639 for FLAC, ISO 11172-3 for the frames of MP3)."""
_SHAPES = {"1x2": 0.5, "2x3": 2 / 3, "1x1": 1.0, "3x2": 1.5, "2x1": 2.0, "4x1": 4.0}
"""Width over height of a frame; rp.css has a class for each, as a page has no inline styles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """Frames of one size below each other in one image, the newest first."""

    file: str
    """Name beside the page's data."""
    shape: str
    """One of `1x2 2x3 1x1 3x2 2x1 4x1`."""
    width: int
    height: int
    """Of the whole image."""
    frames: int


@dataclass(slots=True)
class Album:
    room: Room
    """What its files may take together."""
    files: dict[str, bytes] = field(default_factory=dict)

    def film(self, frames: Sequence[Sequence[Media]]) -> Film | None:
        """A film of `frames`, newest first, each of at most four images side by side.

        None if the newest cannot be decoded or the page's budget is used up; older frames that
        cannot be decoded stay empty.
        """
        images = [[drawn for one in frame[:_FRAME_IMAGES] if (drawn := _decoded(one))]
                  for frame in frames]  # fmt: skip
        if not images or not images[0]:
            return None
        shape = _shape(images[0])
        for side in _SIDES:
            picture = _strip(images, shape, side)
            data = _encoded(picture)
            if len(data) <= min(_FILM_BYTES, self.room.size) or side == _SIDES[-1]:
                break
        name = self._keep(data, "webp")
        if not name:
            return None
        width, height = picture.size
        return Film(file=name, shape=shape, width=width, height=height, frames=len(frames))

    def sound(self, media: Media) -> str:
        """Name of its file; empty if it is too long, of a type no browser plays, or over budget."""
        extension = _AUDIO_TYPES.get(media.media_type, "")
        if not extension or media.size_bytes > _AUDIO_BYTES:
            return ""
        data = media.read()
        return self._keep(data, extension) if _is_sound(data, extension) else ""

    def _keep(self, data: bytes, extension: str) -> str:
        name = f"media-{hashlib.sha256(data).hexdigest()[:12]}.{extension}"
        if name in self.files:
            return name
        if not self.room.takes(len(data)):
            return ""
        self.room = self.room.without({name: data})
        self.files[name] = data
        return name


def _is_sound(data: bytes, extension: str) -> bool:
    """Whether the first bytes are of that type: an archive may have been edited."""
    if extension == "wav" and data[8:12] != b"WAVE":
        return False
    return data.startswith(_AUDIO_MAGIC[extension])


def _decoded(media: Media) -> Image.Image | None:
    """The picture, at most as large as a frame; None for what is no image or a bomb."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd metadata
            with Image.open(BytesIO(media.read()), formats=_FORMATS) as image:
                if image.width * image.height > _PIXELS_MAX:
                    return None
                drawn = image.convert("RGBA" if image.has_transparency_data else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    longer = max(drawn.size)
    if longer <= _TINY:  # digits and the like: each pixel becomes a square
        factor = 2 * _TINY // longer
        return drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
    drawn.thumbnail((_SIDES[0], _SIDES[0]))
    return drawn


def _layout(count: int) -> tuple[int, int]:
    """(columns, rows) of so many images in a frame."""
    return (1, 1) if count == 1 else (2, 1) if count == 2 else (2, 2)


def _shape(images: Sequence[Image.Image]) -> str:
    columns, rows = _layout(len(images))
    ratio = images[0].width * columns / (images[0].height * rows)
    return min(_SHAPES, key=lambda name: abs(_SHAPES[name] / ratio - 1))


def _strip(frames: Sequence[Sequence[Image.Image]], shape: str, side: int) -> Image.Image:
    """All frames below each other; what a frame does not fill is transparent."""
    columns, rows = _layout(len(frames[0]))
    first = frames[0][0]
    side = min(side, max(first.width * columns, first.height * rows))
    ratio = _SHAPES[shape]
    width, height = (side, round(side / ratio)) if ratio >= 1 else (round(side * ratio), side)
    box = (max(1, width // columns), max(1, height // rows))
    strip = Image.new("RGBA", (width, height * len(frames)))
    for place, frame in enumerate(frames):
        for number, image in enumerate(frame[: columns * rows]):
            small = image.copy()
            small.thumbnail(box)
            left = number % columns * box[0] + (box[0] - small.width) // 2
            top = place * height + number // columns * box[1] + (box[1] - small.height) // 2
            strip.paste(small, (left, top))
    return strip


def _encoded(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "WEBP", quality=80, method=4)
    return out.getvalue()
