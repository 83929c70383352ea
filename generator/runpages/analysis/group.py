"""analyze_group: what can only be said of several runs together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from runpages.model import GroupMetric, GroupReport, Report

from .roles import LOSSES, direction_of
from .summary import flatten

__all__ = ["analyze_group"]

_SEED_KEYS = ("seed", "random_seed", "rng_seed", "data_seed")


def analyze_group(reports: Sequence[Report]) -> GroupReport:
    """Members, the largest set that differs in nothing but the seed, and its mean and sd.

    sd is the sample standard deviation (n - 1); with one run there is none.
    """
    ordered = sorted(reports, key=lambda r: r.run.slug)
    sets: dict[str, list[Report]] = defaultdict(list)
    for report in ordered:
        sets[_without_seed(report)].append(report)
    largest = max(sets.values(), key=len, default=[])
    seed_set = largest if len(largest) > 1 else []
    return GroupReport(
        name=ordered[0].run.group if ordered else "",
        slugs=tuple(r.run.slug for r in ordered),
        seeds={r.run.slug: r.run.seed for r in ordered},
        seed_set=tuple(r.run.slug for r in seed_set),
        metrics=_metrics(seed_set),
    )


def _without_seed(report: Report) -> str:
    flat = flatten(dict(report.run.config))
    kept = {k: v for k, v in flat.items() if k.rpartition(".")[2].lower() not in _SEED_KEYS}
    return json.dumps(kept, sort_keys=True, default=str)


def _metrics(members: Sequence[Report]) -> tuple[GroupMetric, ...]:
    if not members:
        return ()
    shared = [
        name
        for name, summary in members[0].metrics.items()
        if summary.role is not None
        and (summary.role in LOSSES or direction_of(summary.role))
        and all(name in m.metrics for m in members)
    ]
    out = []
    for name in shared:
        values = {m.run.slug: m.metrics[name].final for m in members}
        finite = np.array([v for v in values.values() if np.isfinite(v)])
        if not len(finite):
            continue
        out.append(
            GroupMetric(
                name=name,
                direction=direction_of(members[0].metrics[name].role),
                n=len(finite),
                mean=float(finite.mean()),
                sd=float(finite.std(ddof=1)) if len(finite) > 1 else None,
                values=values,
            )
        )
    return tuple(out)
