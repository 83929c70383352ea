"""Rows of the table of runs that the index, the listings and the groups share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from runpages import units

from .svg import spark
from .words import Chip, finding_chips, group_slug

__all__ = ["STATE_WORDS", "table_rows", "told_apart"]

STATE_WORDS = {"ended": "ended, not said how", "running": "still running"}
"""States that need more than their name."""


def _number(value: object) -> float | None:
    """A number of a list row; the names of NaN and infinities are not numbers to show."""
    return float(value) if isinstance(value, int | float) else None


def table_rows(rows: Sequence[Mapping[str, Any]], up: str) -> list[dict[str, Any]]:
    """List rows ready to print; `up` leads from the page to the section's root."""
    return [_row(row, up, apart=apart) for row, apart in zip(rows, told_apart(rows), strict=True)]


def told_apart(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each run the shortest end of its id that no other run of its name has; empty where it is
    the only one of its name."""
    ids: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        ids[row["name"]].add(row["id"])
    ends = {name: Counter(e for i in own for e in _ends(i)) for name, own in ids.items()}
    return [
        ""
        if len(ids[row["name"]]) < 2
        else next((e for e in _ends(row["id"]) if ends[row["name"]][e] == 1), row["id"])
        for row in rows
    ]


def _ends(run_id: str) -> list[str]:
    """`c`, `b/c` and `a/b/c` of `a/b/c`."""
    parts = run_id.split("/")
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def _row(row: Mapping[str, Any], up: str, *, apart: str) -> dict[str, Any]:
    value, elapsed, steps = (_number(row[k]) for k in ("value", "elapsed_seconds", "steps"))
    start = _number(row["start"])
    state = STATE_WORDS.get(row["state"], row["state"])
    shown = "n/a" if value is None else units.number(value)
    return {
        "href": f"{up}{row['slug']}/",
        "name": row["name"],
        "apart": apart,
        "project": row["project"] or row["source"],
        "group": row["group"],
        "group_href": f"{up}by/group/{group_slug(row['group'])}/" if row["group"] else "",
        "state": state + (", incomplete" if row["incomplete"] else ""),
        "verdict": row["verdict"] or "none yet",
        "chips": _chips(row["events"]),
        "spark": spark(row["spark"], label=f"{row['metric'] or 'metric'} curve"),
        "value": row["value"] if isinstance(row["value"], str) else shown,
        "metric": row["metric"] or "no loss",
        "steps": "n/a" if steps is None else units.count(steps),
        "elapsed": "n/a" if elapsed is None else units.duration(elapsed),
        "date": "n/a" if start is None else units.day(start),
    }


def _chips(events: Mapping[str, int]) -> list[Chip]:
    return finding_chips(dict(events)) if any(events.values()) else []
