"""Finer levels of a run's charts, fetched when a reader zooms in; a site keeps them of full runs.

Two kinds of files, both of all charts over one stretch of steps, as charts share their zoom: tiles
with the least, mean and largest value of narrow buckets, and windows around findings with every
row. Their bytes are bounded: the least grave findings have no window rather than too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runpages.markup import json_bytes
from runpages.model import Columns, Event, Report, Series

from .charts_axes import clock_start
from .charts_data import DETAIL_SCHEMA, encoded
from .downsample import bucketed, mean_times

__all__ = ["detail_files"]

TILES = 8
TILE_BUCKETS = 512
"""Buckets a curve and tile: 4,096 over the whole run."""
WINDOW_ROWS = 2000
"""Rows to each side of a finding."""
_WINDOWS = 12
_BYTES = 2_000_000
"""Of all these files together: a run's site is to stay below 3 MB."""
_LONGEST = 4 * WINDOW_ROWS

Span = tuple[float, float]
Shown = Mapping[str, Sequence[Series]]


def detail_files(
    report: Report, shown: Shown, *, spent: int = 0
) -> tuple[dict[str, bytes], dict[str, list[Any]]]:
    """(files, {"tiles": [[name, from, to], ...], "windows": ...}).

    `shown` are the charts with rows that charts.json has not, and their metrics; without any there
    are no files. `spent` of their bytes are taken by other files of a full run. A tile holds from
    <= step < to, a window from <= step <= to.
    """
    long = {chart: tuple(series) for chart, series in shown.items() if _steps(series)}
    files: dict[str, bytes] = {}
    names: dict[str, list[Any]] = {"tiles": [], "windows": []}
    if not long:
        return files, names
    begin = clock_start(report.run)
    for number, span in enumerate(_tiles(long)):
        name = f"detail-{number:02d}.json"
        files[name] = _file(long, span, begin, buckets=TILE_BUCKETS)
        names["tiles"].append([name, *span])
    left = _BYTES - spent - sum(len(data) for data in files.values())
    for number, span in enumerate(_windows(report, long)):
        name, data = f"window-{number:02d}.json", _file(long, span, begin, buckets=_LONGEST)
        left -= len(data)
        if left < 0:
            break
        files[name] = data
        names["windows"].append([name, *span])
    return files, names


def _steps(series: Sequence[Series]) -> bool:
    return all(one.info.axis == "step" and not one.info.counter for one in series)


def _tiles(long: Shown) -> Iterator[Span]:
    """Equal stretches of the steps."""
    every = [one.step for series in long.values() for one in series if len(one)]
    first, last = min(int(s[0]) for s in every), max(int(s[-1]) for s in every)
    edges = np.linspace(first, last + 1, TILES + 1)
    for left, right in zip(edges, edges[1:], strict=False):
        yield round(float(left)), round(float(right))


def _windows(report: Report, long: Shown) -> Iterator[Span]:
    """Around the gravest findings of the charts; those that touch become one."""
    by_name = {one.name: one for series in long.values() for one in series}
    found: list[Span] = []
    for event in report.events:
        if event.metric in by_name and len(found) < _WINDOWS:
            span = _around(event, by_name[event.metric])
            if not any(left <= span[0] and span[1] <= right for left, right in found):
                found.append(span)
    yield from found


def _around(event: Event, series: Series) -> Span:
    """`WINDOW_ROWS` rows of its metric to each side of where it began."""
    step = series.step
    at = int(np.searchsorted(step, event.start_step))
    stop = int(np.searchsorted(step, min(event.end_step, step[-1]), side="right"))
    stop = min(stop, at + WINDOW_ROWS)
    left, right = max(0, at - WINDOW_ROWS), min(len(step) - 1, stop + WINDOW_ROWS)
    return int(step[left]), int(step[right])


def _file(long: Shown, span: Span, begin: float | None, *, buckets: int) -> bytes:
    charts: dict[str, dict[str, Any]] = {}
    for chart, series in long.items():
        parts = {}
        for number, one in enumerate(series):
            for key, rows in ((f"c{number}", one.effective), (f"o{number}", one.superseded)):
                part = _part(rows, span, buckets, begin if key[0] == "o" else None)
                if part is not None:
                    parts[key] = part
        if parts:
            charts[chart] = parts
    return json_bytes({"schema": DETAIL_SCHEMA, "charts": charts})


def _part(rows: Columns, span: Span, buckets: int, begin: float | None) -> dict[str, Any] | None:
    """Rows with from <= step <= to; None where there is none."""
    rows = rows.take((rows.step >= span[0]) & (rows.step <= span[1]))
    breaks = np.append(False, np.diff(rows.attempt) != 0)[: len(rows.attempt)]
    x: NDArray[np.float64] = rows.step.astype(np.float64)
    made = bucketed(x, rows.value, breaks=breaks, limit=buckets)
    if not len(made.x):
        return None
    several = made.width > 1
    seconds = None
    if begin is not None and np.isfinite(rows.time).all():
        clock = mean_times(x, rows.value, rows.time, breaks=breaks, limit=buckets)
        seconds = clock - begin
    return encoded(
        np.floor(made.x + 0.5),
        made.mean,
        low=made.low if several else None,
        high=made.high if several else None,
        seconds=seconds,
    )
