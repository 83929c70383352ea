"""runs.json and its companions: all runs by column, for the browse page and for other programs.

The row number of a run is the same in every file. Rows stand oldest first, runs without a date
before them, so that a new run is added at the end and most files keep their bytes. What each
field means is told in docs/reference/runs-json.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from runpages.analysis.roles import unit_of
from runpages.markup import json_bytes

from .listing import FIGURES, REGRESSION, Entry
from .table import told_apart

__all__ = ["index_files", "row_order"]

_FOLDER = "assets/index"
_SPARK_ROWS = 256
"""Runs whose small curves share a file."""
_SPARK_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MOST_KEYS = 2000
"""Settings and metrics with a file of their own; the rarest are left out."""
_STANDING = ("device_hours", "usd", "goodput")
"""Figures that stand in runs.json itself."""

Column = dict[str, Any]


def row_order(entries: Sequence[Entry]) -> list[Entry]:
    """Without a date first, then by start, then by slug."""

    def place(row: Entry) -> tuple[float, str]:
        start = row["start"]
        return (start if isinstance(start, int | float) else float("-inf"), row["slug"])

    return sorted(entries, key=place)


def index_files(
    entries: Sequence[Entry], seed_sets: Sequence[Mapping[str, Any]] = ()
) -> dict[str, bytes]:
    """Path below the section -> bytes, of runs.json, keys.json, columns and small curves.

    A seed set names its `group`, its members' slugs (`members`) and, of its main `metric`, mean, sd
    and n as the group's page tells them.
    """
    ordered = row_order(entries)
    rows = {row["slug"]: number for number, row in enumerate(ordered)}
    files: dict[str, bytes] = {}
    keys, left_out = _keys(ordered)
    for key, column in keys:
        files[f"{_FOLDER}/{key['file']}"] = json_bytes({"schema": "runpages.column/1", **column})
    files[f"{_FOLDER}/keys.json"] = json_bytes(
        {"schema": "runpages.keys/1", "left_out": left_out, "keys": [key for key, _ in keys]}
    )
    for first in range(0, len(ordered), _SPARK_ROWS):
        sparks = [_spark(row["spark"]) for row in ordered[first : first + _SPARK_ROWS]]
        document = {"schema": "runpages.sparks/1", "first": first, "sparks": sparks}
        files[f"{_FOLDER}/sparks-{first // _SPARK_ROWS}.json"] = json_bytes(document)
    files[f"{_FOLDER}/runs.json"] = json_bytes(
        {
            "schema": "runpages.runs/1",
            "count": len(ordered),
            "columns": _standing(ordered),
            "seed_sets": [_seed_set(one, rows) for one in seed_sets],
            "regression_limit": REGRESSION,
            "spark_rows": _SPARK_ROWS,
        }
    )
    return files


def _seed_set(one: Mapping[str, Any], rows: Mapping[str, int]) -> dict[str, Any]:
    members = sorted(rows[slug] for slug in one["members"] if slug in rows)
    return {**{k: v for k, v in one.items() if k != "members"}, "rows": members}


def _standing(rows: Sequence[Entry]) -> dict[str, Column]:
    columns: dict[str, Column] = {
        "slug": {"kind": "text", "values": [r["slug"] for r in rows]},
        "name": {"kind": "text", "values": [r["name"] for r in rows]},
        "apart": {"kind": "text", "values": told_apart(rows)},
        "project": _choice([r["project"] or r["source"] for r in rows]),
    }
    for name in ("source", "group", "state", "verdict", "metric", "model", "author", "commit"):
        columns[name] = _choice([r[name] or None for r in rows])
    for name in ("datasets", "tags"):
        columns[name] = _choices([r[name] for r in rows])
    columns["incomplete"] = {"kind": "flag", "values": [int(r["incomplete"]) for r in rows]}
    columns["start"] = _numbers([r["start"] for r in rows], unit="s", whole=True)
    for severity in ("critical", "warning", "info"):
        columns[severity] = _numbers([r["events"][severity] for r in rows])
    columns["seed"] = _numbers(
        [{"value": None, "why": "not logged"} if r["seed"] is None else r["seed"] for r in rows]
    )
    columns["steps"] = _numbers([r["steps"] for r in rows])
    columns["elapsed_seconds"] = _numbers([r["elapsed_seconds"] for r in rows], unit="s")
    columns["value"] = _numbers([r["value"] for r in rows], digits=7)
    columns["regression"] = _numbers([r["regression"] for r in rows])
    for name in _STANDING:
        columns[name] = _numbers([r["figures"][name] for r in rows], unit=FIGURES[name])
    return columns


def _choice(values: Sequence[str | None]) -> Column:
    """Codes into a list of the texts that occur; -1 where there is none."""
    texts = sorted({v for v in values if v is not None})
    place: dict[str | None, int] = {text: code for code, text in enumerate(texts)}
    return {"kind": "choice", "texts": texts, "codes": [place.get(v, -1) for v in values]}


def _choices(values: Sequence[Sequence[str]]) -> Column:
    """The same for a list of texts a run."""
    texts = sorted({text for several in values for text in several})
    place = {text: code for code, text in enumerate(texts)}
    return {"kind": "choices", "texts": texts, "codes": [[place[t] for t in v] for v in values]}


def _numbers(
    values: Sequence[Any], *, unit: str = "", digits: int = 5, whole: bool = False
) -> Column:
    """Numbers of `digits` significant digits; null where there is none, with its reason."""
    texts: dict[str, int] = {}
    numbers: list[Any] = []
    reasons: list[int] = []
    for value in values:
        if isinstance(value, Mapping):
            numbers.append(None)
            reasons.append(texts.setdefault(value["why"], len(texts)))
        else:
            numbers.append(_number(value, digits=0 if whole else digits))
    column: Column = {"kind": "number", "unit": unit, "values": numbers}
    if reasons:
        column["why"] = {"texts": list(texts), "codes": reasons}
    return column


def _number(value: Any, *, digits: int) -> Any:
    """Whole numbers stay exact; `digits` 0 rounds to one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    rounded = round(value) if not digits or value == int(value) else float(f"{value:.{digits}g}")
    return rounded if abs(rounded) < 2**53 else float(rounded)


def _spark(values: Sequence[float]) -> str:
    """One of 64 characters a point, from the lowest value of the curve to the highest."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_SPARK_DIGITS[round(63 * (v - low) / span)] for v in values)


def _keys(rows: Sequence[Entry]) -> tuple[list[tuple[dict[str, Any], Column]], int]:
    """(entry of keys.json, column) of every key that has a file, and how many are left out."""
    found: dict[tuple[str, str], dict[int, Any]] = {}
    for number, row in enumerate(rows):
        for kind, values in (("config", row["config"]), ("metric", row["metrics"])):
            for name, value in values.items():
                found.setdefault((kind, name), {})[number] = value
    kept = sorted(found, key=lambda key: (-len(found[key]), key))[:_MOST_KEYS]
    left_out = len(found) - len(kept)
    fixed: dict[tuple[str, str], dict[int, Any]] = {
        ("fact", "id"): {n: r["id"] for n, r in enumerate(rows)},
        ("fact", "end"): {n: r["end"] for n, r in enumerate(rows)},
    }
    for name in FIGURES:
        if name not in _STANDING:
            fixed["fact", name] = {n: r["figures"][name] for n, r in enumerate(rows)}
    for number, row in enumerate(rows):
        for role, value in row["roles"].items():
            fixed.setdefault(("role", role), {})[number] = value
    wanted = {**fixed, **{key: found[key] for key in sorted(kept)}}
    made = [_key(*key, values, len(rows)) for key, values in wanted.items()]
    return [(key, column) for key, column in made if key["runs"]], left_out


def _key(
    kind: str, name: str, values: Mapping[int, Any], count: int
) -> tuple[dict[str, Any], Column]:
    values = {n: v for n, v in values.items() if not isinstance(v, Mapping)}
    digest = hashlib.sha256(f"{kind}\n{name}".encode("utf-8", "backslashreplace")).hexdigest()[:16]
    unit = FIGURES.get(name, "s" if name == "end" else "") if kind == "fact" else ""
    known = {
        "kind": kind,
        "name": name,
        "unit": unit_of(name) if kind == "role" else unit,
        "runs": len(values),
        "file": f"columns/{digest}.json",
    }
    rows = None if len(values) == count else list(values)
    digits = 0 if name == "end" and kind == "fact" else 7
    return known, {"rows": rows, "values": [_number(v, digits=digits) for v in values.values()]}
