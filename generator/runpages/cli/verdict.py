"""`runpages verdict`: what became of a run, in the judgement of a person."""

from __future__ import annotations

import click

from runpages.model import OUTCOMES, Note

from .note import author_option, keep
from .shell import config_option, json_option

__all__ = ["verdict"]


@click.command()
@click.argument("run")
@click.argument("outcome", type=click.Choice(OUTCOMES))
@click.argument("text", default="")
@author_option
@config_option
@json_option
def verdict(run: str, outcome: str, text: str, author: str, config: str, as_json: bool) -> None:
    """Say what became of RUN, with TEXT as the reason. The newest verdict counts, all are shown."""
    said = Note(author=author, time="", kind="verdict", outcome=outcome, text=text)
    keep(said, run, config=config, as_json=as_json)
