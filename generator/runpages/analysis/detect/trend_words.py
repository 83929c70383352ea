"""Sentences of what happens to the course of a curve: shifts, plateaus, drops, over-fitting."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runpages import units
from runpages.model import Event

__all__ = ["TRENDS"]


def _value(value: float | None) -> str:
    return "n/a" if value is None else units.number(value)


def _peak(event: Event) -> str:
    return units.count(event.start_step if event.peak_step is None else event.peak_step)


def _level_shift(event: Event, what: str, ending: str) -> str:
    stayed = (
        "settled there for a long stretch; it came back later"
        if event.recovered
        else "settled there"
    )
    return (
        f"{what} rose from its level of {_value(event.baseline_value)} to "
        f"{_value(event.peak_value)} at step {units.count(event.start_step)} and "
        f"{ending or stayed}."
    )


def _plateau(event: Event, what: str, ending: str) -> str:
    later = "it fell again after that" if event.recovered else "the record ends there"
    return (
        f"{what} stayed at {_value(event.baseline_value)} from step "
        f"{units.count(event.start_step)} to step {units.count(event.end_step)}; {ending or later}."
    )


def _drop(event: Event, what: str, ending: str) -> str:
    if not event.recovered:
        back = "had not come back when the record ended"
    elif event.start_step == event.end_step:
        back = "was back in the next record"
    else:
        back = f"was back after step {units.count(event.end_step)}"
    return (
        f"{what} got worse, from a best level of {_value(event.baseline_value)} to "
        f"{_value(event.peak_value)} at step {_peak(event)}, and {ending or back}."
    )


def _overfit(event: Event, what: str, ending: str) -> str:
    return (
        f"{what} rose above its minimum of {_value(event.baseline_value)} from step "
        f"{units.count(event.start_step)} on, to {_value(event.peak_value)} at step "
        f"{_peak(event)}, and {ending or 'did not come back'}."
    )


def _anew(event: Event, what: str, _ending: str) -> str:
    return (
        f"{what} went from {_value(event.baseline_value)} back to its first value, "
        f"{_value(event.peak_value)}, at step {units.count(event.start_step)} and falls as it did "
        "at the start: training began anew."
    )


TRENDS: Mapping[str, Callable[[Event, str, str], str]] = {
    "drop": _drop,
    "level_shift": _level_shift,
    "overfit": _overfit,
    "plateau": _plateau,
    "restart": _anew,
}
"""Kind -> sentence of an event, its metric's name, and how it went on where that is known better.

Restarts of an attempt are told by `attempts`; here it is one within a series.
"""
