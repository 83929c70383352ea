"""What restarts cost: steps and time that were done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from runpages import units
from runpages.model import Attempt, Checkpoint, Columns, Event, Run, Series

from .detect import describe, event_id

__all__ = [
    "Transition",
    "find_transitions",
    "restart_events",
    "rolled_back",
    "rows_of_attempt",
    "with_checkpoints",
]


_UNDONE = frozenset(
    {"nonfinite", "spike", "divergence", "level_shift", "grad_explosion", "grad_vanishing"}
)
"""What a rollback can undo: the state of the model, not the time that steps took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """From one attempt to the next."""

    before: int
    after: int
    reached: int
    """Last step of the attempt before."""
    resumed: int
    """First step of the attempt after."""
    lost_seconds: float | None
    """Time the attempt before had spent on the steps that were done again."""
    downtime_seconds: float | None
    resumed_time: float | None
    """When the attempt after began, UTC seconds."""
    devices: int | None
    """Accelerators of the attempt before."""

    @property
    def lost_steps(self) -> int:
        return max(0, self.reached - self.resumed + 1)

    @property
    def lost_device_hours(self) -> float | None:
        if self.lost_seconds is None or self.devices is None:
            return None
        return self.lost_seconds / 3600 * self.devices


def rows_of_attempt(series: Series, number: int) -> tuple[Columns, int]:
    """What attempt `number` continued from, then what it recorded; and the first step of its own.

    Earlier rows give its detectors the level that the run came from.
    """
    own = series.attempt(number)
    first = int(own.step.min()) if len(own.step) else 0
    parts = [own]
    for earlier in range(number - 1, 0, -1):
        rows = series.attempt(earlier)
        parts.insert(0, rows.take(rows.step < min(int(p.step.min()) for p in parts if len(p.step))))
    joined = Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return joined.take(np.argsort(joined.step, kind="stable")), first


def find_transitions(run: Run) -> tuple[Transition, ...]:
    """Each change of attempt whose steps are known."""
    attempts = [a for a in run.attempts if a.first_step is not None]
    out = []
    for one, other in zip(attempts, attempts[1:], strict=False):
        if one.last_step is None or other.first_step is None:
            continue
        downtime = None if one.end is None or other.start is None else other.start - one.end
        out.append(
            Transition(
                before=one.number,
                after=other.number,
                reached=one.last_step,
                resumed=other.first_step,
                lost_seconds=_spent(run, one, other.first_step),
                downtime_seconds=downtime,
                resumed_time=other.start,
                devices=run.hardware.devices if one.devices is None else one.devices,
            )
        )
    return tuple(out)


def _spent(run: Run, attempt: Attempt, step: int) -> float | None:
    """Seconds that `attempt` ran from `step` on, by the metric with the most rows."""
    names = [i.name for i in run.series.whole if i.axis == "step"]
    if not names or attempt.end is None:
        return None
    dense = max(names, key=lambda name: run.series.info(name).points)
    rows = run.series[dense].attempt(attempt.number)
    before = rows.time[rows.step < step]
    known = before[np.isfinite(before)]
    if len(known):
        return max(0.0, attempt.end - float(known[-1]))
    return None if attempt.start is None else max(0.0, attempt.end - attempt.start)


def restart_events(transitions: Sequence[Transition], metric: str) -> tuple[Event, ...]:
    """One info a restart, with what was done again."""
    return tuple(_restart(t, metric) for t in transitions)


def _restart(change: Transition, metric: str) -> Event:
    lost = change.lost_steps
    sentence = f"Attempt {change.after} resumed at step {units.count(change.resumed)}"
    if change.downtime_seconds is not None:
        sentence += (
            f", {units.duration(change.downtime_seconds)} after attempt {change.before} ended"
        )
    if lost:
        spent = f" ({units.duration(change.lost_seconds)})" if change.lost_seconds else ""
        sentence += (
            f"; {units.count(lost)} step{'s' if lost != 1 else ''}{spent} up to step "
            f"{units.count(change.reached)} were lost."
        )
    else:
        sentence += "; no step was done twice."
    return Event(
        id=event_id("restart", change.resumed, metric, None, change.after),
        kind="restart",
        metric=metric,
        attempt=change.after,
        start_step=change.resumed,
        end_step=max(change.reached, change.resumed),
        start_time=change.resumed_time,
        severity="info",
        recovered=True,
        lost_steps=lost,
        lost_seconds=change.lost_seconds if lost else 0.0,
        lost_device_hours=change.lost_device_hours if lost else None,
        message=sentence,
    )


def rolled_back(
    event: Event,
    transitions: Sequence[Transition],
    *,
    later: Sequence[Event],
    reached: int | None,
) -> Event:
    """The event with what its rollback cost, if a later attempt did its steps again.

    `later` are the events of later attempts, `reached` is the last step they came to. A divergence
    whose step a later attempt passed in peace becomes a spike and a warning: the run came back from
    it, by way of a checkpoint. Otherwise it stays as serious as it was. An info is not what a run
    was rolled back for: it is charged with no steps.
    """
    change = next(
        (t for t in transitions if t.before >= event.attempt and t.resumed <= event.end_step), None
    )
    if change is None or event.kind not in _UNDONE:
        return event
    again = any(e.kind == event.kind and e.metric == event.metric for e in later)
    passed = not again and reached is not None and reached >= event.start_step
    charged = event.severity != "info"
    ending = "" if event.recovered else f"had not come back when attempt {change.before} ended"
    if ending and event.kind == "nonfinite":
        ending = f"and was so when attempt {change.before} ended"
    lost = units.count(change.lost_steps)
    sentence = (
        f"{describe(event, ending=ending)} Attempt {change.after} went back to step "
        f"{units.count(change.resumed)} and did {lost} step{'s' if lost != '1' else ''} again; "
        f"{'it happened again' if again else _fate(passed=passed)}."
    )
    kind = "spike" if event.kind == "divergence" and passed else event.kind
    return replace(
        event,
        id=event_id(kind, event.start_step, event.metric, event.rank, event.attempt),
        kind=kind,
        severity="warning" if event.severity == "critical" and passed else event.severity,
        recovered=event.recovered or passed,
        lost_steps=change.lost_steps if charged else None,
        lost_seconds=change.lost_seconds if charged else None,
        lost_device_hours=change.lost_device_hours if charged else None,
        message=sentence,
    )


def _fate(*, passed: bool) -> str:
    return "it did not happen again" if passed else "no later attempt came as far"


def with_checkpoints(event: Event, checkpoints: Sequence[Checkpoint]) -> Event:
    """The event with the nearest checkpoints before and after it."""
    steps = sorted({c.step for c in checkpoints})
    before = [s for s in steps if s < event.start_step]
    after = [s for s in steps if s > event.end_step]
    return replace(
        event,
        checkpoint_before=before[-1] if before else None,
        checkpoint_after=after[0] if after else None,
    )
