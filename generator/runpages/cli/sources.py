"""`runpages sources`: what can be read."""

from __future__ import annotations

import click

from runpages.errors import MissingExtraError
from runpages.sources import SOURCES, load_source

from .shell import emit, json_option, say

__all__ = ["sources"]


@click.command()
@json_option
def sources(as_json: bool) -> None:
    """List the logs and trackers that runpages can read."""
    rows = []
    for name, row in SOURCES.items():
        try:
            load_source(name)
            missing = ""
        except MissingExtraError as error:
            missing = str(error)
        rows.append({"name": name, "reads": row.reads, "missing": missing})
    if as_json:
        emit("sources", {"sources": rows})
        return
    for item in rows:
        say(f"{item['name']:<14} {item['missing'] or item['reads']}")
