"""Builder: sources into the archive, the archive into the site's Markdown and data."""

from __future__ import annotations

from .assets import plotly_bundle
from .ci import ARCHIVE_BRANCH, CI_HOSTS, add_ci, check_top
from .levels import level_of
from .make import Built, archive_state, build, report_of, rows
from .outcome import Outcome, Pulled
from .project import add_to_project, write_project
from .pull import find_runs, pull
from .write import read_generated

__all__ = [
    "ARCHIVE_BRANCH",
    "CI_HOSTS",
    "Built",
    "Outcome",
    "Pulled",
    "add_ci",
    "add_to_project",
    "archive_state",
    "build",
    "check_top",
    "find_runs",
    "level_of",
    "plotly_bundle",
    "pull",
    "read_generated",
    "report_of",
    "rows",
    "write_project",
]
