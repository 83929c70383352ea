"""The card of a run: 1200 x 630 pixels that a link to its page shows in a chat or a review.

Drawn by Pillow alone, the same bytes for the same report and Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from runpages import units
from runpages.model import Event, Report, Series, main_metric
from runpages.pages.downsample import bucketed
from runpages.pages.figures import key_figures
from runpages.pages.words import (
    SEVERITY_CLASS,
    Chip,
    Fact,
    event_counts,
    finding_chips,
    state_chip,
    title_of,
)

from .lettering import Pen, drawable, width_of

__all__ = ["SIZE", "draw_card"]

SIZE = (1200, 630)
_MARGIN = 56
_INK, _QUIET, _FAINT, _LINE = "#1a1e24", "#474e58", "#626a75", "#e2e5ea"
_RUN, _BASE = "#0b5fa5", "#8b929c"
_CHIPS = {
    "crit": ("#a8201a", "#fcecea"),
    "warn": ("#7d4c00", "#fdf1d8"),
    "info": ("#44566e", "#edf1f6"),
    "good": ("#08654f", "#e4f3ee"),
}
"""The light colours of templates/assets/rp.css."""
_OTHER = (_QUIET, "#e8ebf0")
_BARS = {"crit": "#a8201a", "warn": "#c27c00", "good": "#08654f"}
_PLOT = (_MARGIN, 350, SIZE[0] - _MARGIN, 560)
_SCALE = 3
"""The curve is drawn so many times larger: Pillow's lines have hard edges."""
_POINTS = 540
_COLOURS = 64

Floats = NDArray[np.float64]


def draw_card(report: Report) -> bytes:
    """PNG: name, state, findings, four figures and the curve that the run is judged by."""
    image = Image.new("RGB", SIZE, "#ffffff")
    draw = ImageDraw.Draw(image)
    pen = Pen(draw)
    run = report.run
    chips = [state_chip(report), *finding_chips(event_counts(report.events), report.judgements)]
    if run.incomplete:
        chips.insert(1, Chip(style="warn", words="incomplete"))
    worst = next((c.style for c in chips if c.style in {"crit", "warn"}), chips[0].style)
    draw.rectangle((0, 0, 14, SIZE[1]), fill=_BARS.get(worst, _BASE))
    crumb = drawable(f"Training run / {run.ref.project or run.ref.kind or run.ref.source}")
    room = SIZE[0] - 2 * _MARGIN
    pen.write(pen.fitted(crumb, size=24, width=room), (_MARGIN, 44), size=24, ink=_FAINT)
    _name(pen, drawable(title_of(run)), room)
    _chips(draw, pen, chips)
    known = [fact for fact in key_figures(report) if not fact.why][:4]
    _figures(pen, known, room)
    _curve(image, pen, report)
    return _png(image)


def _name(pen: Pen, name: str, room: float) -> None:
    size = next((s for s in (56, 48, 40) if width_of(name, s) <= room), 36)
    shown = pen.fitted(name, size=size, width=room)
    pen.write(shown, (_MARGIN, 90), size=size, ink=_INK, bold=True)


def _chips(draw: ImageDraw.ImageDraw, pen: Pen, chips: Sequence[Chip]) -> None:
    x = float(_MARGIN)
    for chip in chips:
        ink, ground = _CHIPS.get(chip.style, _OTHER)
        words = drawable(chip.words)
        end = x + width_of(words, 24) + 36
        draw.rounded_rectangle((x, 158, end, 202), radius=22, fill=ground)
        pen.write(words, (x + 18, 172), size=24, ink=ink)
        x = end + 12


def _figures(pen: Pen, facts: Sequence[Fact], room: float) -> None:
    width = room / 4
    for number, fact in enumerate(facts):
        x = _MARGIN + number * width
        label = pen.fitted(drawable(fact.label), size=22, width=width - 16)
        pen.write(label, (x, 232), size=22, ink=_QUIET)
        value, unit = drawable(fact.value), drawable(fact.unit)
        end = pen.write(pen.fitted(value, size=40, width=width - 16), (x, 266), size=40, ink=_INK,
                        bold=True)  # fmt: skip
        left = x + width - 16 - end - 8
        if unit and left > 24:
            pen.write(pen.fitted(unit, size=22, width=left), (end + 8, 279), size=22, ink=_QUIET)
        note = pen.fitted(drawable(fact.note.partition(" · ")[0]), size=18, width=width - 16)
        pen.write(note, (x, 314), size=18, ink=_FAINT)


def _curve(image: Image.Image, pen: Pen, report: Report) -> None:
    """The training loss, as it shows what happened; else what the run is judged by."""
    name = main_metric(report.metrics, "loss") or report.primary
    series = report.run.series[name] if name else None
    left, top, right, bottom = _PLOT
    below = bottom + 26
    own = _points(series) if series is not None else None
    if own is None or name is None:
        words = "No curve: nothing with two finite values was logged"
        pen.write(words, (left, (top + bottom) // 2), size=24, ink=_FAINT)
        return
    base = report.baseline.run.series if report.baseline else None
    other = _points(base[name]) if base is not None and name in base else None
    x0, x1, y0, y1 = _extent([one for one in (own, other) if one is not None])
    plot = Image.new("RGB", ((right - left) * _SCALE, (bottom - top) * _SCALE), "#ffffff")
    brush = ImageDraw.Draw(plot)
    wide, high = plot.width / (x1 - x0), (plot.height - 6 * _SCALE) / (y1 - y0)
    for event in reversed(report.events):
        if event.metric == name:
            _mark(brush, event, lambda x: (x - x0) * wide, plot.height)
    lines = [(other, _BASE, 2)] if other is not None else []
    for points, ink, thick in [*lines, (own, _RUN, 4)]:
        path = [
            ((x - x0) * wide, plot.height - 3 * _SCALE - (min(y, y1 + 9 * (y1 - y0)) - y0) * high)
            for x, y in zip(*points, strict=True)
        ]
        brush.line(path, fill=ink, width=thick * _SCALE, joint="curve")
    image.paste(plot.reduce(_SCALE), (left, top))
    ImageDraw.Draw(image).line((left, bottom, right, bottom), fill=_LINE, width=2)
    step = f"{units.count(x0)} to {units.count(x1)} {report.run.provenance.step_unit or 'steps'}"
    ends = drawable(f"over {step}, from {units.number(own[1][0])} to {units.number(own[1][-1])}")
    end = pen.write(
        pen.fitted(drawable(name), size=22, width=400), (left, below), size=22, ink=_RUN, bold=True
    )
    end = pen.write(pen.fitted(ends, size=22, width=right - end - 12), (end + 12, below), size=22,
                    ink=_FAINT)  # fmt: skip
    if other is not None and report.baseline:
        named = report.baseline.run.name
        words = drawable(named if named == "baseline" else f"baseline {named}")
        if (room := right - end - 24) > 120:
            pen.write(pen.fitted(words, size=22, width=room), (end + 24, below), size=22, ink=_BASE)


def _points(series: Series) -> tuple[list[float], list[float]] | None:
    """The curve in columns of pixels: in each the value farthest from the mean of its column, so
    that a spike of one step is seen. None where there is no line."""
    rows = series.effective
    found = bucketed(rows.step.astype(np.float64), rows.value, limit=_POINTS)
    keep = np.isfinite(found.mean)
    x, mean, low, high = (part[keep] for part in (found.x, found.mean, found.low, found.high))
    if len(x) < 2 or x[0] == x[-1]:
        return None
    spread = float(np.median(high - low))
    up, down = high - mean, mean - low
    far = np.maximum(up, down) > 3 * spread
    y = np.where(far, np.where(up >= down, high, low), mean)
    return x.tolist(), y.tolist()


def _extent(curves: Sequence[tuple[list[float], list[float]]]) -> tuple[float, float, float, float]:
    """X and y that are shown. The first twentieth of a curve may leave the top: a loss that begins
    at 11 would press all that matters into the lowest line."""
    x0 = min(x[0] for x, _ in curves)
    x1 = max(x[-1] for x, _ in curves)
    low = min(min(y) for _, y in curves)
    late = [v for x, y in curves for a, v in zip(x, y, strict=True) if a >= x0 + (x1 - x0) / 20]
    high = max(late)
    return x0, x1, low, high if high > low else low + max(abs(low), 1e-9)


def _mark(
    brush: ImageDraw.ImageDraw, event: Event, place: Callable[[float], float], height: int
) -> None:
    """A band over the steps of a finding, at least four pixels wide."""
    ground = _CHIPS[SEVERITY_CLASS[event.severity]][1]
    start, end = place(event.start_step), place(event.end_step)
    brush.rectangle((start - 2 * _SCALE, 0, max(end, start) + 2 * _SCALE, height), fill=ground)


def _png(image: Image.Image) -> bytes:
    """With few colours: a quarter of the bytes, and the eye sees no difference."""
    small = image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()
