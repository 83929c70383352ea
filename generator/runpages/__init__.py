"""runpages: static, searchable pages that say what happened in each training run.

`import runpages` is cheap: the names below are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Archive": "runpages.archive",
    "analyze": "runpages.analysis",
    "analyze_group": "runpages.analysis",
    "build": "runpages.builder",
    "find_events": "runpages.analysis",
    "open_source": "runpages.sources",
    "render": "runpages.pages",
    "sniff": "runpages.sources",
}

__all__ = [
    "Archive",
    "analyze",
    "analyze_group",
    "build",
    "find_events",
    "open_source",
    "render",
    "sniff",
]

if TYPE_CHECKING:
    from .analysis import analyze, analyze_group, find_events
    from .archive import Archive
    from .builder import build
    from .pages import render
    from .sources import open_source, sniff


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'runpages' has no attribute {name!r}")
