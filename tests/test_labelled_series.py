"""The labelled real series: what the readers give is what independent readers found in the files.

Needs the folder of real logs (`make acceptance`).
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from runpages.model import RunRef
from runpages.sources import Found, open_source, sniff

pytestmark = pytest.mark.acceptance


class Labelled(NamedTuple):
    file: str
    metric: str
    x: str
    points: tuple[tuple[float, float], ...]
    """(step or number, value), finite ones, in file order."""


@pytest.fixture(scope="module")
def labelled(shared) -> dict[str, Labelled]:
    folder = shared / "data" / "labelled"
    points = defaultdict(list)
    with gzip.open(folder / "series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            value = float(row["value"]) if row["value"] else np.nan
            if np.isfinite(value):
                points[row["series"]].append((float(row["step"]), value))
    listed = json.loads((folder / "labels.json").read_text())["series"]
    return {
        e["id"]: Labelled(e["file"], e["metric"], e["x"], tuple(points[e["id"]])) for e in listed
    }


@pytest.fixture(scope="module")
def found(shared) -> tuple[Path, Found]:
    root = shared / "data" / "logs"
    return root, sniff(root)


def holds(root: Path, ref: RunRef, file: str) -> bool:
    path = root / file
    parts = [Path(part) for part in ref.parts or (ref.location,)]
    return any(part == path or (part.is_dir() and part == path.parent) for part in parts)


def recorded(root: Path, refs: list[RunRef], series: Labelled) -> list[tuple[float, float]]:
    """Finite rows of the metric in file order, of all runs that the file holds."""
    rows: list[tuple[float, float]] = []
    for ref in refs:
        run = open_source(ref.kind, str(root)).read(ref)
        name = series.metric
        if name.startswith("stats:"):
            name = f"system/{name.removeprefix('stats:')}"
        if name not in run.series:
            continue
        columns = run.series[name].recorded
        parts = [Path(part) for part in ref.parts]
        if len(parts) == len(run.attempts) > 1 and root / series.file in parts:
            # a run of several files, one an attempt: the rows of this one
            columns = run.series[name].attempt(parts.index(root / series.file) + 1)
        good = np.isfinite(columns.value)
        # the labelled values are written with nine digits
        values = (float(f"{value:.9g}") for value in columns.value[good])
        rows += zip(columns.step[good].tolist(), values, strict=True)
    return rows


def test_every_labelled_series_is_read_as_it_was_labelled(labelled, found):
    root, all_found = found
    wrong = []
    for name, series in labelled.items():
        refs = [ref for ref in all_found.runs if holds(root, ref, series.file)]
        rows = recorded(root, refs, series)
        if [v for _, v in rows] != [v for _, v in series.points]:
            wrong.append(
                f"{name}: {len(rows)} values, {len(series.points)} labelled ({series.file})"
            )
        elif series.x == "step" and [s for s, _ in rows] != [s for s, _ in series.points]:
            wrong.append(f"{name}: the steps differ")
    print(f"{len(labelled) - len(wrong)} of {len(labelled)} series equal")
    assert wrong == []
