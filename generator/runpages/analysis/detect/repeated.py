"""Repeated data: a training loss that steps down at even distances, once an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .track import Candidate, Floats, Track

__all__ = ["RepeatedDataOptions", "find_repeated_data"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedDataOptions:
    """Thresholds in robust sd, shares of the level and of the steps, and blocks of rows.

    Measured on generated runs (docs/reference/findings.md).
    """

    min_points: int = 200
    side_shares: tuple[float, ...] = (0.01, 0.025)
    """Lengths of the stretches whose means are compared, as shares of the blocks, the one after
    the other: noise hides a step from the short one, other steps spoil the long one."""
    least_side: int = 10
    """The same in blocks."""
    least_k: float = 3.5
    """Height of one step in robust sd of such differences..."""
    least_sum_k: float = 8.0
    """... and their sum over the root of their number."""
    stray_k: float = 5.0
    """A step of this height elsewhere speaks against the spacing."""
    most_wander: float = 1.5
    """How far the differences may stray beyond what white noise would give: more is the steps."""
    least_relative: float = 0.005
    """And as a share of the level."""
    least_spacing: float = 0.05
    """Of the steps: shorter epochs leave no stretch between two of them."""
    least_steps: int = 2
    least_found: float = 0.75
    """Share of the multiples of the spacing that must be steps."""
    astray: float = 0.01
    """How far from its multiple a step may be, as a share of the steps; half a side at least."""
    transient: float = 0.03
    """Share of the rows and of the steps at the start in which a loss falls too fast to tell."""
    most_steps: int = 24


def find_repeated_data(
    track: Track, options: RepeatedDataOptions = RepeatedDataOptions()
) -> Iterator[Candidate]:
    """At most one, from the first boundary to the last; its peak is the second boundary.

    The spacing counts from step 0 or from the first step of the track.
    """
    y = track.y
    if len(y) < options.min_points:
        return
    blocks, width = track.thin
    count = len(blocks)
    at = track.steps[track.finite[: count * width : width]]
    sides = [max(options.least_side, int(share * count)) for share in options.side_shares]
    # logs are often denser at the start
    settled = max(
        int(options.transient * count),
        int(np.searchsorted(at, at[0] + options.transient * (at[-1] - at[0]))),
    )
    tried = [
        _even(_steps_down(blocks, side, settled, options), at, side, options) for side in sides
    ]
    boundaries, spacing = max(tried, key=lambda found: len(found[0]))
    if not len(boundaries):
        return
    places = np.searchsorted(at, [boundaries[0], boundaries[0] + spacing, boundaries[-1]])
    first, second, last = (int(track.finite[place * width]) for place in places)
    yield Candidate(
        kind="repeated_data",
        start=first,
        end=last,
        peak=second,
        level=float(np.median(blocks[max(0, int(places[0]) - sides[0]) : int(places[0])])),
        threshold=None,
        recovered=None,
        severity="warning",
    )


def _steps_down(
    blocks: Floats, side: int, settled: int, options: RepeatedDataOptions
) -> dict[int, float]:
    """Block -> height in sd, where the mean falls to a new low by more than the trends beside."""
    total = np.concatenate([[0.0], np.cumsum(blocks)])
    at = np.arange(2 * side, len(blocks) - 2 * side)

    def mean(begin: Ints, end: Ints) -> Floats:
        return np.asarray((total[end] - total[begin]) / (end - begin))

    before, after = mean(at - side, at), mean(at, at + side)
    trend = mean(at - 2 * side, at - side) - before + after - mean(at + side, at + 2 * side)
    height = before - after - trend / 2
    middle = float(np.median(height))
    spread = 1.4826 * float(np.median(np.abs(height - middle)))
    # many steps widen that; what white noise of the blocks would give bounds it
    noise = 1.4826 / np.sqrt(2) * float(np.median(np.abs(np.diff(blocks))))
    spread = min(spread, options.most_wander * noise * float(np.sqrt(5 / side)))
    z = (height - middle) / max(spread, 1e-300)
    z[height < options.least_relative * np.abs(before)] = 0.0
    # the fall after an excursion only comes back; a new epoch is lower than everything before
    z[after > np.minimum.accumulate(before)] = 0.0
    z[at < settled] = 0.0
    found: dict[int, float] = {}
    while len(found) < options.most_steps and len(z):
        tallest = int(np.argmax(z))
        if z[tallest] < options.least_k:
            break
        found[int(at[tallest])] = float(z[tallest])
        z[max(0, tallest - 3 * side) : tallest + 3 * side] = 0.0
    return found


def _even(
    down: dict[int, float], at: Ints, side: int, options: RepeatedDataOptions
) -> tuple[Ints, int]:
    """(steps down at multiples of one spacing, the spacing); none if it does not explain enough."""
    blocks = np.array(sorted(down), dtype=np.int64)
    found, height = at[blocks], np.array([down[int(b)] for b in blocks])
    span = int(at[-1] - at[0])
    edge = int(at[min(len(at) - 1, 2 * side)] - at[0])
    astray = max(options.astray * span, side / 2 * float(np.median(np.diff(at))))
    best, apart = np.empty(0, dtype=np.int64), 0
    for origin in {0, int(at[0])}:
        for spacing in found - origin:
            if spacing < options.least_spacing * span:
                continue
            multiples = np.arange(origin + spacing, at[-1] + 1, spacing)
            multiples = multiples[multiples > at[0]]
            # at the edges there is too little on one side of a step to tell it
            sure = np.sum((multiples > at[0] + edge) & (multiples < at[-1] - edge))
            if len(multiples) < options.least_steps:
                continue
            nearest = np.argmin(np.abs(found[:, None] - multiples), axis=0)
            close = np.abs(found[nearest] - multiples) <= astray
            hits = np.unique(nearest[close])
            strays = np.sum(np.delete(height, hits) >= options.stray_k)
            if (
                len(hits) >= max(options.least_steps, options.least_found * sure)
                and np.sum(height[hits]) >= options.least_sum_k * np.sqrt(len(hits))
                and strays <= (1 - options.least_found) * len(hits)
                and len(hits) > len(best)
            ):
                best, apart = found[hits], int(spacing)
    return best, apart
