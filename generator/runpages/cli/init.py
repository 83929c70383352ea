"""`runpages init`: settings for a new or an existing MkDocs project."""

from __future__ import annotations

from pathlib import Path

import click

from runpages import builder

from .shell import emit, json_option, say

__all__ = ["init"]


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--logs", default="logs", show_default=True, help="Folder where the runs' logs lie.")
@json_option
def init(folder: Path, logs: str, as_json: bool) -> None:
    """Make FOLDER a site for run pages.

    In an existing MkDocs project it adds runpages.toml, one line under `plugins:` and a .gitignore
    entry; elsewhere it writes a new project. Files that exist are kept.
    """
    if (folder / "mkdocs.yml").is_file():
        written = builder.add_to_project(folder, logs=logs)
    else:
        written = builder.write_project(folder, title="Training runs", locations=(logs,))
    if as_json:
        emit("init", {"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path}")
    if not written:
        say(f"{folder}: nothing to do, it is set up")
    say("Next: runpages pull, runpages build, mkdocs build")
