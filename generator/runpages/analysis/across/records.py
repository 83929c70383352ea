"""What the run's record lacks: records, ranks, and metrics that end long before the run does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runpages import units
from runpages.analysis.intervals import dense_series
from runpages.model import Event, Run, Series

from .found import Found, told

__all__ = ["find_missing_records"]

JUDGED = ("loss", "val_loss", "grad_norm", "eval", "eval_lower")
LEAST_ROWS = 20
LEAST_SHARE = 0.1
"""Share of the steps without a row at the end..."""
START_SHARE = 0.05
"""What is logged for no more of the run than this was meant for its start."""
LEAST_GAPS = 20
"""... in which as many rows should have been."""


def find_missing_records(run: Run) -> Found:
    """By the reader's count of records, by the ranks the run says it has, by where metrics end."""
    dense = dense_series(run)
    if dense is None:
        return Found(why_not="no metric has two rows")
    series = run.series[dense.name]
    events = [*_counted(run, series), *_early_ends(run, series)]
    return Found(events=tuple(events), judged=(dense.name,))


def _counted(run: Run, series: Series) -> Iterator[Event]:
    """At most one, over the whole run."""
    found = run.provenance
    sentences = []
    missing = (found.records_expected or 0) - found.records_read
    if missing > 0:
        sentences.append(
            f"{units.count(missing)} of {units.count(found.records_expected or 0)} records of this "
            "run were not read."
        )
    absent = (found.ranks_expected or 0) - len(found.ranks_seen)
    if found.ranks_seen and absent > 0:
        sentences.append(
            f"The logs of {units.count(absent)} of {units.count(found.ranks_expected or 0)} ranks "
            "are not here."
        )
    if sentences:
        yield told(series, (0, len(series) - 1), " ".join(sentences), kind="missing_data")


def _early_ends(run: Run, dense: Series) -> Iterator[Event]:
    """Metrics that stopped while the run went on, where no other of their role took over."""
    end = int(dense.step[-1])
    for role in JUDGED:
        infos = [run.series.info(n) for n in run.series.with_role(role)]
        curves = [run.series[i.name] for i in infos if i.axis == "step" and not i.counter]
        curves = [curve for curve in curves if len(curve)]
        if not curves:
            continue
        curve = max(curves, key=lambda c: int(c.step[-1]))
        last = int(curve.step[-1])
        begun = last - int(dense.step[0]) > START_SHARE * (end - int(dense.step[0]))
        if len(curve) < LEAST_ROWS or not begun:
            continue
        usual = float(np.median(np.diff(curve.step[-LEAST_ROWS:])))
        left = end - last
        if left > LEAST_GAPS * usual and left > LEAST_SHARE * (end - int(dense.step[0])):
            sentence = (
                f"{curve.name} has no row after step {units.count(last)}, though the run was "
                f"recorded up to step {units.count(end)}."
            )
            at = len(curve) - 1
            yield told(curve, (at, at), sentence, kind="missing_data", recovered=False)
