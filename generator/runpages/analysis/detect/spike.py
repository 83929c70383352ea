"""Spikes: excursions that stand out of the run's own noise and come back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .track import Candidate, Floats, Track, level_of, noise_of

__all__ = ["SpikeOptions", "find_spikes", "tail_threshold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeOptions:
    """Defaults after the measurements in Hampel-type detectors on 22 real per-step loss curves:
    residuals have q.999 = +9.4 and q.001 = -4.1 robust sd, so that no fixed k can serve."""

    min_points: int = 8
    least_k: float = 7.0
    """Robust standard deviations an excursion must reach, whatever the tail says."""
    most_k: float = 30.0
    expected_false: float = 0.02
    """Noise points per run that may cross the threshold, by extrapolation of the run's own tail."""
    min_relative: float = 0.02
    """Least height over the level, as a share of it (effect size)."""
    min_factor: float = 3.0
    """For gradient norms, judged on their logarithm: least height as a factor."""
    warn_relative: float = 0.1
    """From this share of the level on a spike is a warning, below it an info."""
    warn_factor: float = 10.0
    """The same for gradient norms."""


def tail_threshold(z: Floats, options: SpikeOptions = SpikeOptions()) -> float:
    """The k that `expected_false` noise points of this run would cross.

    Pickands' estimator on three upper quantiles, its shape shrunk towards 0.1 with a weight of 30
    exceedances; runs under 1,500 points have too thin a tail and get 1.3 times the least k.
    """
    size = len(z)
    if size < 1500:
        return 1.3 * options.least_k
    shares = np.array([0.04, 0.01, 0.0025] if size >= 8000 else [0.16, 0.04, 0.01])
    ranks = size - np.maximum(1, (shares * size).astype(int))
    q = np.partition(z, ranks)[ranks]
    first, second = q[1] - q[0], q[2] - q[1]
    if first <= 0 or second <= 0:
        return options.least_k
    beyond = shares[2] * size
    shape = (math.log(second / first) / math.log(4) * beyond + 0.1 * 30) / (beyond + 30)
    shape = min(max(shape, 0.0), 0.4)
    ratio = beyond / options.expected_false
    if shape < 1e-3:
        k = q[2] + second / math.log(4) * math.log(ratio)
    else:
        k = q[2] + second / (1 - 4.0**-shape) * (ratio**shape - 1)
    return float(min(max(k, options.least_k), options.most_k))


def find_spikes(track: Track, options: SpikeOptions = SpikeOptions()) -> Iterator[Candidate]:
    """Excursions above the level that end before the track does."""
    y = track.y
    size = len(y)
    if size < options.min_points:
        return
    logarithmic = track.role == "grad_norm" and bool(np.all(y > 0))
    work = np.log(y) if logarithmic else y
    level = level_of(work)
    residual = work - level
    sigma = noise_of(residual)
    z = np.divide(residual, sigma, out=np.zeros(size), where=sigma > 0)
    # without noise any departure stands out: the effect size alone decides
    z[(sigma == 0) & (residual > 0)] = math.inf
    k = tail_threshold(z[z < 60], options)
    if logarithmic:
        tall = residual >= math.log(options.min_factor)
    else:
        tall = residual >= options.min_relative * np.abs(level)
    hits = np.flatnonzero((z > k) & tall)
    # the first points of a run fall steeply and have no level before them
    transient = max(3, min(32, size // 16))
    for start, end in _extents(hits, z, size):
        if start < transient:
            continue
        peak = start + int(np.argmax(residual[start : end + 1]))
        height = residual[peak]
        after = work[end + 1 : end + 1 + max(3, size // 20)]
        if not len(after) or float(np.median(after)) - level[start] > 0.5 * height:
            continue  # does not come back: a shift of level or a divergence
        if logarithmic:
            serious = height >= math.log(options.warn_factor)
        else:
            serious = height >= options.warn_relative * abs(level[peak])
        base = math.exp(level[peak]) if logarithmic else track.sign * level[peak]
        needed = level[peak] + k * sigma[peak]
        yield Candidate(
            kind="spike",
            start=int(track.finite[start]),
            end=int(track.finite[end]),
            peak=int(track.finite[peak]),
            level=float(base),
            threshold=float(math.exp(needed) if logarithmic else track.sign * needed),
            recovered=True,
            severity="warning" if serious else "info",
        )


def _extents(hits: NDArray[np.intp], z: Floats, size: int) -> list[tuple[int, int]]:
    """Events from hits: near ones merged, each grown while the curve stays 3 sd above its level."""
    out: list[tuple[int, int]] = []
    gap = max(3, min(32, size // 64))
    for hit in hits:
        start = end = int(hit)
        if out and start <= out[-1][1]:
            continue
        while start > 0 and z[start - 1] > 3:
            start -= 1
        while end + 1 < size and np.sum(z[end + 1 : end + 4] > 2.5) >= min(2, size - end - 1):
            end += 1
        if out and start - out[-1][1] <= gap:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
