"""What people say of the run, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runpages import markup, units
from runpages.markup import Safe
from runpages.model import Note, Report

from .words import Fact, fact, group_slug

__all__ = ["notes_section", "verdict"]

_SHOWN = 10
_VERDICT_CHARACTERS = 400
"""The head of the page has the first paragraph, a longer one cut; the notes have it in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    author: str
    when: str
    outcome: str
    words: Safe | None
    cut: bool = False
    others: str = ""
    """How many further verdicts and notes there are."""


def verdict(report: Report) -> _Said | None:
    """The newest verdict for the head of the page; None if nobody gave one."""
    verdicts = [note for note in report.notes if note.kind == "verdict"]
    if not verdicts:
        return None
    newest = verdicts[-1]
    first = newest.text.strip().split("\n\n")[0]
    if len(first) <= _VERDICT_CHARACTERS:
        said = _said(replace(newest, text=first), cut=first != newest.text.strip())
    else:
        shown = first[:_VERDICT_CHARACTERS].rsplit(None, 1)[0]
        said = _said(newest, words=markup.text(f"{shown} …"), cut=True)
    if len(verdicts) > 1:
        said = replace(said, others=f"newest of {units.count(len(verdicts))} verdicts")
    return said


def notes_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    spoken = [_said(note) for note in report.notes if note.kind != "rating"]
    return {
        "notes": spoken[-_SHOWN:],
        "earlier_notes": spoken[:-_SHOWN],
        "unreadable_notes": report.unreadable_notes,
        "lineage": _lineage(report),
        "description": report.run.description,
    }


def _said(note: Note, *, words: Safe | None = None, cut: bool = False) -> _Said:
    rendered = words or (markup.notes(note.text) if note.text.strip() else None)
    when = units.timestamp(note.moment.timestamp())
    return _Said(author=note.author, when=when, outcome=note.outcome, words=rendered, cut=cut)


def _lineage(report: Report) -> list[Fact]:
    run = report.run
    group = f"../by/group/{group_slug(run.group)}/" if run.group else ""
    return [
        fact("Group", run.group, why="none", href=group),
        fact("Parent", run.parent, why="none recorded"),
        fact("Tags", ", ".join(run.tags), why="none"),
        *(Fact(label=link.label, value=link.url, href=markup.url(link.url)) for link in run.links),
    ]
