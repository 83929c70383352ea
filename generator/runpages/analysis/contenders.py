"""What can be compared: a run, or the runs of a group that differ in nothing but the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runpages.model import Report

from .differences import without_seed
from .seeds import labels, left_out, seed_sets

__all__ = ["Contender", "group_contender", "run_contender"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One side of a comparison; at least one report."""

    slug: str
    name: str
    reports: tuple[Report, ...]
    is_group: bool = False
    warnings: tuple[str, ...] = ()
    """What was met when its members were chosen."""
    mixed: str = ""
    """Why the spread of its members is not that of seeds; empty if it is."""


def run_contender(report: Report) -> Contender:
    return Contender(slug=report.run.slug, name=report.run.name, reports=(report,))


def group_contender(name: str, slug: str, reports: Sequence[Report]) -> Contender:
    """The largest set of the group's runs that differ in nothing but the seed.

    Who is left out is said in `warnings`. Where no set is the largest all runs stay and `mixed`
    says that their spread is no seed spread.
    """
    sets = seed_sets(reports)
    first = sets[0]
    if len(sets) > 1 and len(first) == len(sets[1]):
        mixed = f"the runs of {name} differ in more than the seed"
        return Contender(
            slug=slug,
            name=name,
            reports=tuple(sorted(reports, key=lambda r: r.run.slug)),
            is_group=True,
            warnings=(f"{mixed}: name its runs instead, or put each setting into its own group",),
            mixed=mixed,
        )
    names = labels(reports)
    told = [f"{name}: {names[s]} is left out: {why}" for s, why in left_out(reports, first).items()]
    if len(first) > 1 and not without_seed(first[0].run):
        told.append(
            f"{name}: its runs record no configuration; that they are named together is all that"
            " says they are repeats"
        )
    return Contender(slug=slug, name=name, reports=first, is_group=True, warnings=tuple(told))
