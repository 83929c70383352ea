"""Noise of training curves, in robust standard deviations (1.4826 x median |x|), and its tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Noise", "wander"]

Floats = NDArray[np.float64]

_HARD_SHARE, _HARD_SCALE = 0.02, 2.9
"""Share and height (exponential) of harder batches. With Gaussian noise around them this gives what
was measured on 22 per-step curves of KellerJordan/modded-nanogpt: q.999 +9.4, kurtosis 20 (21)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Two half Student t of their own degrees of freedom, or Gaussian with hard batches.

    `right` None stands for the latter: skewed as in per-step losses of one micro-batch.
    """

    right: float | None
    left: float
    correlation: float = 0.0
    """Of neighbouring rows: AR(1)."""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Noise:
        right = rng.choice([np.nan, 4.0, 5.0, 6.0, 8.0, 12.0, 50.0])
        return cls(
            right=None if np.isnan(right) else float(right),
            left=float(rng.choice([6.0, 8.0, 12.0, 50.0])),
            correlation=float(rng.choice([0.0, 0.0, 0.1, 0.3])),
        )

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        below = -np.abs(rng.standard_t(self.left, size)) / _spread(self.left)
        if self.right is None:
            above = np.abs(rng.standard_normal(size))
            hard = 2 * _HARD_SHARE
            above += np.where(rng.random(size) < hard, rng.exponential(_HARD_SCALE, size), 0)
        else:
            above = np.abs(rng.standard_t(self.right, size)) / _spread(self.right)
        noise = np.where(rng.random(size) < 0.5, above, below)
        if not self.correlation:
            return noise
        kernel = self.correlation ** np.arange(24)
        return np.convolve(noise, kernel / np.sqrt(np.sum(kernel**2)))[:size]

    def tail(self, share: float) -> float:
        """The height that a row exceeds with probability `share`."""
        if self.right is None:
            return max(3.0, _HARD_SCALE * math.log(_HARD_SHARE / share))
        return _student_quantile(self.right, share) / _spread(self.right)


def _spread(freedom: float) -> float:
    return 1.4826 * _student_quantile(freedom, 0.25)


def _student_quantile(freedom: float, share: float) -> float:
    """Upper quantile of Student's t, by integrating its density from the right."""
    x = np.concatenate([np.linspace(0, 10, 4000), np.geomspace(10.01, 1e5, 4000)])
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    density = (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    density *= constant / math.sqrt(freedom * math.pi)
    pieces = np.diff(x) * (density[1:] + density[:-1]) / 2
    beyond = np.concatenate([np.cumsum(pieces[::-1])[::-1], [0.0]])
    return float(np.interp(-share, -beyond, x))


def wander(rng: np.random.Generator, size: int) -> Floats:
    """A smooth random curve of variance 1 that changes over a twentieth of the rows."""
    kernel = np.exp(-0.5 * np.linspace(-3, 3, 61) ** 2)
    rough = np.convolve(rng.standard_normal(400 + 60), kernel, mode="valid")
    smooth = rough / np.sqrt(np.sum(kernel**2))
    return np.interp(np.linspace(0, 400, size), np.arange(len(smooth)), smooth)
