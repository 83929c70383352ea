"""The archive: runs kept for ever, from which the site can always be rebuilt."""

from __future__ import annotations

from .files import locked, write_atomically
from .folder import Archive

__all__ = ["Archive", "locked", "write_atomically"]
