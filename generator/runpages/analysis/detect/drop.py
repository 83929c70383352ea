"""Drop: an evaluation metric gets worse than the best level it has had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Floats, Track, running_median, stretches

__all__ = ["SCORES", "DropOptions", "find_drops"]

SCORES = frozenset({"eval", "eval_lower"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DropOptions:
    """Thresholds as shares of the level, standard deviations (sd) and evaluations."""

    min_points: int = 8
    min_relative: float = 0.05
    """Least fall below the best level so far, as a share of it."""
    least_k: float = 3.0
    """The same in robust sd of the metric's own first differences."""
    least_lone_k: float = 6.0
    """The same for fewer than `lasting` evaluations: noise makes one low now and then."""
    lasting: int = 3
    ends: float = 0.5
    """Above this share of the threshold the fall goes on."""
    most_worse: float = 0.6
    """Share of evaluations that may be worse than the one before, in a series that ends worse than
    it began: beyond it the name tells the wrong direction (MLPerf's `eval_accuracy` of GPT-3 is a
    loss), and nothing is judged."""


def find_drops(track: Track, options: DropOptions = DropOptions()) -> Iterator[Candidate]:
    """Stretches of evaluations that are worse than the best running median before them."""
    y, block = track.thin
    if len(y) < options.min_points or _turned(y, options):
        return
    level = running_median(y, int(np.clip(len(y) // 16, 3, 65)) | 1)
    best = np.minimum.accumulate(np.concatenate([level[:1], level[:-1]]))
    changes = np.diff(y)
    sd = 1.4826 * float(np.median(np.abs(changes - np.median(changes))))
    floor = options.min_relative * np.abs(best)
    lone = np.maximum(floor, options.least_lone_k * sd * (1 + options.min_points / len(y)))
    lasting = np.maximum(floor, options.least_k * sd)
    depth = y - best
    for start, end in stretches(depth > options.ends * lasting):
        own = slice(start, end + 1)
        lasts = int(np.sum((depth > lasting)[own])) >= options.lasting
        limit = lasting if lasts else lone
        if start > 0 and np.any((depth > limit)[own]):
            yield _candidate(track, (start, end), block, best=best, limit=limit)


def _turned(y: Floats, options: DropOptions) -> bool:
    changes = np.diff(y)
    return bool(y[-1] > y[0] and np.mean(changes > 0) > options.most_worse)


def _candidate(
    track: Track, extent: tuple[int, int], block: int, *, best: Floats, limit: Floats
) -> Candidate:
    first, last = extent[0] * block, min((extent[1] + 1) * block, len(track.finite)) - 1
    peak = first + int(np.argmax(track.y[first : last + 1]))
    return Candidate(
        kind="drop",
        start=int(track.finite[first]),
        end=int(track.finite[last]),
        peak=int(track.finite[peak]),
        level=track.sign * float(best[extent[0]]),
        threshold=track.sign * float(best[extent[0]] + limit[extent[0]]),
        recovered=extent[1] < len(best) - 1,
        severity="warning",
    )
