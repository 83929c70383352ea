"""`runpages preview`: a site from any folder of logs, without configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from runpages import builder
from runpages.archive import Archive
from runpages.builder import Pulled
from runpages.config import load_settings
from runpages.errors import UsageError

from .pull import report_outcomes
from .shell import PARTIAL, emit, json_option, progress_bar, quiet_option, say, warn
from .site import build_site, serve_command, serve_site

__all__ = ["preview"]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    "folder",
    default="runpages-preview",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the MkDocs project; its site is in DIR/site.",
)
@click.option("--serve", is_flag=True, help="Serve the site on this machine afterwards.")
@json_option
@quiet_option
@click.pass_context
def preview(
    ctx: click.Context,
    paths: tuple[str, ...],
    folder: Path,
    serve: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find every run below PATHS and build a site of them.

    A second preview into the same folder reads and builds only what changed. Runs that are still
    running are shown as they are now.
    """
    for path in paths:
        if not Path(path).exists():
            raise UsageError(f"{path}: there is no such file or folder")
    _project(folder, paths)
    settings = load_settings(folder / "runpages.toml")
    # what a host takes is no limit on this machine
    settings = replace(settings, site=replace(settings.site, max_mb=0))
    with progress_bar("reading", quiet=quiet) as progress:
        pulled = builder.pull(settings, running=True, progress=progress)
    with progress_bar("pages", quiet=quiet) as progress:
        built = builder.build(settings, progress=progress)
    report_outcomes(pulled, quiet=quiet)
    for slug, reason in built.failed:
        warn(f"no page: {slug}: {reason}")
    site = build_site(folder)
    if as_json:
        emit("preview", _document(pulled, Archive(settings.archive_path), site))
    else:
        pages = len(built.written) + len(built.unchanged)
        say(f"{pages} run pages ({len(built.written)} new or changed) in {site}")
        if not pages:
            say("No run was found: `runpages sources` lists what can be read.")
        say(f"Serve it: {serve_command(site)}")
    if serve:
        serve_site(site)
    if pulled.partial or built.failed:
        ctx.exit(PARTIAL)


def _project(folder: Path, paths: tuple[str, ...]) -> None:
    """Write the project anew with these paths; the archive and the cache stay."""
    settings = folder / "runpages.toml"
    marker = folder / ".runpages-preview"
    if settings.exists() and not marker.exists():
        raise UsageError(
            f"{settings}: this is no preview folder; choose another with -o, or use `runpages pull`"
        )
    settings.unlink(missing_ok=True)
    locations = tuple(str(Path(path).resolve()) for path in paths)
    builder.write_project(folder, title=f"Runs in {Path(locations[0]).name}", locations=locations)
    marker.touch()


def _document(pulled: Pulled, archive: Archive, site: Path) -> dict[str, object]:
    runs = []
    for outcome in pulled.outcomes:
        if outcome.status in {"written", "unchanged"}:
            run = archive.get(outcome.ref.slug)
            runs.append(
                {
                    "slug": run.slug,
                    "source": run.ref.kind,
                    "name": run.name,
                    "path": outcome.ref.location,
                    "state": run.state,
                    "points": sum(info.points for info in run.series.whole),
                }
            )
    skipped = [{"path": path, "reason": reason} for path, reason in pulled.skipped]
    skipped += [
        {"path": o.ref.location, "reason": o.reason}
        for o in pulled.outcomes
        if o.status in {"skipped", "failed"}
    ]
    return {"runs": runs, "skipped": skipped, "site": str(site)}
