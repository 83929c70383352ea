"""Write a run directory from any training loop. Nothing but the standard library is needed.

    with log.start("logs/first", config={"lr": 3e-4}, seed=1) as run:
        run.metrics(step, {"train/loss": loss})

Starting a directory that exists continues its run as the next attempt. The format is described in
docs/sources/run-directory.md.
"""

from __future__ import annotations

import json
import math
import operator
import os
import platform
import shlex
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Recorder", "start"]

_ROW_KEYS = frozenset({"step", "time", "attempt"})
_LIBRARIES = ("torch", "jax", "flax", "tensorflow", "mlx", "transformers", "lightning", "numpy")


def start(directory: str | os.PathLike[str], **facts: object) -> Recorder:
    """Begin (or resume) the run in `directory`.

    Facts, all optional: name, project, group, tags, author, config (mapping), seed, device (name of
    the accelerator), devices (how many, over all hosts), commit, dataset, notes.
    """
    return Recorder(Path(directory), dict(facts))


class Recorder:
    """An open run directory; every line is on its way to the disk when a method returns."""

    def __init__(self, directory: Path, facts: dict[str, object]) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob("*.jsonl"):
            _end_last_line(path)
        config = facts.pop("config", None)
        if config is not None:
            half = directory / "config.json.part"
            half.write_text(json.dumps(_plain(config), indent=1), encoding="utf-8")
            half.replace(directory / "config.json")
        self.attempt = _attempts_in(directory) + 1
        self._state = ""
        found: dict[str, object] = {
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "libraries": _libraries(),
            "os": platform.platform(),
            "command": _command(),
            "cpus": os.cpu_count(),
        }
        self.event("start", **found | facts)

    def metrics(
        self, step: int, values: Mapping[str, object] | None = None, **more: object
    ) -> None:
        """One row, as a mapping, as keywords or both; a metric left out was not recorded.

        Raises ValueError for a metric named `step`, `time` or `attempt`: a row has these itself.
        """
        row = {**(values or {}), **more}
        taken = sorted(_ROW_KEYS & row.keys())
        if taken:
            raise ValueError(f"a metric cannot be named {taken[0]!r}: each row has its own")
        self._write("metrics", {"step": step, **self._now(), **row})

    def sample(self, step: int, text: str, *, prompt: str = "", name: str = "sample") -> None:
        """A text that the model produced."""
        row = {"step": step, "name": name, "prompt": prompt, "text": text}
        self._write("samples", {**row, **self._now()})

    def checkpoint(self, step: int, path: str | os.PathLike[str], **facts: object) -> None:
        """A saved state; facts may hold `size_bytes` and metrics."""
        self.event("checkpoint", step=step, path=os.fspath(path), **facts)

    def event(self, event: str, text: object = "", **facts: object) -> None:
        """Anything else worth keeping: `event` is its kind, `text` a sentence, `step` where."""
        said = {"text": text} if text else {}
        self._write("events", {"event": event, **self._now(), **said, **facts})

    def finish(self, state: str = "finished", text: str = "") -> None:
        """End the run as `finished`, `failed`, `crashed` or `killed`; the first call counts."""
        if not self._state:
            self._state = state
            self.event("end", text, state=state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
        else:
            state = "killed" if issubclass(kind, KeyboardInterrupt) else "failed"
            self.finish(state, f"{kind.__name__}: {error}")

    def _now(self) -> dict[str, object]:
        return {"time": round(time.time(), 3), "attempt": self.attempt}

    def _write(self, stem: str, row: Mapping[str, object]) -> None:
        with (self.directory / f"{stem}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(_plain(row), allow_nan=False) + "\n")


def _end_last_line(path: Path) -> None:
    """A process that was killed may leave half a line: the next must not be glued to it."""
    with path.open("rb+") as stream:
        if not stream.seek(0, os.SEEK_END):
            return
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) != b"\n":
            stream.write(b"\n")


def _attempts_in(directory: Path) -> int:
    """How many lives of the run have written here."""
    events = directory / "events.jsonl"
    lives = 0
    for line in events.read_bytes().splitlines() if events.exists() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("event") == "start":
            given = row.get("attempt")
            lives = max(lives + 1, given if type(given) is int else 0)
    return lives or int((directory / "metrics.jsonl").exists())


def _libraries() -> dict[str, str]:
    """Versions of what computes the gradients, as far as it is imported."""
    found = {name: getattr(sys.modules.get(name), "__version__", "") for name in _LIBRARIES}
    return {name: str(version) for name, version in found.items() if version}


def _command() -> str:
    """How this process was started, to be pasted into a shell: `python -m train --lr 3e-4`.

    `sys.orig_argv` keeps `-m` and the interpreter's own options, which `sys.argv` loses.
    """
    if not sys.orig_argv:  # an embedded interpreter
        return shlex.join(sys.argv)
    return shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]])


def _plain(value: object) -> object:
    """JSON values: numbers of any library as int or float, NaN and infinities by name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        return operator.index(value)  # type: ignore[arg-type]  # numpy's and torch's integers
    except (TypeError, ValueError, RuntimeError):
        pass
    try:
        number = float(value)  # type: ignore[arg-type]  # numpy and torch scalars
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last one is torch's
        return str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
