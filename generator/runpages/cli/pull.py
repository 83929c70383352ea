"""`runpages pull`: runs → archive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click

from runpages import builder
from runpages.builder import Pulled
from runpages.config import load_settings
from runpages.errors import StrictError, UnknownNameError, UnreachableError, UsageError
from runpages.sources import NOBODY_READS

from .shell import PARTIAL, config_option, emit, json_option, progress_bar, quiet_option, say, warn

__all__ = ["pull", "report_outcomes"]


@click.command()
@click.argument("source", required=False)
@click.option("--run", "only", default="", help="Only the run with this id or slug.")
@click.option("--since", metavar="DATE", help="Leave out runs that ended before (YYYY-MM-DD).")
@click.option("--all", "again", is_flag=True, help="Read runs again whose files have not changed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read.")
@click.option("--strict", is_flag=True, help="End with exit code 4 if a secret had to be redacted.")
@config_option
@json_option
@quiet_option
@click.pass_context
def pull(
    ctx: click.Context,
    source: str | None,
    only: str,
    since: str | None,
    again: bool,
    dry_run: bool,
    strict: bool,
    config: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read new runs from the configured sources into the archive.

    SOURCE limits it to one source, by the name (or location) in runpages.toml. Runs that are known
    are not read again; runs that are still running are listed and left for the next time.
    """
    settings = load_settings(config)
    if source:
        chosen = tuple(s for s in settings.source if source == (s.name or s.location))
        if not chosen:
            known = {s.name or s.location for s in settings.source}
            raise UnknownNameError("source", source, known)
        settings = replace(settings, source=chosen)
    with progress_bar("reading", quiet=quiet) as progress:
        pulled = builder.pull(
            settings,
            again=again,
            only=only,
            since=_day(since),
            dry_run=dry_run,
            progress=progress,
        )
    if only and not (pulled.outcomes or pulled.unreachable or pulled.unlisted):
        raise UsageError(f"no source has a run with the id or slug {only!r}")
    if as_json:
        emit("pull", _document(pulled))
    else:
        verb = "would be read" if dry_run else "new or changed"
        say(f"{len(pulled.slugs('written'))} {verb}, {len(pulled.slugs('unchanged'))} unchanged")
    report_outcomes(pulled, quiet=quiet)
    redacted = sum(outcome.redacted for outcome in pulled.outcomes)
    if strict and redacted:
        raise StrictError(f"{redacted} secrets were found in the runs (redacted in the archive)")
    if pulled.unanswered:
        ctx.exit(UnreachableError.exit_code)
    if pulled.partial:
        ctx.exit(PARTIAL)


def report_outcomes(pulled: Pulled, *, quiet: bool = False) -> None:
    """One sentence on stderr for everything that is not as it should be."""
    for sentence in pulled.unreachable:
        warn(sentence)
    for _, sentence in pulled.unlisted:
        warn(sentence)
    for outcome in pulled.outcomes:
        if outcome.status == "failed" or (outcome.reason and not quiet):
            warn(f"{outcome.status}: {outcome.reason}")
        if not quiet:
            for sentence in outcome.warnings:
                warn(f"{outcome.ref.slug}: {sentence}")
    if not quiet:
        for path, reason in pulled.skipped:
            if not reason.startswith(NOBODY_READS):
                warn(f"not read: {path}: {reason}")


def _document(pulled: Pulled) -> dict[str, object]:
    return {
        "written": list(pulled.slugs("written")),
        "unchanged": list(pulled.slugs("unchanged")),
        "withdrawn": [],
        "skipped": [{"ref": o.ref.slug, "reason": o.reason} for o in pulled.of("skipped")],
        "failed": [
            *({"ref": o.ref.slug, "reason": o.reason} for o in pulled.of("failed")),
            *({"ref": source, "reason": reason} for source, reason in pulled.unlisted),
        ],
        "unreachable": list(pulled.unreachable),
    }


def _day(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise UsageError(f"--since {text}: a date like 2026-04-30 was expected") from error
