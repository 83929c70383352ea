"""Data bottleneck: the part of a step that waits for data."""

from __future__ import annotations

import numpy as np

from runpages import units
from runpages.analysis.detect import Floats, running_median, stretches
from runpages.analysis.intervals import rows_by_attempt
from runpages.analysis.logged import data_wait
from runpages.model import Event, Run, Series

from .found import Found, told

__all__ = ["find_data_bottleneck"]

LEAST_SHARE = 0.05
"""Share of the step time from which on waiting for data is told."""
WARN_SHARE = 0.10
"""The same for a warning."""
LEAST_ROWS = 8
LEAST_STRETCH = 0.1
"""Share of the rows that such a stretch must hold."""
SPLIT = 64
"""The share is smoothed over this part of the rows, 5 to 65."""
GPU_IDLE, CPU_BUSY, MOST_OF_SAMPLES = 10.0, 90.0, 0.5
"""SageMaker Debugger's CPU bottleneck: the GPU under 10 % while the CPU is over 90 %, in half of
the samples (sagemaker-debugger-rulesconfig, profiler_rules/rules.py)."""


def find_data_bottleneck(run: Run) -> Found:
    """Stretches in which waiting for data took 5 % of the step time or more.

    By a logged waiting time over the step time of the same family, else over the step by the clock
    where its unit is proven; without any by the utilisation of GPU and CPU.
    """
    names = run.series.with_role("data_seconds")
    why = "waiting for data was not logged"
    for name in names:
        waiting = run.series[name]
        share, why = _share(run, waiting)
        if share is not None:
            return _judge(waiting, share)
    return _by_utilization(run) or Found(why_not=why)


def _share(run: Run, waiting: Series) -> tuple[Floats | None, str]:
    """Waiting over step time at each of its rows; None and why where the log cannot tell."""
    if len(waiting) < LEAST_ROWS:
        return None, f"{waiting.name} has fewer than {LEAST_ROWS} rows"
    prefix = waiting.name.rpartition("/")[0]
    family = [n for n in run.series.with_role("step_seconds") if n.rpartition("/")[0] == prefix]
    for name in family:
        step = run.series[name]
        at = np.searchsorted(step.step, waiting.step)
        at = np.minimum(at, max(len(step) - 1, 0))
        if len(step) and np.all(step.step[at] == waiting.step):
            with np.errstate(all="ignore"):
                share = waiting.value / step.value[at]
            return _believed(share, waiting.name)
    attempts, why = rows_by_attempt(run)
    if why:
        return None, why
    seconds = np.concatenate([a.intervals.seconds for a in attempts])
    steps = np.concatenate([a.intervals.steps for a in attempts])
    usual = float(np.median(seconds[steps > 0] / steps[steps > 0])) if np.any(steps > 0) else 0.0
    found = data_wait(run, attempts, usual)
    if found.why or usual <= 0:
        return None, found.why or "step time is 0"
    return _believed(waiting.value / usual, waiting.name)


def _believed(share: Floats, name: str) -> tuple[Floats | None, str]:
    known = share[np.isfinite(share)]
    if not len(known) or float(np.median(known)) > 1.05:
        return None, f"{name} is longer than a step, so its unit is another one"
    return np.where(np.isfinite(share), share, 0.0), ""


def _judge(waiting: Series, share: Floats) -> Found:
    width = int(np.clip(len(share) // SPLIT, 5, 65)) | 1
    high = stretches(running_median(share, width) > LEAST_SHARE)
    events = []
    for start, end in high:
        if end - start + 1 < max(LEAST_ROWS, LEAST_STRETCH * len(share)):
            continue
        usual = float(np.median(share[start : end + 1]))
        gaps = np.diff(waiting.time[start : end + 1], prepend=np.nan)
        spent = gaps * share[start : end + 1]
        lost = float(np.nansum(spent)) if np.isfinite(spent).any() else None
        events.append(
            told(
                waiting,
                (start, end),
                f"Waiting for data took {units.number(100 * usual, 3)} % of the step time from "
                f"step {units.count(int(waiting.step[start]))} to "
                f"{units.count(int(waiting.step[end]))} (median of {waiting.name} over the step).",
                kind="data_bottleneck",
                peak=start + int(np.argmax(share[start : end + 1])),
                peak_value=usual,
                threshold=LEAST_SHARE,
                severity="warning" if usual >= WARN_SHARE else "info",
                recovered=end < len(share) - 1,
                lost_seconds=lost,
            )
        )
    return Found(events=tuple(events), judged=(waiting.name,))


def _by_utilization(run: Run) -> Found | None:
    """By the samples of GPU and CPU at one time; None where there are none."""
    gpus, cpus = run.series.with_role("gpu_util"), run.series.with_role("cpu_util")
    if not gpus or not cpus:
        return None
    gpu, cpu = run.series[gpus[0]], run.series[cpus[0]]
    if len(gpu) < LEAST_ROWS or not len(cpu) or not np.isfinite(gpu.time).all():
        return None
    at = np.minimum(np.searchsorted(cpu.time, gpu.time), len(cpu) - 1)
    starved = (gpu.value < GPU_IDLE) & (cpu.value[at] > CPU_BUSY)
    share = float(np.mean(starved))
    events: tuple[Event, ...] = ()
    if share > MOST_OF_SAMPLES:
        sentence = (
            f"In {units.number(100 * share, 3)} % of the samples {gpu.name} was under "
            f"{GPU_IDLE:.0f} % while {cpu.name} was over {CPU_BUSY:.0f} %: the device waits for "
            "the CPU."
        )
        extent = int(np.flatnonzero(starved)[0]), int(np.flatnonzero(starved)[-1])
        events = (told(gpu, extent, sentence, kind="data_bottleneck", peak_value=share),)
    return Found(events=events, judged=(gpu.name, cpu.name))
