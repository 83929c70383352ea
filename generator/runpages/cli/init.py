"""`runpages init`: settings for a new or an existing MkDocs project."""

from __future__ import annotations

from pathlib import Path

import click

from runpages import builder
from runpages.archive import BRANCH
from runpages.config import load_settings

from .shell import emit, json_option, say, warn

__all__ = ["init"]


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--logs", default="logs", show_default=True, help="Folder where the runs' logs lie.")
@click.option(
    "--ci",
    type=click.Choice(builder.CI_HOSTS),
    help="Also write the workflows with which this host's CI pulls, builds and publishes.",
)
@json_option
def init(folder: Path, logs: str, ci: str | None, as_json: bool) -> None:
    """Make FOLDER a site for run pages.

    In an existing MkDocs project it adds runpages.toml, one line under `plugins:` and a .gitignore
    entry; elsewhere it writes a new project. Files that exist are kept.
    """
    if ci:
        builder.check_top(folder)
    archive = builder.ARCHIVE_BRANCH if ci else "archive"
    if (folder / "mkdocs.yml").is_file():
        written = builder.add_to_project(folder, logs=logs, archive=archive)
    else:
        written = builder.write_project(
            folder, title="Training runs", locations=(logs,), archive=archive
        )
    if ci:
        written += _add_ci(folder, host=ci)
    if as_json:
        emit("init", {"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path}")
    if not written:
        say(f"{folder}: nothing to do, it is set up")
    say("Next: runpages pull, runpages build, mkdocs build")


def _add_ci(folder: Path, *, host: str) -> list[Path]:
    settings = load_settings(folder / "runpages.toml")
    location = settings.archive.location
    pages = settings.section_path.relative_to(settings.folder).as_posix()
    written = builder.add_ci(folder, host=host, pages=pages, archive=location)
    if not location.startswith(BRANCH):
        warn(
            f"runpages.toml: the archive is the folder {location!r}, which the jobs of a CI do not"
            f" share; write [archive] location = {builder.ARCHIVE_BRANCH!r}"
        )
    if host == "gitlab" and folder / ".gitlab-ci.yml" not in written:
        text = (folder / ".gitlab-ci.yml").read_text(encoding="utf-8")
        if ".gitlab/runpages.yml" not in text:
            warn(".gitlab-ci.yml is kept: add .gitlab/runpages.yml to its `include:`")
    return written
