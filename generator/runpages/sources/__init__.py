"""Sources: one tracker or format a file; they do not see each other."""

from __future__ import annotations

from .contract import (
    UNREADABLE,
    Claim,
    FileSource,
    Folder,
    ServerSource,
    Source,
    settled_state,
)
from .scan import Found, sniff
from .spool import Spool
from .table import SOURCES, Row, load_source, open_source

__all__ = [
    "SOURCES",
    "UNREADABLE",
    "Claim",
    "FileSource",
    "Folder",
    "Found",
    "Row",
    "ServerSource",
    "Source",
    "Spool",
    "load_source",
    "open_source",
    "settled_state",
    "sniff",
]
