"""A comparison as text: tables on a terminal, the same without colour in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runpages import units
from runpages.model import Comparison, Findings, MetricRow, Quantity, Side
from runpages.pages import FIGURE_LABELS, difference_text, setting_text, value_text

__all__ = ["print_comparison"]

_PIPE_WIDTH = 240
"""Columns where nobody looks: no cell is folded."""
_LONG = 40
"""Letters of a name in the head of a column."""
_ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}
_COLOURS = {"better": "green", "worse": "red"}


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Verdicts, warnings, metrics, cost and speed, differences, findings."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH, file=console.file)
    names = _labels(comparison.sides)
    for number, side in enumerate(comparison.sides):
        console.print(_plain(f"{'run ' if number else 'base'}  {_described(side)}"))
    console.print()
    for sentence in comparison.verdicts.values():
        console.print(Text(_clean(sentence), style="bold"))
    if comparison.warnings:
        console.print()
        console.print("Read with care")
        for sentence in comparison.warnings:
            console.print(_plain(f"  - {sentence}"))
    for side in comparison.sides[1:]:
        rows = [row for row in comparison.metrics if row.run == side.slug]
        _print(console, _metrics(rows, comparison.base, names), title=_against(comparison, side))
    _print(console, _figures(comparison, names), title="Cost and speed")
    _print(console, _differences(comparison, names), title="What differs")
    _print(console, _findings(comparison, names), title="Findings")


def _against(comparison: Comparison, side: Side) -> str:
    if len(comparison.sides) == 2:
        return "Metrics"
    return f"Metrics of {side.name} against {comparison.sides[0].name}"


def _labels(sides: Sequence[Side]) -> dict[str, str]:
    """Slug -> name, of a long one its end; the slug itself where two sides have one name."""
    names = [s.name if len(s.name) <= _LONG else f"…{s.name[1 - _LONG :]}" for s in sides]
    return {
        side.slug: side.slug if names.count(name) > 1 else name
        for side, name in zip(sides, names, strict=True)
    }


def _described(side: Side) -> str:
    if not side.is_group:
        return f"{side.name}  ({side.slug})"
    known = ["?" if seed is None else str(seed) for seed in side.seeds]
    seeds = ", ".join(known) if set(known) != {"?"} else "not logged"
    runs = "1 run" if len(side.members) == 1 else f"{len(side.members)} runs"
    return f"{side.name}  (group of {runs}, seeds {seeds})"


def _clean(text: str) -> str:
    """Foreign text on a terminal: no control characters (they could steer it)."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _plain(text: str) -> Text:
    return Text(_clean(text))


def _table(headings: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(_plain(heading), overflow="fold")
    return table


def _print(console: Console, table: Table, *, title: str) -> None:
    if table.row_count:
        console.print()
        console.print(_plain(title))
        console.print(table)


def _metrics(rows: Sequence[MetricRow], base: str, names: dict[str, str]) -> Table:
    table = _table(
        ("metric", *(names[s] for s in (rows[0].values if rows else ())), "difference",
         "95 % interval", "p (Holm)", "g")
    )  # fmt: skip
    for row in rows:
        low_high = row.ci95
        interval = " to ".join(units.number(v, 3) for v in low_high) if low_high else "n/a"
        table.add_row(
            _plain(row.name + _ARROWS[row.direction]),
            *(_plain(value_text(row.values[slug])) for slug in (base, row.run)),
            _delta(row.delta, row.change, partial(units.difference, of=row.known)),
            _plain(interval if low_high else f"n/a: {row.p.why}"),
            _plain(_short(row.p_holm, 2)),
            _plain(_short(row.effect, 3)),
        )
    return table


def _short(given: Quantity, digits: int) -> str:
    return "n/a" if given.value is None else units.number(given.value, digits)


def _delta(delta: Quantity, change: str, shown: Callable[[float], str] = units.number) -> Text:
    return Text(difference_text(delta, change, shown), style=_COLOURS.get(change, ""))


def _figures(comparison: Comparison, names: dict[str, str]) -> Table:
    others = [side.slug for side in comparison.sides[1:]]
    headings = ["figure", names[comparison.base]]
    for slug in others:
        headings += [names[slug], "difference"]
    table = _table(headings)
    for row in comparison.figures:
        if not any(found.n for found in row.values.values()):
            continue
        label, shown = FIGURE_LABELS[row.name]
        cells: list[Text] = [_plain(value_text(row.values[comparison.base], shown))]
        for slug in others:
            cells += [
                _plain(value_text(row.values[slug], shown)),
                _delta(row.deltas[slug], row.change(slug), shown),
            ]
        table.add_row(_plain(label + _ARROWS[row.direction]), *cells)
    return table


def _differences(comparison: Comparison, names: dict[str, str]) -> Table:
    table = _table(("setting", *(names[side.slug] for side in comparison.sides)))
    for item in comparison.differences:
        cells = map(setting_text, item.values.values())
        table.add_row(*map(_plain, (item.key, *cells)))
    return table


def _findings(comparison: Comparison, names: dict[str, str]) -> Table:
    table = _table(("kind", *(names[side.slug] for side in comparison.sides)))
    for row in comparison.findings:
        cells = [_found(row.values[side.slug], runs=len(side.members)) for side in comparison.sides]
        table.add_row(*map(_plain, (row.kind.replace("_", " "), *cells)))
    return table


def _found(found: Findings, *, runs: int) -> str:
    if not found.count:
        return f"not judged: {found.why}" if found.why else "none"
    steps = ", ".join(map(units.count, found.steps))
    more = ", ..." if found.count > len(found.steps) else ""
    where = f" in {found.runs} of {runs} runs" if runs > 1 else ""
    return f"{found.count}{where} at step {steps}{more}"
