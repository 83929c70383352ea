"""`runpages list`: the runs that have a page."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runpages import builder
from runpages.config import load_settings

from .shell import config_option, emit, json_option, progress_bar, quiet_option, say

__all__ = ["list_runs"]


@click.command("list")
@config_option
@json_option
@quiet_option
def list_runs(config: str, as_json: bool, quiet: bool) -> None:
    """List the published runs of the archive, newest first."""
    settings = load_settings(config)
    with progress_bar("judging", quiet=quiet) as progress:
        rows = builder.rows(settings, progress=progress)
    if as_json:
        emit("list", {"runs": rows})
        return
    if not rows:
        say("The archive is empty; `runpages pull` reads runs into it.")
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "project", "state", "findings", "page"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (row["name"], row["project"], row["state"], _findings(row["events"]), row["slug"])
        table.add_row(*(Text(_printable(str(cell))) for cell in cells))
    console.print(table)


def _findings(events: dict[str, Any]) -> str:
    found = [f"{n} {severity}" for severity, n in events.items() if n]
    return ", ".join(found) or "none"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
