"""Small real logs for tests, written by the trackers' own writers."""

from __future__ import annotations

import math
import random
from pathlib import Path

from runpages import log


def write_rundir(folder: Path, *, steps: int = 120, spike: int | None = None, **facts) -> Path:
    """A run directory whose loss falls; `spike` is a step at which it jumps once."""
    seed = facts.get("seed", 0)
    noise = random.Random(seed)
    facts.setdefault("config", {"lr": 1e-3, "seed": seed})
    with log.start(folder, **facts) as run:
        for step in range(steps):
            loss = 3 * math.exp(-step / 40) + 1 + 0.02 * noise.random()
            if step == spike:
                loss += 5
            values = {"train/loss": loss, "lr": 1e-3}
            if step % 20 == 19:
                values["val/loss"] = loss + 0.1
            run.metrics(step, values)
        run.sample(steps - 1, "once upon a time", prompt="once")
        run.checkpoint(steps // 2, "checkpoints/half.npz")
    return folder


def write_tensorboard(folder: Path, *, steps: int = 60, tag: str = "train/loss") -> Path:
    """Event files by tensorboardX."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(steps):
            writer.add_scalar(tag, 1 / (1 + step), step)
        writer.add_text("sample", "hello *world*", steps)
    return folder


def backdate(folder: Path, seconds: float = 7200) -> None:
    """Make a run directory's records old, so that it counts as ended."""
    import json

    for path in folder.glob("*.jsonl"):
        lines = []
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "time" in row:
                row["time"] -= seconds
            lines.append(json.dumps(row))
        path.write_text("\n".join(lines) + "\n")
