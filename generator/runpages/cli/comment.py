"""`runpages comment`: what a review has to know of a run."""

from __future__ import annotations

import click

from runpages.config import load_settings
from runpages.review import Links, as_markdown, as_text, brief

from .shell import config_option, emit, json_option
from .sides import reviewed

__all__ = ["comment"]


@click.command()
@click.argument("run")
@click.option("--baseline", default="", metavar="B", help="A run or a group; else the pinned one.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("markdown", "text")),
    default="markdown",
    show_default=True,
    help="For a code host, or plain lines for a chat.",
)
@config_option
@json_option
def comment(run: str, baseline: str, form: str, config: str, as_json: bool) -> None:
    """Print what a review has to know of RUN, in at most 4,000 characters."""
    settings = load_settings(config)
    found = reviewed(settings, run, baseline=baseline)
    links = Links(url=settings.site.url, section=settings.site.section)
    told = brief(found.report, found.comparison, links=links)
    text = as_text(told) if form == "text" else as_markdown(told)
    if as_json:
        emit("comment", {"run": told.slug, "format": form, "text": text, "page": told.page})
    else:
        click.echo(text, nl=False)
