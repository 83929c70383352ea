"""`runpages note`: words about a run, kept beside it; and what the other assessments share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from runpages.config import load_settings
from runpages.errors import UsageError
from runpages.model import Note
from runpages.redact import redact_text

from .shell import config_option, emit, json_option, say, warn
from .show import find_slug

__all__ = ["author_option", "keep", "note"]

author_option = click.option(
    "--author",
    default="",
    metavar="NAME",
    help="Who says so; else git's user.name, else the name of the user.",
)


@click.command()
@click.argument("run")
@click.argument("text", required=False)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False), help="Read it here.")
@author_option
@config_option
@json_option
def note(
    run: str, text: str | None, path: str | None, author: str, config: str, as_json: bool
) -> None:
    """Write a note on RUN: TEXT in Markdown, else --file, else standard input."""
    said = Note(author=author, time="", kind="note", text=_words(text, path))
    keep(said, run, config=config, as_json=as_json)


def keep(said: Note, run: str, *, config: str, as_json: bool) -> None:
    """Write what was said into the archive, now and by its author or the user, and say where."""
    settings = load_settings(config)
    archive = settings.open_archive()
    slug = find_slug(archive, run)
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    text, secrets = redact_text(said.text)
    kept = replace(said, author=said.author.strip() or _user(), time=now, text=text)
    try:
        path = archive.add_note(slug, kept)
    except ValueError as error:
        raise UsageError(f"not kept: {error}") from error
    if secrets:
        warn(f"{secrets.total()} secret(s) in the text were replaced before it was kept")
    for sentence in archive.unreadable_notes(slug):
        warn(f"{slug}: {sentence}")
    if as_json:
        fields = {name: value for name, value in asdict(kept).items() if value not in {"", None}}
        emit(kept.kind, {"run": slug, "file": path.as_posix(), "note": fields})
    else:
        say(f"{path}: kept; `runpages build` shows it on the page of {slug}")


def _words(text: str | None, path: str | None) -> str:
    if text is not None and path is not None:
        raise UsageError("give the note as TEXT or as --file, not both")
    if path is not None:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    elif text is None or text == "-":
        if sys.stdin.isatty():
            raise UsageError("a note needs TEXT, --file PATH or standard input")
        text = sys.stdin.read()
    if not text.strip():
        raise UsageError("the note is empty")
    return text.strip()


def _user() -> str:
    name = _git_name() or os.environ.get("USER", "")
    if not name:
        raise UsageError("name yourself with --author")
    return name


def _git_name() -> str:
    """Empty where git is absent or knows no name."""
    command = ["git", "config", "user.name"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
