"""Pages about several runs: the index and the pages of groups."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runpages import markup, units
from runpages.model import GroupMetric, GroupReport, HardBatch, SeedOutlier, SeedSet

from .comparison import spread_text
from .document import plain
from .run import Page
from .svg import dots
from .table import STATE_WORDS as _STATES
from .table import table_rows as _rows
from .templating import render_template
from .words import group_slug

__all__ = ["render_group", "render_index"]

_MOST_COLUMNS = 12
_MOST_VALUES = 6
"""Final values in a cell; of more the extremes, the others in a fold."""
_MOST_DIFFERENCES = 200
_MOST_COMPARED = 50
"""Runs that the compare page is opened with."""
_NEWEST = 200
"""Rows of the index; the browse page has them all."""


class SiteFacts(Protocol):
    """What a page needs to know of the site."""

    @property
    def title(self) -> str: ...

    @property
    def section(self) -> str: ...


def render_index(rows: Sequence[Mapping[str, Any]], *, site: SiteFacts) -> Page:
    """The list of all runs, in the order given."""
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + 1
    summary = ", ".join(f"{n} {_STATES.get(s, s)}" for s, n in sorted(states.items()))
    needing = sum(1 for row in rows if row["events"]["critical"] or row["events"]["warning"])
    text = render_template(
        "index.md.jinja",
        title=markup.yaml(site.title),
        heading=site.title,
        rows=_rows(rows[:_NEWEST], "./"),
        more=units.count(len(rows) - _NEWEST) if len(rows) > _NEWEST else "",
        count=units.count(len(rows)),
        one=len(rows) == 1,
        summary=summary,
        needing=units.count(needing),
    )
    return Page(markdown=text.rstrip() + "\n", files={})


def render_group(group: GroupReport, rows: Sequence[Mapping[str, Any]], *, site: SiteFacts) -> Page:
    """Members of a group and what only the group can tell: mean and spread over seeds."""
    names = _names(rows)
    seeds = [str(s) for slug in group.seed_set if (s := group.seeds.get(slug)) is not None]
    unknown = len(group.seed_set) - len(seeds)
    text = render_template(
        "group.md.jinja",
        title=markup.yaml(f"Group {group.name}"),
        name=group.name,
        compare=f"../../../compare/?runs={','.join(group.slugs[:_MOST_COMPARED])}",
        rows=_rows([{**row, "group": "", "name": names[row["slug"]]} for row in rows], "../../../"),
        metrics=[_metric(metric, names) for metric in group.metrics],
        further=[row for one in group.further_sets for row in _further(one, names)],
        seed_count=len(group.seed_set),
        by_name=group.found_by == "group",
        seeds=", ".join(sorted(seeds, key=lambda s: (len(s), s))) or "not logged",
        unknown=f", {unknown} not logged" if unknown and seeds else "",
        warnings=group.warnings,
        outliers=[_outlier(found, names) for found in group.outliers],
        hard_batches=[_hard_batch(batch, names) for batch in group.hard_batches],
        left_out=[(names.get(slug, slug), why) for slug, why in group.left_out.items()],
        columns=[names.get(slug, slug) for slug in group.slugs[:_MOST_COLUMNS]],
        differences=_differences(group),
        more=units.count(len(group.slugs)) if len(group.slugs) > _MOST_COLUMNS else "",
    )
    path = f"{site.section}/groups/{group_slug(group.name)}.json"
    document = {"schema": "runpages.group/1", **plain(group)}
    return Page(markdown=text.rstrip() + "\n", files={path: markup.json_bytes(document)})


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Slug -> name without the folders that all share; the slug where two runs have one name."""
    told = [row["name"] for row in rows]
    beginning = os.path.commonprefix(told)  # noqa: RUF071  (cut at a slash: names are no paths)
    shared = len(beginning.rpartition("/")[0]) if len(told) > 1 else 0
    shown = [name[shared:].lstrip("/") for name in told]
    return {
        row["slug"]: row["slug"] if told.count(row["name"]) > 1 else name
        for row, name in zip(rows, shown, strict=True)
    }


def _metric(metric: GroupMetric, names: Mapping[str, str]) -> dict[str, Any]:
    """Mean and interval with the decimals that the spread gives meaning to."""
    interval, mean, sd = "n/a: no variance known", units.number(metric.mean, 5), "n/a"
    if metric.sd is not None:
        mean, sd = spread_text(metric.mean, metric.sd)
    if metric.ci95 is not None:
        low, high = (units.number(limit, 5) for limit in metric.ci95)
        interval = f"{low} to {high}"
    told = [
        f"{names.get(slug, slug)}: {units.number(value, 5)}"
        for slug, value in sorted(metric.values.items(), key=lambda item: item[1])
    ]
    return {
        "name": metric.name,
        "mean": mean,
        "sd": sd,
        "n": str(metric.n),
        "interval": interval,
        "dots": dots(list(metric.values.values()), label=f"final values of {metric.name}"),
        "values": ", ".join(told if len(told) <= _MOST_VALUES else (told[0], "…", told[-1])),
        "all_values": told if len(told) > _MOST_VALUES else [],
        "missing": "; ".join(
            f"{names.get(slug, slug)}: {why}" for slug, why in metric.missing.items()
        ),
    }


def _outlier(found: SeedOutlier, names: Mapping[str, str]) -> str:
    value, low, high = (units.number(v, 5) for v in (found.value, found.low, found.high))
    return (
        f"{names.get(found.slug, found.slug)}: {found.metric} ends at {value}, outside {low} to "
        f"{high} ({found.rule}, n = {found.n})"
    )


def _hard_batch(batch: HardBatch, names: Mapping[str, str]) -> dict[str, str]:
    steps = units.count(batch.first_step)
    if batch.last_step != batch.first_step:
        steps += f"–{units.count(batch.last_step)}"
    shown = [names.get(slug, slug) for slug in batch.slugs[:_MOST_COLUMNS]]
    more = len(batch.slugs) - len(shown)
    return {
        "steps": steps,
        "metric": batch.metric,
        "height": units.number(batch.height, 3),
        "runs": f"{len(batch.slugs)} of {batch.recorded}",
        "names": ", ".join(shown) + (f" and {more} more" if more > 0 else ""),
    }


def _further(found: SeedSet, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each metric of a set, the first with what sets it apart."""
    apart = ", ".join(f"{key} {value}"[:80] for key, value in found.settings.items())
    runs = ", ".join(names.get(slug, slug) for slug in found.slugs)
    rows = [_metric(metric, names) for metric in found.metrics]
    return [
        {**row, "apart": "" if number else apart or "no configuration", "runs": runs}
        for number, row in enumerate(rows)
    ]


def _differences(group: GroupReport) -> list[tuple[str, list[str]]]:
    return [
        (
            item.key,
            [
                ", ".join(str(v)[:200] for v in item.values[slug]) or "not logged"
                for slug in group.slugs[:_MOST_COLUMNS]
            ],
        )
        for item in group.differences[:_MOST_DIFFERENCES]
    ]
