"""What all verbs share: errors become one line and an exit code, progress goes to stderr."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from runpages.errors import RunpagesError
from runpages.redact import redact_text

__all__ = [
    "FINDINGS",
    "OK",
    "PARTIAL",
    "RunpagesGroup",
    "config_option",
    "emit",
    "json_option",
    "print_commands",
    "progress_bar",
    "quiet_option",
    "say",
    "warn",
]

OK = 0
PARTIAL = 3
FINDINGS = 4
_SYSTEM_REFUSES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""A full or read-only disk, rights: no fault of ours or of a log."""

config_option = click.option(
    "-f",
    "--config",
    default="runpages.toml",
    show_default=True,
    help="Settings file.",
    type=click.Path(dir_okay=False),
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on standard output."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only errors.")


class RunpagesGroup(click.Group):
    """Turns our errors into `Error: <sentence>` and their exit code, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _tidied_up():
                return super().invoke(ctx)
        except RunpagesError as error:
            click.echo(f"Error: {_plain(redact_text(str(error))[0])}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno not in _SYSTEM_REFUSES:
                raise
            place = f"{error.filename}: " if error.filename else ""
            told = f"{place}{error.strerror}; what was done is kept, the same command does the rest"
            click.echo(f"Error: {_plain(redact_text(told)[0])}", err=True)
            ctx.exit(PARTIAL)
        except KeyboardInterrupt as error:
            number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
            said = "Stopped. What was done is kept; the same command does the rest."
            click.echo(said, err=True)
            ctx.exit(128 + number)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a verb as ctrl-C does."""


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


@contextmanager
def _tidied_up() -> Iterator[None]:
    """Temporary files and worker processes go also when the process is told to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _plain(text: str) -> str:
    """Foreign text on a terminal: no control characters (they could steer it)."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def say(text: str = "") -> None:
    """A result, on standard output."""
    click.echo(_plain(text))


def warn(text: str) -> None:
    """A remark, on standard error. Under GitHub Actions no line of it can be a command."""
    line = _plain(text).replace("\n", " ")
    click.echo(f" {line}" if line.startswith("::") else line, err=True)


def print_commands(lines: Iterable[str]) -> None:
    """Commands of GitHub Actions, on standard error: the runner reads them there as well, and
    results on standard output stay whole."""
    for line in lines:
        click.echo(_plain(line).replace("\n", " "), err=True)


def emit(verb: str, data: dict[str, object]) -> None:
    """The verb's JSON object."""
    document = {"schema": f"runpages.{verb}/1", **data}
    click.echo(json.dumps(document, allow_nan=False, ensure_ascii=True))


def _interactive() -> bool:
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


@contextmanager
def progress_bar(
    label: str, *, quiet: bool = False
) -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on stderr if that is a terminal; gives the function that moves it."""
    if quiet or not _interactive():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[item]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, item="")

        def move(done: int, total: int, item: str) -> None:
            bar.update(task, completed=done, total=total, item=escape(_plain(item))[:40])

        yield move
