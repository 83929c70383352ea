"""Cost of the detectors, as a ratio to one block sort of the same array.

usage: detectors.py [--points N] [--large N]

Prints, in process time (the machine may be shared), for series of each role all detectors of that
role over `np.sort(x.reshape(-1, 32), axis=1)`; then the time to judge 50 series of 200,000 steps;
then time and peak memory of one long loss in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runpages import find_events

Floats = NDArray[np.float64]
REPEATS = 9


def falling_loss(points: int, seed: int = 0) -> Floats:
    """A power law with heavy-tailed noise."""
    out = np.random.default_rng(seed).standard_t(5, points)
    out *= 0.02
    out += 1
    out *= 2 + 8 / np.sqrt(1 + np.arange(points) / 1000)
    return out


def curves(points: int, seed: int = 0) -> dict[str, Floats]:
    """A series of each role that has detectors of its own: noisy, with periodic overhead."""
    rng = np.random.default_rng(seed)
    steps = np.arange(points)
    loss = falling_loss(points, seed)
    seconds = 2 * (1 + 0.02 * rng.gamma(2, 1, points)) + np.where(steps % 250 == 249, 20.0, 0.0)
    return {
        "train/loss": loss,
        "val/loss": loss + 0.05,
        "grad_norm": np.exp(0.3 * rng.standard_normal(points)),
        "step_time": seconds,
        "val/accuracy": 1 - loss / 20,
    }


def seconds_of(work: Callable[[], object]) -> float:
    """Process time."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def ratios(points: int) -> dict[str, float]:
    """Metric -> all its detectors over one block sort."""
    steps = np.arange(points)
    return {metric: _ratio(steps, values, metric) for metric, values in curves(points).items()}


def _ratio(steps: NDArray[np.int64], values: Floats, metric: str) -> float:
    blocks = values[: len(values) // 32 * 32].reshape(-1, 32)
    # in turn, so that a busy machine slows both
    pairs = [
        (
            seconds_of(lambda: find_events(steps, values, metric=metric)),
            seconds_of(lambda: np.sort(blocks, axis=1)),
        )
        for _ in range(REPEATS)
    ]
    return min(own for own, _ in pairs) / min(sort for _, sort in pairs)


def many(series: int = 50, points: int = 200_000) -> float:
    """Seconds to judge a run of many series."""
    steps = np.arange(points)
    made = [pair for seed in range(series // 5) for pair in curves(points, seed).items()]
    begin = time.process_time()
    for metric, values in made:
        find_events(steps, values, metric=metric)
    return time.process_time() - begin


def large(points: int) -> None:
    """Print seconds and MB of one long loss; run in a process of its own."""
    steps, values = np.arange(points), falling_loss(points)
    held = steps.nbytes + values.nbytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    begin = time.process_time()
    find_events(steps, values)
    spent = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{points:,} points: {spent:.1f} s, peak {peak / 1e6:.0f} MB "
        f"({before / 1e6:.0f} MB before, the arrays themselves {held / 1e6:.0f} MB)"
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--only-large", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only_large:
        large(asked.large)
        return
    for metric, ratio in ratios(asked.points).items():
        print(f"{metric:14} {ratio:5.1f} block sorts at {asked.points:,} points")
    print(f"50 series of 200,000 steps: {many():.1f} s")
    command = [sys.executable, __file__, "--only-large", "--large", str(asked.large)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
