"""Dates in sitemap.xml: when a run ended, never when the site was built.

MkDocs writes the day of the build beside every page, so that each day all pages seem new and no two
builds have the same bytes (mkdocs/structure/pages.py, `update_date`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.structure.pages import Page
from mkdocs.utils import get_build_date

from runpages.config import Settings

__all__ = ["Dates", "undate_gzip"]

_MTIME = slice(4, 8)
"""Of a gzip header, RFC 1952 section 2.3; zeros say that there is none."""


class Dates:
    """Dates of pages while sitemap.xml is written; MkDocs needs its own afterwards."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._before: list[tuple[Page, str]] = []

    def put(self, files: Iterable[File]) -> None:
        """A run's page has the day on which it ended, others what a plugin told, or none."""
        ended = dict(_ended(self._settings))
        section = self._settings.site.section
        built = "" if "SOURCE_DATE_EPOCH" in os.environ else get_build_date()
        for file in files:
            page = file.page
            if page is None:
                continue
            self._before.append((page, page.update_date))
            slug = file.src_uri.removeprefix(f"{section}/").removesuffix(".md")
            if f"{section}/{slug}.md" == file.src_uri and slug in ended:
                page.update_date = ended[slug]
            elif page.update_date == built:
                page.update_date = ""

    def restore(self) -> None:
        for page, date in self._before:
            page.update_date = date
        self._before.clear()


def undate_gzip(site: Path) -> None:
    """sitemap.xml.gz without the time at which it was packed."""
    path = site / "sitemap.xml.gz"
    if path.is_file():
        data = bytearray(path.read_bytes())
        data[_MTIME] = bytes(4)
        path.write_bytes(data)


def _ended(settings: Settings) -> Iterator[tuple[str, str]]:
    """Slug and UTC day of the end of each run that has a page and a date."""
    try:
        data = json.loads((settings.section_path / "assets/index/runs.json").read_bytes())
    except FileNotFoundError:
        return
    columns = data["columns"]
    names = ("slug", "start", "elapsed_seconds")
    for slug, start, seconds in zip(*(columns[name]["values"] for name in names), strict=True):
        if isinstance(start, int | float):
            end = start + (seconds if isinstance(seconds, int | float) else 0)
            yield slug, datetime.fromtimestamp(end, UTC).date().isoformat()
