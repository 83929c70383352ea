"""Draws a Plotly figure as a static SVG: one figure, two ways to see it.

Coordinates are percentages, so that text keeps its size at any width; lines stand in a stretched
inner SVG with a stroke that does not scale. Colours come from rp.css by these classes:

    text            labels of the axes       line.grid, line.axis   grid and base line
    path.run, .s2 .. .s5, .base, .old        a curve: this run, further metrics, baseline, superseded
    path.band       min-max band             rect.ev.crit|.warn|.info, text.ev   findings
    line.bad        a non-finite value at the lower edge

A trace says its class in `meta`; a shape says its class in `name`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from runpages import units
from runpages.markup import Safe, text

__all__ = ["draw", "spark", "ticks"]

_W, _H = 1000, 500


def ticks(low: float, high: float, *, count: int = 4) -> list[float]:
    """Round numbers between the ends: 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Exponents; powers of ten, thinned to at most five, or 1-2-5 where there are too few."""
    whole = [float(e) for e in range(math.ceil(low), math.floor(high) + 1)]
    if len(whole) >= 2:
        return whole[:: -(-len(whole) // 5)]
    exponents = range(math.floor(low), math.ceil(high) + 1)
    fine = [e + math.log10(m) for e in exponents for m in (1, 2, 5)]
    return [e for e in fine if low <= e <= high] or [low, high]


def _label(value: float, values: Sequence[float]) -> str:
    """As many digits as the steps between the ticks need."""
    size = max((abs(v) for v in values), default=0.0)
    if size >= 10_000:
        number, prefix = units.si(value, 3)
        return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{prefix}"
    if value == 0:
        return "0"
    if size < 1e-3:
        return units.number(value, 2)
    gaps = np.diff(sorted(values))
    step = float(gaps.min()) if len(gaps) else abs(value)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


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
    parts += _axes(x, y, layout)
    parts.append(
        f'<svg viewBox="0 0 {_W} {_H}" preserveAspectRatio="none" width="100%" height="100%">'
    )
    parts += [_trace(t, x, y) for t in figure.data]
    parts.append("</svg>")
    parts += [_annotation(a, x) for a in layout.annotations or ()]
    parts.append("</svg>")
    return Safe("".join(parts))


def _percent(fraction: float) -> str:
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"


def _axes(x: _Scale, y: _Scale, layout: Any) -> list[str]:
    out = []
    values = _log_ticks(y.low, y.high) if y.log else ticks(y.low, y.high)
    shown = [10.0**v for v in values] if y.log else values
    for position, value in zip(values, shown, strict=True):
        at = _percent(1 - (position - y.low) / (y.high - y.low))
        out.append(f'<line class="grid" x1="0" x2="100%" y1="{at}" y2="{at}"/>')
        name = units.number(value, 1) if y.log and value < 1e-3 else _label(value, shown)
        out.append(f'<text x="-8" y="{at}" dy=".35em" text-anchor="end">{text(name)}</text>')
    positions = ticks(x.low, x.high, count=5)
    for value in positions:
        at = (value - x.low) / (x.high - x.low)
        anchor = "start" if at < 0.03 else "end" if at > 0.97 else "middle"
        out.append(
            f'<text x="{_percent(at)}" y="100%" dy="1.35em" text-anchor="{anchor}">'
            f"{text(_label(value, positions))}</text>"
        )
    out.append('<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/>')
    return out


def _shape(shape: Any, x: _Scale) -> str:
    left, right = float(x(shape.x0)), float(x(shape.x1))
    width = max(right - left, 0.003)
    return (
        f'<rect class="ev {text(shape.name)}" x="{_percent(left)}" width="{100 * width:.2f}%" '
        'y="0" height="100%"/>'
    )


def _annotation(note: Any, x: _Scale) -> str:
    at = float(x(note.x))
    if note.name == "bad":
        return f'<line class="bad" x1="{_percent(at)}" x2="{_percent(at)}" y1="92%" y2="100%"/>'
    anchor = "start" if at < 0.08 else "end" if at > 0.92 else "middle"
    return (
        f'<text class="ev" x="{_percent(at)}" y="0" dy="-.4em" text-anchor="{anchor}">'
        f"{text(note.text)}</text>"
    )


def _trace(trace: Any, x: _Scale, y: _Scale) -> str:
    xs = np.asarray(x(np.asarray(trace.x, dtype=float))) * _W
    ys = (1 - np.asarray(y(np.asarray(trace.y, dtype=float)))) * _H
    ys = np.clip(ys, -_H, 2 * _H)
    classes = text(trace.meta or "run")
    if trace.mode == "markers":
        good = np.isfinite(xs) & np.isfinite(ys)
        d = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(xs[good], ys[good], strict=True))
        return f'<path class="dot {classes}" d="{d}"/>'
    if trace.fill == "toself":
        d = _path(xs, ys)
        return f'<path class="band" d="{d}Z"/>' if d else ""
    d = _path(xs, ys)
    return f'<path class="{classes}" d="{d}"/>' if d else ""


def _path(xs: Any, ys: Any) -> str:
    """Relative moves in whole units; a NaN lifts the pen."""
    out: list[str] = []
    pen = False
    before = (0, 0)
    for a, b in zip(xs, ys, strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen = False
            continue
        here = (round(a), round(b))
        if not pen:
            out.append(f"M{here[0]} {here[1]}")
            if len(out) > 1 or len(xs) > 1:
                out.append("l")
            pen = True
        elif here != before:
            out.append(f"{here[0] - before[0]} {here[1] - before[1]} ")
        before = here
    return "".join(out).replace(" l", "l").replace(" M", "M").rstrip(" ")


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
