"""Small samples: mean with interval, Welch and paired t tests, effect size, several tests at once.

A sample is the final values of runs that differ in nothing but the seed: 2 to 10 of them as a rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .student import p_two_sided, t_quantile

__all__ = ["Spread", "TTest", "hedges_g", "holm", "paired_t", "spread", "welch_t"]

CONFIDENCE = 0.95
_NOISE = 1e-12
"""Of the values' size: a spread below it is rounding, not variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and spread of a sample."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation (n - 1); None for n < 2."""
    ci95: tuple[float, float] | None
    """95 % t interval of the mean; None for n < 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TTest:
    """A two-sided t test of a difference of means, other - base."""

    method: str
    """`welch` or `paired`."""
    delta: float
    t: float
    df: float
    p: float
    ci95: tuple[float, float]
    """95 % interval of the difference."""


def spread(values: ArrayLike) -> Spread:
    """Mean, sd and the 95 % t interval mean +- t(.975, n - 1) sd / sqrt(n).

    NIST/SEMATECH e-Handbook of Statistical Methods 1.3.5.2. `values` are finite and at least one.
    """
    sample = np.asarray(values, dtype=float)
    n, mean = len(sample), float(sample.mean())
    if n < 2:
        return Spread(n=n, mean=mean, sd=None, ci95=None)
    sd = float(sample.std(ddof=1))
    half = t_quantile((1 + CONFIDENCE) / 2, df=n - 1) * sd / math.sqrt(n)
    return Spread(n=n, mean=mean, sd=sd, ci95=(mean - half, mean + half))


def welch_t(base: ArrayLike, other: ArrayLike) -> TTest | None:
    """Welch's test: samples of their own variances; None if one is too small or none varies.

    t = (m2 - m1) / sqrt(v1/n1 + v2/n2) with the Welch-Satterthwaite degrees of freedom
    (v1/n1 + v2/n2)² / ((v1/n1)²/(n1 - 1) + (v2/n2)²/(n2 - 1)): Welch, Biometrika 34 (1947) 28;
    Satterthwaite, Biometrics Bulletin 2 (1946) 110. Both samples need two values.
    """
    one, two = np.asarray(base, dtype=float), np.asarray(other, dtype=float)
    if min(len(one), len(two)) < 2:
        return None
    parts = [float(s.var(ddof=1)) / len(s) for s in (one, two)]
    error = math.sqrt(sum(parts))
    if not _varies(error, one, two):
        return None
    df = sum(parts) ** 2 / sum(
        part**2 / (len(s) - 1) for part, s in zip(parts, (one, two), strict=True)
    )
    return _test("welch", float(two.mean() - one.mean()), error, df)


def paired_t(base: ArrayLike, other: ArrayLike) -> TTest | None:
    """The paired test: value k of both samples belongs together; None as for `welch_t`.

    A one-sample t test of the differences with n - 1 degrees of freedom (Student, Biometrika 6
    (1908) 1). Raises ValueError for samples of different lengths.
    """
    one, two = np.asarray(base, dtype=float), np.asarray(other, dtype=float)
    if len(one) != len(two):
        raise ValueError(f"pairs need samples of one length, not {len(one)} and {len(two)}")
    if len(one) < 2:
        return None
    change = two - one
    error = float(change.std(ddof=1)) / math.sqrt(len(change))
    if not _varies(error, one, two):
        return None
    return _test("paired", float(change.mean()), error, len(change) - 1)


def _varies(error: float, *samples: np.ndarray) -> bool:
    size = max(float(np.abs(sample).max()) for sample in samples)
    return error > _NOISE * size


def _test(method: str, delta: float, error: float, df: float) -> TTest:
    half = t_quantile((1 + CONFIDENCE) / 2, df=df) * error
    t = delta / error
    return TTest(
        method=method,
        delta=delta,
        t=t,
        df=df,
        p=p_two_sided(t, df=df),
        ci95=(delta - half, delta + half),
    )


def hedges_g(base: ArrayLike, other: ArrayLike) -> float | None:
    """Difference of the means in pooled standard deviations, corrected for small samples.

    g = J (m2 - m1) / sqrt(((n1 - 1) v1 + (n2 - 1) v2) / (n1 + n2 - 2)) with
    J = gamma(k/2) / (sqrt(k/2) gamma((k - 1)/2)), k = n1 + n2 - 2: Hedges, Journal of Educational
    Statistics 6 (1981) 107, the exact factor, of which 1 - 3/(4k - 1) is the approximation. For
    pairs the same number is g_av (Lakens, Frontiers in Psychology 4 (2013) 863): it tells how far
    apart the samples lie, not how sure the difference is. None if a sample has fewer than two
    values or neither varies.
    """
    one, two = np.asarray(base, dtype=float), np.asarray(other, dtype=float)
    if min(len(one), len(two)) < 2:
        return None
    k = len(one) + len(two) - 2
    squares = sum((len(s) - 1) * float(s.var(ddof=1)) for s in (one, two))
    sd = math.sqrt(squares / k)
    if not _varies(sd, one, two):
        return None
    correction = math.exp(math.lgamma(k / 2) - math.lgamma((k - 1) / 2)) / math.sqrt(k / 2)
    return correction * float(two.mean() - one.mean()) / sd


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p values for their number; they come back in the order given.

    The step-down of Holm, Scandinavian Journal of Statistics 6 (1979) 65: the i-th smallest of m
    (i from 0) times m - i, at least the one before it, at most 1. Compare with the level
    itself; holds for dependent tests.
    """
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[position]))
        adjusted[position] = largest
    return tuple(adjusted)
