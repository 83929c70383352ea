"""Runs that differ in nothing but the seed: which they are, and which of their values count."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from runpages import units
from runpages.model import Difference, GroupMetric, MetricSummary, Report

from .differences import differences, same, without_seed
from .roles import EVALUATIONS, LOSSES, direction_of
from .statistics import spread

__all__ = [
    "TOLD",
    "count_members",
    "group_metric",
    "labels",
    "seed_sets",
    "set_warnings",
    "shared_metrics",
]

TOLD = LOSSES | EVALUATIONS
"""Roles that say how good the model is; tests are made of these alone."""
_NEAR_END = 0.9
"""Part of the longest curve that a run without an end of its own must reach to count."""


def seed_sets(reports: Sequence[Report]) -> list[tuple[Report, ...]]:
    """The sets of equal configuration but for the seed, largest first, each by slug.

    Runs without any configuration are one set: they must be siblings for another reason.
    """
    sets: dict[str, list[Report]] = defaultdict(list)
    for report in sorted(reports, key=lambda r: r.run.slug):
        sets[without_seed(report.run)].append(report)
    return sorted(map(tuple, sets.values()), key=lambda members: -len(members))


def count_members(members: Sequence[Report], name: str) -> tuple[dict[str, float], dict[str, str]]:
    """Slug -> final value of the runs that count, and slug -> why a run does not.

    A run counts if the metric's last value is finite and it went to the end: the longest of
    the set, or its own if its log says that it finished. Dropping the ones that diverged would
    make a recipe look better than it is, so they are named.
    """
    found = [m.metrics[name].last_step for m in members if name in m.metrics]
    end = max(found, default=0)
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    for member in members:
        why = _why_not(member, member.metrics.get(name), end)
        if why:
            missing[member.run.slug] = why
        else:
            values[member.run.slug] = member.metrics[name].final
    return values, missing


def _why_not(report: Report, summary: MetricSummary | None, end: int) -> str:
    state = report.run.state
    if summary is None:
        return "not logged" + (f" ({state})" if state not in {"finished", "ended"} else "")
    if not math.isfinite(summary.last) or not math.isfinite(summary.final):
        return f"its last value is {units.number(summary.last)}"
    if state != "finished" and summary.last_step < _NEAR_END * end:
        word = "no end marker" if state == "ended" else state
        return f"only to step {summary.last_step:,} of {end:,} ({word})"
    return ""


def shared_metrics(members: Sequence[Report], *, roles: frozenset[str] | None = None) -> list[str]:
    """Names with a better direction that at least two of the runs have (or the only run has)."""
    counts: dict[str, int] = defaultdict(int)
    for member in members:
        for name, summary in member.metrics.items():
            wanted = summary.role in roles if roles is not None else direction_of(summary.role)
            counts[name] += bool(wanted)
    return [name for name, count in counts.items() if count >= min(2, len(members))]


def group_metric(members: Sequence[Report], name: str) -> GroupMetric | None:
    """Mean and spread of the values that count; None if none does."""
    values, missing = count_members(members, name)
    if not values:
        return None
    found = spread(list(values.values()))
    role = next(m.metrics[name].role for m in members if name in m.metrics)
    return GroupMetric(
        name=name,
        direction=direction_of(role),
        n=found.n,
        mean=found.mean,
        sd=found.sd,
        ci95=found.ci95,
        values=values,
        missing=missing,
    )


def labels(reports: Sequence[Report]) -> dict[str, str]:
    """Slug -> name; the slug itself where two runs have one name."""
    names = [r.run.name for r in reports]
    return {r.run.slug: r.run.slug if names.count(r.run.name) > 1 else r.run.name for r in reports}


def unfinished(reports: Sequence[Report]) -> list[str]:
    """A sentence for each run that did not end well, or whose records are not all there."""
    names = labels(reports)
    out = []
    for report in reports:
        run, name = report.run, names[report.run.slug]
        if run.state in {"failed", "crashed", "killed", "running"}:
            state = "still running" if run.state == "running" else run.state
            out.append(f"{name} is not a finished run: {state}")
        out += [f"{name} is incomplete: {why}" for why in run.incomplete]
    return out


def set_warnings(members: Sequence[Report]) -> tuple[str, ...]:
    """What makes the members of a set less alike than their configuration says."""
    told = unfinished(members)
    if len(members) < 2:
        return tuple(told)
    seeds = [m.run.seed for m in members if m.run.seed is not None]
    for seed in sorted({s for s in seeds if seeds.count(s) > 1}):
        told.append(f"seed {seed} was run {seeds.count(seed)} times: not independent seeds")
    apart = differences({m.run.slug: (m,) for m in members}, but_seeds=True)
    keys = [d.key for d in apart if _contradicts(d)]
    if keys:
        more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
        told.append(f"the runs also differ in {', '.join(keys[:6])}{more}")
    return tuple(told)


def left_out(reports: Sequence[Report], seed_set: Sequence[Report]) -> dict[str, str]:
    """Slug -> in which settings a member differs from the set."""
    if not seed_set:
        return {}
    first = seed_set[0]
    out = {}
    for report in reports:
        if any(report is member for member in seed_set):
            continue
        pair = {first.run.slug: (first,), report.run.slug: (report,)}
        keys = [d.key.removeprefix("config.") for d in differences(pair, but_seeds=True)]
        settings = [k for k in keys if not k.startswith(("code.", "environment.", "hardware."))]
        out[report.run.slug] = f"differs in {', '.join(settings[:6]) or 'its configuration'}"
    return out


def _contradicts(difference: Difference) -> bool:
    """Whether two runs record unlike values: what a tracker leaves out contradicts nothing."""
    known = [value for values in difference.values.values() for value in values]
    return any(not same(value, known[0]) for value in known[1:])
