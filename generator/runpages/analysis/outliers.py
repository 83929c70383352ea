"""Seed outliers: a run whose final value is not that of its siblings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runpages.model import GroupMetric, SeedOutlier

__all__ = ["seed_outliers"]

Floats = NDArray[np.float64]

LEAST_Z = 3.5
"""Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): modified z scores over 3.5, with
z = 0.6745 (x - median) / MAD."""
_NORMAL = 0.6745
_MEAN_DEVIATION = 1.253314
"""Where more than half of the values are equal the MAD is 0: the mean absolute deviation times this
(its ratio to sd in a normal distribution) takes its place (Iglewicz and Hoaglin)."""
_T_QUANTILES = {3: 63.657, 4: 9.925}
"""n -> 99.5 % quantile of Student's t with n - 2 degrees of freedom: of the n - 1 others."""


def seed_outliers(metrics: Sequence[GroupMetric]) -> tuple[SeedOutlier, ...]:
    """Of each metric over the runs that differ in nothing but the seed; none for n < 3."""
    return tuple(found for metric in metrics for found in _of_metric(metric))


def _of_metric(metric: GroupMetric) -> Iterator[SeedOutlier]:
    known = {slug: value for slug, value in metric.values.items() if math.isfinite(value)}
    values = np.array(list(known.values()))
    if len(values) >= 5:
        yield from _by_modified_z(metric.name, known, values)
    elif len(values) in _T_QUANTILES:
        yield from _by_interval(metric.name, known, values)


def _by_modified_z(name: str, known: dict[str, float], values: Floats) -> Iterator[SeedOutlier]:
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) / _NORMAL
    if spread == 0:
        spread = _MEAN_DEVIATION * float(np.mean(np.abs(values - middle)))
    if spread == 0:
        return
    for slug, value in known.items():
        score = abs(value - middle) / spread
        if score > LEAST_Z:
            yield SeedOutlier(
                slug=slug,
                metric=name,
                value=value,
                n=len(values),
                rule="modified z score",
                score=score,
                limit=LEAST_Z,
                low=middle - LEAST_Z * spread,
                high=middle + LEAST_Z * spread,
            )


def _by_interval(name: str, known: dict[str, float], values: Floats) -> Iterator[SeedOutlier]:
    """Each against the others: mean +- t sd sqrt(1 + 1/(n - 1)), the interval of one more value."""
    for slug, value in known.items():
        others = np.array([other for one, other in known.items() if one != slug])
        mean, sd = float(others.mean()), float(others.std(ddof=1))
        half = _T_QUANTILES[len(values)] * sd * math.sqrt(1 + 1 / len(others))
        if half > 0 and abs(value - mean) > half:
            yield SeedOutlier(
                slug=slug,
                metric=name,
                value=value,
                n=len(values),
                rule="99 % prediction interval of the others",
                score=abs(value - mean) / half,
                limit=1.0,
                low=mean - half,
                high=mean + half,
            )
