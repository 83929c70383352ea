"""Analysis: pure functions from a run to what can be said of it."""

from __future__ import annotations

from .compare import compare
from .contenders import Contender, group_contender, run_contender
from .detect import find_events
from .differences import siblings
from .group import analyze_group
from .options import AnalysisOptions
from .report import analyze

__all__ = [
    "AnalysisOptions",
    "Contender",
    "analyze",
    "analyze_group",
    "compare",
    "find_events",
    "group_contender",
    "run_contender",
    "siblings",
]
