"""Whether a log can tell that nothing was interrupted and no step done twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runpages import units
from runpages.model import Run

from .intervals import dense_series

__all__ = ["first_step", "gaps_in_knowledge"]

_MOST_ROWS_BEFORE = 2
"""Rows that may be missing before the first one: not every log writes step 0."""
_MOST_TWICE = 0.01
"""Share of the rows; where more share a step, the step counts something coarser."""


def first_step(run: Run) -> int | None:
    """First step of a log that begins late; None where it begins at the start, or has no rows."""
    spans, dense = run.series.spans, dense_series(run)
    if not spans or dense is None:
        return None
    moved = np.diff(run.series[dense.name].step)
    usual = int(np.median(moved[moved > 0])) if np.any(moved > 0) else 1
    first = min(first for first, _ in spans.values())
    return first if first > _MOST_ROWS_BEFORE * usual else None


def gaps_in_knowledge(run: Run) -> tuple[str, ...]:
    """What keeps the log from telling how often the run was interrupted, a clause each."""
    return tuple(_clauses(run))


def _clauses(run: Run) -> Iterator[str]:
    first = first_step(run)
    if first is not None:
        yield f"the log begins at step {units.count(first)}: what was before is not in it"
    if run.provenance.parts_joined:
        yield "its source puts the parts of a training into one file: restarts are not told"
    twice = _logged_twice(run)
    if twice is not None:
        yield f"step {units.count(twice)} was logged twice with different values"
    if first is None and any(e.kind == "resumed" for e in run.logged_events):
        yield "the log says that it was resumed"


def _logged_twice(run: Run) -> int | None:
    """The first step that one attempt has two different rows of, where that is an exception."""
    dense = dense_series(run)
    if dense is None:
        return None
    series = run.series[dense.name]
    for number in np.unique(series.recorded.attempt):
        rows = series.attempt(int(number))
        # compared, not subtracted: infinities have no difference
        again = (rows.step[1:] == rows.step[:-1]) & (rows.value[1:] != rows.value[:-1])
        if 0 < int(again.sum()) <= max(1, _MOST_TWICE * len(again)):
            return int(rows.step[int(np.argmax(again))])
    return None
