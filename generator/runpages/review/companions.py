"""Files beside a run's page for whoever links to it: card, badge, and its words as text."""

from __future__ import annotations

from collections.abc import Mapping

from runpages.analysis import compare, run_contender
from runpages.markup import json_bytes
from runpages.model import Report
from runpages.pages.words import event_counts, finding_chips, state_chip

from .brief import brief
from .card import draw_card
from .comment import as_markdown
from .links import Links

__all__ = ["COMPANIONS", "badge", "companions"]

_COLOURS = {"crit": "red", "warn": "orange", "info": "blue", "good": "brightgreen"}
COMPANIONS = ("badge.json", "card.png", "run.txt")


def companions(report: Report, *, links: Links) -> Mapping[str, bytes]:
    """Name -> bytes. `run.txt` is Markdown: MkDocs would make a page of a file that says so."""
    base = report.baseline
    met = compare(run_contender(base), [run_contender(report)]) if base else None
    return {
        "badge.json": json_bytes(badge(report)),
        "card.png": draw_card(report),
        "run.txt": as_markdown(brief(report, met, links=links)).encode(),
    }


def badge(report: Report) -> dict[str, object]:
    """The form that shields.io's endpoint badge reads (shields.io/badges/endpoint-badge)."""
    chips = finding_chips(event_counts(report.events), report.judgements)
    state = state_chip(report)
    worst = state.style if state.style in {"crit", "warn"} else chips[0].style
    verdict = next((n.outcome for n in reversed(report.notes) if n.kind == "verdict"), "")
    words = [state.words, *(chip.words for chip in chips)]
    return {
        "schemaVersion": 1,
        "label": f"run: {verdict}" if verdict else "run",
        "message": ", ".join(words),
        "color": _COLOURS.get(worst, "lightgrey"),
    }
