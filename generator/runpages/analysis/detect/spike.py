"""Spikes: excursions that stand out of the run's own noise and come back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .track import (
    Candidate,
    Floats,
    Track,
    excursions,
    level_of,
    level_reach,
    noise_of,
    segments,
)

__all__ = ["SpikeOptions", "find_spikes", "tail_threshold"]

Bools = NDArray[np.bool_]

APART_SHAPE = 1.0
"""Where rare hard batches begin to outnumber the usual noise a tail is locally heavier than as a
whole; beyond this shape it has not even a mean."""
LONG_TAIL = 1500
"""From this many points on quantiles tell the tail: the upper 16, 4 and 1 %, and the tallest peaks
not less."""
MANY = 4000
"""From this many points on the upper 4, 1 and 1/4 % do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeOptions:
    """Thresholds in robust standard deviations (sd), shares of the level, factors and points.

    On 22 real per-step loss curves residuals have q.999 = +9.4 and q.001 = -4.1 sd, so that no
    fixed k can serve: k follows from each run's own tail, between two bounds. Where no other source
    is named the values were measured: docs/reference/findings.md.
    """

    min_points: int = 8
    least_k: float = 7.0
    """sd that one point must reach, whatever the tail says."""
    least_pair_k: float = 6.0
    """sd that two neighbours must both reach."""
    most_k: float = 30.0
    """Cap on what the tail can ask for."""
    expected_false: float = 0.02
    """Noise points of a run that may cross k, by extrapolation of its tail."""
    usual_shape: float = 0.2
    """Shape of a tail of which little is seen: that of Student's t with 5 degrees of freedom."""
    most_shape: float = 0.4
    """Heaviest tail that noise is taken to have, as the shape of a generalised Pareto."""
    min_relative: float = 0.02
    """Least height over the level, as a share of it."""
    clear_relative: float = 1.0
    """A loss at twice its level is a spike in any tail (llm-foundry's KillLossSpike)."""
    min_factor: float = 3.0
    """For gradient norms, judged on their logarithm: least height as a factor."""
    clear_factor: float = 5.0
    """Factor from which on a gradient norm is a spike in any tail."""
    clear_k: float = 0.0
    """sd that it must reach for that, too."""
    tail_points: float = math.inf
    """From so many points on the tail is known well enough to excuse a lone row that is clear, but
    within it."""
    warn_relative: float = 0.1
    """From this share of the level on a spike is a warning, below it an info."""
    warn_lone_relative: float = 0.25
    """The same for one row that is back in the next: it cost nothing yet."""
    warn_factor: float = 10.0
    """The same for gradient norms (Megatron-LM's SPIKY_LOSS_FACTOR)."""
    short_points: int = 48
    """Under so many the level's window has its least width, five rows, and a loss is also judged
    against the rows before it."""
    back_share: float = 0.05
    """It is over when this share of its height is left at most, or `back_k`."""
    back_k: float = 2.0
    """sd over the level before it that are back at the level."""
    transient_points: int = 32
    """Longest initial transient: what falls from the start is no excursion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What a point can pass, in sd and in height (a share of the level, or on the logarithm)."""

    single: float
    pair: float
    clear: float
    tall: float
    clear_size: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Work:
    """One track made ready: on the logarithm for gradient norms."""

    y: Floats
    level: Floats
    z: Floats
    logarithmic: bool

    def passed(self, at: int, limits: _Limits) -> float | None:
        """The lowest limit that the point is beyond; None where only a wider view told it."""
        beside = np.concatenate([self.z[max(0, at - 1) : at], self.z[at + 1 : at + 2]])
        pair = min(float(self.z[at]), float(np.max(beside, initial=-math.inf)))
        sigma, level = self.sigma(at), float(self.level[at])
        scale = 1.0 if self.logarithmic else abs(level)
        met = [
            level + max(k * sigma, size * scale)
            for reached, k, size in (
                (self.z[at], limits.single, limits.tall),
                (self.z[at], limits.clear, limits.clear_size),
                (pair, limits.pair, limits.tall),
            )
            if reached > k
        ]
        met = [limit for limit in met if limit <= self.y[at]]
        return min(met) if met else None

    def size(self) -> Floats:
        """Height over the level: as a share of it, or on the logarithm."""
        out = np.subtract(self.y, self.level)
        return out if self.logarithmic else np.divide(out, np.abs(self.level), out=out)

    def sigma(self, at: int) -> float:
        """The noise's sd at a point above the level."""
        return float((self.y[at] - self.level[at]) / self.z[at]) if self.z[at] > 0 else 0.0


def tail_threshold(
    z: Floats,
    *,
    least: float,
    size: int = 0,
    found: int = 0,
    options: SpikeOptions = SpikeOptions(),
) -> float:
    """The k that `expected_false` noise points of this run would cross, at least `least`.

    `z` may be the upper part of `size` points, if these are many; `found` excursions are not in it.
    Pickands' estimator on three upper quantiles, its shape shrunk towards the usual one with a
    weight of 30 exceedances; peaks that stand apart are left out. Runs under 1,500 points have too
    thin a tail for that and get at least 1.3 times the least k, more where the noise itself is
    known from few points: twice that at 8.
    """
    size = size or len(z)
    if size < LONG_TAIL:
        least *= 1.3 * (1 + 8 / max(size, 8))
        return _short_tail(z, least=least, found=found, options=options)
    shares = np.array([0.04, 0.01, 0.0025] if size >= MANY else [0.16, 0.04, 0.01])
    counts = np.maximum(1, (shares * size).astype(int))
    ranks = len(z) - counts
    q = np.partition(z, ranks)[ranks]
    first, second = float(q[1] - q[0]), float(q[2] - q[1])
    if not (first > 0 and second > 0):
        return least
    beyond = float(shares[2]) * size
    shape = (math.log(second / first) / math.log(4) * beyond + options.usual_shape * 30) / (
        beyond + 30
    )
    shape = min(max(shape, 0.0), options.most_shape)
    ratio = beyond / options.expected_false
    if shape < 1e-3:
        k = q[2] + second / math.log(4) * math.log(ratio)
    else:
        k = q[2] + second / (1 - 4.0**-shape) * (ratio**shape - 1)
    if size < MANY:
        k = max(k, _short_tail(z, least=least, found=found, options=options))
    return float(min(max(k, least), options.most_k))


def _end_of_tail(z: Floats, at: NDArray[np.int64], options: SpikeOptions) -> float:
    """The tallest value below the peaks that stand apart, however many; infinite without any.

    `z` lie at the positions `at`. In a tail of shape xi the logarithm of the ratio of the r-th peak
    to the next is exponential with mean xi/r (Hill's estimator rests on that). The lowest gap among
    the tallest 200 points counts that a tail of APART_SHAPE would show with a probability of
    `expected_false`.
    """
    rank = min(200, len(z) // 4)
    tall = np.flatnonzero(z >= np.partition(z, len(z) - rank)[len(z) - rank])
    first = np.flatnonzero(np.diff(at[tall], prepend=-9) > 3)
    peaks = np.sort(np.maximum.reduceat(z[tall], first))[::-1]
    peaks = peaks[: len(peaks) // 2]
    if len(peaks) < 4 or not peaks[-1] > 0:
        return math.inf
    gaps = np.arange(1, len(peaks)) * np.log(np.minimum(peaks[:-1], 1e9) / peaks[1:])
    wide = np.flatnonzero(gaps > APART_SHAPE * math.log(len(gaps) / options.expected_false))
    return float(peaks[wide[-1] + 1]) if len(wide) else math.inf


def _short_tail(z: Floats, *, least: float, found: int, options: SpikeOptions) -> float:
    """The same from 200 points on: the mean excess of the run's tall peaks, carried on.

    A stretch is one peak and the three tallest are left out, `found` ones among them, else long or
    few events would hide themselves. The shape is the one that the long runs' estimate is shrunk
    towards. Peaks that stand apart are none of the tail, however many: in a tail of shape xi the
    logarithm of the ratio of the r-th peak to the next is exponential with mean xi/r (Hill's
    estimator rests on that).
    """
    last = min(20, len(z) // 25)
    peaks = np.sort([np.max(z[first : end + 1]) for first, end in segments(z > 1)])[::-1]
    if last < 8 or len(peaks) <= last:
        return least
    above = int(np.sum(peaks > least))
    if 0 < above < len(peaks):
        apart = above * math.log(min(peaks[above - 1] / peaks[above], 1e9))
        if apart > options.most_shape * math.log(1 / options.expected_false):
            return least
    left_out = max(0, 3 - found)
    excess = float(np.mean(peaks[left_out:last] - peaks[last]))
    ratio = (left_out + 1) / options.expected_false
    k = float(peaks[left_out])
    k += excess / options.usual_shape * (ratio**options.usual_shape - 1)
    return float(min(max(k, least), options.most_k))


def find_spikes(track: Track, options: SpikeOptions = SpikeOptions()) -> Iterator[Candidate]:
    """Excursions above the level that end before the track does."""
    if len(track.finite) < options.min_points:
        return
    work = _prepare(track)
    hits, limits = _hits(work, options)
    found = [e for e in _extents(hits, work.z) if _stands(work, e, options)]
    wide: list[tuple[int, int]] = []
    if not work.logarithmic:
        # what lasts longer than the level's window has pulled the level up with it
        wide = [e for e in excursions(track) if not _in_transient(work, e, options)]
        wide += [e for e in _doubled(work.y, options) if _stands(work, e, options)]
    long = len(work.y) >= options.tail_points
    for start, end in _united(found, wide):
        if not (long and start == end and _in_tail(work, start, limits.single)):
            yield _candidate(track, work, (start, end), limits=limits, options=options)


def _doubled(y: Floats, options: SpikeOptions) -> list[tuple[int, int]]:
    """In a short series: from twice the level of the rows before, until (nearly) back at it.

    Of so few rows an excursion makes up much, so that level and noise around it are its own.
    """
    out: list[tuple[int, int]] = []
    row = 3 if len(y) < options.short_points else len(y)
    while row < len(y) - 1:
        before = y[max(0, row - 9) : row]
        base = float(np.median(before))
        spread = 1.4826 * float(np.median(np.abs(before - base)))
        height = float(y[row]) - base
        if base <= 0 or height < max(options.clear_relative * base, options.least_k * spread):
            row += 1
            continue
        back = np.flatnonzero(y[row:] - base <= 0.1 * (np.maximum.accumulate(y[row:]) - base))
        if not len(back):
            break
        out.append((row, row + int(back[0]) - 1))
        row = out[-1][1] + 2
    return out


def _prepare(track: Track) -> _Work:
    y = track.y
    logarithmic = track.role == "grad_norm" and bool(np.all(y > 0))
    y = np.log(y) if logarithmic else y
    level = level_of(y)
    z = y - level
    sigma = noise_of(z)
    # without noise any departure stands out: the effect size alone decides
    quiet = sigma == 0
    z[quiet] = np.where(z[quiet] > 0, math.inf, 0.0)
    sigma[quiet] = 1.0
    np.divide(z, sigma, out=z)
    return _Work(y=y, level=level, z=z, logarithmic=logarithmic)


def _hits(work: _Work, options: SpikeOptions) -> tuple[Bools, _Limits]:
    """Points that stand out, and the limits that they passed.

    Found excursions are left out of the tail and k is taken again: else a run with many spikes
    would hide them from itself (masking). A run without any is never looked at twice.
    """
    size = work.size()
    logarithmic = work.logarithmic
    least = math.log(options.min_factor) if logarithmic else options.min_relative
    enough = math.log(options.clear_factor) if logarithmic else options.clear_relative
    tall, clear = size >= least, size >= enough
    clear &= work.z >= options.clear_k
    del size  # 80 MB in a run of ten million steps
    pairs = np.minimum(work.z[1:], work.z[:-1])
    hits = np.zeros(len(work.z), dtype=bool)
    k = pair_k = options.most_k
    for _ in range(4):
        near = _near(hits)
        noise = ~near & (work.z < 2 * options.most_k)
        # a falling start has no level yet: what it lies above the trend is no noise
        noise[: level_reach(len(noise))] = False
        taken = len(segments(near))
        k = _threshold(work.z, noise, least=options.least_k, found=taken, options=options)
        both = noise[1:] & noise[:-1]
        pair_k = _threshold(pairs, both, least=options.least_pair_k, found=taken, options=options)
        found = (work.z > k) | (clear & (work.z > options.least_k))
        double = pairs > pair_k
        found[1:] |= double
        found[:-1] |= double
        found &= tall
        if np.array_equal(found, hits):
            break
        hits = found
    clear_k = max(options.least_k, options.clear_k)
    return hits, _Limits(single=k, pair=pair_k, clear=clear_k, tall=least, clear_size=enough)


def _threshold(
    z: Floats, noise: Bools, *, least: float, found: int, options: SpikeOptions
) -> float:
    """`tail_threshold` of the noise; of long runs of what is above 1 sd and stands not apart."""
    size = int(np.count_nonzero(noise))
    if size < MANY:
        return tail_threshold(z[noise], least=least, found=found, options=options)
    at = np.flatnonzero(noise & (z > 1))
    if len(at) < size // 20:
        at = np.flatnonzero(noise)
    upper = z[at]
    upper = upper[upper <= _end_of_tail(upper, at, options)]
    return tail_threshold(upper, least=least, size=size, found=found, options=options)


def _near(hits: Bools) -> Bools:
    """The hits and the flanks of each: not noise."""
    near = np.zeros(len(hits), dtype=bool)
    around = np.flatnonzero(hits)[:, None] + np.arange(-4, 5)
    near[np.clip(around, 0, len(hits) - 1)] = True
    return near


def _extents(hits: Bools, z: Floats) -> list[tuple[int, int]]:
    """Events from hits: near ones merged, each grown while the curve stays 3 sd above its level."""
    size = len(z)
    gap = max(3, min(32, size // 64))
    out: list[tuple[int, int]] = []
    for first, last in segments(hits):
        start, end = first, last
        if out and end <= out[-1][1]:
            continue
        while start > 0 and z[start - 1] > 3:
            start -= 1
        while end + 1 < size and np.sum(z[end + 1 : end + 4] > 2.5) >= min(2, size - end - 1):
            end += 1
        if out and start - out[-1][1] <= gap and _still_up(z, out[-1][1] + 1, start):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _still_up(z: Floats, first: int, end: int) -> bool:
    """Whether the rows between two excursions are no return: three or fewer, or above the level."""
    return end - first <= 3 or float(np.median(z[first:end])) > 1


def _stands(work: _Work, extent: tuple[int, int], options: SpikeOptions) -> bool:
    """Whether the excursion is past the start of the run and comes back."""
    start, end = extent
    if _in_transient(work, extent, options):
        return False
    after = work.y[end + 1 : end + 1 + _soon(work)]
    own = slice(start, end + 1)
    height = float(np.max(work.y[own] - work.level[own]))
    return len(after) > 0 and float(np.median(after)) - work.level[start] <= 0.5 * height


def _in_transient(work: _Work, extent: tuple[int, int], options: SpikeOptions) -> bool:
    """Whether it lies in the first fall of the run, which has no level before it.

    A loss that rises to twice its level and above everything before it does not fall.
    """
    start, end = extent
    if start >= max(3, min(options.transient_points, len(work.y) // 16)):
        return False
    if work.logarithmic or start < 3:
        return True
    peak = float(np.max(work.y[start : end + 1]))
    before = work.y[:start]
    return peak <= (1 + options.clear_relative) * float(np.max(np.abs(before)))


def _united(found: list[tuple[int, int]], wide: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Both lists as one, what overlaps joined."""
    out: list[tuple[int, int]] = []
    for start, end in sorted([*found, *wide]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _level_before(work: _Work, start: int, peak: int) -> float:
    before = work.y[max(0, start - 9) : start]
    return min(float(work.level[peak]), float(np.median(before)) if len(before) else math.inf)


def _back(work: _Work, end: int, limit: float) -> int | None:
    """The last row before the curve is at the limit or below; None where it soon never is."""
    after = work.y[end + 1 : end + 1 + _soon(work)]
    below = np.flatnonzero(after <= limit)
    return end + int(below[0]) if len(below) else None


def _soon(work: _Work) -> int:
    """Rows within which an excursion must come back."""
    return max(3, len(work.y) // 20)


def _in_tail(work: _Work, at: int, k: float) -> bool:
    """Whether the run's own tail would not tell a lone point."""
    return bool(work.y[at] < _level_before(work, at, at) + k * work.sigma(at))


def _candidate(
    track: Track, work: _Work, extent: tuple[int, int], *, limits: _Limits, options: SpikeOptions
) -> Candidate:
    start, end = extent
    peak = start + int(np.argmax(work.y[start : end + 1]))
    level = _level_before(work, start, peak)
    height = float(work.y[peak]) - level
    passed = work.passed(peak, limits)
    back = _back(
        work, end, level + max(options.back_share * height, options.back_k * work.sigma(peak))
    )
    if work.logarithmic:
        serious = height >= math.log(options.warn_factor)
        level, passed = math.exp(level), None if passed is None else math.exp(passed)
    else:
        share = options.warn_lone_relative if start == end else options.warn_relative
        serious = height >= share * abs(level)
        level, passed = track.sign * level, None if passed is None else track.sign * passed
    return Candidate(
        kind="spike",
        start=int(track.finite[start]),
        end=int(track.finite[end if back is None else back]),
        peak=int(track.finite[peak]),
        level=level,
        threshold=passed,
        recovered=None if back is None else True,
        severity="warning" if serious else "info",
    )
