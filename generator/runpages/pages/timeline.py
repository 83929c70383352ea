"""The timeline: attempts, evaluations, checkpoints, samples and findings over the step.

An SVG with percent coordinates; its colours come from rp.css by the classes att, old, tick, lane,
none, in, n and crit, warn, info.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runpages import units
from runpages.markup import Safe, text
from runpages.model import Report

from .svg import ticks
from .words import kind_words, plural, severity_mark

__all__ = ["TimelineView", "view_timeline"]

_LANE = 26
_BAR = 14
_ATTEMPTS = 8
_MARKS = 200
_GLYPHS = {
    "crit": "M-3-6h6l3 3v6l-3 3h-6l-3-3v-6z",
    "warn": "M0-6 6 5H-6z",
    "info": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineView:
    lead: str
    svg: Safe
    lines: tuple[str, ...]
    """Restarts in words, then what the run itself reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    first: float
    last: float

    def at(self, step: float) -> float:
        """Percent of the width, 0 to 100."""
        span = (self.last - self.first) or 1.0
        return min(100.0, max(0.0, 100.0 * (step - self.first) / span))


def view_timeline(report: Report) -> TimelineView | None:
    """None where no step is known."""
    spans = report.run.series.spans
    if not spans:
        return None
    axis = _Axis(
        first=min(first for first, _ in spans.values()),
        last=max(last for _, last in spans.values()),
    )
    return TimelineView(lead=_lead(report), svg=_draw(report, axis), lines=_lines(report))


def _lead(report: Report) -> str:
    number = max(len(report.run.attempts), len(report.run.series.spans))
    if number == 1:
        return "One attempt, never interrupted."
    redone = report.redone_steps
    again = f"{plural(redone, 'step')} done again" if redone else "no step done twice"
    known = [a for a in report.run.attempts if a.start is not None and a.end is not None]
    gaps = [
        other.start - one.end
        for one, other in zip(known, known[1:], strict=False)
        if other.start is not None and one.end is not None
    ]
    down = f", {units.duration(sum(gaps))} between them" if gaps and sum(gaps) >= 0 else ""
    return f"{plural(number, 'attempt')}{down}; {again}."


def _lines(report: Report) -> tuple[str, ...]:
    restarts = [e.message for e in report.events if e.kind == "restart"]
    reported = []
    for event in report.run.logged_events[:12]:
        where = "" if event.step is None else f" at step {units.count(event.step)}"
        said = f": {event.text}" if event.text else ""
        reported.append(f"The run reported {event.kind}{where}{said}")
    more = len(report.run.logged_events) - 12
    if more > 0:
        reported.append(f"{plural(more, 'further report')} in run.json.")
    return (*restarts, *reported)


def _draw(report: Report, axis: _Axis) -> Safe:
    parts, y = _attempts(report, axis)
    evaluated: set[int] = set()
    for name in report.evaluations:
        evaluated.update(int(step) for step in report.run.series[name].recorded.step)
    saved = {c.step for c in report.run.checkpoints}
    sampled = {s.step for s in report.run.samples if s.step is not None}
    for label, steps in (("Evaluations", evaluated), ("Checkpoints", saved), ("Samples", sampled)):
        parts += _lane(label, _ticks(steps, axis, y), y)
        y += _LANE
    parts += _lane("Findings", _findings(report, axis, y), y, empty="none")
    y += _LANE
    parts += _axis(axis, y + 12)
    return Safe(
        f'<svg class="rp-svg" role="img" height="{y + 20}" '
        f'aria-label="Timeline from step {units.count(axis.first)} to {units.count(axis.last)}">'
        f"{''.join(parts)}</svg>"
    )


def _label(name: str, y: float) -> str:
    return f'<text class="n lb" x="-10" y="{y + 8}" dy=".35em" text-anchor="end">{text(name)}</text>'


def _attempts(report: Report, axis: _Axis) -> tuple[list[str], int]:
    """One bar an attempt; what a later one did again is faint."""
    spans = list(report.run.series.spans.items())
    parts = [_label("Attempts" if len(spans) > 1 else "Attempt", 0)]
    y = 0
    for number, (first, last) in spans[:_ATTEMPTS]:
        later = [a for n, (a, _) in spans if n > number]
        kept = min([last, *(a - 1 for a in later if a <= last)])
        left, right, cut = axis.at(first), axis.at(last), axis.at(max(kept, first))
        width = max(cut - left, 0.15) if kept >= first else 0.0
        title = f"attempt {number}: steps {units.count(first)} to {units.count(last)}"
        if width:
            parts.append(_bar("att", left, width, y, title))
        if kept < last:
            start = left + width
            parts.append(_bar("att old", start, max(right - start, 0.15), y, f"{title}, redone"))
        inside = left < 85
        anchor = "start" if inside else "end"
        parts.append(
            f'<text class="{"in" if width > 12 or (inside and right - left > 12) else "n"}" '
            f'x="{left if inside else right:.2f}%" y="{y + 7}" dx="{6 if inside else -6}" '
            f'dy=".35em" text-anchor="{anchor}">{number}</text>'
        )
        y += _BAR + 4
    if len(spans) > _ATTEMPTS:
        parts.append(
            f'<text class="n" x="0" y="{y + 8}" dy=".35em">{len(spans) - _ATTEMPTS} more attempts'
            "</text>"
        )
        y += _BAR + 4
    return parts, y + 6


def _bar(classes: str, left: float, width: float, y: float, title: str) -> str:
    return (
        f'<rect class="{classes}" x="{left:.2f}%" width="{width:.2f}%" y="{y}" height="{_BAR}">'
        f"<title>{text(title)}</title></rect>"
    )


def _lane(label: str, marks: Sequence[str], y: int, *, empty: str = "n/a: none logged") -> list[str]:
    middle = y + 8
    out = [_label(label, y)]
    if marks:
        out.append(f'<line class="lane" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>')
        return [*out, *marks]
    out.append(f'<line class="none" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>')
    out.append(
        f'<text class="n halo" x="50%" y="{middle}" dy=".35em" text-anchor="middle">'
        f"{label.lower()} {empty}</text>"
    )
    return out


def _ticks(steps: Iterable[int], axis: _Axis, y: int) -> list[str]:
    """Marks nearer than half a percent are drawn once."""
    places = sorted({round(axis.at(step) * _MARKS / 100) * 100 / _MARKS for step in steps})
    return [
        f'<line class="tick" x1="{x:.1f}%" x2="{x:.1f}%" y1="{y + 2}" y2="{y + 14}"/>'
        for x in places
    ]


def _findings(report: Report, axis: _Axis, y: int) -> list[str]:
    out = []
    seen = set()
    for event in reversed(report.events):
        style = severity_mark(event.severity)[1]
        place = round(axis.at(event.start_step), 1)
        if (place, style) in seen:
            continue
        seen.add((place, style))
        title = f"step {units.count(event.start_step)}: {kind_words(event.kind)} in {event.metric}"
        out.append(
            f'<svg x="{place:.1f}%" y="{y + 8}" overflow="visible"><path class="{style}" '
            f'd="{_GLYPHS[style]}"><title>{text(title)}</title></path></svg>'
        )
    return out


def _axis(axis: _Axis, y: int) -> list[str]:
    out = [f'<text class="n lb" x="-10" y="{y}" text-anchor="end">Step</text>']
    for value in ticks(axis.first, axis.last, count=5):
        at = axis.at(value)
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        out.append(
            f'<text class="n" x="{at:.2f}%" y="{y}" text-anchor="{anchor}">{units.count(value)}</text>'
        )
    return out
