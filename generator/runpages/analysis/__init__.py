"""Analysis: pure functions from a run to what can be said of it."""

from __future__ import annotations

from .detect import find_events
from .group import analyze_group
from .options import AnalysisOptions
from .report import analyze

__all__ = ["AnalysisOptions", "analyze", "analyze_group", "find_events"]
