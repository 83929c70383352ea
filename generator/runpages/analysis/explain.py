"""What changed in the run at the place of an event: restart, learning rate, batch, data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runpages import units
from runpages.model import Event, Run, Series

from .attempts import Transition
from .summary import flatten

__all__ = ["Explanations"]

Floats = NDArray[np.float64]

_EXPLAINABLE = frozenset(
    {
        *("spike", "divergence", "level_shift", "grad_explosion", "drop", "plateau"),
        *("stall", "slowdown", "jitter", "repeated_data"),
    }
)
_DATA = re.compile(
    r"\b(data([_ -]?(set|loader|mix|stage))?|stage|phase|curriculum|mixture|shard|epoch)s?\b",
    re.IGNORECASE,
)
_MOST_CHANGES = 0.05
"""Share of the rows: what changes more often explains everything, so nothing."""
_EPOCHS = frozenset({"epochs", "num_epochs", "num_train_epochs", "max_epochs", "n_epochs"})
_LEAST_STEPS = 16
_INTERVALS = 4
_LR_FACTOR = 1.5
"""From one row to the next: a schedule that moves slowly explains nothing."""
_NEIGHBOURS = 4
"""Rows on either side whose moves are the schedule's own."""
_OUT_OF_TREND = 4.0
"""Factor over their median move (logarithms). The last rows of a decay to 0 move ever faster: of a
linear one by 2.8 times this median, of a cosine by 2.7."""
_LEAST_OF_PEAK = 0.1
"""What the rate does far below its peak, as at the end of a schedule, explains nothing either."""
_ANNEALED = 0.1
"""Share of the peak rate under which a loss may stop falling."""
_LEAST_HIGH = 0.25
"""Share of the run that a plateau must last at a higher rate."""
_START_ROWS = 8
"""Rows in which a rate may move by any factor: the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    before: int
    """Last step before it."""
    at: int
    attempt: int | None
    """The only attempt it can explain, None = any."""
    words: str


class Explanations:
    """The changes of one run, and which of them lies in the place of an event."""

    def __init__(
        self, run: Run, transitions: Sequence[Transition], events: Sequence[Event] = ()
    ) -> None:
        self._run = run
        self._intervals: dict[str, int] = {}
        self._rates = [run.series[name] for name in run.series.with_role("lr")]
        self._changes = [
            *_restarts(transitions),
            *_beginnings(events, transitions),
            *_rates(self._rates),
            *_counts(run),
            *_announced(run),
        ]

    def window(self, *metrics: str) -> int:
        """Steps within which rows of these metrics are one place."""
        return max(_LEAST_STEPS, _INTERVALS * max(self._interval(name) for name in metrics))

    def _interval(self, metric: str) -> int:
        if metric not in self._intervals:
            self._intervals[metric] = self._measured(metric)
        return self._intervals[metric]

    def _measured(self, metric: str) -> int:
        known = metric in self._run.series and self._run.series.info(metric).axis == "step"
        moved = np.diff(self._run.series[metric].step) if known else np.empty(0)
        return int(np.median(moved[moved > 0])) if np.any(moved > 0) else 1

    def is_annealed(self, event: Event) -> bool:
        """A plateau of a schedule's end: too little of it lies where the rate is still high."""
        if event.kind != "plateau":
            return False
        for curve in self._rates:
            inside = (curve.step >= event.start_step) & (curve.step <= event.end_step)
            value = curve.value[inside & np.isfinite(curve.value)]
            if not len(value):
                continue
            high = float(np.mean(value > _ANNEALED * float(np.nanmax(curve.value))))
            span = max(1, int(curve.step[-1] - curve.step[0]))
            if high * (event.end_step - event.start_step) < _LEAST_HIGH * span:
                return True
        return False

    def explained(self, event: Event) -> Event:
        """With the change at its place, as an info unless it did not come back."""
        words = self._words(event)
        if not words:
            return event
        lost = event.recovered is False and event.kind in {"divergence", "grad_explosion"}
        return replace(
            event,
            explained_by=words,
            severity=event.severity if lost else "info",
            message=f"{event.message} Explained by: {words}.",
        )

    def _words(self, event: Event) -> str:
        if event.kind not in _EXPLAINABLE:
            return ""
        if event.kind == "repeated_data":
            return _epochs(self._run) or self._near(event, event.start_step, event.end_step)
        return self._near(event, event.start_step)

    def _near(self, event: Event, *steps: int) -> str:
        """The words of the change nearest to the first of the steps, if all have one.

        What changed after it cannot have caused it.
        """
        window = self.window(event.metric)
        found = [
            [
                (abs(step - change.at), change.words)
                for change in self._changes
                if change.attempt in {None, event.attempt}
                and change.before <= step <= change.at + window
            ]
            for step in steps
        ]
        # of equally near ones the first: a restart brings the others about
        return min(found[0], key=lambda one: one[0])[1] if all(found) else ""


def _restarts(transitions: Sequence[Transition]) -> Iterator[_Change]:
    for change in transitions:
        words = f"restart at step {units.count(change.resumed)}"
        yield _Change(before=change.resumed, at=change.resumed, attempt=change.after, words=words)


def _beginnings(events: Sequence[Event], transitions: Sequence[Transition]) -> Iterator[_Change]:
    """Trainings that began anew within a log."""
    resumed = {change.resumed for change in transitions}
    for event in events:
        step = event.start_step
        if event.kind == "restart" and step not in resumed:
            words = f"training began anew at step {units.count(step)}"
            yield _Change(before=step, at=step, attempt=event.attempt, words=words)


def _rates(curves: Sequence[Series]) -> Iterator[_Change]:
    for curve in curves:
        value = curve.value
        if not np.isfinite(value).any():
            continue
        with np.errstate(all="ignore"):
            moved = np.abs(np.log(value[1:] / value[:-1]))
            moved[~np.isfinite(moved)] = 0.0
            tall = np.maximum(value[1:], value[:-1]) >= _LEAST_OF_PEAK * np.nanmax(value)
        moved[: _START_ROWS - 1] = 0.0
        rows = _seldom((moved > np.log(_LR_FACTOR)) & tall)
        for row in (r for r in rows if _leaves_trend(moved, int(r))):
            before, after = units.number(float(value[row])), units.number(float(value[row + 1]))
            yield _change(curve, int(row), f"{curve.name} went from {before} to {after}")


def _leaves_trend(moved: Floats, row: int) -> bool:
    """Whether a row's move is none that the rows around it make as well."""
    before, after = moved[max(0, row - _NEIGHBOURS) : row], moved[row + 1 :][:_NEIGHBOURS]
    around = np.concatenate([before, after])
    return not len(around) or bool(moved[row] > _OUT_OF_TREND * np.median(around))


def _counts(run: Run) -> Iterator[_Change]:
    """Batch size and sequence length: any change."""
    for role in ("batch_size", "sequence_length"):
        for name in run.series.with_role(role):
            curve = run.series[name]
            moved = np.diff(curve.value)
            for row in _seldom(np.isfinite(moved) & (moved != 0)):
                before, after = (units.number(float(v)) for v in curve.value[row : row + 2])
                yield _change(curve, int(row), f"{name} went from {before} to {after}")


def _seldom(changed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of the changes; none if they are no exceptions."""
    rows = np.flatnonzero(changed)
    return rows if len(rows) <= max(1, _MOST_CHANGES * len(changed)) else rows[:0]


def _change(curve: Series, row: int, words: str) -> _Change:
    at = int(curve.step[row + 1])
    return _Change(
        before=int(curve.step[row]),
        at=at,
        attempt=None,
        words=f"{words} at step {units.count(at)}",
    )


def _announced(run: Run) -> Iterator[_Change]:
    """What the run itself reported of its data."""
    for event in run.logged_events:
        if event.step is not None and _DATA.search(f"{event.kind} {event.text}"):
            text = event.text or event.kind
            words = f"{text[:120]} (reported at step {units.count(event.step)})"
            yield _Change(before=event.step, at=event.step, attempt=event.attempt, words=words)


def _epochs(run: Run) -> str:
    for key, value in flatten(dict(run.config)).items():
        counted = isinstance(value, int | float) and not isinstance(value, bool) and value > 1
        if counted and key.rpartition(".")[2].lower() in _EPOCHS:
            return f"the configuration asks for {units.number(float(str(value)), 3)} epochs ({key})"
    return ""
