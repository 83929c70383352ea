"""Pages: a Report as Markdown, charts and data."""

from __future__ import annotations

from .comparison import comparison_json
from .document import list_row, run_json
from .index import render_group, render_index
from .run import Page, render
from .words import group_slug

__all__ = [
    "Page",
    "comparison_json",
    "group_slug",
    "list_row",
    "render",
    "render_group",
    "render_index",
    "run_json",
]
