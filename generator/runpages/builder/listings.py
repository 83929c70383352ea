"""The index pages and files: all that a new run changes beside its own page and its group's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runpages.config import SiteSettings
from runpages.markup import json_bytes
from runpages.model import GroupReport, Report
from runpages.pages import Page, render_index
from runpages.pages.browse import render_browse
from runpages.pages.by import Listing, listings, render_listing, render_overview
from runpages.pages.columns import index_files
from runpages.pages.compare_page import comparing_rules, render_compare
from runpages.pages.feed import render_feed, render_llms
from runpages.pages.listing import Entry

__all__ = ["index_pages", "listing_file", "seed_set_of"]


def listing_file(listing: Listing) -> bytes:
    """The Markdown of one listing."""
    return render_listing(listing).markdown.encode()


def index_pages(
    newest: Sequence[Entry],
    seed_sets: Sequence[Mapping[str, Any]],
    *,
    site: SiteSettings,
    listing: Callable[[Listing], bytes] = listing_file,
) -> dict[str, bytes]:
    """Path below the section -> bytes, of everything that is made of all runs; newest first.

    `listing` may remember what `listing_file` gave.
    """
    found = listings(newest)
    groups = Counter(row["group"] for row in newest if row["group"])
    pages: dict[str, Page] = {
        "index.md": render_index(newest, site=site),
        "browse.md": render_browse(newest),
        "compare.md": render_compare(groups),
        "by/index.md": render_overview(found, groups),
    }
    files = {path: page.markdown.encode() for path, page in pages.items()}
    files.update((one.path, listing(one)) for one in found)
    files["assets/index/comparing.json"] = json_bytes(comparing_rules())
    files["feed.xml"] = render_feed(newest, site=site)
    files["llms.txt"] = render_llms(newest, site=site)
    return {**files, **index_files(newest, seed_sets)}


def seed_set_of(group: GroupReport, reports: Sequence[Report]) -> dict[str, Any]:
    """What lists show of a group's seed set: the figures of the group's own page."""
    if not group.seed_set:
        return {}
    primary = next((r.primary for r in reports if r.run.slug == group.seed_set[0]), None)
    metric = next((m for m in group.metrics if m.name == primary), None)
    return {
        "group": group.name,
        "members": list(group.seed_set),
        "metric": primary,
        "mean": metric.mean if metric else None,
        "sd": metric.sd if metric else None,
        "n": metric.n if metric else 0,
    }
