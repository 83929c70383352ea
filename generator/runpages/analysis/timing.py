"""Step time and throughput from the recorded clock."""

from __future__ import annotations

import numpy as np

from runpages.model import Quantity, Run, Timing

from .continuity import first_step
from .elapsed import logged_seconds
from .intervals import dense_series
from .step_time import find_step_times

__all__ = ["analyze_timing"]

_LEAST_ROWS = 8
_EVEN = 0.005
"""Tokens of a step differ by so much at most: what a log rounds off, no change of the batch."""


def analyze_timing(run: Run) -> Timing:
    """Step time and rates of a run; `find_step_times` says where a step's time is taken from.

    Percentiles are over steps. tokens/s is tokens over the time between the first and last row of
    each attempt: evaluations, checkpoints and steps that were done again count, what was before the
    first row and between attempts does not. Tokens that no metric counts follow from a logged rate
    and a logged step time where every step has both and their product is the same in all.
    """
    times = find_step_times(run)
    p50, p95, p99 = (times.percentile(q) for q in (50, 95, 99))
    usual, which = (p50.value, "median") if times.mean is None else (times.mean, "mean")
    rate = (
        Quantity(value=1 / usual, unit="steps/s", note=f"1 / {which} step time")
        if usual
        else Quantity.unknown(p50.why or "step time is 0", "steps/s")
    )
    tokens = _tokens(run)
    rate_of_all, rate_of_one = _token_rates(run)
    return Timing(
        step_seconds_p50=p50,
        step_seconds_p95=p95,
        step_seconds_p99=p99,
        steps_per_second=rate,
        tokens=tokens,
        tokens_per_second=rate_of_all,
        tokens_per_second_per_device=rate_of_one,
        elapsed_seconds=_elapsed(run),
        active_seconds=_active(run),
    )


def _tokens(run: Run) -> Quantity:
    if run.provenance.step_unit == "tokens" and run.series.spans:
        last = max(last for _, last in run.series.spans.values())
        return Quantity(value=float(last), unit="tokens", note="the steps of this log count them")
    for name in run.series.with_role("tokens"):
        values = run.series[name].value
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        if len(values) > 1 and (np.any(values[1:] < values[:-1]) or values[-1] == values[0]):
            # tokens of a batch, or a count that began anew with each attempt
            return Quantity.unknown(f"{name} is no running count: it does not rise", "tokens")
        return Quantity(value=float(values[-1]), unit="tokens", note=f"largest {name}")
    return _derived_tokens(run) or Quantity.unknown("no metric counts tokens", "tokens")


def _derived_tokens(run: Run) -> Quantity | None:
    """Rate x time of a step is the batch in tokens, where a log prints both in each row."""
    if len(run.attempts) > 1 or len(run.series.spans) > 1 or first_step(run) is not None:
        return None
    for rate_name in run.series.with_role("tokens_per_second"):
        for time_name in run.series.with_role("step_milliseconds"):
            rate, time = run.series[rate_name], run.series[time_name]
            if len(rate.step) < _LEAST_ROWS or not np.array_equal(rate.step, time.step):
                continue
            batch = rate.value * time.value * 1e-3
            usual = float(np.median(batch))  # NaN where one is
            even = bool(np.all(np.abs(batch - usual) <= _EVEN * usual))
            if usual > 0 and even and np.all(np.diff(rate.step) == 1):
                steps = len(rate.step)
                note = f"derived: {rate_name} × {time_name} = {usual:,.0f} a step, {steps:,} steps"
                return Quantity(value=usual * steps, unit="tokens", note=note)
    return None


def _token_rates(run: Run) -> tuple[Quantity, Quantity]:
    """Tokens a second of all devices and of one: logged, or one from the other."""
    devices = {run.hardware.devices if a.devices is None else a.devices for a in run.attempts}
    devices = devices or {run.hardware.devices}
    many = devices.pop() if len(devices) == 1 else None
    why = "number of accelerators not recorded" if many is None else ""
    if devices:
        why = "the number of accelerators changed between attempts"
    own = _logged_rate(run, "tokens_per_second_per_device")
    if own is not None:
        if many is None:
            return Quantity.unknown(f"only the rate of one device was logged; {why}", "tok/s"), own
        note = f"{own.note}, times {many} devices"
        return Quantity(value=(own.value or 0.0) * many, unit="tok/s", note=note), own
    total = _logged_rate(run, "tokens_per_second") or _counted_rate(run)
    if total.value is None:
        return total, total
    if many is None:
        return total, Quantity.unknown(why, "tok/s")
    return total, Quantity(value=total.value / many, unit="tok/s", note=total.note)


def _logged_rate(run: Run, role: str) -> Quantity | None:
    for name in run.series.with_role(role):
        values = run.series[name].value
        values = values[np.isfinite(values)]
        if len(values):
            note = f"median of logged {name}"
            return Quantity(value=float(np.median(values)), unit="tok/s", note=note)
    return None


def _counted_rate(run: Run) -> Quantity:
    dense = dense_series(run)
    steps_count = run.provenance.step_unit == "tokens" and dense is not None
    for name in [dense.name] if steps_count and dense else run.series.with_role("tokens"):
        series = run.series[name]
        done = seconds = 0.0
        for number in np.unique(series.recorded.attempt):
            rows = series.attempt(int(number))
            rows = rows.take(np.isfinite(rows.value) & np.isfinite(rows.time))
            if len(rows.step) > 1:
                counted = rows.step if steps_count else rows.value
                done += float(counted[-1] - counted[0])
                seconds += float(rows.time[-1] - rows.time[0])
        if seconds > 0 and done > 0:
            note = f"{'steps' if steps_count else name} between first and last row"
            if len(run.attempts) > 1:
                note += " of each attempt, redone steps counted"
            return Quantity(value=done / seconds, unit="tok/s", note=note)
        why = f"{name} does not rise" if seconds > 0 else f"{name} has no two rows with a time"
        return Quantity.unknown(why, "tok/s")
    return Quantity.unknown("no metric counts tokens", "tok/s")


def _elapsed(run: Run) -> Quantity:
    if run.start is None or run.end is None:
        return logged_seconds(run)
    return Quantity(value=run.end - run.start, unit="s", note="first to last record")


def _active(run: Run) -> Quantity:
    known = [a.end - a.start for a in run.attempts if a.start is not None and a.end is not None]
    if not known or len(known) < len(run.attempts):
        return Quantity.unknown("no clock in the log", "s")
    return Quantity(value=sum(known), unit="s", note="sum over attempts")
