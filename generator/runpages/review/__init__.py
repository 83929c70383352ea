"""Review: what a run has to say where its change is discussed."""

from __future__ import annotations

from .brief import Brief, brief
from .comment import MOST_CHARACTERS, as_markdown, as_text
from .links import Links

__all__ = ["MOST_CHARACTERS", "Brief", "Links", "as_markdown", "as_text", "brief"]
