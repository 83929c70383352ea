"""The one sentence that an event is told in."""

from __future__ import annotations

from runpages import units
from runpages.analysis.roles import RATES
from runpages.model import Event

from .sentences import NAMES, SENTENCES, came_back
from .trend_words import TRENDS

__all__ = ["describe"]


def describe(event: Event, *, ending: str = "") -> str:
    """What happened, from the event's own numbers; `ending` replaces how it went on.

    Holds the metric's name as logged where it plays no known role: text of the run, unescaped.
    """
    if event.kind in SENTENCES:
        return SENTENCES[event.kind](event, ending)
    what = NAMES.get(event.role or "", event.metric)
    if event.kind in TRENDS:
        return TRENDS[event.kind](event, what, ending)
    start = f"at step {units.count(event.start_step)}"
    value = units.number(event.peak_value) if event.peak_value is not None else "n/a"
    if event.kind == "nonfinite":
        return f"{what} became {value} {start} {ending or _nonfinite_ending(event)}."
    level = units.number(event.baseline_value) if event.baseline_value is not None else "n/a"
    if event.kind == "divergence":
        peak = ""
        if event.peak_step not in {None, event.start_step}:
            peak = f", reached {value} at step {units.count(event.peak_step or 0)}"
        else:
            level = f"{level} for {value}"
        return (
            f"{what} left its level of {level} {start}{peak} and {ending or 'did not come back'}."
        )
    if event.kind in {"stall", "slowdown"}:
        return _slower(event, level, value, ending)
    peak = units.count(event.start_step if event.peak_step is None else event.peak_step)
    return f"{what} rose from {level} to {value} at step {peak} and {ending or came_back(event)}."


def _nonfinite_ending(event: Event) -> str:
    if not event.recovered:
        return "and stayed so to the end"
    if event.start_step == event.end_step:
        return "and was finite again in the next record"
    return f"and was finite again after step {units.count(event.end_step)}"


def _slower(event: Event, level: str, value: str, ending: str) -> str:
    """Stall and slowdown: the words turn with what was logged, a time or a rate."""
    rate = event.role in RATES
    if event.kind == "stall":
        moved = f"fell from {level} to {value}" if rate else f"rose from {level} to {value}"
        peak = event.start_step if event.peak_step is None else event.peak_step
        where = f"at step {units.count(peak)}"
    else:
        moved = f"fell below its level of {level}" if rate else f"rose above its level of {level}"
        where = (
            f"at step {units.count(event.start_step)}, {'lowest' if rate else 'highest'} {value}"
        )
    if event.recovered is False:
        back = "had not come back when the record ended"
    elif event.start_step == event.end_step:
        back = "was back at its level in the next record"
    else:
        back = f"was back at its level after step {units.count(event.end_step)}"
    return f"{event.metric} {moved} {where} and {ending or back}."
