"""Addresses of a run's pages, where the site has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runpages import markup

__all__ = ["Links"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What `[site] url` makes of slugs; every address is empty without one that can be linked."""

    url: str = ""
    section: str = "runs"

    @property
    def _root(self) -> str:
        usable = markup.url(self.url) != "#" and not set(self.url) & set("()?#")
        return f"{self.url.strip().rstrip('/')}/{self.section}/" if usable else ""

    def page(self, slug: str, anchor: str = "") -> str:
        """The run's page, or a place on it."""
        place = f"#{anchor}" if anchor else ""
        return f"{self._root}{slug}/{place}" if self._root else ""

    def compare(self, slug: str, bases: Sequence[str]) -> str:
        """The compare page of the run with runs or groups, the first of them the base."""
        if not self._root or not bases:
            return ""
        return f"{self._root}compare/?runs={','.join((slug, *bases))}&base={bases[0]}"
