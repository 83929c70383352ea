"""Light and full runs: which keep the finer levels of their charts; and what a site may weigh.

A page does not know its run's level: it has the same bytes in both. The browser learns it, when a
reader zooms in, from a list of all full runs, which a new run changes as it changes every index.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runpages.archive import Archive
from runpages.config import Settings
from runpages.errors import RunpagesError, SiteSizeError
from runpages.markup import json_bytes

__all__ = ["check_size", "choose_full", "full_list", "level_of"]

_LIST = "assets/index/full.json"
_ROOM = 0.9
"""Part of `max_mb` that our files may fill: MkDocs adds the frame of each page and its search,
about 20 KB a run with Material (measured on a site of 60 runs)."""
_NAMED = 5
"""Runs that the error names."""


def choose_full(
    begun: Mapping[str, float | None], *, settings: Settings, archive: Archive
) -> frozenset[str]:
    """The full ones of the runs to be published (slug -> start): the newest, the pinned baseline
    and those with a verdict. Runs without a date are the oldest."""
    newest = sorted(begun, key=lambda slug: (begun[slug] is None, -(begun[slug] or 0.0), slug))
    full = set(newest[: settings.site.full_runs])
    full |= {settings.baseline.default} & begun.keys()
    for slug in newest[settings.site.full_runs :]:
        if any(note.kind == "verdict" for note in archive.notes(slug)):
            full.add(slug)
    return frozenset(full)


def level_of(settings: Settings, slug: str) -> str:
    """`full` or `light`, as the next build makes it; empty for a run that is not published."""
    archive = settings.open_archive(refresh=False)
    begun: dict[str, float | None] = {}
    for one in archive.slugs():
        with suppress(RunpagesError):  # a damaged record has no page; `build` reports it
            run = archive.get(one)
            if settings.publish.matches(run):
                begun[one] = run.start
    if slug not in begun:
        return ""
    return "full" if slug in choose_full(begun, settings=settings, archive=archive) else "light"


def full_list(slugs: Iterable[str]) -> dict[str, bytes]:
    """The file that tells the browser which runs have finer levels."""
    return {_LIST: json_bytes({"schema": "runpages.full/1", "slugs": sorted(slugs)})}


def check_size(
    section: Path, files: Mapping[str, bytes], unchanged: Collection[str], *, max_mb: int
) -> None:
    """Raises SiteSizeError if the section would hold more than 90 % of `max_mb`; 0 = no limit."""
    sizes = {path: os.stat(f"{section}/{path}").st_size for path in unchanged}
    sizes |= {path: len(data) for path, data in files.items()}
    total = sum(sizes.values())
    if not max_mb or total <= _ROOM * max_mb * 1_000_000:
        return
    runs: Counter[str] = Counter()
    for path, size in sizes.items():
        match PurePosixPath(path).parts:
            case ("assets", "runs", slug, *_):
                runs[slug] += size
    for slug in runs:
        runs[slug] += sizes.get(f"{slug}.md", 0)
    raise SiteSizeError(section, total, max_mb, runs.most_common(_NAMED))
