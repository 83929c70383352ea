"""Runs that differ in little, in real run directories written by runpages.log, read and judged."""

from __future__ import annotations

from pathlib import Path

from runpages import analyze, log
from runpages.model import Report
from runpages.sources import sniff


def write_sibling(
    folder: Path,
    *,
    final: float = 2.0,
    steps: int = 40,
    state: str = "finished",
    metric: str = "val/loss",
    **facts: object,
) -> Path:
    """A run whose `metric`, logged every 4 steps, ends at `final`; `final` may be NaN."""
    facts.setdefault("config", {"lr": 0.1, "seed": facts.get("seed", 0)})
    recorder = log.start(folder, **facts)
    for step in range(steps):
        recorder.metrics(step, {"train/loss": 3 - step / steps})
        if step % 4 == 3:
            recorder.metrics(step, {metric: final + 0.01 * (steps - 1 - step)})
    recorder.finish(state)
    return folder


def judged(root: Path) -> dict[str, Report]:
    """Folder name -> report of every run below `root`."""
    from runpages.sources import open_source

    found = sniff(root)
    assert all(ref.kind == "rundir" for ref in found.runs)
    source = open_source("rundir", root)
    return {Path(ref.location).name: analyze(source.read(ref)) for ref in source.discover()}
