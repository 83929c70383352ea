"""One logging interface over the three writers, all of them real."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runpages import log
from runpages.errors import MissingExtraError

__all__ = ["Tracker"]

PROJECT = "char-lm"


class Tracker:
    """Logs a run through each of `names`: `wandb`, `tensorboard`, `rundir`."""

    def __init__(
        self,
        name: str,
        names: tuple[str, ...],
        folder: Path,
        config: Mapping[str, Any],
        seed: int,
        group: str,
        *,
        resumed: bool,
    ) -> None:
        self._board: Any = None
        self._wandb: Any = None
        self._rundir: log.Recorder | None = None
        self._table: list[list[object]] = []
        if "tensorboard" in names:
            try:
                from tensorboardX import SummaryWriter
            except ModuleNotFoundError as error:
                raise MissingExtraError("the demo", "demo") from error
            # files are named by the second: a life that follows at once would overwrite the first
            suffix = ".resumed" if resumed else ""
            self._board = SummaryWriter(str(folder / "tensorboard" / name), filename_suffix=suffix)
        if "wandb" in names:
            import wandb

            # the folder must exist: wandb falls back to a temporary one
            (folder / "wandb-offline").mkdir(parents=True, exist_ok=True)
            self._wandb = wandb.init(
                mode="offline",
                dir=str(folder / "wandb-offline"),
                project=PROJECT,
                id=name,
                name=name,
                group=group or None,
                config=dict(config),
                tags=["demo"],
                settings=wandb.Settings(silent=True),
            )
        if "rundir" in names:
            facts = {} if resumed else {"config": dict(config)}
            self._rundir = log.start(
                folder / "rundirs" / name,
                name=name,
                project=PROJECT,
                group=group,
                seed=seed,
                tags=["demo"],
                dataset="demo grammar",
                **facts,
            )

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.log(dict(values), step=step)
        if self._rundir:
            self._rundir.metrics(step, values)

    def sample(self, step: int, prompt: str, text: str) -> None:
        if self._board:
            self._board.add_text(f"sample {prompt}", text, step)
        if self._rundir:
            self._rundir.sample(step, text, prompt=prompt)
        self._table.append([step, prompt, text])

    def checkpoint(self, step: int, path: str, size: int) -> None:
        if self._rundir:
            self._rundir.checkpoint(step, path, size_bytes=size)

    def event(self, kind: str, step: int, text: str) -> None:
        """What the loop decided, where a writer has a place for it."""
        if self._rundir:
            self._rundir.event(kind, step=step, text=text)

    def flush(self) -> None:
        """Bring to disk what a writer that flushed just now would have there."""
        if self._board:
            # flush() does not wait for the writer's queue, close() does; it marks no end either
            self._board.close()

    def finish(self) -> None:
        if self._board:
            self._board.close()
        if self._wandb:
            import wandb

            table = wandb.Table(columns=["step", "prompt", "text"], data=self._table)
            self._wandb.log({"samples": table})
            self._wandb.finish()
        if self._rundir:
            self._rundir.finish()
