"""browse.md: the newest runs as a table, over which rp-browse.js lays one of all runs."""

from __future__ import annotations

from collections.abc import Sequence

from runpages import markup, units

from .dashboard import has_baseline, needs_verdict, regressed
from .listing import Entry
from .run import Page
from .table import table_rows
from .templating import render_template

__all__ = ["render_browse"]

_NEWEST = 25
"""Rows that the page holds itself: each costs every reader layout before the script takes over."""


def render_browse(newest: Sequence[Entry]) -> Page:
    """The page without its data; `newest` holds all runs, newest first."""
    shown = newest[:_NEWEST]
    lede = f"All {units.count(len(newest))} runs, newest first."
    if len(shown) < len(newest):
        lede = (
            f"The newest {units.count(len(shown))} of {units.count(len(newest))} runs;"
            " the table of all needs JavaScript."
        )
    text = render_template(
        "browse.md.jinja",
        title=markup.yaml("All runs"),
        rows=table_rows(shown, "../"),
        lede=lede,
        needing=units.count(sum(map(needs_verdict, newest))),
        worse=units.count(sum(map(regressed, newest))) if has_baseline(newest) else "",
    )
    return Page(markdown=text.rstrip() + "\n", files={})
