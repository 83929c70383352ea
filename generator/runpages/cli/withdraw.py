"""`runpages withdraw`: take a run back; its page says so from then on."""

from __future__ import annotations

import click

from runpages.config import load_settings
from runpages.errors import UsageError
from runpages.redact import redact_text

from .shell import config_option, emit, json_option, say
from .show import find_slug

__all__ = ["withdraw"]


@click.command()
@click.argument("run")
@click.option("--reason", required=True, help="Why; stands where the page was.")
@config_option
@json_option
def withdraw(run: str, reason: str, config: str, as_json: bool) -> None:
    """Delete RUN's data from the archive for good and keep the reason in its place.

    It is not pulled again. In an archive on a branch, git's history still holds the data.
    """
    archive = load_settings(config).open_archive()
    slug = find_slug(archive, run)
    told = redact_text(reason.strip())[0]
    if not told:
        raise UsageError("--reason is empty")
    archive.withdraw(slug, told)
    if as_json:
        emit("withdraw", {"run": slug, "reason": told})
    else:
        say(f"{slug}: withdrawn; `runpages build` puts the reason in the place of its page")
