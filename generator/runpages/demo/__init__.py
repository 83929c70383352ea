"""The demo: small real models whose logs runpages then reads like anybody else's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from runpages.errors import DemoError, MissingExtraError, UsageError

from .train import FAMILY, KILLED, Spec

__all__ = ["FAMILY", "Spec", "train_all"]

_SOURCES = str(Path(__file__).resolve().parents[2])


def train_all(
    folder: Path, *, report: Callable[[str], None], family: tuple[Spec, ...] = FAMILY
) -> list[Path]:
    """Train the family, two at a time, each life in a process of its own; the folders of logs.

    `folder` appears when everything in it is complete: an interrupted demo leaves nothing that
    looks like one. Its checkpoints lie in `folder/checkpoints`. `report` gets a line as each run
    ends. Raises UsageError if `folder` holds something already, DemoError if a run fails
    otherwise than it should.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: holds something already; name an empty or new folder")
    if importlib.util.find_spec("tensorboardX") is None:
        raise MissingExtraError("the demo", "demo")
    partial = folder.resolve().with_name(f"{folder.resolve().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = [pool.submit(_run, spec, partial) for spec in family]
        try:
            for done in as_completed(running):
                report(done.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    partial.replace(folder)
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "checkpoints")


def _run(spec: Spec, folder: Path) -> str:
    if spec.killed_at is None:
        _life(spec, folder)
        return spec.name
    _life(spec, folder, ends_with=KILLED)
    _life(spec, folder, "--resume")
    return f"{spec.name} (killed at step {spec.killed_at}, resumed)"


def _life(spec: Spec, folder: Path, *flags: str, ends_with: int = 0) -> None:
    """One process. Raises DemoError if it ends with another exit code."""
    # the folder has its final name only when all is done, so no log should name it
    command = [sys.executable, "-m", "runpages.demo.worker", spec.name, ".", *flags]
    # whoever runs this may use W&B: neither their settings nor their key have a part in it
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment = {
        **kept,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "WANDB_SILENT": "true",
        "PYTHONPATH": os.pathsep.join(filter(None, (_SOURCES, os.environ.get("PYTHONPATH")))),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != ends_with:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise DemoError(f"demo run {spec.name!r} failed: {last[0]}")
