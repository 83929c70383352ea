"""Text as the words that a search compares: what is written differently and means the same is one.

The rule has two speakers: this module for what is indexed, `templates/plugin/search-words.js` for
what is asked. A test holds them together over a table of forms.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["words"]

_WORD = re.compile(r"[^\W_]+")
_FORM = re.compile(
    r"(?<![^\W_])(?<!\.)(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?(?![^\W_])(?!\.\d)|[^\W_]+"
)
"""A number that stands alone, or a run of letters and digits."""
_PLACES = 20
"""Digits up to which a number is written out: beyond, and in hashes, an `e` is a letter."""
_MANTISSA = 3
"""Digits of a whole number before an `e`: `1e10`, `125e6`; `1234e12` is the start of a hash."""


def words(text: str) -> list[str]:
    """Lower case, without accents; `3e-4`, `3E-04` and `0.00030` are all `0.0003`."""
    bare = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in bare if not unicodedata.category(c).startswith("M")).lower()
    found: list[str] = []
    for match in _FORM.finditer(bare):
        whole, part, power = match.groups()
        if part is None and power is None:
            found.append(match.group())
        else:
            number = _plain(whole, part or "", power or "0")
            found += [number] if number else _WORD.findall(match.group())
    return found


def _plain(whole: str, part: str, power: str) -> str:
    """The number without an exponent; "" for what is rather the beginning of a hash."""
    digits, point = whole + part, len(whole) + int(power)
    if abs(int(power)) > _PLACES or (not part and len(whole) > _MANTISSA):
        return ""
    digits = "0" * (1 - point) + digits if point < 1 else digits.ljust(point, "0")
    point = max(1, point)
    before, behind = digits[:point].lstrip("0") or "0", digits[point:].rstrip("0")
    return f"{before}.{behind}" if behind else before
