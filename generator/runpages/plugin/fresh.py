"""A site is built beside the one that is there, and takes its place when it is complete.

Whatever ends a build before that, the old site stays as it was. Where no folder can be put beside
the site (it is a mount, or its parent is read-only), MkDocs builds in place as it does without us.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["FreshSite"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Linux, renameat2(2): two paths change places in one step."""


class FreshSite:
    """`folder` is built into; `publish` or `discard` ends it."""

    def __init__(self, site: Path) -> None:
        self.site = site.resolve()  # a link stays one
        self.folder = self.site.with_name(f".{self.site.name}.new")
        self._old = self.site.with_name(f".{self.site.name}.old")

    def possible(self) -> bool:
        parent = self.site.parent
        while not parent.exists():
            parent = parent.parent
        return os.access(parent, os.W_OK) and not self.site.is_mount()

    def begin(self) -> None:
        """Put right what a build that was killed has left."""
        if self._old.exists():
            if not self.site.exists():
                self._old.rename(self.site)
            self._drop(self._old)
        self._drop(self.folder)
        self.folder.mkdir(parents=True)

    def publish(self) -> None:
        if not self.site.exists():
            self.folder.rename(self.site)
        elif _exchange(self.folder, self.site):
            self._drop(self.folder)
        else:
            self.site.rename(self._old)
            self.folder.rename(self.site)
            self._drop(self._old)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop(self, folder: Path) -> None:
        """Delete it; what MkDocs leaves alone in a site (.git, .nojekyll) moves to the site."""
        if not folder.exists():
            return
        if self.site.is_dir():
            for path in folder.glob(".*"):
                if not (self.site / path.name).exists():
                    path.rename(self.site / path.name)
        shutil.rmtree(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Whether the system could do it."""
    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        paths = (os.fsencode(one), os.fsencode(other))
        return bool(call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)
    return False
