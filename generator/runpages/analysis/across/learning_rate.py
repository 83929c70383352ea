"""Learning rate: what was logged against the configuration, and jumps that nothing explains."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from runpages import units
from runpages.analysis.detect import Floats
from runpages.analysis.summary import flatten
from runpages.model import Event, Run, Series

from .found import Found, told

__all__ = ["find_lr_mismatch"]

_KEYS = frozenset(
    {"lr", "learning_rate", "max_lr", "peak_lr", "max_learning_rate", "learning_rate_max"}
)
"""Last parts of configuration keys that hold the peak rate."""
_CYCLES = re.compile(r"restart|cycl|sgdr", re.IGNORECASE)
"""Schedules that jump on purpose."""
MOST_DEVIATION = 0.01
"""Logged and configured peak may differ by this, as a difference of logarithms."""
JUMP = 1.5
"""Factor from one row to the next."""
WARM_UP_SHARE = 0.1
"""Share of the steps in which a rate may rise by any factor."""
ALONE = 0.5
"""A jump's neighbours move at most by this share of it."""
LEAST_OF_PEAK = 0.01
LEAST_ROWS = 8


def find_lr_mismatch(run: Run) -> Found:
    """A peak that is not the configured one; upward jumps after the warm-up outside of restarts.

    A step down is how many schedules decay and no finding.
    """
    names = [n for n in run.series.with_role("lr") if len(run.series[n]) >= LEAST_ROWS]
    if not names:
        return Found(why_not="no learning rate was logged, or in too few rows")
    curves = [run.series[name] for name in names]
    jumps = {curve.name: list(_jumps(run, curve)) for curve in curves}
    # what jumped is not told again as a peak
    events = [*_peaks(run, [curve for curve in curves if not jumps[curve.name]])]
    for found in jumps.values():
        events += found
    return Found(events=tuple(events), judged=tuple(names))


def _configured(run: Run) -> set[float]:
    flat = flatten(dict(run.config))
    return {
        float(value)
        for key, value in flat.items()
        if key.rpartition(".")[2].lower() in _KEYS
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and value > 0
    }


def _peaks(run: Run, curves: list[Series]) -> Iterator[Event]:
    """At most one: no logged rate reaches the only configured one."""
    wanted = _configured(run)
    if len(wanted) != 1:
        return
    (rate,) = wanted
    known = [(curve, peak) for curve in curves if (peak := _peak(curve, rate)) is not None]
    # of several parameter groups one with the configured rate is enough
    if not known or any(_agrees(curve, peak, rate) for curve, peak in known):
        return
    curve, peak = known[0]
    value = float(curve.value[peak])
    yield told(
        curve,
        (0, len(curve) - 1),
        f"{curve.name} peaks at {units.number(value)} (step {units.count(int(curve.step[peak]))}), "
        f"but the configuration says {units.number(rate)}.",
        kind="lr_mismatch",
        peak=peak,
        level=rate,
        threshold=rate * math.exp(MOST_DEVIATION),
    )


def _peak(curve: Series, rate: float) -> int | None:
    """Position of the greatest rate; None where the peak of the schedule was not seen."""
    value = np.where(np.isfinite(curve.value), curve.value, -math.inf)
    peak = int(np.argmax(value))
    highest = float(value[peak])
    if not 0 < highest < math.inf or highest == 1.0:
        return None  # 1 is a multiplier of the rate
    warming = int(np.flatnonzero(value == highest)[-1]) == len(value) - 1 and peak > 0
    joined_late = peak == 0 and curve.step[0] > 0.05 * curve.step[-1]
    return None if (warming or joined_late) and highest < rate else peak


def _agrees(curve: Series, peak: int, rate: float) -> bool:
    """Equal up to 1 %, or to what the rate changes by in the two rows around its peak."""
    near = curve.value[max(0, peak - 1) : peak + 2]
    near = near[near > 0]
    astray = 2 * float(np.max(np.abs(np.diff(np.log(near))), initial=0.0)) if peak > 0 else 0.0
    if peak == 0 and len(near) > 1 and curve.step[1] > curve.step[0]:
        # the rate fell from the first step on, and the first row is later
        fall = abs(math.log(float(near[1] / near[0]))) / float(curve.step[1] - curve.step[0])
        astray = 2 * fall * float(curve.step[0] + 1)
    allowed = max(MOST_DEVIATION, min(astray, math.log(JUMP)))
    return abs(math.log(float(curve.value[peak]) / rate)) <= allowed


def _jumps(run: Run, curve: Series) -> Iterator[Event]:
    value, step = curve.value, curve.step
    with np.errstate(all="ignore"):
        half = _rounding(value) / 2
        ratio = (value[1:] - half) / (value[:-1] + half)
        ratio = np.where((value[:-1] > 0) & (value[1:] > 0), ratio, 1.0)
    after = step[1:] > step[0] + WARM_UP_SHARE * (step[-1] - step[0])
    calm = np.cumsum(np.diff(value) <= 0) > 0
    # a new warm-up rises row by row
    moved = np.diff(value)
    alone = np.maximum(_beside(moved, 1), _beside(moved, -1)) <= ALONE * moved
    tall = value[1:] >= LEAST_OF_PEAK * float(np.nanmax(value))
    resumed = [a.first_step for a in run.attempts if a.number > 1 and a.first_step is not None]
    planned = _schedule(run)
    for at in np.flatnonzero((ratio > JUMP) & after & calm & alone & tall):
        before, now = int(step[at]), int(step[at + 1])
        if any(before <= first <= now for first in resumed):
            continue
        event = told(
            curve,
            (int(at) + 1, int(at) + 1),
            f"{curve.name} jumped from {units.number(float(value[at]))} to "
            f"{units.number(float(value[at + 1]))} at step {units.count(now)}, after the warm-up "
            f"and without a restart{' (schedule: ' + planned + ')' if planned else ''}.",
            kind="lr_mismatch",
            level=float(value[at]),
            threshold=JUMP * float(value[at]),
            severity="info" if planned else "warning",
        )
        yield event


def _rounding(value: Floats) -> float:
    """What the rates were rounded to where they were printed with one or two digits; else 0."""
    known = np.unique(value[np.isfinite(value) & (value > 0)])
    if len(known) < 5:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(float(known[0])))
    whole = np.abs(known / unit - np.round(known / unit)) < 1e-6
    return unit if whole.all() and float(known[-1]) < 100 * unit else 0.0


def _beside(moved: Floats, side: int) -> Floats:
    """What each row's neighbour moved by; 0 beyond the ends."""
    out = np.zeros(len(moved))
    if side > 0:
        out[:-1] = moved[1:]
    else:
        out[1:] = moved[:-1]
    return out


def _schedule(run: Run) -> str:
    """The configured schedule, if it jumps on purpose."""
    for key, value in flatten(dict(run.config)).items():
        if "sched" in key.lower() and isinstance(value, str) and _CYCLES.search(value):
            return value
    return ""
