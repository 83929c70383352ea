"""What the run itself said at its end: its own summary, and what it reported on the way."""

from __future__ import annotations

from collections.abc import Iterator

from runpages import units
from runpages.analysis.roles import EVALUATIONS, role_of
from runpages.analysis.summary import flatten
from runpages.model import Report

__all__ = ["finals", "own_summary_section"]

_MOST_ROWS = 200
_MOST_EVENTS = 20
_MOST_FINALS = 20
_KEY_CHARS = 200
_VALUE_CHARS = 300
_DIGITS = 6


def own_summary_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print. A table of text out of the run, bounded."""
    return {"own_summary": [*_summary(report), *_reported(report)]}


def _summary(report: Report) -> list[tuple[str, str]]:
    """Without the last values of metrics, trackers' own entries (`_step`) and files."""
    told = {
        key: value
        for key, value in report.run.summary.items()
        if key not in report.run.series
        and not key.startswith("_")
        and not (isinstance(value, dict) and "_type" in value)
    }
    rows = [(key[:_KEY_CHARS], _shown(value)) for key, value in flatten(told).items() if key]
    left = len(rows) - _MOST_ROWS
    more = [("", f"{units.count(left)} more are left out")] if left > 0 else []
    return [*rows[:_MOST_ROWS], *more]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return units.number(value, _DIGITS)
    return "n/a" if value is None else str(value)[:_VALUE_CHARS]


def _reported(report: Report) -> list[tuple[str, str]]:
    return [
        (
            event.kind if event.step is None else f"{event.kind}, step {units.count(event.step)}",
            event.text[:_VALUE_CHARS],
        )
        for event in report.run.logged_events[:_MOST_EVENTS]
    ]


def finals(report: Report) -> Iterator[tuple[str, float]]:
    """Evaluations that stand only in the run's own summary, as `final_int8 val_bpb` does.

    What a name means is told by its last word.
    """
    found = 0
    for name, value in report.run.summary.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        told = name in report.run.series or name.startswith("_")
        metric = name.rpartition(" ")[2]
        if not told and role_of(metric) in EVALUATIONS and found < _MOST_FINALS:
            found += 1
            yield name[:_KEY_CHARS], float(value)
