"""Sentences of the kinds that are no excursion of a loss; `words.describe` looks here first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runpages import units
from runpages.analysis.roles import RATES
from runpages.model import Event

__all__ = ["NAMES", "SENTENCES", "came_back"]

NAMES = {"loss": "Loss", "val_loss": "Validation loss", "grad_norm": "Gradient norm"}


def _name(event: Event) -> str:
    return NAMES.get(event.role or "", event.metric)


def _value(value: float | None) -> str:
    return "n/a" if value is None else units.number(value)


def _at(step: int | None) -> str:
    return "n/a" if step is None else f"step {units.count(step)}"


def _between(event: Event) -> str:
    return f"from {_at(event.start_step)} to {units.count(event.end_step)}"


def came_back(event: Event) -> str:
    """How an excursion ended that ended."""
    if not event.recovered:
        return "came back most of the way, but not soon to its level"
    if event.start_step == event.end_step:
        return "was back at its level in the next record"
    return f"was back at its level after {_at(event.end_step)}"


def _explosion(event: Event, ending: str) -> str:
    rose = f"{_name(event)} rose from {_value(event.baseline_value)} to {_value(event.peak_value)}"
    if event.recovered is False:
        return (
            f"{rose} from {_at(event.start_step)} on, highest at {_at(event.peak_step)}, and "
            f"{ending or 'did not come back'}."
        )
    return f"{rose} at {_at(event.peak_step)} and {ending or came_back(event)}."


def _vanishing(event: Event, ending: str) -> str:
    return (
        f"{_name(event)} fell from {_value(event.baseline_value)} to {_value(event.peak_value)} "
        f"from {_at(event.start_step)} on and {ending or 'did not come back'}."
    )


def _jitter(event: Event, _ending: str) -> str:
    slow = "fall to" if event.role in RATES else "reach"
    return (
        f"{event.metric} jitters {_between(event)}: around {_value(event.baseline_value)}, its "
        f"slowest rows {slow} {_value(event.peak_value)} without a period."
    )


def _used(event: Event, value: float | None) -> str:
    """A utilisation: per cent, or a share of 1 where the threshold is one."""
    if value is None or event.threshold is None:
        return _value(value)
    percent = value if event.threshold > 1 else 100 * value
    return f"{units.count(percent)} %"


def _idle(event: Event, _ending: str) -> str:
    level = event.baseline_value
    idle = level is None or event.threshold is None or level <= event.threshold
    other = "" if idle else f" (otherwise {_used(event, level)})"
    most = _used(event, event.threshold)
    return f"{event.metric} was at {most} or below {_between(event)}{other}."


def _underuse(event: Event, _ending: str) -> str:
    high, level = _used(event, event.threshold), _used(event, event.baseline_value)
    return (
        f"{event.metric} stayed under {high} in 95 % of its samples {_between(event)}, with a "
        f"median of {level}."
    )


def _growth(event: Event, ending: str) -> str:
    return (
        f"{event.metric} grew from {_value(event.baseline_value)} to {_value(event.peak_value)} "
        f"{_between(event)} and {ending or 'was still growing when the record ended'}."
    )


def _near_oom(event: Event, _ending: str) -> str:
    if event.role == "alloc_retries":
        return f"{event.metric} rose to {_value(event.peak_value)} {_between(event)}."
    return (
        f"{event.metric} reached {_value(event.peak_value)} at {_at(event.peak_step)}; 95 % of the "
        f"device's memory is {_value(event.threshold)}."
    )


def _repeated(event: Event, _ending: str) -> str:
    first, second = event.start_step, event.peak_step or event.start_step
    more = "" if second >= event.end_step else f" up to step {units.count(event.end_step)}"
    return (
        f"{_name(event)} stepped down from {_value(event.baseline_value)} at step "
        f"{units.count(first)} and again every {units.count(second - first)} steps or so{more}: "
        "the data seem to repeat."
    )


def _missing(event: Event, _ending: str) -> str:
    return (
        f"{event.metric} has no row between step {units.count(event.start_step)} and step "
        f"{units.count(event.end_step)}, where it was logged evenly before and after."
    )


SENTENCES: Mapping[str, Callable[[Event, str], str]] = {
    "grad_explosion": _explosion,
    "grad_vanishing": _vanishing,
    "jitter": _jitter,
    "idle_device": _idle,
    "gpu_underuse": _underuse,
    "memory_growth": _growth,
    "near_oom": _near_oom,
    "repeated_data": _repeated,
    "missing_data": _missing,
}
