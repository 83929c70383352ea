"""The hand-labelled series of real logs: the (step, value) pairs that a reader must find."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = ["labelled"]

Points = list[tuple[int, float]]


def labelled(shared: Path, family: str) -> Iterator[tuple[str, str, Points]]:
    """(file, metric, finite points in file order) of each series from a file of `family`."""
    folder = shared / "data" / "labelled"
    series = json.loads((folder / "labels.json").read_text())["series"]
    ours = [one for one in series if one["file"].startswith(family)]
    points: dict[str, Points] = defaultdict(list)
    with gzip.open(folder / "series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if row["value"]:
                points[row["series"]].append((int(float(row["step"])), float(row["value"])))
    for one in ours:
        yield one["file"], one["metric"], points[one["id"]]
