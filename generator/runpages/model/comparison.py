"""What a comparison of runs or groups of runs says. Values only; nothing here is formatted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .group import Difference
from .quantity import Quantity

__all__ = ["Comparison", "FigureRow", "FindingRow", "Findings", "MetricRow", "Side", "SideValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run, or the runs of a group that differ in nothing but the seed."""

    slug: str
    """The run's slug, or the group's name in URLs."""
    name: str
    members: tuple[str, ...]
    """Slugs of its runs."""
    seeds: tuple[int | None, ...]
    """Of each member."""
    is_group: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SideValue:
    """A figure of one side."""

    value: Quantity
    """The final value of a run; the mean over a group."""
    n: int
    """Runs that count."""
    sd: Quantity
    """Sample standard deviation over them."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Slug -> why that run does not count."""


def _change(delta: Quantity, direction: str | None) -> str:
    if not delta.value or direction is None:
        return ""
    return "worse" if (delta.value > 0) == (direction == "lower") else "better"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of one side against the base."""

    name: str
    role: str | None
    direction: str | None
    """`lower`, `higher` or None where neither is better."""
    run: str
    """Slug of the side that is compared with the base."""
    values: Mapping[str, SideValue]
    """Slug -> value, of the base and of `run`."""
    delta: Quantity
    """`run` - base."""
    ci95: tuple[float, float] | None
    """95 % interval of `delta`."""
    p: Quantity
    p_holm: Quantity
    """Adjusted for all tests of the comparison."""
    effect: Quantity
    """Hedges g."""
    method: str = ""
    """`paired` or `welch`; empty where there is no test."""
    df: float | None = None
    sampling95: tuple[float, float] | None = None
    """95 % interval of `delta` by the number of the evaluation's examples alone: it says how sure
    the evaluation is, nothing of seeds. Of two single runs with known standard errors."""
    void: str = ""
    """Why the two values are not measured alike; empty if nothing says so."""

    @property
    def known(self) -> tuple[float, ...]:
        """Those of the two values that are known."""
        found = (side.value.value for side in self.values.values())
        return tuple(value for value in found if value is not None)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `not told apart`; empty where none can be given."""
        level = self.p_holm.value
        if level is None or self.direction is None or self.void or not self.delta.value:
            return ""
        if level >= 0.05:
            return "not told apart"
        return self.change

    @property
    def change(self) -> str:
        """`better` or `worse` by the bare difference; empty without a difference or a direction."""
        return _change(self.delta, self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """Cost, speed or size of all sides."""

    name: str
    unit: str
    direction: str | None
    values: Mapping[str, SideValue]
    deltas: Mapping[str, Quantity]
    """Slug -> side - base, of all but the base."""

    def change(self, slug: str) -> str:
        """`better` or `worse` by the bare difference; empty without a difference or a direction."""
        return _change(self.deltas[slug], self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Findings of one kind on one side."""

    count: int
    runs: int
    """Runs that have one."""
    steps: tuple[int, ...]
    """Where the first ones start."""
    why: str = ""
    """Why the kind was not judged; empty if it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    kind: str
    values: Mapping[str, Findings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A base and what is compared with it."""

    base: str
    """Slug of the side that the others are compared with."""
    sides: tuple[Side, ...]
    """The base first."""
    verdicts: Mapping[str, str]
    """Slug -> one sentence, of all but the base."""
    metrics: tuple[MetricRow, ...]
    tests: int
    """How many tests p_holm is adjusted for."""
    figures: tuple[FigureRow, ...]
    findings: tuple[FindingRow, ...]
    """Of the kinds that were found on some side."""
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
