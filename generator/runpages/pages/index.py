"""Pages about several runs: the index and the pages of groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runpages import markup, units
from runpages.model import GroupMetric, GroupReport, HardBatch, SeedOutlier, SeedSet

from .comparison import spread_text
from .document import plain
from .run import Page
from .svg import spark
from .templating import render_template
from .words import Chip, finding_chips, group_slug

__all__ = ["render_group", "render_index"]

_MOST_COLUMNS = 12
_MOST_DIFFERENCES = 200
_STATES = {"ended": "ended, no end marker", "running": "still running"}


class SiteFacts(Protocol):
    """What a page needs to know of the site."""

    @property
    def title(self) -> str: ...

    @property
    def section(self) -> str: ...


def _number(value: object) -> float | None:
    """A number of a list row; the names of NaN and infinities are not numbers to show."""
    return float(value) if isinstance(value, int | float) else None


def _rows(rows: Sequence[Mapping[str, Any]], up: str) -> list[dict[str, Any]]:
    """Rows ready to print. Runs of one name get as much of their ids as tells them apart."""
    alike: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        alike[row["name"]].append(row["id"])
    return [_row(row, up, apart=_apart(row["id"], alike[row["name"]])) for row in rows]


def _apart(run_id: str, others: Sequence[str]) -> str:
    """The shortest end of an id that no other one has; empty where there is no other."""
    if len(set(others)) < 2:
        return ""
    parts = run_id.split("/")
    for count in range(1, len(parts)):
        end = "/".join(parts[-count:])
        if sum(other == end or other.endswith(f"/{end}") for other in set(others)) == 1:
            return end
    return run_id


def _row(row: Mapping[str, Any], up: str, *, apart: str) -> dict[str, Any]:
    value, elapsed, steps = (_number(row[k]) for k in ("value", "elapsed_seconds", "steps"))
    start = _number(row["start"])
    state = _STATES.get(row["state"], row["state"])
    shown = "n/a" if value is None else units.number(value)
    return {
        "href": f"{up}{row['slug']}/",
        "name": row["name"],
        "apart": apart,
        "project": row["project"] or row["source"],
        "group": row["group"],
        "group_href": f"{up}by/group/{group_slug(row['group'])}/" if row["group"] else "",
        "state": state + (", incomplete" if row["incomplete"] else ""),
        "verdict": row["verdict"] or "none yet",
        "chips": _chips(row["events"]),
        "spark": spark(row["spark"], label=f"{row['metric'] or 'metric'} curve"),
        "value": row["value"] if isinstance(row["value"], str) else shown,
        "metric": row["metric"] or "no loss",
        "steps": "n/a" if steps is None else units.count(steps),
        "elapsed": "n/a" if elapsed is None else units.duration(elapsed),
        "date": "n/a" if start is None else units.day(start),
    }


def _chips(events: Mapping[str, int]) -> list[Chip]:
    return finding_chips(dict(events)) if any(events.values()) else []


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
        rows=_rows(rows, "./"),
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
        rows=_rows(rows, "../../../"),
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
    """Slug -> name; the slug itself where two runs have one name."""
    told = [row["name"] for row in rows]
    return {r["slug"]: r["slug"] if told.count(r["name"]) > 1 else r["name"] for r in rows}


def _metric(metric: GroupMetric, names: Mapping[str, str]) -> dict[str, Any]:
    """Mean and interval with the decimals that the spread gives meaning to."""
    interval, mean, sd = "n/a: no variance known", units.number(metric.mean, 5), "n/a"
    if metric.sd is not None:
        mean, sd = spread_text(metric.mean, metric.sd)
    if metric.ci95 is not None:
        low, high = (units.number(limit, 5) for limit in metric.ci95)
        interval = f"{low} to {high}"
    return {
        "name": metric.name,
        "mean": mean,
        "sd": sd,
        "n": str(metric.n),
        "interval": interval,
        "values": ", ".join(
            f"{names.get(slug, slug)}: {units.number(value, 5)}"
            for slug, value in metric.values.items()
        ),
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
