"""Notes of people, and what the run belongs to."""

from __future__ import annotations

from runpages import markup
from runpages.model import Report

from .words import Fact, fact, group_slug

__all__ = ["lineage_section"]


def lineage_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "notes": [(n.author, n.time, n.kind, markup.notes(n.text)) for n in report.notes],
        "lineage": _lineage(report),
        "description": report.run.description,
    }


def _lineage(report: Report) -> list[Fact]:
    run = report.run
    group = f"../by/group/{group_slug(run.group)}/" if run.group else ""
    return [
        fact("Group", run.group, why="none", href=group),
        fact("Parent", run.parent, why="none recorded"),
        fact("Tags", ", ".join(run.tags), why="none"),
        *(Fact(label=link.label, value=link.url, href=markup.url(link.url)) for link in run.links),
    ]
