"""find_events on hand-labelled real series, as predictions for their scorer.

usage: labelled.py FOLDER OUTPUT.json [--by-repository]

FOLDER holds series.csv.gz, labels.json and score.py. A series whose steps fall is split there, as
its source would do. With --by-repository also prints the scorer's figures leave-one-repository-out:
see leave_one_out.py.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runpages import find_events
from runpages.analysis.detect import DetectorOptions

Prediction = dict[str, str | int]
Predictions = dict[str, list[Prediction]]


class Labelled(NamedTuple):
    """One series of the folder."""

    metric: str
    repository: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]


def read(folder: Path) -> dict[str, Labelled]:
    """Series id -> series."""
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with gzip.open(folder / "series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if not row["value"]:
                continue  # a blank cell is "not recorded"
            rows[row["series"]].append((float(row["step"]), float(row["value"])))
    out = {}
    for entry in json.loads((folder / "labels.json").read_text())["series"]:
        steps, values = (np.array(column) for column in zip(*rows[entry["id"]], strict=True))
        repository = entry["file"].split("/")[1]
        out[entry["id"]] = Labelled(entry["metric"], repository, steps, values)
    return out


def predict(
    series: Mapping[str, Labelled], options: DetectorOptions = DetectorOptions()
) -> Predictions:
    """{series id: [{kind, start_step, end_step}]}."""
    return {name: _events(one, options) for name, one in series.items()}


def _events(series: Labelled, options: DetectorOptions) -> list[Prediction]:
    cuts = np.flatnonzero(np.diff(series.steps) < 0) + 1
    parts = zip(np.split(series.steps, cuts), np.split(series.values, cuts), strict=True)
    return [
        {"kind": event.kind, "start_step": event.start_step, "end_step": event.end_step}
        for steps, values in parts
        for event in find_events(steps, values, metric=series.metric, options=options)
    ]


def main() -> None:
    """Write the predictions, print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--by-repository", action="store_true")
    asked = parser.parse_args()
    series = read(asked.folder)
    asked.output.write_text(json.dumps(predict(series)))
    if asked.by_repository:
        from leave_one_out import report

        report(asked.folder, series)


if __name__ == "__main__":
    main()
