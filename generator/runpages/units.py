"""Numbers, times and durations as a reader meets them: one rule for each, here only.

Text that comes back holds no markup; templates print it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

__all__ = ["bytes_text", "count", "day", "duration", "number", "percent", "si", "timestamp"]

_MINUS = "\N{MINUS SIGN}"
_SI = ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)


def number(value: float, digits: int = 4) -> str:
    """`value` with `digits` significant digits; NaN and infinities by name.

    From 1e-4 to 1e6 in plain notation with thousands separated, outside it as 3.0e-05.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4 or size >= 1e9:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return _signed(f"{mantissa}e{int(exponent)}")
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return _signed(f"{value:,.{decimals}f}")


def difference(value: float, of: Iterable[float]) -> str:
    """`number` of a difference, without decimals beyond the sixth digit of the values it is `of`:
    of 2.68905 and 2.68931 it is 0.00026, not 0.0002560."""
    size = max((abs(one) for one in of), default=0.0)
    if not (value and 1e-4 <= size < 1e9 and 1e-4 <= abs(value) < 1e9):
        return number(value)
    decimals = max(0, 5 - math.floor(math.log10(size)))
    own = math.floor(math.log10(abs(value)))
    return number(value, min(4, max(1, decimals + 1 + own)))


def logged(value: float, digits: int = 6) -> str:
    """`number` without the zeros that round it off: a row that says 0.3089 is printed as that."""
    text = number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def count(value: float) -> str:
    """A whole number with thousands separated."""
    return _signed(f"{round(value):,}")


def si(value: float, digits: int = 3) -> tuple[str, str]:
    """`value` scaled to k, M, B (10⁹), T, P: (number, prefix)."""
    for size, prefix in _SI:
        if abs(value) >= size:
            return number(value / size, digits), prefix
    return number(value, digits), ""


def percent(fraction: float, digits: int = 3) -> str:
    """A fraction of one as a percentage number, without the sign."""
    return number(100 * fraction, digits)


def duration(seconds: float) -> str:
    """Seconds as `850 ms`, `42.1 s`, `12.6 min`, `2 h 34 min` or `3 d 4 h`."""
    if not math.isfinite(seconds):
        return "n/a"
    if seconds < 0:
        return _MINUS + duration(-seconds)
    if seconds < 1:
        return f"{number(seconds * 1000, 3)} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{number(seconds, 3)} s"
    if seconds < 3600:
        return f"{number(seconds / 60, 3)} min"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def timestamp(seconds: float) -> str:
    """UTC seconds since 1970 as `2026-04-30 14:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def day(seconds: float) -> str:
    """UTC seconds since 1970 as `2026-04-30`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def bytes_text(size: float) -> str:
    """Bytes in decimal units: `1.43 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{number(size, 3)} {unit}" if unit != "B" else f"{round(size)} B"
        size /= 1000
    return f"{number(size, 3)} TB"
