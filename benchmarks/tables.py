"""Tables of metrics: CPU seconds and memory of our readers beside pyarrow's on the same file.

usage: tables.py [FOLDER] [--repeats N]

Writes a JSON-lines and a CSV file of 1.2 million values into FOLDER (default: a temporary one),
then reads each in fresh processes, in turn: pyarrow alone (the whole file into a table),
`rundir` and `tabular` (discover, read, and load every series). Imports come before the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS = 120_000
NAMES = ("loss", "grad_norm", "lr", "tok_s", "step_s", "util", "memory", "val_loss", "val_acc")

CLOCK = """
import os, resource, sys, time
import pyarrow.csv, pyarrow.json
import runpages.sources.rundir, runpages.sources.tabular
from runpages.sources import load_source
began = time.process_time()
{work}
spent = time.process_time() - began
print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows)
"""
PYARROW = "rows = pyarrow.{kind}.read_{kind}(sys.argv[1]).num_rows"
OURS = """
source = load_source({source!r})(os.path.dirname(sys.argv[1]))
(ref,) = source.discover()
run = source.read(ref)
rows = max(len(run.series[name]) for name in run.series)
"""


def write(folder: Path) -> dict[str, Path]:
    """The same random walks as metrics.jsonl and metrics.csv, each in a folder of its own."""
    walks = np.random.default_rng(0).standard_normal((ROWS, len(NAMES))).cumsum(axis=0) / 100
    paths = {kind: folder / kind / f"metrics.{kind}" for kind in ("jsonl", "csv")}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    with paths["jsonl"].open("w") as lines, paths["csv"].open("w") as table:
        table.write(",".join(["step", "time", *NAMES]) + "\n")
        for step, values in enumerate(np.round(walks, 13).tolist()):
            time = 1_790_000_000 + step / 2
            row = {"step": step, "time": time} | dict(zip(NAMES, values, strict=True))
            lines.write(json.dumps(row) + "\n")
            table.write(",".join(map(repr, row.values())) + "\n")
    return paths


def measure(path: Path, work: str) -> tuple[float, float]:
    """(CPU seconds, MB of memory) of one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(work=work), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    cpu, memory, rows = done.stdout.split()
    assert int(rows) == ROWS, rows
    return float(cpu), float(memory)


def compare(path: Path, kind: str, *, repeats: int) -> None:
    """Print the medians of all readers of one file."""
    readers = {f"pyarrow.{kind}": PYARROW.format(kind=kind)}
    readers |= {source: OURS.format(source=source) for source in ("rundir", "tabular")}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, work in readers.items():
            spent[name].append(measure(path, work))
    values = ROWS * (len(NAMES) + 1)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {values:,} values")
    alone = statistics.median(cpu for cpu, _ in spent[f"pyarrow.{kind}"])
    for name, figures in spent.items():
        cpu = statistics.median(cpu for cpu, _ in figures)
        memory = statistics.median(memory for _, memory in figures)
        print(f"  {name:14} {cpu:6.3f} s CPU ({cpu / alone:4.2f} x)  {memory:5.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        paths = write(options.folder or Path(temporary))
        compare(paths["jsonl"], "json", repeats=options.repeats)
        compare(paths["csv"], "csv", repeats=options.repeats)


if __name__ == "__main__":
    main()
