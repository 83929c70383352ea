"""Numbers of one curve: blocks, smoothing, area, slope, value at a step. Arrays of finite rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["area_under", "block_medians", "final_rows", "slope_of", "smoothed_end", "value_at"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DENSE = 320
"""From as many rows on a single one says little: a median over several stands for it."""
_LEAST_FOR_MEDIAN = 3
_LAST_QUARTER = 0.25
_LEAST_FOR_SLOPE = 8
_SLOPE_BLOCKS = 64
_HALF_LIVES = 0.01
"""Half-life of the smoothing as part of the curve's steps."""


_REACH = 24.0
"""Half-lives after which a weight no longer counts (6e-8)."""


def final_rows(count: int, *, evaluation: bool = False) -> int:
    """How many rows at the end stand for it: max(1 %, 32), of a short curve its last tenth.

    Fewer than three rows are the last one: a median of two is none.

    Of an evaluation 1 %, so its last row up to 300 of them: each row is a mean over many examples
    already, and while the learning rate falls the rows before are those of a worse model.
    """
    if count >= _DENSE and not evaluation:
        return max(count // 100, 32)
    part = count // (100 if evaluation else 10)
    return part if part >= _LEAST_FOR_MEDIAN else 1


def smoothed_end(step: Ints, value: Floats) -> tuple[float, float]:
    """Exponential mean at the last row, and its half-life in steps (1 % of the curve's).

    Weights fall with the distance in steps, so uneven logging does not matter, and are divided by
    their sum, so a short curve is not drawn to its first value (debiased).
    """
    half_life = max(1.0, _HALF_LIVES * float(step[-1] - step[0]))
    begin = int(np.searchsorted(step, step[-1] - _REACH * half_life))
    weight = np.exp2((step[begin:] - step[-1]) / half_life)
    return float(np.average(value[begin:], weights=weight)), half_life


def area_under(at: Floats, value: Floats) -> float | None:
    """By trapezoids; None where the curve has no width."""
    if len(at) < 2 or at[-1] <= at[0]:
        return None
    return float(np.sum(np.diff(at) * (value[1:] + value[:-1])) / 2)


def slope_of(step: Ints, value: Floats) -> float | None:
    """Change a step over the last quarter of the steps: the median slope between block medians.

    Up to 64 blocks of equal length; None with fewer than 8 rows there (Theil 1950, Sen 1968). It is
    shown instead of a power law fitted to the curve, whose exponent one run does not determine.
    """
    late = step >= step[-1] - _LAST_QUARTER * (step[-1] - step[0])
    at, late_value = step[late].astype(np.float64), value[late]
    if len(at) < _LEAST_FOR_SLOPE:
        return None
    blocks = min(_SLOPE_BLOCKS, len(at))
    x = np.array([np.median(part) for part in np.array_split(at, blocks)])
    y = np.array([np.median(part) for part in np.array_split(late_value, blocks)])
    one, other = np.triu_indices(blocks, 1)
    apart = x[other] > x[one]
    if not apart.any():
        return None
    return float(np.median(((y[other] - y[one])[apart]) / (x[other] - x[one])[apart]))


def value_at(step: Ints, value: Floats, at: int) -> tuple[float, int, int] | None:
    """(value, step of the row, rows) at a step of the curve; None outside it.

    Of a dense curve the median of the rows around the step, as many as stand for its end; else its
    last row at or before the step.
    """
    if not len(step) or at < step[0] or at > step[-1]:
        return None
    last = int(np.searchsorted(step, at, side="right")) - 1
    if len(step) < _DENSE:
        return float(value[last]), int(step[last]), 1
    rows = final_rows(len(step))
    begin = min(max(0, last - rows // 2), len(step) - rows)
    return float(np.median(value[begin : begin + rows])), int(step[last]), rows


def block_medians(value: Floats, size: int) -> Floats:
    """Medians of blocks of `size` rows; what is left over belongs to the last one."""
    whole = len(value) // size
    if whole == 0:
        return np.empty(0)
    medians: Floats = np.median(value[: whole * size].reshape(whole, size), axis=1)
    medians[-1] = np.median(value[(whole - 1) * size :])
    return medians
