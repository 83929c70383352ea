"""The command line: one verb a file; each translates its words into one call of the core."""

from __future__ import annotations

import click

from runpages import __version__

from .build import build
from .check import check
from .comment import comment
from .compare import compare_runs
from .demo import demo
from .doctor import doctor
from .init import init
from .list import list_runs
from .note import note
from .preview import preview
from .pull import pull
from .rate import rate
from .shell import RunpagesGroup
from .show import show
from .sources import sources
from .verdict import verdict
from .withdraw import withdraw

__all__ = ["main"]


@click.group(cls=RunpagesGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runpages")
def main() -> None:
    """Static, searchable pages that say what happened in each training run.

    Try `runpages preview PATH` on any folder of logs: it needs no configuration.
    """


_VERBS = (
    *(demo, preview, init, pull, build, list_runs, show, compare_runs),
    *(note, verdict, rate, withdraw),
    *(comment, check),
    *(sources, doctor),
)
for _verb in _VERBS:
    main.add_command(_verb)
