"""Whether the training loss bears an over-fitting out: it must not have risen, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runpages import units
from runpages.model import Columns, Event, Run

from .attempts import rows_of_attempt
from .detect import describe, event_id

__all__ = ["with_training_loss"]

_LEAST_ROWS = 10
_LEAST_CHANGE = 0.01
"""Share of the loss, as for the rise of the validation loss."""


def with_training_loss(run: Run, event: Event) -> Event:
    """An over-fitting with what the training loss did meanwhile; a divergence if that rose.

    The training loss is looked at from the minimum of the validation loss on: the median of the
    first tenth of its rows against that of the last. Without ten rows of it the event stays.
    """
    if event.kind != "overfit":
        return event
    for name in run.series.with_role("loss"):
        rows, _ = rows_of_attempt(run.series[name], event.attempt)
        inside = (rows.step >= event.start_step) & (rows.step <= event.end_step)
        value = rows.value[inside & np.isfinite(rows.value)]
        if len(value) < _LEAST_ROWS:
            continue
        tenth = max(3, len(value) // 10)
        first, last = float(np.median(value[:tenth])), float(np.median(value[-tenth:]))
        moved = _moved(rows.take(inside & np.isfinite(rows.value)), first, last, tenth)
        if last - first > _LEAST_CHANGE * abs(first):
            return _diverged(event, f"{name} rose as well, {moved}")
        if first - last > _LEAST_CHANGE * abs(first):
            return _with(event, f"{name} fell meanwhile, {moved}")
    return event


def _moved(rows: Columns, first: float, last: float, count: int) -> str:
    """By the first and the last row where these moved as the medians over `count` rows did."""
    here, there = float(rows.value[0]), float(rows.value[-1])
    if (there - here) * (last - first) > 0 and abs(there - here) > _LEAST_CHANGE * abs(here):
        return (
            f"from {units.number(here)} at step {units.count(rows.step[0])} "
            f"to {units.number(there)} at step {units.count(rows.step[-1])}"
        )
    return (
        f"from a median of {units.number(first)} over the first {count} of its rows there to "
        f"{units.number(last)} over the last"
    )


def _diverged(event: Event, words: str) -> Event:
    number = event_id("divergence", event.start_step, event.metric, event.rank, event.attempt)
    other = replace(event, kind="divergence", id=number)
    return _with(replace(other, message=describe(other)), words)


def _with(event: Event, words: str) -> Event:
    return replace(event, message=f"{event.message.removesuffix('.')}; {words}.")
