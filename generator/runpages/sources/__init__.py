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
from .scan import NOBODY_READS, TELEMETRY, Found, sniff
from .spool import Spool
from .table import SOURCES, Row, load_source, open_source

__all__ = [
    "NOBODY_READS",
    "SOURCES",
    "TELEMETRY",
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
