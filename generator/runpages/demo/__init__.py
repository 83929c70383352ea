"""The demo: small real models whose logs runpages then reads like anybody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runpages.errors import RunpagesError

from .train import FAMILY, Spec

__all__ = ["FAMILY", "Spec", "train_all"]

_KILLED = 9


def train_all(folder: Path, *, report: Callable[[str], None]) -> None:
    """Train the family into `folder`, two at a time, each life in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for line in pool.map(lambda spec: _run(spec, folder.resolve()), FAMILY):
            report(line)


def _run(spec: Spec, folder: Path) -> str:
    code = _life(spec, folder)
    if spec.killed_at is None:
        return spec.name
    if code != _KILLED:
        raise RunpagesError(f"demo run {spec.name!r} ended with code {code} where it should die")
    _life(spec, folder, "--resume")
    return f"{spec.name} (killed at step {spec.killed_at}, resumed)"


def _life(spec: Spec, folder: Path, *flags: str) -> int:
    """One process. Raises RunpagesError if it fails otherwise than by being killed."""
    command = [sys.executable, "-m", "runpages.demo.worker", spec.name, str(folder), *flags]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "WANDB_SILENT": "true",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in {0, _KILLED}:
        last = done.stderr.strip().splitlines()[-1:] or [f"code {done.returncode}"]
        raise RunpagesError(f"demo run {spec.name!r} failed: {last[0]}")
    return done.returncode
