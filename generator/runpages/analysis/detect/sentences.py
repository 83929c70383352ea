"""Sentences of the kinds that are no excursion of a loss; `words.describe` looks here first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runpages import units
from runpages.model import Event

__all__ = ["NAMES", "SENTENCES"]

NAMES = {"loss": "Loss", "val_loss": "Validation loss", "grad_norm": "Gradient norm"}


def _name(event: Event) -> str:
    return NAMES.get(event.role or "", event.metric)


def _value(value: float | None) -> str:
    return "n/a" if value is None else units.number(value)


def _at(step: int | None) -> str:
    return "n/a" if step is None else f"step {units.count(step)}"


def _between(event: Event) -> str:
    return f"from {_at(event.start_step)} to {units.count(event.end_step)}"


def _explosion(event: Event, ending: str) -> str:
    rose = f"{_name(event)} rose from {_value(event.baseline_value)} to {_value(event.peak_value)}"
    if not event.recovered:
        return (
            f"{rose} from {_at(event.start_step)} on, highest at {_at(event.peak_step)}, and "
            f"{ending or 'did not come back'}."
        )
    back = (
        "was back at its level in the next record"
        if event.start_step == event.end_step
        else f"was back at its level after {_at(event.end_step)}"
    )
    return f"{rose} at {_at(event.peak_step)} and {ending or back}."


def _vanishing(event: Event, ending: str) -> str:
    return (
        f"{_name(event)} fell from {_value(event.baseline_value)} to {_value(event.peak_value)} "
        f"from {_at(event.start_step)} on and {ending or 'did not come back'}."
    )


SENTENCES: Mapping[str, Callable[[Event, str], str]] = {
    "grad_explosion": _explosion,
    "grad_vanishing": _vanishing,
}
