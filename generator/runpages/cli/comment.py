"""`runpages comment`: what a review has to know of a run, printed or put there."""

from __future__ import annotations

import os

import click

from runpages.config import load_settings
from runpages.errors import UsageError
from runpages.review import (
    Brief,
    Links,
    as_markdown,
    as_text,
    brief,
    finding_commands,
    write_outputs,
    write_summary,
)

from .shell import config_option, emit, json_option, print_commands, warn
from .sides import Reviewed, reviewed

__all__ = ["actions_option", "baseline_option", "comment"]


def _in_step(_ctx: click.Context, _option: click.Parameter, value: bool) -> bool:
    """Said before anything is read or posted."""
    missing = [n for n in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT") if not os.environ.get(n)]
    if value and missing:
        raise UsageError(f"--actions: this is no step of GitHub Actions ({', '.join(missing)})")
    return value


baseline_option = click.option(
    "--baseline",
    default="",
    metavar="B",
    help="A run, a group or runs joined by commas; else the pinned baseline.",
)
actions_option = click.option(
    "--actions",
    is_flag=True,
    callback=_in_step,
    help="In a step of GitHub Actions: also its summary, outputs and annotations.",
)


@click.command()
@click.argument("run")
@baseline_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("markdown", "text")),
    default="markdown",
    show_default=True,
    help="For a code host, or plain lines for a chat.",
)
@click.option(
    "--post",
    type=click.Choice(("github", "gitlab")),
    help="Create or update one comment in the pull or merge request; the token is taken from "
    "GITHUB_TOKEN or GITLAB_TOKEN.",
)
@click.option("--pr", type=int, help="Its number, where the environment does not tell.")
@click.option(
    "--key", default="review", show_default=True, help="Comments of another key stay untouched."
)
@actions_option
@config_option
@json_option
def comment(
    run: str,
    baseline: str,
    form: str,
    post: str | None,
    pr: int | None,
    key: str,
    actions: bool,
    config: str,
    as_json: bool,
) -> None:
    """Print what a review has to know of RUN, in at most 4,000 characters; --post puts it there."""
    from runpages.review.hosts import HOSTS  # which needs requests
    from runpages.review.post import post_sticky

    settings = load_settings(config)
    thread = HOSTS[post](os.environ, number=pr) if post else None
    found = reviewed(settings, run, baseline=baseline)
    has_page = settings.publish.matches(found.report.run)
    links = Links(url=settings.site.url if has_page else "", section=settings.site.section)
    told = brief(found.report, found.comparison, links=links)
    markdown = as_markdown(told)
    text = as_text(told) if form == "text" else markdown
    document: dict[str, object] = {"run": told.slug, "format": form, "text": text}
    document |= {"page": told.page, "compare": told.compare}
    if thread is not None:
        posted = post_sticky(thread, markdown, key=key)
        document["posted"] = {"action": posted.action, "url": posted.url}
        warn(f"comment {posted.action} {posted.url}".rstrip())
    if actions:
        _tell_step(found, told, markdown)
    if as_json:
        emit("comment", document)
    else:
        click.echo(text, nl=False)


def _tell_step(found: Reviewed, told: Brief, markdown: str) -> None:
    write_summary(os.environ, markdown)
    counts = {"findings": str(len(found.report.events)), "run": told.slug}
    write_outputs(os.environ, {**counts, "page-url": told.page, "compare-url": told.compare})
    print_commands(finding_commands(found.report.events, name=told.name))
