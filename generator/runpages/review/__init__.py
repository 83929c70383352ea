"""Review: what a run has to say where its change is discussed."""

from __future__ import annotations

from .actions import annotation, finding_commands, write_outputs, write_summary
from .brief import Brief, brief
from .check import FAIL_ON, Checked, CheckOptions, check
from .comment import MOST_CHARACTERS, as_markdown, as_text
from .companions import COMPANIONS, companions
from .hosts import HOSTS
from .links import Links
from .post import Posted, post_sticky

__all__ = [
    "COMPANIONS",
    "FAIL_ON",
    "HOSTS",
    "MOST_CHARACTERS",
    "Brief",
    "CheckOptions",
    "Checked",
    "Links",
    "Posted",
    "annotation",
    "as_markdown",
    "as_text",
    "brief",
    "check",
    "companions",
    "finding_commands",
    "post_sticky",
    "write_outputs",
    "write_summary",
]
