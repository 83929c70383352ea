"""Rows of the table of runs that the index, the listings and the groups share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from runpages import units

from .svg import spark
from .words import Chip, finding_chips, group_slug

__all__ = ["STATE_WORDS", "table_rows"]

STATE_WORDS = {"ended": "ended, no end marker", "running": "still running"}
"""States that need more than their name."""


def _number(value: object) -> float | None:
    """A number of a list row; the names of NaN and infinities are not numbers to show."""
    return float(value) if isinstance(value, int | float) else None


def table_rows(rows: Sequence[Mapping[str, Any]], up: str) -> list[dict[str, Any]]:
    """List rows ready to print; `up` leads from the page to the section's root.

    Runs of one name get as much of their ids as tells them apart.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        alike[row["name"]].append(row["id"])
    return [_row(row, up, apart=_apart(row["id"], alike[row["name"]])) for row in rows]


def _apart(run_id: str, others: Sequence[str]) -> str:
    """The shortest end of an id that no other one has; empty where there is no other."""
    if len(set(others)) < 2:
        return ""
    parts = run_id.split("/")
    for count in range(1, len(parts)):
        end = "/".join(parts[-count:])
        if sum(other == end or other.endswith(f"/{end}") for other in set(others)) == 1:
            return end
    return run_id


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
