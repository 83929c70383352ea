"""Text on the card, by the font that Pillow carries (Aileron): no file of ours, no other machine's.

It has Latin letters without most accents and no arrows. What it has not is written by its nearest
ASCII letters; where there are none, by a box.
"""

from __future__ import annotations

import functools
import unicodedata

from PIL import ImageDraw, ImageFont

__all__ = ["Pen", "drawable", "width_of"]

_BOX = "\N{WHITE SQUARE}"
_INSTEAD = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{INFINITY}": "inf",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{BLACK UP-POINTING TRIANGLE}": "+",
    "\N{BLACK DOWN-POINTING TRIANGLE}": "-",
    "\N{MIDDLE DOT}": "-",
}


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


@functools.cache
def _known(character: str) -> bool:
    font = _font(20)
    shape, missing = (font.getmask(one) for one in (character, "\uffff"))
    return (shape.size, bytes(shape)) != (missing.size, bytes(missing))


def drawable(words: str) -> str:
    """`words` in one line of letters that the font has."""
    return "".join(map(_drawn, " ".join(words.split())))


@functools.cache
def _drawn(character: str) -> str:
    if character == " " or (character.isprintable() and _known(character)):
        return character
    if character in _INSTEAD:
        return _INSTEAD[character]
    parts = unicodedata.normalize("NFKD", character)
    plain = "".join(one for one in parts if " " < one <= "~")
    return plain or ("" if unicodedata.combining(character) else _BOX)


def width_of(words: str, size: int) -> float:
    """Pixels; boxes count as the letter M."""
    return _font(size).getlength(words.replace(_BOX, "M"))


class Pen:
    """Writes on an image; positions are pixels from the top left, y that of the capitals' top."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def write(
        self, words: str, at: tuple[float, float], *, size: int, ink: str, bold: bool = False
    ) -> float:
        """Returns where it ends. The font has one weight: bold is drawn with a stroke."""
        x, y = at
        font = _font(size)
        top = y - font.getbbox("H")[1]
        stroke = max(0.45, size / 60) if bold else 0.0
        for number, part in enumerate(words.split(_BOX)):
            if number:
                edge = font.getlength("M")
                height = 0.7 * size
                self._draw.rectangle((x + 2, y, x + edge - 2, y + height), outline=ink, width=2)
                x += edge
            self._draw.text((x, top), part, font=font, fill=ink, stroke_width=stroke)
            x += font.getlength(part)
        return x

    def fitted(self, words: str, *, size: int, width: float) -> str:
        """As much of it as has room, with dots behind what was cut."""
        if width_of(words, size) <= width:
            return words
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            fits = width_of(words[:middle].rstrip() + "...", size) <= width
            low, high = (middle, high) if fits else (low, middle - 1)
        return words[:low].rstrip() + "..."
