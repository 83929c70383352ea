"""What is needed to redo the run: each part with its value or what is missing, and the commands."""

from __future__ import annotations

from dataclasses import dataclass

from runpages import markup, units
from runpages.analysis.summary import flatten
from runpages.markup import Safe
from runpages.model import Needed, Report

from .comparison import against_baseline
from .words import Fact

__all__ = ["reproduce_section"]

_SETTINGS = 200
"""Settings on the page, in the order in which they were logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redo:
    """The section, ready to print."""

    lede: str
    commands: Safe | None
    facts: list[Fact]
    missing: list[str]
    """`commit: which code ran is not known`."""


def reproduce_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    config = _config(report)
    return {
        "against": against_baseline(report),
        "config": config[:_SETTINGS],
        "config_left": units.count(len(config) - _SETTINGS) if len(config) > _SETTINGS else "",
        "reproduce": _redo(report),
    }


def _config(report: Report) -> list[tuple[str, str]]:
    flat = flatten(dict(report.run.config))
    return [(key, _shown(value)) for key, value in flat.items() if key]


def _shown(value: object) -> str:
    return str(value)[:300]  # None was recorded: no clipping, no limit


def _redo(report: Report) -> _Redo:
    """Commands first; None where neither command nor commit was logged."""
    found = report.reproduction
    whole = len(found.items)
    lede = f"{found.recorded} of {whole} things that are needed to redo it were recorded."
    if found.recorded == whole:
        lede = f"All {whole} things that are needed to redo it were recorded."
    return _Redo(
        lede=lede,
        commands=markup.pre(found.commands) if found.commands else None,
        facts=[_fact(item) for item in found.items if item.value],
        missing=[f"{item.name}: {item.why}" for item in found.items if not item.value],
    )


def _fact(item: Needed) -> Fact:
    label = item.name.capitalize()
    if item.name == "command":
        return Fact(label=label, value="the last of the lines above")
    note = f"incomplete: {item.why}" if item.why else ""
    return Fact(label=label, value=item.value, note=note, mono=item.name == "commit")
