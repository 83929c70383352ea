"""Review: what a run has to say where its change is discussed.

What draws (`companions`) and what talks to hosts (`hosts`, `post`) is imported from its own module:
settings are read without them.
"""

from __future__ import annotations

from .actions import annotation, finding_commands, write_outputs, write_summary
from .brief import Brief, brief
from .check import FAIL_ON, Checked, CheckOptions, check
from .comment import MOST_CHARACTERS, as_markdown, as_text
from .links import Links

__all__ = [
    "FAIL_ON",
    "MOST_CHARACTERS",
    "Brief",
    "CheckOptions",
    "Checked",
    "Links",
    "annotation",
    "as_markdown",
    "as_text",
    "brief",
    "check",
    "finding_commands",
    "write_outputs",
    "write_summary",
]
