"""Built pages, kept from one build of the site to the next.

Each lies in a file whose name is the digest of all that it was made of, so there is no list that
could be wrong: what is found fits. The first line is the digest of the rest: a damaged file is
none.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from runpages.archive import write_atomically

__all__ = ["KeptPage", "PageCache"]

_FORMAT = "1"
"""Raised when what is kept of a page changes its meaning."""
_POLICY = "policy.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPage:
    """What the rest of the site needs to know of a page."""

    frame: str
    """Digest of what the page shows of other pages."""
    title: str | None
    meta: dict[str, Any]
    """Its front matter."""
    anchors: list[str]
    entries: list[dict[str, Any]]
    """Of the search."""
    scripts: list[str]
    """Sources for the policy."""


class PageCache:
    """Pages below `folder`, all made under one `site_key`; safe to delete."""

    def __init__(self, folder: Path, site_key: str) -> None:
        self._folder = folder
        self._site_key = site_key
        self._used: set[str] = set()

    def name(self, src_uri: str, source: bytes) -> str:
        """Of the page made of this Markdown."""
        digest = hashlib.sha256(f"{_FORMAT}\n{self._site_key}\n{src_uri}\n".encode())
        digest.update(source)
        return digest.hexdigest()[:40]

    def get(self, name: str) -> KeptPage | None:
        """The page of this name, if there is one and it is not damaged."""
        try:
            data = self._content(name)
        except FileNotFoundError:
            return None
        told, _, rest = data.partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != told:
            return None
        self._used.add(name)
        return KeptPage(**json.loads(rest.partition(b"\n")[0]))

    def html(self, name: str) -> str:
        """The page as MkDocs made it, all plugins' work included, without the content security
        policy. Read when it is written: all pages at once would be much memory."""
        return self._content(name).split(b"\n", 2)[2].decode()

    def put(self, name: str, page: KeptPage, html: str) -> None:
        head = json.dumps({field.name: getattr(page, field.name) for field in fields(page)})
        rest = head.encode() + b"\n" + html.encode()
        told = hashlib.sha256(rest).hexdigest().encode()
        path = self._folder / name[:2] / name[2:]
        write_atomically(path, told + b"\n" + rest, durable=False)
        self._used.add(name)

    def policy(self) -> str:
        """The content security policy of the last build; only a guess, as no page holds it."""
        try:
            return (self._folder / _POLICY).read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def keep_policy(self, meta: str) -> None:
        write_atomically(self._folder / _POLICY, meta.encode(), durable=False)

    def sweep(self) -> None:
        """Delete all that was neither asked for nor put."""
        for folder in self._folder.glob("??"):
            for name in os.listdir(folder):
                if folder.name + name not in self._used:
                    (folder / name).unlink()

    def _content(self, name: str) -> bytes:
        with open(f"{self._folder}/{name[:2]}/{name[2:]}", "rb") as stream:  # no Path: every page
            return stream.read()
