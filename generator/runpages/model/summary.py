"""Summaries of curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "MetricSummary",
    "main_metric",
]

_NEAR_END = 0.9
"""Part of the longest curve of a role that a curve must reach to stand for the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """Summary statistics of one effective curve."""

    name: str
    role: str | None
    direction: str | None
    """`lower`, `higher` or None where neither is better."""
    unit: str
    points: int
    superseded: int
    nonfinite: int
    first_step: int
    last_step: int
    first: float
    last: float
    final: float
    """Median of the last finite points; how many, see docs/reference/findings.md."""
    final_mad: float
    """Median absolute deviation of those points."""
    final_points: int
    low: float
    high: float
    best: float | None
    best_step: int | None


def main_metric(metrics: Mapping[str, MetricSummary], role: str) -> str | None:
    """The metric that stands for a role: of those that go (nearly) to the end, the densest.

    A loss that was logged for the first hundred steps only says nothing about the end.
    """
    names = [name for name, summary in metrics.items() if summary.role == role]
    end = max((metrics[name].last_step for name in names), default=0)
    whole = [name for name in names if metrics[name].last_step >= _NEAR_END * end] or names
    return max(whole, key=lambda name: metrics[name].points, default=None)
