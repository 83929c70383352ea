"""`runpages show`: one run in the terminal."""

from __future__ import annotations

import json

import click

from runpages import builder
from runpages.archive import Archive
from runpages.config import load_settings
from runpages.errors import UnknownNameError, UsageError
from runpages.pages import run_json

from .shell import config_option, json_option, say, warn

__all__ = ["find_slug", "show"]

_LEVELS = {
    "full": "full, with the finer levels of its charts",
    "light": "light, without finer levels of its charts",
    "": "no page ([publish] include leaves it out)",
}


@click.command()
@click.argument("run")
@config_option
@json_option
def show(run: str, config: str, as_json: bool) -> None:
    """Show what is known of RUN: a slug, the beginning of one, or a run's name."""
    settings = load_settings(config)
    archive = settings.open_archive()
    report = builder.report_of(settings, find_slug(archive, run))
    if as_json:
        click.echo(json.dumps(run_json(report), allow_nan=False, ensure_ascii=True))
        return
    document = run_json(report)
    say(f"{document['name']}  ({document['slug']})")
    say(f"on the site: {_LEVELS[builder.level_of(settings, report.run.slug)]}")
    say(f"state {document['state']}, source {document['source']}, project {document['project']}")
    for key, figure in document["figures"].items():
        value, unit, why = (figure.get(part, "") for part in ("value", "unit", "why"))
        say(f"  {key:<28} " + (f"n/a: {why}" if value is None else f"{value} {unit}"))
    for note in report.notes:
        if note.kind != "rating":
            said = f"{note.kind} {note.outcome}".strip()
            say(f"  {said} by {note.author}, {note.time}: {note.text or 'no reason given'}")
    for ratings in document["ratings"]:
        say(f"  rated {ratings['mean']:.3g} on {ratings['scale']}, {ratings['n']} ratings")
    for sentence in report.unreadable_notes:
        warn(sentence)
    for event in report.events:
        say(f"  [{event.severity}] {event.message}")
    if not report.events:
        say("  no findings")


def find_slug(archive: Archive, name: str) -> str:
    """The one slug that `name` means. Raises UnknownNameError or UsageError."""
    slugs = archive.slugs()
    if name in slugs:
        return name
    found = [slug for slug in slugs if slug.startswith(name)]
    if len(found) != 1:
        # `baseline` is the run of this name also where `baseline-seed1` begins with it
        found = [slug for slug in slugs if archive.get(slug).name == name] or found
    if not found:
        raise UnknownNameError("run", name, slugs[:20])
    if len(found) > 1:
        raise UsageError(f"{name!r} means {len(found)} runs: {', '.join(found[:10])}")
    return found[0]
