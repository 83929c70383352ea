"""Summaries of curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .quantity import Quantity

__all__ = [
    "AtStep",
    "MetricSummary",
    "ModelFigures",
    "Target",
    "TargetReached",
    "main_metric",
]

_NEAR_END = 0.9
"""Part of the longest curve of a role that a curve must reach to stand for the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStep:
    """A curve's value at one step."""

    step: int
    value: float
    row_step: int
    """Step of the row it was read from; of several the one nearest to `step`."""
    rows: int
    """Of how many rows the value is the median."""


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
    smoothed: float | None = None
    """Exponential mean at the last row, its weights adding up to one."""
    half_life: float | None = None
    """Of those weights, in steps."""
    area: float | None = None
    """Under the finite rows, by trapezoids; its unit is the metric's times that of `area_over`."""
    area_over: str = ""
    """`tokens` or `steps`."""
    mean: float | None = None
    """The area over the width of what it covers."""
    slope: float | None = None
    """Change a step over the last quarter of the steps (Theil and Sen)."""
    standard_error: float | None = None
    """Of the last evaluation, by the number of its examples; None where that is not known."""
    standard_error_from: str = ""
    at: tuple[AtStep, ...] = ()
    """At the checkpoints and at the steps of the settings; only of losses and evaluations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A value that the team wants a metric to reach."""

    metric: str
    """Name as logged, or a role, which stands for its main metric."""
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReached:
    """What it took to reach a target for good, or why it was not reached."""

    target: Target
    metric: str
    """Name of the metric that was looked at; empty if there is none."""
    step: Quantity
    """Its `why` is that of all the others when the target was not reached."""
    seconds: Quantity
    """Since the run's start, downtime included."""
    tokens: Quantity
    device_hours: Quantity
    usd: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """What follows from loss, tokens and parameters together."""

    perplexity: Quantity
    bits_per_byte: Quantity
    chinchilla_multiple: Quantity
    """Tokens over 20 a parameter."""
    training_flop: Quantity
    """6 N D."""
    tokens_per_productive_second: Quantity


def main_metric(metrics: Mapping[str, MetricSummary], role: str) -> str | None:
    """The metric that stands for a role: of those that go (nearly) to the end, the densest.

    A loss that was logged for the first hundred steps only says nothing about the end.
    """
    names = [name for name, summary in metrics.items() if summary.role == role]
    end = max((metrics[name].last_step for name in names), default=0)
    whole = [name for name in names if metrics[name].last_step >= _NEAR_END * end] or names
    return max(whole, key=lambda name: metrics[name].points, default=None)
