"""One small run in each binary format, by its real writer."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

ROWS = 12


def values(step: int) -> dict[str, float]:
    return {"train/loss": math.nan if step == 7 else 3 / (1 + step), "lr": 1e-3 * step}


def write_tfevents(root: Path) -> Path:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(root)) as writer:
        for step in range(ROWS):
            for name, value in values(step).items():
                writer.add_scalar(name, value, step)
    (path,) = root.glob("*tfevents*")
    return path


_WANDB = """
import sys, wandb
sys.path.insert(0, sys.argv[2])
from sources.binary_logs import ROWS, values
run = wandb.init(project="p", id="abc", mode="offline", dir=sys.argv[1], config={"lr": 0.1},
                 settings=wandb.Settings(x_disable_stats=True, console="off", x_save_requirements=False,
                                         x_disable_meta=True))
for step in range(ROWS):
    run.log(values(step))
run.finish()
"""


def write_wandb(root: Path) -> Path:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {
        "WANDB_SILENT": "true",
        "WANDB_DATA_DIR": str(root.parent / "staging"),
        "WANDB_CACHE_DIR": str(root.parent / "cache"),
        "WANDB_CONFIG_DIR": str(root.parent / "config"),
    }
    subprocess.run(
        [sys.executable, "-c", _WANDB, str(root), str(Path(__file__).parents[1])],
        check=True, cwd=root.parent, env=environment, timeout=120, capture_output=True,
    )  # fmt: skip
    (path,) = root.glob("wandb/offline-run-*/run-abc.wandb")
    return path
