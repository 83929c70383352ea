"""One finding for one thing: events of several series that belong together, and what explains them.

Windows are in steps: at least 16, or four logging intervals of the slower of two metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runpages import units
from runpages.model import SEVERITIES, Event, Run

from .attempts import Transition
from .detect import NAMES
from .explain import Explanations
from .roles import LOSSES

__all__ = ["fuse"]

_RANKS = {"loss": 0, "val_loss": 1, "grad_norm": 2}
_INSTABILITY = frozenset({"spike", "divergence", "level_shift", "grad_explosion", "drop"})
_ALIKE = frozenset(
    {
        *("stall", "slowdown", "jitter", "idle_device", "gpu_underuse"),
        *("memory_growth", "near_oom", "missing_data", "overfit", "plateau"),
    }
)
"""Kinds that several metrics show at once: devices, a time and its rate, rows that all lack, losses
on several sets."""
_MOST_NAMES = 3


def fuse(run: Run, events: Sequence[Event], transitions: Sequence[Transition]) -> list[Event]:
    """Explained events as infos; of events that belong together the one that counts most.

    A loss's event takes in those of the other losses and of the gradient norm that begin in its
    place or lead up to it, `related` holding their metric and lead in steps (negative = later). The
    annealed end of a schedule is no plateau.
    """
    explanations = Explanations(run, transitions, events)
    told = [explanations.explained(e) for e in events if not explanations.is_annealed(e)]
    ordered = sorted(told, key=lambda e: (_RANKS.get(e.role or "", 3), e.start_step))
    left = list(ordered)
    out = []
    while left:
        first = left.pop(0)
        others = [e for e in left if _belong(first, e, explanations)]
        if others:
            taken = {id(e) for e in others}
            left = [e for e in left if id(e) not in taken]
        out.append(_joined(first, others) if others else first)
    return out


def _belong(first: Event, other: Event, explanations: Explanations) -> bool:
    if other.attempt != first.attempt or (other.metric, other.rank) == (first.metric, first.rank):
        return False
    window = explanations.window(first.metric, other.metric)
    begins_in = first.start_step - window <= other.start_step <= first.end_step + window
    # a growth of the gradient norm may go on for long before the loss follows
    leads = other.start_step < first.start_step <= other.end_step + window
    if first.kind == "nonfinite":
        return begins_in and (
            other.kind == "nonfinite" or (other.kind == "grad_explosion" and first.role in LOSSES)
        )
    if first.kind in _INSTABILITY:
        # what came back does not answer for what did not
        worse = other.recovered is False and first.recovered is not False
        return (begins_in or leads) and other.kind in _INSTABILITY and not worse
    if first.kind not in _ALIKE or other.kind != first.kind:
        return False
    shared = min(first.end_step, other.end_step) - max(first.start_step, other.start_step)
    shorter = min(first.end_step - first.start_step, other.end_step - other.start_step)
    return shared >= 0.5 * shorter - window * (shorter == 0)


def _joined(first: Event, others: Sequence[Event]) -> Event:
    every = [first, *others]
    severity = max((e.severity for e in every), key=SEVERITIES.index)
    if first.explained_by and first.severity == "info":
        severity = "info"
    hours = first.lost_device_hours
    if first.kind == "idle_device" and all(e.lost_device_hours is not None for e in every):
        hours = sum(e.lost_device_hours or 0.0 for e in every)
    return replace(
        first,
        severity=severity,
        related=tuple((e.metric, first.start_step - e.start_step) for e in others),
        lost_device_hours=hours,
        message=f"{first.message.removesuffix('.')} ({_clause(first, others)}).",
    )


def _clause(first: Event, others: Sequence[Event]) -> str:
    alike = first.kind in _ALIKE
    apart = ", " if alike else "; "
    roles = [e.role for e in others]
    names = [e.metric if alike else _lead(e, first, alone=roles.count(e.role) == 1) for e in others]
    shown = apart.join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    shown = f"also {shown}"
    return f"{shown} and {units.count(more)} more" if more > 0 else shown


def _lead(other: Event, first: Event, *, alone: bool) -> str:
    """The other metric, by the name of its role where no other plays it, and how far it leads."""
    name = NAMES[other.role].lower() if alone and other.role in NAMES else other.metric
    lead = first.start_step - other.start_step
    steps = f"{units.count(abs(lead))} step{'s' if abs(lead) != 1 else ''}"
    if lead > 0:
        return f"{name}, {steps} before"
    return f"{name}, {steps} later" if lead else f"{name} at the same step"
