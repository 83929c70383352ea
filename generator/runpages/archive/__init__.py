"""The archive: runs kept for ever, from which the site can always be rebuilt."""

from __future__ import annotations

from .branch import BRANCH, BranchArchive
from .files import locked, write_atomically
from .folder import Archive

__all__ = ["BRANCH", "Archive", "BranchArchive", "locked", "write_atomically"]
