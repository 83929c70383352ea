"""A finished page, and what a page needs to know of the site around it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Page", "SiteFacts", "group_slug"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Markdown of one page and the data files beside it."""

    markdown: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """POSIX path relative to docs_dir -> bytes; the Markdown itself is not among them."""


class SiteFacts(Protocol):
    """The part of the settings that pages print."""

    @property
    def title(self) -> str: ...

    @property
    def section(self) -> str: ...


def group_slug(name: str) -> str:
    """The group's name in URLs: at most 40 readable characters, then 6 hex digits of its sha256."""
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:6]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{readable}-{digest}" if readable else f"group-{digest}"
