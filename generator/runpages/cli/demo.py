"""`runpages demo`: train small real models, log them, and build their site."""

from __future__ import annotations

from pathlib import Path

import click

from runpages import builder
from runpages.config import load_settings

from .pull import report_outcomes
from .shell import progress_bar, quiet_option, say
from .site import build_site, serve_command, serve_site

__all__ = ["demo"]


@click.command()
@click.argument("folder", default="build/demo", type=click.Path(file_okay=False, path_type=Path))
@click.option("--serve", is_flag=True, help="Serve the site on this machine afterwards.")
@quiet_option
def demo(folder: Path, serve: bool, quiet: bool) -> None:
    """Train a family of small models here and build the site of their runs in FOLDER.

    Needs no account and no network: real training in numpy, logged through W&B (offline),
    TensorBoard and a plain run directory, then read back from those logs.
    """
    from runpages.demo import train_all

    logs = folder / "logs"
    if not logs.is_dir():
        say("Training eight small language models (about a minute)")
        train_all(logs, report=lambda line: None if quiet else say(f"  {line}"))
    builder.write_project(folder, title="runpages demo", locations=("logs",), settle_minutes=0)
    settings = load_settings(folder / "runpages.toml")
    with progress_bar("reading", quiet=quiet) as progress:
        pulled = builder.pull(settings, progress=progress)
    report_outcomes(pulled, quiet=quiet)
    with progress_bar("pages", quiet=quiet) as progress:
        built = builder.build(settings, progress=progress)
    site = build_site(folder)
    say(f"{len(built.written) + len(built.unchanged)} run pages in {site}")
    say(f"Serve it: {serve_command(site)}")
    if serve:
        serve_site(site)
