"""A project of many small real runs, spread over three years: logs, archive, pages."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from pathlib import Path

from runpages import builder
from runpages.config import load_settings

__all__ = ["make_project", "publish", "write_log"]

_BEGIN = 1_700_000_000
_SPACING = 9_000
"""Seconds between the starts of two runs: 10,000 of them are 2.9 years."""
_STEPS = 120
_EVERY = 20
"""Steps between two evaluations."""


def make_project(folder: Path, runs: int) -> None:
    """An MkDocs project in `folder` whose archive and pages hold so many runs."""
    builder.write_project(folder, title="Many runs", locations=("logs",), settle_minutes=0)
    config = folder / "mkdocs.yml"
    config.write_text(f"site_url: https://example.org/team/\n{config.read_text()}")
    settings = folder / "runpages.toml"
    settings.write_text(settings.read_text().replace("[site]\n", "[site]\nmax_mb = 0\n"))
    publish(folder, range(runs))


def publish(folder: Path, numbers: Iterable[int]) -> None:
    """Write the logs of these runs, pull and build."""
    for number in numbers:
        write_log(folder / "logs", number)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    builder.build(settings)


def write_log(logs: Path, number: int) -> None:
    """A run directory as `runpages.log` writes it; every fifth run's loss jumps once."""
    noise = random.Random(number)
    folder = logs / f"run{number:05d}"
    folder.mkdir(parents=True)
    begin = _BEGIN + number * _SPACING
    rows = []
    for step in range(_STEPS):
        loss = 3 * math.exp(-step / 40) + 1 + 0.02 * noise.random()
        loss += 5 * (step == 80 and number % 5 == 0)
        row = {"step": step, "time": begin + 2.0 * step, "attempt": 1, "train/loss": loss}
        if step % _EVERY == _EVERY - 1:
            row["val/loss"] = loss + 0.1
        rows.append({**row, "lr": 1e-3 * (1 - step / _STEPS)})
    end = begin + 2.0 * _STEPS
    shared = {"project": f"project-{number % 24:02d}", "group": f"set-{number // 5:05d}"}
    events = [
        {"event": "start", "time": begin, "attempt": 1, "seed": number % 5, **shared},
        {"event": "end", "time": end, "attempt": 1, "state": "finished"},
    ]
    config = {"lr": 1e-3, "seed": number % 5, "width": 64 * (1 + number % 7)}
    sample = {"step": _STEPS - 1, "name": "sample", "prompt": "once", "text": "upon a time"}
    (folder / "config.json").write_text(json.dumps(config))
    for name, lines in (
        ("events", events),
        ("metrics", rows),
        ("samples", [{**sample, "time": end, "attempt": 1}]),
    ):
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)
