"""Runs in memory with fixed times, so that their pages are the same on every machine."""

from __future__ import annotations

import numpy as np

from runpages import analyze
from runpages.model import (
    Attempt,
    Checkpoint,
    Columns,
    Provenance,
    Report,
    Run,
    RunRef,
    Sample,
    SeriesSet,
)

START = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


def rows(first: int, last: int, value, *, attempt: int = 1, begin: float = START) -> Columns:
    """One row a step, one second apart; `value` is a function of the step."""
    step = np.arange(first, last, dtype=np.int64)
    time = begin + np.arange(len(step), dtype=float)
    made = np.array([value(int(s)) for s in step], dtype=float)
    return Columns(step, time, made, np.full(len(step), attempt, dtype=np.int64))


def joined(*parts: Columns) -> Columns:
    return Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def falling(step: int) -> float:
    """A loss with a little noise that is the same every time."""
    return 3 * float(np.exp(-step / 60)) + 1 + 0.02 * ((step * 7919) % 101) / 101


def make_run(columns=None, **facts) -> Run:
    name = facts.pop("name", "plain")
    facts.setdefault("state", "finished")
    facts.setdefault("provenance", Provenance(reader="rundir 1"))
    state, project = facts["state"], facts.pop("project", "tests")
    ref = RunRef(
        source="logs", project=project, run_id=facts.pop("run_id", "one"), name=name, state=state,
        location="one", kind="rundir",
    )  # fmt: skip
    return Run(ref=ref, name=name, series=SeriesSet.of(columns or {}), **facts)


def report(columns=None, *, baseline: Report | None = None, **facts) -> Report:
    return analyze(make_run(columns, **facts), baseline=baseline)


def healthy(**facts) -> Report:
    return report({"train/loss": rows(0, 200, falling)}, **_one_attempt(200), **facts)


def rolled_back() -> Report:
    """Spikes at 140, dies at 149, goes on from 120 and passes."""

    def bad(step: int) -> float:
        return falling(step) + (3 if step >= 140 else 0)

    first = rows(0, 150, bad)
    second = rows(120, 240, falling, attempt=2, begin=START + 300)
    return report(
        {"train/loss": joined(first, second)},
        name="rolled back",
        start=START,
        end=START + 419,
        attempts=(
            Attempt(number=1, start=START, end=START + 149, first_step=0, last_step=149),
            Attempt(number=2, start=START + 300, end=START + 419, first_step=120, last_step=239),
        ),
        checkpoints=(Checkpoint(step=119, path="ckpt/119.npz", size_bytes=1_500_000),),
        samples=tuple(
            Sample(kind="text", name="sample", step=s, prompt="Once", text=f"line\n\n<b>{s}</b>")
            for s in (50, 100, 150)
        ),
    )


def _one_attempt(steps: int) -> dict[str, object]:
    end = START + steps - 1
    only = Attempt(number=1, start=START, end=end, first_step=0, last_step=steps - 1)
    return {"start": START, "end": end, "attempts": (only,)}
