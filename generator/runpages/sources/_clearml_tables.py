"""Tables that a ClearML task reported: plotly figures whose one trace is a table."""

from __future__ import annotations

import json
from typing import Any

from runpages.model import Sample

__all__ = ["table_of"]

_ROWS = 200
_COLUMNS = 200
_CELL_CHARS = 20_000


def table_of(
    figure: object, name: str, step: int | None, *, time: float | None, attempt: int
) -> Sample | None:
    """The table of a figure; None if it is no table or has another shape."""
    trace = _trace(figure)
    if trace is None:
        return None
    header = [_text(_single(cell)) for cell in _values(trace.get("header"))]
    columns = _values(trace.get("cells"))
    if not columns or any(not isinstance(column, list) for column in columns):
        return None
    columns = columns[:_COLUMNS]
    count = min(_ROWS, max(len(column) for column in columns))
    rows = tuple(
        tuple(_text(column[row]) if row < len(column) else "" for column in columns)
        for row in range(count)
    )
    return Sample(
        kind="table",
        name=name,
        step=step,
        time=time,
        attempt=attempt,
        columns=tuple((header + [""] * len(columns))[: len(columns)]),
        rows=rows,
    )


def _trace(figure: object) -> dict[str, Any] | None:
    traces = figure.get("data") if isinstance(figure, dict) else None
    if not isinstance(traces, list):
        return None
    found = [t for t in traces if isinstance(t, dict) and t.get("type") == "table"]
    return found[0] if len(found) == 1 else None


def _values(part: object) -> list[Any]:
    values = part.get("values") if isinstance(part, dict) else None
    return values if isinstance(values, list) else []


def _single(cell: object) -> object:
    """A header of one line is a list of one."""
    return cell[0] if isinstance(cell, list) and len(cell) == 1 else cell


def _text(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_CELL_CHARS]
