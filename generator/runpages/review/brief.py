"""What a review has to know of a run, in words: the same for every form that it is told in.

The words are those of the run page and of `runpages compare`; none of them is escaped yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from runpages import units
from runpages.analysis.compare import COMPARED_FIGURES
from runpages.analysis.seeds import TOLD
from runpages.model import Comparison, MetricRow, Note, Report, Side
from runpages.pages import FIGURE_LABELS, difference_text, setting_text, value_text
from runpages.pages.words import (
    event_counts,
    finding_chips,
    finding_title,
    group_slug,
    quantity,
    state_chip,
    title_of,
)

from .links import Links

__all__ = ["Brief", "Found", "Row", "brief"]

MOST_METRICS = 8
_WORST = 3
_COSTS = ("elapsed_seconds", "device_hours", "usd", "goodput_percent")
_ARROWS = {"lower": "↓", "higher": "↑", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A metric or a figure of the run, and of the base if there is one."""

    name: str
    arrow: str
    """Which way is better."""
    value: str
    base: str = ""
    difference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding."""

    severity: str
    title: str
    message: str
    href: str
    """Of its place on the page; empty where the site has no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A run as a reviewer meets it."""

    slug: str
    name: str
    state: str
    findings: str
    """How many of which severity."""
    verdict: Note | None
    """The newest verdict that a person gave."""
    sentence: str
    base: str = ""
    """What it is compared with; empty if with nothing."""
    warnings: tuple[str, ...] = ()
    metrics: tuple[Row, ...] = ()
    """At most eight: what the run is judged by first, what is known on both sides before."""
    metrics_left: int = 0
    costs: tuple[Row, ...] = ()
    worst: tuple[Found, ...] = ()
    worst_left: int = 0
    differences: tuple[tuple[str, str, str], ...] = ()
    """(setting, this run, base)."""
    page: str = ""
    compare: str = ""


def brief(report: Report, comparison: Comparison | None = None, *, links: Links) -> Brief:
    """`comparison` has the run as its only side beside the base."""
    run = report.run
    counts = event_counts(report.events)
    rows = tuple(_compared(report, comparison) if comparison else _own(report))
    return Brief(
        slug=run.slug,
        name=title_of(run),
        state=state_chip(report).words + (", incomplete" if run.incomplete else ""),
        findings=", ".join(c.words for c in finding_chips(counts, report.judgements)),
        verdict=next((n for n in reversed(report.notes) if n.kind == "verdict"), None),
        sentence=comparison.verdicts[run.slug] if comparison else _ended(report),
        base=comparison.sides[0].name if comparison else "",
        warnings=comparison.warnings if comparison else run.incomplete,
        metrics=rows[:MOST_METRICS],
        metrics_left=len(rows[MOST_METRICS:]),
        costs=tuple(_costs(report, comparison)),
        worst=tuple(
            Found(
                severity=event.severity,
                title=finding_title(event),
                message=event.message,
                href=links.page(run.slug, f"event-{event.id}"),
            )
            for event in report.events[:_WORST]
        ),
        worst_left=len(report.events[_WORST:]),
        differences=tuple(_differences(report, comparison)) if comparison else (),
        page=links.page(run.slug),
        compare=links.compare(run.slug, _linked(comparison.sides[0])) if comparison else "",
    )


def _differences(report: Report, comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """What both sides recorded and recorded otherwise first, the environment's packages last."""
    own, base = report.run.slug, comparison.base
    for item in sorted(
        comparison.differences,
        key=lambda d: (not (d.values[own] and d.values[base]), d.key.startswith("environment.")),
    ):
        yield item.key, setting_text(item.values[own]), setting_text(item.values[base])


def _linked(base: Side) -> tuple[str, ...]:
    """Slugs by which the compare page knows the base: a set of one's own has no name there."""
    is_own = base.is_group and base.slug != group_slug(base.name)
    return base.members if is_own or not base.is_group else (base.slug,)


def _ended(report: Report) -> str:
    summary = report.metrics.get(report.primary or "")
    if summary is None:
        return "No loss, reward or evaluation was logged."
    if summary.final != summary.final:
        return f"{summary.name} holds no finite value."
    ended = f"{summary.name} ended at {units.number(summary.final)} {summary.unit}".rstrip()
    return f"{ended}; compared with nothing."


def _order(report: Report, name: str, *, known: bool) -> tuple[bool, bool, bool]:
    role = report.metrics[name].role if name in report.metrics else None
    return (not known, name != report.primary, role not in {"val_loss", "loss"})


def _compared(report: Report, comparison: Comparison) -> Iterator[Row]:
    primary = report.metrics.get(report.primary or "")
    if primary is not None and primary.name not in [row.name for row in comparison.metrics]:
        # a reward is no figure of a model's quality that `compare` tests
        yield from (
            replace(row, base="not compared", difference="n/a")
            for row in _own(report)
            if row.name == primary.name
        )
    rows = sorted(
        comparison.metrics, key=lambda row: _order(report, row.name, known=row.delta.known)
    )
    for row in rows:
        yield Row(
            name=row.name,
            arrow=_ARROWS[row.direction],
            value=value_text(row.values[report.run.slug]) + _error(report, row.name),
            base=value_text(row.values[comparison.base]),
            difference=_difference(row),
        )


def _difference(row: MetricRow) -> str:
    """With the interval that the comparison knows, and what it is made of."""
    shown = partial(units.difference, of=row.known)
    text = difference_text(row.delta, "" if row.void else row.change, shown)
    if row.delta.value is None:
        return text
    interval, how = row.ci95, ""
    if row.ci95 is None:
        interval, how = row.sampling95, ", by its examples alone"
    elif row.p_holm.value is not None:
        how = f", p = {units.number(row.p_holm.value, 2)}"
    if interval is not None:
        low, high = (units.number(limit, 3) for limit in interval)
        text += f" (95 %: {low} to {high}{how})"
    return f"{text}, not measured alike" if row.void else text


def _error(report: Report, name: str) -> str:
    summary = report.metrics.get(name)
    if summary is None or summary.standard_error is None:
        return ""
    return f" ± {units.number(summary.standard_error, 2)} (standard error)"


def _own(report: Report) -> Iterator[Row]:
    told = [
        name for name, one in report.metrics.items() if one.role in TOLD or name == report.primary
    ]
    for name in sorted(told, key=lambda name: _order(report, name, known=True)):
        summary = report.metrics[name]
        value = f"{units.number(summary.final)} {summary.unit}".rstrip()
        yield Row(name=name, arrow=_ARROWS[summary.direction], value=value + _error(report, name))


def _costs(report: Report, comparison: Comparison | None) -> Iterator[Row]:
    rows = {row.name: row for row in comparison.figures} if comparison else {}
    for name, direction, read in COMPARED_FIGURES:
        if name not in _COSTS:
            continue
        label, shown = FIGURE_LABELS[name]
        if comparison:
            row = rows[name]
            yield Row(
                name=label,
                arrow=_ARROWS[direction],
                value=value_text(row.values[report.run.slug], shown),
                base=value_text(row.values[comparison.base], shown),
                difference=difference_text(
                    row.deltas[report.run.slug], row.change(report.run.slug), shown
                ),
            )
        else:
            given = read(report)
            told = quantity(label, given, value="" if given.value is None else shown(given.value))
            value = told.value if given.known else f"n/a: {told.why}"
            yield Row(name=label, arrow=_ARROWS[direction], value=value)
