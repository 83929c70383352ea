"""Who the run is: the first lines of its page."""

from __future__ import annotations

from runpages import markup, units
from runpages.model import Report

from .figures import key_figures
from .notes import verdict
from .story import story
from .words import Fact, event_counts, fact, finding_chips, group_slug, state_chip, title_of

__all__ = ["header_section"]

_ABOUT = 200
"""Characters: hosts show about as many."""


def header_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    run = report.run
    counts = event_counts(report.events)
    chips = finding_chips(counts, report.judgements) if run.series else []
    baseline = report.baseline.run if report.baseline else None
    compared = f"{run.slug},{baseline.slug}&base={baseline.slug}" if baseline else run.slug
    return {
        "title": markup.yaml(title_of(run)),
        "about": markup.yaml(_about(report)),
        "name": title_of(run),
        "slug": run.slug,
        "project": run.ref.project or run.ref.kind or run.ref.source,
        "state": state_chip(report),
        "chips": chips,
        "facts": _facts(report),
        "incomplete": run.incomplete,
        "baseline": baseline,
        "family": group_slug(run.group) if run.group else "",
        "compare": f"../compare/?runs={compared}",
        "story": story(report),
        "verdict": verdict(report),
        "figures": key_figures(report),
    }


def _about(report: Report) -> str:
    """What a search engine and the card of a link say of the page: state, then the story."""
    words = f"{state_chip(report).words.capitalize()}. {story(report)}".strip()
    return words if len(words) <= _ABOUT else words[:_ABOUT].rsplit(" ", 1)[0] + " …"


def _facts(report: Report) -> list[Fact]:
    run = report.run
    group = f"../by/group/{group_slug(run.group)}/" if run.group else ""
    started = units.timestamp(run.start) if run.start is not None else ""
    parameters = ""
    if report.parameters.value is not None:
        number, prefix = units.si(report.parameters.value)
        parameters = f"{number}{prefix} parameters"
    model = ", ".join(part for part in (run.model.architecture, parameters) if part)
    commit = run.code.commit[:10] + (" + changes" if run.code.dirty else "")
    baseline = report.baseline.run if report.baseline else None
    facts = [
        fact("Started", started, why="no clock in the log"),
        fact("Model", model),
        fact("Commit", commit if run.code.commit else "", mono=True),
        fact("Author", run.author),
        fact("Source", f"{run.ref.kind}, {run.ref.source}"),
    ]
    if group:
        facts.append(fact("Group", run.group, href=group))
    if baseline:
        facts.insert(0, fact("Baseline", baseline.name, href=f"../{baseline.slug}/"))
    return facts
