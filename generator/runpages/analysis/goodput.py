"""Goodput: the part of the elapsed time in which the run came forward, and where the rest went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.model import CAUSES, Badput, Goodput, Quantity, Run

from .intervals import AttemptRows, Intervals, dense_series, rows_by_attempt
from .logged import Durations, data_wait, logged_durations
from .periodic import evenly_spaced
from .roles import EVALUATIONS

__all__ = ["analyze_goodput"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_LEAST_INTERVALS = 8
"""Fewer intervals between rows tell no usual step time."""
_SLOW = 1.2
"""An interval this many times the usual one may be periodic overhead."""
_SLACK = 0.005
"""Part of the elapsed time by which the causes may overrun it before the clocks are disbelieved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """The intervals of all attempts, and what is known of each."""

    seconds: Floats
    """Without the evaluations and checkpoints whose duration was logged."""
    steps: Floats
    evaluated: Flags
    saved: Flags
    logged_evaluation: Floats
    """Seconds of it that the run itself logged as evaluation."""
    logged_checkpoint: Floats

    @property
    def plain(self) -> Flags:
        """In which nothing but training is known to lie."""
        return ~(self.evaluation_unknown | self.checkpoint_unknown)

    @property
    def evaluation_unknown(self) -> Flags:
        """Which hold an evaluation whose length was not logged."""
        found: Flags = self.evaluated & (self.logged_evaluation == 0)
        return found

    @property
    def checkpoint_unknown(self) -> Flags:
        found: Flags = self.saved & (self.logged_checkpoint == 0)
        return found


def analyze_goodput(run: Run) -> Goodput:
    """Productive time over elapsed time, and the rest by cause.

    A step is productive in its last execution, for as long as it usually takes. Usual = the mean of
    the step times up to median + 3 median absolute deviations; slower steps count as much as the
    usual one and their excess goes to a cause. Usual is the ideal step time of AI-Hypercomputer/
    ml-goodput-measurement (goodput_utils.py, there without step times under 1 s), which leaves the
    excess in the productive time (goodput.py). The causes and the productive time
    add up to the elapsed time.
    """
    why = _no_clock(run)
    if why:
        return _unknown(why)
    attempts, why = rows_by_attempt(run)
    if why:
        return _unknown(why)
    gaps = [b.start - a.end for a, b in zip(attempts, attempts[1:], strict=False)]
    if any(gap < -1 for gap in gaps):
        return _unknown("attempts overlap in time")
    waited = sum(max(0.0, gap) for gap in gaps)
    redone = sum(a.redone_seconds for a in attempts)
    known = {
        "restart_gaps": _seconds(waited, f"{len(gaps) or 'no'} restart{'s' * (len(gaps) > 1)}"),
        "redone": _seconds(redone, "steps that a later attempt did again"),
    }
    split = _split(run, attempts)
    usual, why = _usual(split)
    if usual is None:
        return _unknown(why, known)
    return _charged(run, attempts, split, usual, known)


def _no_clock(run: Run) -> str:
    if run.provenance.step_unit:
        return f"the steps of this log count {run.provenance.step_unit}"
    if run.start is None or run.end is None or run.end <= run.start:
        return "no clock in the log"
    return "" if run.attempts else "attempts are not known"


def _unknown(why: str, known: dict[str, Quantity] | None = None) -> Goodput:
    absent = Quantity.unknown(why, "s")
    known = known or {}
    return Goodput(
        percent=Quantity.unknown(why, "%"),
        productive_seconds=absent,
        step_seconds=absent,
        badput=tuple(Badput(cause=c, seconds=known.get(c, absent)) for c in CAUSES),
    )


def _seconds(value: float, note: str) -> Quantity:
    return Quantity(value=float(value), unit="s", note=note)


def _split(run: Run, attempts: Sequence[AttemptRows]) -> _Split:
    evaluations = [i.name for i in run.series.whole if i.role in EVALUATIONS and i.axis == "step"]
    logged = {role: logged_durations(run, role) for role in ("eval_seconds", "checkpoint_seconds")}
    parts = [_split_one(run, a, evaluations, logged) for a in attempts]
    return _Split(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in _Split.__dataclass_fields__
        }
    )


def _split_one(
    run: Run,
    attempt: AttemptRows,
    evaluations: Sequence[str],
    logged: dict[str, tuple[Durations, ...]],
) -> _Split:
    between = attempt.intervals
    evaluated = np.zeros(len(between), dtype=bool)
    for name in evaluations:
        rows = run.series[name].attempt(attempt.number)
        at = between.holding(rows.time[np.isfinite(rows.time)])
        evaluated[at[at >= 0]] = True
    spent = {
        role: sum((d.within(between, attempt.number) for d in found), np.zeros(len(between)))
        for role, found in logged.items()
    }
    seconds = between.seconds
    evaluation = np.minimum(spent["eval_seconds"], seconds)
    checkpoint = np.minimum(spent["checkpoint_seconds"], seconds - evaluation)
    return _Split(
        seconds=seconds - evaluation - checkpoint,
        steps=between.steps.astype(np.float64),
        evaluated=evaluated,
        saved=_saved(run, attempt.number, between),
        logged_evaluation=evaluation,
        logged_checkpoint=checkpoint,
    )


def _saved(run: Run, number: int, between: Intervals) -> Flags:
    """In which interval a checkpoint was saved: by its time, else the one after its step."""
    found = np.zeros(len(between), dtype=bool)
    for checkpoint in run.checkpoints:
        if checkpoint.attempt != number:
            continue
        if checkpoint.time is not None:
            at = between.holding(np.array([checkpoint.time]))
            found[at[at >= 0]] = True
        else:
            # saved once the step's row was written, or just before: both intervals are looked at
            found |= (between.last_step == checkpoint.step) | (
                (between.first_step <= checkpoint.step) & (checkpoint.step < between.last_step)
            )
    return found


def _usual(split: _Split) -> tuple[float | None, str]:
    """Seconds a step in undisturbed training, or why they are not known."""
    plain = split.plain & (split.steps > 0)
    if len(split.seconds) < _LEAST_INTERVALS:
        return None, f"fewer than {_LEAST_INTERVALS} intervals between rows"
    if plain.sum() < _LEAST_INTERVALS:
        return None, "nearly every interval between rows holds an evaluation or a checkpoint"
    each, weight = split.seconds[plain] / split.steps[plain], split.steps[plain]
    limit = _limit(each, weight)
    normal = each <= limit
    return float(np.average(each[normal], weights=weight[normal])), ""


def _limit(each: Floats, weight: Floats) -> float:
    """Median + 3 median absolute deviations, each interval with the weight of its steps."""
    middle = _median(each, weight)
    return middle + 3 * _median(np.abs(each - middle), weight)


def _median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _charged(
    run: Run,
    attempts: Sequence[AttemptRows],
    split: _Split,
    usual: float,
    known: dict[str, Quantity],
) -> Goodput:
    """The time of every interval to training or to a cause."""
    plain = split.plain & (split.steps > 0)
    limit = _limit(split.seconds[plain] / split.steps[plain], split.steps[plain])
    slow = split.seconds > limit * split.steps
    productive = np.where(slow, usual * split.steps, split.seconds)
    excess = split.seconds - productive
    data = data_wait(run, attempts, usual)
    waiting = data.of(split.steps, slow, excess)
    productive -= waiting.in_step
    excess -= waiting.in_excess
    evaluation = excess * split.evaluation_unknown
    checkpoint = (excess - evaluation) * split.checkpoint_unknown
    left = excess - evaluation - checkpoint
    regular = _regular(attempts, split, left, usual)
    first, startup = _first_rows(attempts, usual)
    both = int((split.evaluated & split.saved).sum())
    total = float(productive.sum()) + first
    elapsed = (run.end or 0.0) - (run.start or 0.0)
    known |= {
        "startup": startup,
        "evaluation": _overhead(
            split.evaluated,
            split.logged_evaluation,
            evaluation,
            absent="no evaluation with a time was logged",
            what=f"an evaluation ({both} of them with a checkpoint)" if both else "an evaluation",
        ),
        "checkpoint": _overhead(
            split.saved,
            split.logged_checkpoint,
            checkpoint,
            absent="the log names no checkpoint",
            what="a checkpoint",
        ),
        "periodic": regular,
        "data_wait": data.quantity(waiting),
    }
    named = sum(q.value or 0.0 for q in known.values())
    rest = elapsed - total - named
    if rest < -_SLACK * elapsed:
        return _unknown("the times of rows and attempts disagree")
    known["other"] = _seconds(max(0.0, rest), "slow or idle stretches without a known cause")
    return Goodput(
        percent=Quantity(
            value=100 * total / elapsed, unit="%", note="productive over elapsed time"
        ),
        productive_seconds=_seconds(total, "each step's last execution, at most the usual time"),
        step_seconds=_seconds(usual, f"usual step, by the rows of {_dense_name(run)}"),
        badput=tuple(Badput(cause=cause, seconds=known[cause]) for cause in CAUSES),
    )


def _dense_name(run: Run) -> str:
    dense = dense_series(run)
    return dense.name if dense else ""


def _overhead(held: Flags, logged: Floats, excess: Floats, *, absent: str, what: str) -> Quantity:
    """Time of the evaluations or checkpoints: as logged, else the excess of their intervals."""
    if not held.any() and not logged.any():
        return Quantity.unknown(absent, "s")
    note = "as logged" if logged.any() else f"what the intervals with {what} took over the usual"
    return _seconds(float(logged.sum() + excess.sum()), note)


def _regular(
    attempts: Sequence[AttemptRows], split: _Split, left: Floats, usual: float
) -> Quantity:
    """Excess that comes back at an even spacing, though the log does not say what it is."""
    seconds, hits, begin = 0.0, 0, 0
    for attempt in attempts:
        between = attempt.intervals
        own = slice(begin, begin + len(between))
        begin += len(between)
        slow = left[own] > (_SLOW - 1) * usual * split.steps[own]
        at = between.last_step[slow]
        if not len(at):
            continue
        even = evenly_spaced(
            at,
            first=int(between.first_step[0]),
            last=int(between.last_step[-1]),
            width=int(np.median(between.steps)),
        )
        seconds += float(left[own][slow][even].sum())
        hits += int(even.sum())
    note = f"{hits} slow stretches at an even spacing" if hits else "no slow stretch comes back"
    return _seconds(seconds, note)


def _first_rows(attempts: Sequence[AttemptRows], usual: float) -> tuple[float, Quantity]:
    """Productive seconds before each attempt's first row, and the rest of that time.

    The first row stands for as many steps as lie between two rows, in the first attempt for at most
    as many as it counts.
    """
    productive = startup = 0.0
    told = False
    for attempt in attempts:
        if attempt.first_row is None:
            continue
        before = max(0.0, attempt.first_row - attempt.start)
        told = told or before > 0
        steps = attempt.row_steps
        if attempt is attempts[0]:
            steps = min(steps, max(attempt.first_step, 1))
        own = min(before, usual * steps)
        productive += own
        startup += before - own
    if not told:
        return 0.0, Quantity.unknown("the log begins with its first row", "s")
    return productive, _seconds(startup, "until the first row of an attempt, its steps left out")
