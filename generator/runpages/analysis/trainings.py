"""Several trainings one after another within one log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from runpages.model import Run

from .attempts import rows_of_attempt
from .detect import find_beginnings
from .roles import LOSSES

__all__ = ["find_trainings"]


def find_trainings(run: Run) -> Mapping[int, tuple[int, ...]]:
    """Attempt -> first steps of the trainings after its first one, as any of its losses shows.

    A loss of which few rows were logged shows a beginning later than another: the earliest holds
    where both can be the same.
    """
    spans: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for name in (i.name for i in run.series.whole if i.role in LOSSES and i.axis == "step"):
        series = run.series[name]
        for number in np.flatnonzero(np.bincount(series.recorded.attempt)).tolist():
            rows, _ = rows_of_attempt(series, number)
            found = find_beginnings(rows.step, rows.value, metric=name, role=series.role)
            spans[number] += [(b.step, b.after_step) for b in found]
    return {number: _places(own) for number, own in spans.items()}


def _places(spans: list[tuple[int, int]]) -> tuple[int, ...]:
    """Of (first step known to be after it, last known to be before it) each place once."""
    kept: list[int] = []
    for step, after in sorted(spans):
        if not any(after < known <= step for known in kept):
            kept.append(step)
    return tuple(kept)
