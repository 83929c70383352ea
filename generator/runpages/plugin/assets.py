"""Data of runs on its way into the site: links instead of copies, past MkDocs' own list."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from mkdocs.structure.files import Files

__all__ = ["link_assets"]


def link_assets(files: Files, folder: str, *, generated: Collection[str]) -> int:
    """Put each generated file below `folder` into the site and take it off `files`; how many.

    Pages name these files in HTML, which MkDocs does not follow.
    """
    ours = [one for one in files if one.src_uri.startswith(folder) and one.src_uri in generated]
    made: set[str] = set()
    for file in ours:
        files.remove(file)
        if file.inclusion.is_excluded():
            continue
        # plain strings: 80,000 files
        source, target = f"{file.src_dir}/{file.src_uri}", f"{file.dest_dir}/{file.dest_uri}"
        place = target.rpartition("/")[0]
        if place not in made:
            Path(place).mkdir(parents=True, exist_ok=True)
            made.add(place)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
    return len(ours)
