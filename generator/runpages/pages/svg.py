"""Draws a Plotly figure as a static SVG: one figure, two ways to see it.

Coordinates are percentages, so that text keeps its size at any width; lines stand in a stretched
inner SVG with a stroke that does not scale. Colours come from rp.css by these classes:

    text            labels of the axes       line.grid, line.axis   grid and base line
    path.run, .s2 .. .s5, .base, .old        a curve: this run, further metrics, baseline, redone
    path.band       min-max band, together with the class of its curve unless that is .run
    path.dot        single points, together with the class of their curve
    rect.ev.crit|.warn|.info, text.ev        findings
    text.end        the last value of a curve
    line.bad        a non-finite value at the lower edge
    svg.rp-svg, svg.rp-spark                 a whole chart, a word-sized curve

A trace says its class in `meta`; a shape says its class in `name`. The live chart (rp.js) asks the
browser how these elements look and takes on the same colours, so that they stand in rp.css alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from runpages import units
from runpages.markup import Safe, text

__all__ = ["dots", "draw", "spark", "ticks"]

_W, _H = 1000, 500
_NARROW = 0.003
"""Least width of a band, as a part of the chart's."""


def ticks(low: float, high: float, *, count: int = 4) -> list[float]:
    """At most `count` + 1 round numbers between the ends: 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / (count + 1)))
    for step in (m * power for m in (1, 2, 5, 10, 20, 50)):
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        if last - first <= count:
            break
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Exponents: powers of ten, thinned to at most five, or 1-2-5 where there are too few."""
    whole = [float(e) for e in range(math.ceil(low), math.floor(high) + 1)]
    if len(whole) >= 2:
        return whole[:: -(-len(whole) // 5)]
    exponents = range(math.floor(low), math.ceil(high) + 1)
    fine = [e + math.log10(m) for e in exponents for m in (1, 2, 5)]
    return [e for e in fine if low <= e <= high] or [low, high]


def _labels(values: Sequence[float], *, log: bool) -> list[str]:
    """As many digits as the steps between the ticks need; large ones in thousands."""
    if log:
        return [_label(value, size=abs(value), step=abs(value)) for value in values]
    size = max((abs(v) for v in values), default=0.0)
    gaps = np.diff(sorted(values))
    step = float(gaps.min()) if len(gaps) else size
    return [_label(value, size=size, step=step) for value in values]


def _label(value: float, *, size: float, step: float) -> str:
    if value == 0 or step <= 0:
        return "0"
    if size >= 10_000 and step >= 10 ** (math.floor(math.log10(size)) - 2):
        number, prefix = units.si(value, 3)
        short = number.rstrip("0").rstrip(".") if "." in number else number
        return short + prefix.replace("B", "G")  # bytes stand on some axes: 3B would be three
    if size < 1e-3:
        apart = math.floor(math.log10(abs(value))) - math.floor(math.log10(step) + 1e-9)
        mantissa, exponent = f"{value:.{max(1, apart)}e}".split("e")
        plain = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    else:
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        plain = f"{value:,.{digits}f}"
    return plain.replace("-", "\N{MINUS SIGN}")


class _Scale:
    def __init__(self, low: float, high: float, *, log: bool) -> None:
        self.log = log
        self.low, self.high = low, high if high > low else low + 1

    def __call__(self, value: Any) -> Any:
        """0..1."""
        if self.log:
            with np.errstate(all="ignore"):
                value = np.log10(np.asarray(value, dtype=float))
        return (np.asarray(value, dtype=float) - self.low) / (self.high - self.low)


def draw(figure: Any, *, label: str) -> Safe:
    """The figure's traces, bands and axes. `label` names it for screen readers."""
    layout = figure.layout
    x = _Scale(*layout.xaxis.range, log=False)
    y = _Scale(*layout.yaxis.range, log=layout.yaxis.type == "log")
    parts = [f'<svg class="rp-svg" role="img" aria-label="{text(label)}">']
    parts += [_shape(s, x) for s in layout.shapes or ()]
    parts += _axes(x, y, whole=layout.meta == "step")
    parts.append(
        f'<svg viewBox="0 0 {_W} {_H}" preserveAspectRatio="none" width="100%" height="100%">'
    )
    parts += [_trace(t, x, y) for t in figure.data if t.meta != "bad"]
    parts.append("</svg>")
    parts += [_mark(t, x) for t in figure.data if t.meta == "bad"]
    for note in layout.annotations or ():
        ends = (note.name or "").startswith("end")
        parts.append(_end(note, x, y) if ends else _annotation(note, x))
    parts.append("</svg>")
    return Safe("".join(parts))


def _percent(fraction: float) -> str:
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"


def _axes(x: _Scale, y: _Scale, *, whole: bool) -> list[str]:
    out = []
    values = _log_ticks(y.low, y.high) if y.log else ticks(y.low, y.high)
    shown = [10.0**v for v in values] if y.log else values
    for position, name in zip(values, _labels(shown, log=y.log), strict=True):
        at = _percent(1 - (position - y.low) / (y.high - y.low))
        out.append(f'<line class="grid" x1="0" x2="100%" y1="{at}" y2="{at}"/>')
        out.append(f'<text x="-8" y="{at}" dy=".35em" text-anchor="end">{text(name)}</text>')
    positions = ticks(x.low, x.high, count=5)
    if whole:
        positions = [v for v in positions if v.is_integer()] or [float(math.ceil(x.low))]
    for value, name in zip(positions, _labels(positions, log=False), strict=True):
        share = (value - x.low) / (x.high - x.low)
        anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
        out.append(
            f'<text x="{_percent(share)}" y="100%" dy="1.35em" text-anchor="{anchor}">'
            f"{text(name)}</text>"
        )
    out.append('<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/>')
    return out


def _shape(shape: Any, x: _Scale) -> str:
    """A band; one too narrow to be seen is widened about its middle."""
    left, right = (min(max(float(x(edge)), 0.0), 1.0) for edge in (shape.x0, shape.x1))
    width = max(right - left, _NARROW)
    left = min(max((left + right - width) / 2, 0.0), 1.0 - width)
    return (
        f'<rect class="ev {text(shape.name)}" x="{_percent(left)}" width="{100 * width:.2f}%" '
        'y="0" height="100%"/>'
    )


def _annotation(note: Any, x: _Scale) -> str:
    at = float(x(note.x))
    anchor = "start" if at < 0.08 else "end" if at > 0.92 else "middle"
    return (
        f'<text class="ev" x="{_percent(at)}" y="0" dy="-.4em" text-anchor="{anchor}">'
        f"{text(note.text)}</text>"
    )


def _end(note: Any, x: _Scale, y: _Scale) -> str:
    """The last value of a curve, above or below its end; y is in units of the axis."""
    at = 1 - (note.y - y.low) / (y.high - y.low)
    rise = "-.5em" if note.yanchor == "bottom" else "1.2em"
    return (
        f'<text class="{text(note.name)}" x="{_percent(float(x(note.x)))}" y="{_percent(at)}" '
        f'dy="{rise}" text-anchor="end">{text(note.text)}</text>'
    )


def _mark(trace: Any, x: _Scale) -> str:
    """A stroke at the lower edge for each non-finite value; its words come up on hovering."""
    places = np.asarray(x(np.asarray(trace.x, dtype=float)))
    return "".join(
        f'<line class="bad" x1="{_percent(at)}" x2="{_percent(at)}" y1="92%" y2="100%">'
        f"<title>{text(words)}</title></line>"
        for at, words in zip(places, trace.text, strict=True)
    )


def _trace(trace: Any, x: _Scale, y: _Scale) -> str:
    xs = np.asarray(x(np.asarray(trace.x, dtype=float))) * _W
    ys = (1 - np.asarray(y(np.asarray(trace.y, dtype=float)))) * _H
    ys = np.clip(ys, -_H, 2 * _H)
    classes = text(trace.meta or "run")
    if trace.mode == "markers":
        good = np.isfinite(xs) & np.isfinite(ys)
        d = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(xs[good], ys[good], strict=True))
        return f'<path class="dot {classes}" stroke-linecap="round" d="{d}"/>' if d else ""
    d = _path(xs, ys)
    if not d:
        return ""
    if trace.fill == "toself":
        return f'<path class="{classes}" d="{d}z"/>'
    return f'<path class="{classes}" stroke-linecap="round" d="{d}"/>'


def _path(xs: Any, ys: Any) -> str:
    """Relative moves in whole units; a NaN lifts the pen, a lone point becomes a dot."""
    out: list[str] = []
    moves: list[str] = []
    before: tuple[int, int] | None = None
    for a, b in zip([*xs, math.nan], [*ys, math.nan], strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            if before is not None:
                out.append(f"l{' '.join(moves)}" if moves else "h0")
            moves, before = [], None
            continue
        here = (round(a), round(b))
        if before is None:
            out.append(f"M{here[0]} {here[1]}")
        elif here != before:
            moves.append(f"{here[0] - before[0]} {here[1] - before[1]}")
        before = here
    return "".join(out)


def spark(values: Sequence[float], *, label: str = "") -> Safe:
    """A word-sized curve of at most 60 values."""
    y = np.asarray([v for v in values if math.isfinite(v)], dtype=float)
    if len(y) < 2:
        return Safe("")
    low, high = float(y.min()), float(y.max())
    span = (high - low) or 1.0
    xs = np.linspace(0, 96, len(y))
    d = _path(xs, 22 - (y - low) / span * 20)
    return Safe(
        f'<svg class="rp-spark" viewBox="0 0 96 24" role="img" aria-label="{text(label)}">'
        f'<path d="{d}"/></svg>'
    )


def dots(values: Sequence[float], *, label: str = "") -> Safe:
    """Where values lie between their extremes, one translucent dot each; empty for fewer than 3."""
    y = np.asarray([v for v in values if math.isfinite(v)], dtype=float)
    if len(y) < 3 or y.max() <= y.min():
        return Safe("")
    at = 4 + 88 * (y - y.min()) / (y.max() - y.min())
    d = "".join(f"M{x:.1f} 12h0" for x in sorted(at))
    return Safe(
        f'<svg class="rp-spark rp-dots" viewBox="0 0 96 24" role="img" aria-label="{text(label)}">'
        f'<path d="{d}"/></svg>'
    )
