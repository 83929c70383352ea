"""The search of the built site: the theme's own for small sites, Pagefind behind its dialog else.

Both know the same of a page, the entries of the theme's index. For Pagefind they are taken out of
it, as the theme loads its index whole on every page, and put into bundles of which a query fetches
a few files. The dialog, its keys and instant navigation are the theme's; what changes is the worker
that it asks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runpages.config import Settings
from runpages.errors import SearchError
from runpages.pages.templating import template_folder

from .shards import LISTS, PAGES, shard_names, write_shards

__all__ = ["prepare_search"]

log = logging.getLogger("mkdocs.plugins.runpages")

_INDEX = "search/search_index.json"
_WORKERS = "assets/javascripts/workers"


def prepare_search(site: Path, settings: Settings) -> None:
    """Make the search of the site in `site` ours; another theme's is left as it is.

    Raises SearchError if the settings ask for Pagefind and there is none.
    """
    workers = sorted((site / _WORKERS).glob("search.*.min.js"))
    if not workers or not (site / _INDEX).is_file():
        return
    starts = _starts(settings)
    wanted = settings.site.search
    if wanted == "pagefind" or (wanted == "auto" and len(starts) >= settings.site.pagefind_from):
        try:
            _use_pagefind(site, settings, starts)
        except SearchError as error:
            if wanted == "pagefind":
                raise
            log.warning("the theme's own search is used for %d runs: %s", len(starts), error)
        else:
            for worker in workers:
                worker.write_text(_script("search-pagefind.js"), encoding="utf-8")
            return
    ours = _script("search-material.js")
    for worker in workers:
        theirs = worker.read_text(encoding="utf-8")
        if not theirs.startswith(ours):
            worker.write_text(ours + theirs, encoding="utf-8")


def _script(name: str) -> str:
    """What is asked is read by the same rule, whoever answers."""
    folder = template_folder() / "plugin"
    parts = [(folder / part).read_text(encoding="utf-8") for part in ("search-words.js", name)]
    return "".join(parts)


def _starts(settings: Settings) -> dict[str, float | None]:
    """Slug -> start of each run that has a page, newest first."""
    try:
        data = json.loads((settings.section_path / "assets/index/runs.json").read_bytes())
    except FileNotFoundError:
        return {}
    columns = data["columns"]
    slugs, starts = columns["slug"]["values"], columns["start"]["values"]
    return dict(reversed(list(zip(slugs, starts, strict=True))))


def _use_pagefind(site: Path, settings: Settings, starts: Mapping[str, float | None]) -> None:
    index = site / _INDEX
    data: dict[str, Any] = json.loads(index.read_bytes())
    section = settings.site.section + "/"
    names = shard_names(starts)
    age = {slug: number for number, slug in enumerate(starts)}

    def slug(location: str) -> str:
        page = location.partition("#")[0].removeprefix(section)
        return page.removesuffix("/").removesuffix(".html") if page != location else ""

    def shard_of(location: str) -> str:
        ours = LISTS if location.startswith(section) else PAGES
        return names.get(slug(location), ours)

    entries = sorted(data["docs"], key=lambda e: (age.get(slug(e["location"]), 0), e["location"]))
    shards = write_shards(
        entries,
        site,
        settings.cache_path / "search",
        shard_of=shard_of,
        said=lambda name: log.debug("search: indexing %s", name),
    )
    data["config"]["shards"] = [[one.name, one.digest, one.entries] for one in shards]
    told = json.dumps({"config": data["config"], "docs": []}, separators=(",", ":"))
    index.write_text(told, encoding="utf-8")
