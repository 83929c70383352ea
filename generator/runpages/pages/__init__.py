"""Pages: a Report as Markdown, charts and data."""

from __future__ import annotations

from .comparison import (
    FIGURE_LABELS,
    comparison_json,
    difference_text,
    setting_text,
    value_text,
)
from .document import list_row, run_json
from .index import render_group, render_index
from .run import Page, render
from .words import group_slug

__all__ = [
    "FIGURE_LABELS",
    "Page",
    "comparison_json",
    "difference_text",
    "group_slug",
    "list_row",
    "render",
    "render_group",
    "render_index",
    "run_json",
    "setting_text",
    "value_text",
]
