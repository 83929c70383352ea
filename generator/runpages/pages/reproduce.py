"""What is needed to redo the run: each part with its value or what is missing, and the commands."""

from __future__ import annotations

from dataclasses import dataclass

from runpages import markup
from runpages.analysis.summary import flatten
from runpages.markup import Safe
from runpages.model import Needed, Report

from .words import Fact

__all__ = ["Redo", "reproduction", "settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """The section, ready to print."""

    lede: str
    commands: Safe | None
    facts: list[Fact]


def reproduction(report: Report) -> Redo:
    """Commands first; None where neither command nor commit was logged."""
    found = report.reproduction
    whole = len(found.items)
    lede = f"{found.recorded} of {whole} things that are needed to redo it were recorded."
    if found.recorded == whole:
        lede = f"All {whole} things that are needed to redo it were recorded."
    return Redo(
        lede=lede,
        commands=markup.pre(found.commands) if found.commands else None,
        facts=[_fact(item) for item in found.items],
    )


def settings(report: Report) -> list[tuple[str, str]]:
    """Key and value of each setting, the first thousand."""
    flat = flatten(dict(report.run.config))
    shown = {key: "n/a" if value is None else str(value)[:300] for key, value in flat.items()}
    return [(key, value) for key, value in shown.items() if key][:1000]


def _fact(item: Needed) -> Fact:
    label = item.name.capitalize()
    if not item.value:
        return Fact(label=label, value="", why=f"missing: {item.why}")
    if item.name == "command":
        return Fact(label=label, value="the last of the lines above")
    note = f"incomplete: {item.why}" if item.why else ""
    return Fact(label=label, value=item.value, note=note, mono=item.name == "commit")
