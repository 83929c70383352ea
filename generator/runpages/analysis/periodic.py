"""Even spacing: slow stretches that come back are evaluations or checkpoints, not faults."""

from __future__ import annotations

from collections import Counter
from math import gcd

import numpy as np
from numpy.typing import NDArray

__all__ = ["evenly_spaced"]

Ints = NDArray[np.int64]

_LEAST_HITS = 5
_FILLED = 0.8
"""Part of the slots of a period that must be hit."""
_CANDIDATES = 6
_MOST_PERIODS = 3
"""Evaluation, checkpoint and one more."""


def evenly_spaced(at: Ints, *, first: int, last: int, width: int) -> NDArray[np.bool_]:
    """Which of the positions `at` come back at an even spacing within [first, last].

    A period is accepted if one offset has at least 5 hits and at least 80 % of its slots are hit;
    candidates are the commonest distances, their greatest common divisor and their doubles. `width`
    is the resolution of the positions: a hit may stray by half of it. A period must be at least 5
    widths long, or else the "slow" stretches are the rule.
    """
    found = np.zeros(len(at), dtype=bool)
    for _ in range(_MOST_PERIODS):
        left = at[~found]
        if len(left) < _LEAST_HITS:
            break
        hit = _best(left, first=first, last=last, width=max(width, 1))
        if not hit.any():
            break
        found[np.flatnonzero(~found)[hit]] = True
    return found


def _best(at: Ints, *, first: int, last: int, width: int) -> NDArray[np.bool_]:
    """Hits of the candidate period that explains most; all False if none is accepted."""
    best = np.zeros(len(at), dtype=bool)
    for period in _periods(at):
        if period < 5 * width:
            continue
        # the fullest offset: the commonest remainder, on a grid as coarse as the positions
        remainder = at % period
        offset = Counter((remainder // width).tolist()).most_common(1)[0][0] * width
        offset = int(np.median(remainder[remainder // width == offset // width]))
        astray = (at - offset + period // 2) % period - period // 2
        hit = np.abs(astray) <= width // 2
        slots = (last - offset) // period - (first - offset - 1) // period
        filled = len(np.unique((at[hit] - offset + period // 2) // period))
        if filled >= max(_LEAST_HITS, _FILLED * slots) and hit.sum() > best.sum():
            best = hit
    return best


def _periods(at: Ints) -> list[int]:
    common = [int(d) for d, _ in Counter(np.diff(at).tolist()).most_common(_CANDIDATES) if d > 0]
    divisors = [gcd(a, b) for a in common for b in common if a < b]
    return sorted({*common, *divisors, *(2 * d for d in common)})
