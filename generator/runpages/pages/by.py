"""Listings of runs by project, month, tag and dataset, and the overview of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from runpages import markup, units

from .dashboard import dashboard
from .listing import Entry, known
from .run import Page
from .table import table_rows
from .templating import render_template
from .words import group_slug

__all__ = ["NEWEST", "Listing", "listings", "month_of", "render_listing", "render_overview"]

NEWEST = 200
"""Rows of a listing; the table of the browse page shows the rest."""
_UNDATED = "no date"
_TITLES = {
    "project": "Project",
    "month": "Month",
    "tag": "Tag",
    "dataset": "Dataset",
    "group": "Group",
}
_FACETS = {"project": "project", "month": "month", "tag": "tags", "dataset": "datasets"}
"""Kind of listing -> the parameter of the browse page that selects its runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All runs that share a project, a month of start, a tag or a dataset."""

    kind: str
    name: str
    entries: tuple[Entry, ...]
    """Newest first."""

    @property
    def path(self) -> str:
        """Of its Markdown file, below the section."""
        slug = self.name.replace(" ", "-") if self.kind == "month" else group_slug(self.name)
        return f"by/{self.kind}/{slug}.md"


def month_of(row: Entry) -> str:
    """`2026-04` of the start in UTC, or `no date`."""
    start = known(row["start"])
    return _UNDATED if start is None else datetime.fromtimestamp(start, UTC).strftime("%Y-%m")


def listings(newest: Sequence[Entry]) -> list[Listing]:
    """Every listing that has a run; the runs keep the order in which they are given."""
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for row in newest:
        for kind, name in _places(row):
            found[kind, name].append(row)
    return [Listing(kind=k, name=n, entries=tuple(found[k, n])) for k, n in sorted(found)]


def _places(row: Entry) -> Iterable[tuple[str, str]]:
    yield "project", row["project"] or row["source"]
    yield "month", month_of(row)
    yield from (("tag", tag) for tag in row["tags"])
    yield from (("dataset", name) for name in row["datasets"])


def render_listing(listing: Listing) -> Page:
    """One listing; a project's begins with its dashboard."""
    shown = listing.entries[:NEWEST]
    more = len(listing.entries) - len(shown)
    text = render_template(
        "listing.md.jinja",
        title=markup.yaml(f"{_TITLES[listing.kind]} {listing.name}"),
        kind=_TITLES[listing.kind].lower(),
        name=listing.name,
        rows=table_rows(shown, "../../../"),
        count=_runs(len(listing.entries)),
        more=units.count(more) if more else "",
        browse="../../../browse/?" + urlencode({_FACETS[listing.kind]: listing.name}),
        board=dashboard(listing.entries, up="../../../") if listing.kind == "project" else "",
    )
    return Page(markdown=text.rstrip() + "\n", files={})


def render_overview(found: Sequence[Listing], groups: Mapping[str, int]) -> Page:
    """by/index.md: every listing with its number of runs; `groups` is name -> runs."""
    sections = []
    for kind in ("project", "month", "tag", "dataset"):
        chosen = [one for one in found if one.kind == kind]
        if kind == "month":
            chosen = sorted(chosen, key=lambda one: (one.name != _UNDATED, one.name), reverse=True)
        items = [_item(one) for one in chosen]
        sections.append({"title": f"By {kind}", "none": f"no run names a {kind}", "items": items})
    members = [
        {"href": f"./group/{group_slug(name)}/", "name": name, "count": _runs(number)}
        for name, number in sorted(groups.items())
    ]
    sections.append({"title": "By group", "none": "no run names a group", "items": members})
    text = render_template("by.md.jinja", title=markup.yaml("Runs by..."), sections=sections)
    return Page(markdown=text.rstrip() + "\n", files={})


def _item(one: Listing) -> dict[str, Any]:
    href = one.path.removeprefix("by/").removesuffix(".md")
    return {"href": f"./{href}/", "name": one.name, "count": _runs(len(one.entries))}


def _runs(number: int) -> str:
    return f"{units.count(number)} run{'' if number == 1 else 's'}"
