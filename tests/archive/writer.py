"""Puts one run onto the branch `archive` of a clone's remote: `writer.py CLONE RUN_ID`.

Prints the number of pushes that it took.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np

from runpages.archive import BranchArchive
from runpages.archive.git import Repository
from runpages.model import Columns, Run, RunRef, SeriesSet


class _Counting(BranchArchive):
    tries = 0

    def _push(self, git: Repository, commit: str, tip: str) -> str:
        self.tries += 1
        return super()._push(git, commit, tip)


def run_named(run_id: str, *, points: int = 2_000) -> Run:
    noise = np.random.default_rng(zlib.crc32(run_id.encode()))
    steps = np.arange(points)
    loss = Columns(steps, steps + 1.7e9, noise.normal(size=points), np.ones(points, dtype=np.int64))
    ref = RunRef(source="s", project="p", run_id=run_id, name=run_id, state="ended", location="")
    return Run(ref=ref, name=run_id, series=SeriesSet.of({"loss": loss}))


if __name__ == "__main__":
    project = Path(sys.argv[1])
    archive = _Counting(
        "git+branch:archive",
        project=project,
        mirror=project / ".cache/runpages/archive",
        max_run_mb=20.0,
    )
    archive.put(run_named(sys.argv[2]))
    sys.stdout.write(f"{archive.tries}\n")
