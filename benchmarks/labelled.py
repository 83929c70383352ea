"""find_events on hand-labelled real series, as predictions for their scorer.

usage: labelled.py FOLDER OUTPUT.json   (FOLDER holds series.csv.gz and labels.json)

A series whose steps fall is split there, as its source would do.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from runpages import find_events


def main(folder: Path, output: Path) -> None:
    """Write {series id: [{kind, start_step, end_step}]}."""
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with gzip.open(folder / "series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if not row["value"]:
                continue  # a blank cell is "not recorded"
            rows[row["series"]].append((float(row["step"]), float(row["value"])))
    metrics = {
        s["id"]: s["metric"] for s in json.loads((folder / "labels.json").read_text())["series"]
    }
    predictions = {}
    for name, points in rows.items():
        step, value = (np.array(column) for column in zip(*points, strict=True))
        found = []
        cuts = np.flatnonzero(np.diff(step) < 0) + 1
        for part_step, part_value in zip(np.split(step, cuts), np.split(value, cuts), strict=True):
            found += [
                {"kind": event.kind, "start_step": event.start_step, "end_step": event.end_step}
                for event in find_events(part_step, part_value, metric=metrics[name])
            ]
        predictions[name] = found
    output.write_text(json.dumps(predictions))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
