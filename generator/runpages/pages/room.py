"""What a run may weigh in the site, and how its files share it.

A light run has at most 8 files and 300 KB, a full one 60 files and 3 MB, its built page among them
(docs/reference/settings.md). What is measured here is Markdown and data, so the theme's frame of
the page is an allowance. Whatever does not fit is counted where it would stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LIGHT", "Room"]

_FRAME = 110_000
"""Of a page without its charts: Material's frame (20 KB) and our sections; a run with a hundred
findings, sixty metrics and two hundred settings has this much."""


@dataclass(frozen=True, slots=True)
class Room:
    files: int
    size: int
    """Bytes."""

    def without(self, files: Mapping[str, bytes]) -> Room:
        return Room(self.files - len(files), self.size - sum(map(len, files.values())))

    def takes(self, size: int) -> bool:
        return self.files > 0 and self.size >= size


LIGHT = Room(7, 300_000 - _FRAME)
"""Beside the page."""
