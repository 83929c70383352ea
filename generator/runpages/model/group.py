"""What is said of several runs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "Difference",
    "GroupMetric",
    "GroupReport",
    "HardBatch",
    "SeedOutlier",
    "SeedSet",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact that is not the same everywhere."""

    key: str
    """Area and name: `config.optimizer.lr`, `data`, `code.commit`, `environment.torch`,
    `hardware.device`."""
    values: Mapping[str, tuple[object, ...]]
    """Slug -> its value; several where a group's members differ, none where it is not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetric:
    """One metric's final values over the runs that differ in nothing but the seed."""

    name: str
    direction: str | None
    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None for n < 2."""
    ci95: tuple[float, float] | None = None
    """95 % t interval of the mean; None for n < 2."""
    values: Mapping[str, float]
    """slug -> final value of the runs that count."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """slug -> why that run's value does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardBatch:
    """Steps at which siblings stick out together: the data there, not the runs."""

    metric: str
    first_step: int
    last_step: int
    slugs: tuple[str, ...]
    """Members that stick out there."""
    recorded: int
    """Members that recorded the metric there."""
    height: float
    """Median over these members of the value there over the level around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOutlier:
    """A run whose final value is not that of its siblings."""

    slug: str
    metric: str
    value: float
    n: int
    """Runs it was judged among, itself included."""
    rule: str
    """What it was judged by; depends on `n`."""
    low: float
    """A value between these would be none."""
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSet:
    """Runs of a group that differ among themselves in nothing but the seed."""

    slugs: tuple[str, ...]
    settings: Mapping[str, object]
    """What sets them apart from the group's largest set: configuration key -> value."""
    metrics: tuple[GroupMetric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """Facts about siblings: shown on the group's page, never on a run's."""

    name: str
    slugs: tuple[str, ...]
    seeds: Mapping[str, int | None]
    seed_set: tuple[str, ...]
    """Slugs that differ in nothing but the seed; the largest such set."""
    further_sets: tuple[SeedSet, ...] = ()
    """The others of at least two runs."""
    found_by: str = ""
    """How: `configuration`, or `group` where none is recorded; empty where there is no set."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Slug of a member that is in no set -> why it is not in the largest."""
    metrics: tuple[GroupMetric, ...]
    differences: tuple[Difference, ...] = ()
    """What differs between all members, the seed and names of outputs aside."""
    warnings: tuple[str, ...] = ()
    """What to keep in mind when reading the mean, one sentence each."""
    hard_batches: tuple[HardBatch, ...] = ()
    outliers: tuple[SeedOutlier, ...] = ()
