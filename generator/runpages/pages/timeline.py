"""The timeline: attempts, evaluations, checkpoints, samples and findings over the step.

SVG lanes with percent coordinates; colours come from rp.css by the classes att, att old, tick and
crit, warn, info.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runpages import units
from runpages.analysis.continuity import gaps_in_knowledge
from runpages.markup import Safe, text
from runpages.model import Report

from .svg import ticks
from .words import SEVERITY_CLASS, begun_anew, kind_words

__all__ = ["Lane", "Timeline", "timeline"]

_BAR = 14
_ATTEMPTS = 8
_PLACES = 200
_GLYPHS = {
    "crit": "M-3-6h6l3 3v6l-3 3h-6l-3-3v-6z",
    "warn": "M0-6 6 5H-6z",
    "info": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    label: str
    svg: Safe
    why: str = ""
    """Why the lane is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    lede: str
    lanes: tuple[Lane, ...]
    axis: Safe


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    first: float
    last: float

    def at(self, step: float) -> float:
        """Percent of the width, 0 to 100."""
        span = (self.last - self.first) or 1.0
        return min(100.0, max(0.0, 100.0 * (step - self.first) / span))


def timeline(report: Report) -> Timeline | None:
    """None where no step is known."""
    spans = report.run.series.spans
    if not spans:
        return None
    axis = _Axis(
        first=min(first for first, _ in spans.values()),
        last=max(last for _, last in spans.values()),
    )
    run = report.run
    evaluated = {int(s) for name in report.evaluations for s in run.series[name].recorded.step}
    sampled = {s.step for s in run.samples if s.step is not None}
    lanes = (
        _attempts(report, axis),
        _ticks("Evaluations", evaluated, axis, "no evaluation was logged"),
        _ticks("Checkpoints", {c.step for c in run.checkpoints}, axis, "the log names none"),
        _ticks("Samples", sampled, axis, "no sample was logged"),
        _findings(report, axis),
    )
    return Timeline(lede=_lede(report), lanes=lanes, axis=_scale(axis))


def _lede(report: Report) -> str:
    restarts = [event.message for event in report.events if event.kind == "restart"]
    number = max(len(report.run.attempts), len(report.run.series.spans))
    if number == 1:
        return _alone(report)
    more = len(restarts) - 3
    rest = f" {units.count(more)} more restarts are among the findings." if more > 0 else ""
    return f"{units.count(number)} attempts. {' '.join(restarts[:3])}{rest}".strip()


def _alone(report: Report) -> str:
    """Of a log with one attempt: that it never stopped only where the log can tell that."""
    told = [*filter(None, [begun_anew(report)]), *gaps_in_knowledge(report.run)]
    if not told and report.run.start is None:
        return "One attempt in the log; without a clock it does not tell whether it paused."
    if not told:
        return "One attempt, never interrupted."
    return f"One attempt in the log; {'; '.join(told)}."


def _svg(parts: Iterable[str], height: int, label: str) -> Safe:
    return Safe(
        f'<svg class="rp-lane" role="img" width="100%" height="{height}" '
        f'aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _attempts(report: Report, axis: _Axis) -> Lane:
    """One bar an attempt; what a later one did again is faint."""
    spans = list(report.run.series.spans.items())
    parts: list[str] = []
    for row, (number, (first, last)) in enumerate(spans[:_ATTEMPTS]):
        y = row * (_BAR + 3)
        redone = min((a for n, (a, _) in spans if n > number), default=last + 1)
        words = f"attempt {number}: steps {units.count(first)} to {units.count(last)}"
        left, right = axis.at(first), axis.at(last)
        cut = min(max(axis.at(redone), left), right) if redone <= last else right
        if cut > left or redone > last:
            parts.append(_bar("att", left, cut, y, words))
        if redone <= last:
            parts.append(_bar("att old", cut, right, y, f"{words}, done again later"))
    rows = min(len(spans), _ATTEMPTS)
    shown = f" {rows} of {len(spans)}" if rows < len(spans) else ""
    label = "Attempts" if len(spans) > 1 else "Attempt"
    return Lane(label=label + shown, svg=_svg(parts, rows * (_BAR + 3), label))


def _bar(style: str, left: float, right: float, y: int, words: str) -> str:
    width = max(right - left, 0.2)
    return (
        f'<rect class="{style}" x="{min(left, 100 - width):.2f}%" width="{width:.2f}%" y="{y}" '
        f'height="{_BAR}"><title>{text(words)}</title></rect>'
    )


def _ticks(label: str, steps: Iterable[int], axis: _Axis, why: str) -> Lane:
    """Marks nearer than half a percent are drawn once."""
    places = sorted({round(axis.at(step) * _PLACES / 100) * 100 / _PLACES for step in steps})
    if not places:
        return Lane(label=label, svg=Safe(""), why=f"n/a {why}")
    parts = [
        f'<line class="tick" x1="{x:.1f}%" x2="{x:.1f}%" y1="1" y2="{_BAR - 1}"/>' for x in places
    ]
    return Lane(label=label, svg=_svg(parts, _BAR, f"{label}: {len(places)} marks"))


def _findings(report: Report, axis: _Axis) -> Lane:
    parts: list[str] = []
    seen: set[tuple[float, str]] = set()
    for event in reversed(report.events):
        style = SEVERITY_CLASS[event.severity]
        place = round(axis.at(event.start_step), 1)
        if (place, style) in seen:
            continue
        seen.add((place, style))
        kind = kind_words(event.kind)
        words = f"step {units.count(event.start_step)}: {kind} in {event.metric}"
        parts.append(
            f'<svg x="{place:.1f}%" y="{_BAR // 2}" overflow="visible"><path class="{style}" '
            f'd="{_GLYPHS[style]}"><title>{text(words)}</title></path></svg>'
        )
    if not parts:
        return Lane(label="Findings", svg=Safe(""), why="none")
    return Lane(label="Findings", svg=_svg(parts, _BAR, f"Findings: {len(parts)} marks"))


def _scale(axis: _Axis) -> Safe:
    parts = []
    for value in ticks(axis.first, axis.last, count=5):
        at = axis.at(value)
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        parts.append(
            f'<text x="{at:.2f}%" y="11" text-anchor="{anchor}">{units.count(value)}</text>'
        )
    return _svg(parts, _BAR, "Steps")
