"""Runs in memory, made the way sources make them: through a Spool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runpages.model import Attempt, Hardware, Run, RunRef
from runpages.sources import Spool

START = 1_780_000_000.0
"""2026-05-28 20:26 UTC."""

Rows = tuple[np.ndarray, np.ndarray]


def falling(steps: np.ndarray, *, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    """A healthy loss: it falls from 4.2 towards 1.4 and never stands still; right-skewed noise."""
    rng = np.random.default_rng(seed)
    tail = rng.standard_t(8, len(steps))
    return (1.4 + 2.8 / (1 + steps / 60)) * (1 + noise * np.where(tail > 0, 1.4 * tail, tail))


def make_run(
    attempts: Mapping[int, Mapping[str, Rows]],
    *,
    seconds_per_step: float = 2.0,
    power: Mapping[str, Rows] | None = None,
    run_id: str = "r1",
    device: str = "",
    devices: int | None = None,
    **facts,
) -> Run:
    """A run of attempts {number: {metric: (steps, values)}}; one starts 100 s after the other."""
    spool = Spool()
    lives = []
    clock = START
    for number, metrics in attempts.items():
        begin = clock
        first = min(int(s[0]) for s, _ in metrics.values())
        last = max(int(s[-1]) for s, _ in metrics.values())
        for name, (steps, values) in metrics.items():
            for step, value in zip(steps, values, strict=True):
                at = begin + seconds_per_step * (int(step) - first + 1)
                spool.add(name, int(step), at, float(value), attempt=number)
        end = begin + seconds_per_step * (last - first + 1)
        lives.append(Attempt(number=number, start=begin, end=end, first_step=first, last_step=last))
        clock = end + 100
    for name, (times, watts) in (power or {}).items():
        for at, value in zip(times, watts, strict=True):
            spool.sample(name, float(at), float(value))
    return Run(
        ref=RunRef(
            source="here", project="p", run_id=run_id, name=run_id, state="finished", location="."
        ),
        name=run_id,
        start=START if lives else None,
        end=lives[-1].end if lives else None,
        attempts=tuple(lives),
        series=spool.finish(),
        hardware=Hardware(device=device, devices=devices),
        **facts,
    )
