"""One small run in each binary format, by its real writer."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
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


def write_mlflow(root: Path) -> Path:
    from sources.mlflow_writer import experiment_in, log_rows, sqlite_store

    path = root / "mlflow.db"
    client = sqlite_store(path)
    run_id = client.create_run(experiment_in(client, "fuzz")).info.run_id
    for name in values(0):
        log_rows(client, run_id, name, [(step, values(step)[name]) for step in range(ROWS)])
    client.set_terminated(run_id)
    return path


def write_clearml(root: Path) -> Path:
    from sources import clearml_writer

    with tempfile.TemporaryDirectory() as folder:
        session = clearml_writer.write("rows", Path(folder))
        (archive,) = session.parent.glob("*.zip")
        return Path(shutil.copy(archive, root))


_TRACKIO = """
import sys, trackio
sys.path.insert(0, sys.argv[1])
from sources.binary_logs import ROWS, values
trackio.init(project="fuzz", name="first", config={"lr": 0.1}, auto_log_gpu=False)
for step in range(ROWS):
    trackio.log(values(step))
trackio.finish()
"""


def write_trackio(root: Path) -> Path:
    environment = {**os.environ, "TRACKIO_DIR": str(root), "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [sys.executable, "-c", _TRACKIO, str(Path(__file__).parents[1])],
        check=True, cwd=root.parent, env=environment, timeout=120, capture_output=True,
    )  # fmt: skip
    (path,) = root.glob("*.db")
    return path
