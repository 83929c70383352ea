"""What is said of several runs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "GroupMetric",
    "GroupReport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetric:
    name: str
    direction: str | None
    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None for n < 2."""
    values: Mapping[str, float]
    """slug -> final value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """Facts about siblings: shown on the group's page, never on a run's."""

    name: str
    slugs: tuple[str, ...]
    seeds: Mapping[str, int | None]
    seed_set: tuple[str, ...]
    """Slugs that differ in nothing but the seed."""
    metrics: tuple[GroupMetric, ...]
