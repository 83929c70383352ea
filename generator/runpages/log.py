"""Write a run directory from any training loop. Nothing but the standard library is needed.

    with log.start("logs/first", config={"lr": 3e-4}, seed=1) as run:
        run.metrics(step, {"train/loss": loss})

Starting a directory that exists continues its run as the next attempt. The format is described in
docs/sources/run-directory.md.
"""

from __future__ import annotations

import json
import math
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Recorder", "start"]


def start(directory: str | os.PathLike[str], **facts: object) -> Recorder:
    """Begin (or resume) the run in `directory`.

    Facts, all optional: name, project, group, tags, author, config (mapping), seed, device (name of
    the accelerator), devices (how many), commit, dataset, notes.
    """
    return Recorder(Path(directory), dict(facts))


class Recorder:
    """An open run directory; every line is flushed as it is written."""

    def __init__(self, directory: Path, facts: dict[str, object]) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        config = facts.pop("config", None)
        if config is not None:
            (directory / "config.json").write_text(json.dumps(_plain(config), indent=1))
        events = directory / "events.jsonl"
        earlier = events.read_text().count('"event": "start"') if events.exists() else 0
        self.attempt = earlier + 1
        self._state = ""
        found: dict[str, object] = {
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "os": platform.platform(),
            "command": " ".join(sys.argv),
            "cpus": os.cpu_count(),
        }
        self.event("start", **found, **facts)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One row; a metric that is left out was not recorded."""
        self._write("metrics", {"step": step, **self._now(), **values})

    def sample(self, step: int, text: str, *, prompt: str = "", name: str = "sample") -> None:
        """A text that the model produced."""
        row = {"step": step, "name": name, "prompt": prompt, "text": text}
        self._write("samples", {**row, **self._now()})

    def checkpoint(self, step: int, path: str, **facts: object) -> None:
        """A saved state; facts may hold `size_bytes` and metrics."""
        self.event("checkpoint", step=step, path=path, **facts)

    def event(self, event: str, **facts: object) -> None:
        """Anything else worth keeping: `event` is its kind, `text` a sentence, `step` where."""
        self._write("events", {"event": event, **self._now(), **facts})

    def finish(self, state: str = "finished") -> None:
        """End the run as `finished`, `failed`, `crashed` or `killed`; the first call counts."""
        if not self._state:
            self._state = state
            self.event("end", state=state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.finish("failed" if error else "finished")

    def _now(self) -> dict[str, object]:
        return {"time": round(time.time(), 3), "attempt": self.attempt}

    def _write(self, stem: str, row: Mapping[str, object]) -> None:
        with (self.directory / f"{stem}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(_plain(row), allow_nan=False) + "\n")


def _plain(value: object) -> object:
    """JSON values: numbers of any library as int or float, NaN and infinities by name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        number = float(value)  # type: ignore[arg-type]  # numpy and torch scalars
    except (TypeError, ValueError):
        return str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
