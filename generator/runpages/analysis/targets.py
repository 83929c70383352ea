"""What it took to reach the values that the team is after: steps, time, tokens, money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from runpages.model import (
    Cost,
    MetricSummary,
    Quantity,
    Run,
    Series,
    Target,
    TargetReached,
    main_metric,
)

from .curve import block_medians

__all__ = ["reach_targets", "tokens_at"]

_BLOCKS = 64
"""A curve is cut into so many blocks at least, so that a block's delay stays under 2 % of it."""
_MOST_ROWS = 32


def reach_targets(
    run: Run, metrics: Mapping[str, MetricSummary], cost: Cost, targets: Sequence[Target]
) -> tuple[TargetReached, ...]:
    """For each target the first *sustained* crossing: noise that dips below it once is none.

    The effective curve is cut into blocks of up to 32 rows (one row each in a curve of fewer than
    128). A target is reached with the last row of the first block whose median is at it or past it,
    if the next block's median is so too.
    """
    return tuple(_reach(run, metrics, cost, target) for target in targets)


def _reach(
    run: Run, metrics: Mapping[str, MetricSummary], cost: Cost, target: Target
) -> TargetReached:
    name = target.metric if target.metric in metrics else main_metric(metrics, target.metric)
    if name is None:
        return _not(target, "", f"{target.metric} was not logged")
    direction = metrics[name].direction
    if direction is None:
        why = f"whether {name} should fall or rise is not known: give it a role under [metrics]"
        return _not(target, name, why)
    series = run.series[name]
    found, rows = _first_sustained(series, target.value, direction)
    if found is None:
        return _not(target, name, "not reached")
    step, time = int(series.step[found]), float(series.time[found])
    how = "the value there" if rows == 1 else f"median of {rows} rows, first that lasts"
    hours = _device_hours(run, time)
    return TargetReached(
        target=target,
        metric=name,
        step=Quantity(value=float(step), unit="steps", note=how),
        seconds=_seconds(run, time),
        tokens=tokens_at(run, step),
        device_hours=hours,
        usd=_usd(hours, cost),
    )


def _not(target: Target, metric: str, why: str) -> TargetReached:
    return TargetReached(
        target=target,
        metric=metric,
        step=Quantity.unknown(why, "steps"),
        seconds=Quantity.unknown(why, "s"),
        tokens=Quantity.unknown(why, "tokens"),
        device_hours=Quantity.unknown(why, "h"),
        usd=Quantity.unknown(why, "USD"),
    )


def _first_sustained(series: Series, goal: float, direction: str) -> tuple[int | None, int]:
    """Position of the row at which the goal is reached, and rows a block."""
    finite = np.flatnonzero(np.isfinite(series.value))
    values = series.value[finite]
    rows = min(max(1, len(values) // _BLOCKS), _MOST_ROWS)
    medians = block_medians(values, rows)
    good = medians <= goal if direction == "lower" else medians >= goal
    lasts = good & np.append(good[1:], True) if len(good) else good
    if not lasts.any():
        return None, rows
    block = int(np.argmax(lasts))
    last = len(values) if block == len(medians) - 1 else (block + 1) * rows
    return int(finite[last - 1]), rows


def _seconds(run: Run, time: float) -> Quantity:
    if run.start is None or not np.isfinite(time):
        return Quantity.unknown("no clock in the log", "s")
    return Quantity(value=time - run.start, unit="s", note="since the run's start")


def tokens_at(run: Run, step: int) -> Quantity:
    """Tokens at a step, between two logged counts in proportion to the steps."""
    for name in run.series.with_role("tokens"):
        series = run.series[name]
        known = np.isfinite(series.value)
        steps, counts = series.step[known], series.value[known]
        if len(steps) and steps[0] <= step <= steps[-1]:
            value = float(np.interp(step, steps, counts))
            return Quantity(value=value, unit="tokens", note=f"by {name}")
        return Quantity.unknown(f"{name} does not cover step {step}", "tokens")
    return Quantity.unknown("no metric counts tokens", "tokens")


def _device_hours(run: Run, time: float) -> Quantity:
    """Of all attempts up to a time."""
    if not np.isfinite(time):
        return Quantity.unknown("no clock in the log", "h")
    hours = 0.0
    for attempt in run.attempts:
        devices = attempt.devices if attempt.devices is not None else run.hardware.devices
        if devices is None:
            return Quantity.unknown("number of accelerators not recorded", "h")
        if attempt.start is None or attempt.end is None:
            return Quantity.unknown("no clock in the log", "h")
        hours += max(0.0, min(attempt.end, time) - attempt.start) / 3600 * devices
    return Quantity(value=hours, unit="h", note="all attempts up to then")


def _usd(hours: Quantity, cost: Cost) -> Quantity:
    if hours.value is None:
        return Quantity.unknown(hours.why, "USD")
    if cost.usd.value is None or cost.price is None:
        return Quantity.unknown(cost.usd.why, "USD")
    value = hours.value * cost.price.usd_per_device_hour
    return Quantity(value=value, unit="USD", note=cost.usd.note)
