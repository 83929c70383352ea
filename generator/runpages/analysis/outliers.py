"""Seed outliers: a run whose final value is not that of its siblings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runpages.model import GroupMetric, SeedOutlier

from .student import t_quantile

__all__ = ["seed_outliers"]

Floats = NDArray[np.float64]

LEAST_Z = 3.5
"""Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): modified z scores over 3.5, with
z = 0.6745 (x - median) / MAD."""
_NORMAL = 0.6745
_MEAN_DEVIATION = 1.253314
"""Where more than half of the values are equal the MAD is 0: the mean absolute deviation times this
(its ratio to sd in a normal distribution) takes its place (Iglewicz and Hoaglin)."""
_INTERVAL = "99 % prediction interval of the others"
_BOTH = "modified z score and prediction interval of the others"
_SCORED = 5
"""Runs from which on the median and MAD of a set say something."""
_ALPHA = 0.01
"""Of three or four runs each is judged by the 99 % prediction interval of the others; of five and
more by the one at 1 - 0.01/n, so that one set of like runs in a hundred has an outlier: the score
alone calls one in 20 % of sets of five normal values."""


def seed_outliers(metrics: Sequence[GroupMetric]) -> tuple[SeedOutlier, ...]:
    """Of each metric over the runs that differ in nothing but the seed; none for n < 3."""
    return tuple(found for metric in metrics for found in _of_metric(metric))


def _of_metric(metric: GroupMetric) -> Iterator[SeedOutlier]:
    known = {slug: value for slug, value in metric.values.items() if math.isfinite(value)}
    if len(known) < 3:
        return
    values = np.array(list(known.values()))
    scored = len(values) >= _SCORED
    near = _near(values) if scored else (math.inf, -math.inf)
    for place, (slug, value) in enumerate(known.items()):
        alpha = _ALPHA / len(values) if scored else _ALPHA
        low, high = _interval(np.delete(values, place), alpha)
        low, high = min(low, near[0]), max(high, near[1])
        if low < high and not low <= value <= high:
            yield SeedOutlier(
                slug=slug, metric=metric.name, value=value, n=len(values), low=low, high=high,
                rule=_BOTH if scored else _INTERVAL,
            )  # fmt: skip


def _interval(others: Floats, alpha: float) -> tuple[float, float]:
    """Where one more value lies with probability 1 - alpha: mean +- t sd sqrt(1 + 1/n)."""
    mean, sd = float(others.mean()), float(others.std(ddof=1))
    t = t_quantile(1 - alpha / 2, df=len(others) - 1)
    half = t * sd * math.sqrt(1 + 1 / len(others))
    return mean - half, mean + half


def _near(values: Floats) -> tuple[float, float]:
    """The values at which the modified z score is LEAST_Z."""
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) / _NORMAL
    if spread == 0:
        spread = _MEAN_DEVIATION * float(np.mean(np.abs(values - middle)))
    return middle - LEAST_Z * spread, middle + LEAST_Z * spread
