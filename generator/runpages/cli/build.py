"""`runpages build`: archive → Markdown and data."""

from __future__ import annotations

import click

from runpages import builder
from runpages.config import load_settings

from .shell import PARTIAL, config_option, emit, json_option, progress_bar, quiet_option, say, warn

__all__ = ["build"]


@click.command()
@config_option
@json_option
@quiet_option
@click.pass_context
def build(ctx: click.Context, config: str, as_json: bool, quiet: bool) -> None:
    """Write the run pages of what is in the archive; only what changed.

    Afterwards `mkdocs build` (or properdocs, zensical) makes the site.
    """
    settings = load_settings(config)
    with progress_bar("pages", quiet=quiet) as progress:
        built = builder.build(settings, progress=progress)
    if as_json:
        emit(
            "build",
            {
                "written": list(built.written),
                "unchanged": list(built.unchanged),
                "withdrawn": list(built.withdrawn),
                "failed": [{"ref": slug, "reason": reason} for slug, reason in built.failed],
                "remarks": [{"ref": slug, "reason": told} for slug, told in built.remarks],
            },
        )
    else:
        where = settings.section_path
        say(f"{len(built.written)} pages written, {len(built.unchanged)} unchanged, in {where}")
    for slug, reason in built.failed:
        warn(f"no page: {slug}: {reason}")
    for slug, told in built.remarks:
        warn(f"{slug}: {told}")
    if built.failed:
        ctx.exit(PARTIAL)
