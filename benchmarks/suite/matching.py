"""Event by event: which prediction is which truth. reference: analysis protocol of the project.

A prediction serves one truth and a truth one prediction; what is left over is a false alarm, so
that reporting an event in pieces costs precision. Random scores do well under point-adjusted F1
(Kim et al., AAAI 2022), which is why nothing is adjusted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runpages.model import Event

from .case import Case
from .curves import Truth

__all__ = ["ACCEPTED", "Match", "match"]

ONSET = frozenset(
    {
        "divergence",
        "level_shift",
        "slowdown",
        "memory_growth",
        "drop",
        "overfit",
        "near_oom",
        "idle_device",
        "lr_mismatch",
        "data_bottleneck",
    }
)
"""Kinds that are judged by where they begin."""
LATE_ONSET = frozenset({"plateau", "grad_vanishing"})
"""The same, with 5 % of the steps allowed: they begin by not going on."""
WHOLE = frozenset({"straggler", "seed_outlier"})
"""Kinds that are true of a run: any place will do."""
ACCEPTED = {
    "grad_explosion": frozenset({"grad_explosion", "spike"}),
}
"""A short excursion of a gradient norm may be called either."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """The outcome of one case."""

    case: Case
    found: tuple[tuple[Truth, Event | None], ...]
    """Each truth with the prediction of its kind and place."""
    confused: tuple[tuple[Truth, Event], ...]
    """Missed truths with a prediction of another kind in their place, or of theirs in another."""
    alarms: tuple[Event, ...]
    """Predictions that are no truth's; the confused ones are among them."""


def match(case: Case, events: Sequence[Event]) -> Match:
    """One to one, the nearest start first."""
    left = list(events)
    found: list[tuple[Truth, Event | None]] = []
    for truth in case.truths:
        accepted = ACCEPTED.get(truth.kind, frozenset({truth.kind}))
        fitting = [e for e in left if e.kind in accepted and _fits(truth, e, case.span)]
        best = min(fitting, key=lambda e: abs(e.start_step - truth.start), default=None)
        if best is not None:
            left.remove(best)
        found.append((truth, best))
    confused = []
    spare = list(left)
    for truth, event in found:
        near = [e for e in spare if event is None and _touches(truth, e)]
        if near:
            spare.remove(near[0])
            confused.append((truth, near[0]))
    return Match(case=case, found=tuple(found), confused=tuple(confused), alarms=tuple(left))


def _fits(truth: Truth, event: Event, span: int) -> bool:
    """Whether the prediction is in the truth's place and not far longer than it."""
    if truth.kind in WHOLE:
        return True
    if truth.kind in ONSET or truth.kind in LATE_ONSET:
        share = 0.05 if truth.kind in LATE_ONSET else 0.01
        # 64 rows of a short run are all of it
        least = min(64 * truth.interval, 0.05 * span)
        slack = max(3 * truth.interval, least, share * span)
        return truth.start - slack <= event.start_step <= truth.onset_until + slack
    slack = max(8, 3 * truth.interval, 0.25 * truth.duration)
    overlap = event.start_step <= truth.end + slack and event.end_step >= truth.start - slack
    length = event.end_step - event.start_step + truth.interval
    return overlap and length <= 4 * truth.duration + 2 * slack + 64 * truth.interval


def _touches(truth: Truth, event: Event) -> bool:
    slack = max(8, 3 * truth.interval, 0.25 * truth.duration)
    return event.start_step <= truth.end + slack and event.end_step >= truth.start - slack
