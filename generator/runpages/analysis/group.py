"""analyze_group: what can only be said of several runs together."""

from __future__ import annotations

from collections.abc import Sequence

from runpages.model import GroupReport, Report, SeedSet

from .differences import differences, without_seed
from .hard_batches import hard_batches
from .outliers import seed_outliers
from .roles import EVALUATIONS, LOSSES
from .seeds import group_metric, left_out, seed_sets, set_warnings, shared_metrics

__all__ = ["analyze_group"]


def analyze_group(reports: Sequence[Report]) -> GroupReport:
    """Members, the sets that differ in nothing but the seed, and their means and sds.

    The largest set is the group's own; findings about seeds are made of it. Members that record
    no configuration are such a set by their group's name alone.
    """
    ordered = sorted(reports, key=lambda r: r.run.slug)
    sets = seed_sets(ordered)
    seed_set = sets[0] if sets and len(sets[0]) > 1 else ()
    metrics = [group_metric(seed_set, name) for name in shared_metrics(seed_set)]
    known = tuple(metric for metric in metrics if metric)
    apart = differences({r.run.slug: (r,) for r in ordered}, but_seeds=True)
    further = tuple(_further(members, seed_set) for members in sets[1:] if len(members) > 1)
    shown = {slug for each in further for slug in each.slugs}
    return GroupReport(
        name=ordered[0].run.group if ordered else "",
        slugs=tuple(r.run.slug for r in ordered),
        seeds={r.run.slug: r.run.seed for r in ordered},
        seed_set=tuple(r.run.slug for r in seed_set),
        further_sets=further,
        found_by=_found_by(seed_set),
        left_out={s: why for s, why in left_out(ordered, seed_set).items() if s not in shown},
        metrics=known,
        differences=apart if len(ordered) > 1 else (),
        warnings=set_warnings(seed_set),
        hard_batches=hard_batches(ordered),
        outliers=seed_outliers([m for m in known if _is_result(seed_set[0], m.name)]),
    )


def _is_result(report: Report, name: str) -> bool:
    """What the seed decides; the speed of a run is its machine's."""
    return report.metrics[name].role in LOSSES | EVALUATIONS


def _found_by(seed_set: Sequence[Report]) -> str:
    if not seed_set:
        return ""
    return "configuration" if without_seed(seed_set[0].run) else "group"


def _further(members: Sequence[Report], largest: Sequence[Report]) -> SeedSet:
    sides = {members[0].run.slug: members, largest[0].run.slug: largest}
    settings = {
        found.key.removeprefix("config."): found.values[members[0].run.slug]
        for found in differences(sides, but_seeds=True)
        if found.key.startswith("config.")
    }
    metrics = [group_metric(members, name) for name in shared_metrics(members)]
    return SeedSet(
        slugs=tuple(r.run.slug for r in members),
        settings={key: values[0] if values else None for key, values in settings.items()},
        metrics=tuple(metric for metric in metrics if metric),
    )
