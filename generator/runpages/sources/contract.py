"""What a source promises.

A source knows one tracker or format. It *discovers* runs cheaply and *reads* one run completely.

- `discover` yields every run once, in a stable order that does not depend on the listing order of
  the file system. What it meets and sets aside goes to `skipped` as (path, one sentence).
- `read` returns the run with every record that the format holds and this source claims to read.
  Damage never raises: records before and after it are kept, it is counted in
  `Provenance.records_damaged`, and `Run.incomplete` says so in one sentence. Only a log of which
  nothing at all can be used raises SourceError.
- Nothing is invented: no missing time, step, state or value is filled in. NaN and infinities are
  values. Nothing is redacted or escaped here.
- Within one attempt steps do not fall: a source that meets falling steps starts a new attempt.
- The same files give the same Run, whatever the path above the root, time zone or hash seed.
- A source writes nothing, unpickles nothing and asks no host but the tracker's own.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from runpages.analysis.roles import role_of
from runpages.model import Columns, Run, RunRef, SeriesSet

__all__ = [
    "SETTLE_MINUTES",
    "UNREADABLE",
    "Claim",
    "FileSource",
    "Folder",
    "Source",
    "Spool",
    "settled_state",
]

SETTLE_MINUTES = 30.0
UNREADABLE = "cannot be opened"
"""How the reason begins for what is there but cannot be read."""


class Folder(NamedTuple):
    """One folder as a walk meets it."""

    path: Path
    files: tuple[str, ...]
    """Names of the files in it, sorted."""


class Claim(NamedTuple):
    """What a source recognises in one folder."""

    logs: tuple[str, ...] = ()
    """File names that hold (part of) a run."""
    companions: tuple[str, ...] = ()
    """File names that belong to those logs: configuration, media, hidden state."""
    whole_tree: bool = False
    """Everything else in this folder and below it belongs to the run as well."""


class Source(ABC):
    """A tracker or a folder of logs. `name` is part of every run's identity."""

    kind: ClassVar[str]

    def __init__(
        self, location: str, *, name: str = "", settle_minutes: float = SETTLE_MINUTES
    ) -> None:
        self.location = location
        self.name = name
        self.settle_minutes = settle_minutes
        self.skipped: list[tuple[str, str]] = []

    @abstractmethod
    def discover(self) -> Iterator[RunRef]:
        """Every run that can be read here, each once."""

    @abstractmethod
    def read(self, ref: RunRef) -> Run:
        """The whole run. Raises SourceError if nothing of it can be used."""


class FileSource(Source):
    """A source of files below a root folder (or one file, whose folder is then the root).

    The default name is the root folder's own name, so that moving the folder keeps every URL.
    """

    def __init__(
        self, location: str, *, name: str = "", settle_minutes: float = SETTLE_MINUTES
    ) -> None:
        path = Path(location).resolve()
        root = path.parent if path.is_file() else path
        super().__init__(location, name=name or root.name, settle_minutes=settle_minutes)
        self.path = path
        self.root = root

    @classmethod
    @abstractmethod
    def claim(cls, folder: Folder) -> Claim:
        """What of this folder is ours; looks at names and at most at the first bytes of files."""

    @abstractmethod
    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        """The runs that the claimed log files make, in the order of their ids."""

    def discover(self) -> Iterator[RunRef]:
        from .scan import find_logs

        yield from self.gather(find_logs(self))

    def relative(self, path: Path) -> str:
        """POSIX path below the root, for identities and messages."""
        return path.relative_to(self.root).as_posix()


class Spool:
    """Collects the rows of a run's series while a source reads, in the order of the records."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[list[int], list[float], list[float], list[int]]] = {}
        self._blocks: dict[str, list[Columns]] = {}
        self._order: dict[str, None] = {}
        self._time_axis: set[str] = set()

    def add(self, name: str, step: int, seconds: float, value: float, *, attempt: int = 1) -> None:
        """One row; `seconds` is UTC since 1970 or NaN."""
        rows = self._rows.get(name)
        if rows is None:
            self._order.setdefault(name)
            rows = self._rows[name] = ([], [], [], [])
        rows[0].append(step)
        rows[1].append(seconds)
        rows[2].append(value)
        rows[3].append(attempt)

    def extend(
        self,
        name: str,
        step: Sequence[int],
        seconds: Sequence[float],
        value: Sequence[float],
        *,
        attempt: int = 1,
    ) -> None:
        """Many rows of one attempt at once; equal lengths."""
        self._order.setdefault(name)
        self._flush(name)
        self._blocks.setdefault(name, []).append(
            Columns(
                np.asarray(step, dtype=np.int64),
                np.asarray(seconds, dtype=np.float64),
                np.asarray(value, dtype=np.float64),
                np.full(len(step), attempt, dtype=np.int64),
            )
        )

    def sample(self, name: str, seconds: float, value: float, *, attempt: int = 1) -> None:
        """One reading taken by the clock (system metric); its step is its number."""
        self._time_axis.add(name)
        rows = self._rows.get(name)
        self.add(name, len(rows[0]) if rows else 0, seconds, value, attempt=attempt)

    def _flush(self, name: str) -> None:
        rows = self._rows.pop(name, None)
        if rows is not None:
            self._blocks.setdefault(name, []).append(
                Columns(
                    np.array(rows[0], dtype=np.int64),
                    np.array(rows[1], dtype=np.float64),
                    np.array(rows[2], dtype=np.float64),
                    np.array(rows[3], dtype=np.int64),
                )
            )

    def finish(self) -> SeriesSet:
        """All series, roles resolved by the built-in table."""
        columns: dict[str, Columns] = {}
        for name in self._order:
            self._flush(name)
            blocks = self._blocks[name]
            columns[name] = Columns(
                np.concatenate([b.step for b in blocks]),
                np.concatenate([b.time for b in blocks]),
                np.concatenate([b.value for b in blocks]),
                np.concatenate([b.attempt for b in blocks]),
            )
        return SeriesSet.of(columns, time_axis=frozenset(self._time_axis)).roled(role_of)


def settled_state(last_seconds: float | None, settle_minutes: float) -> str:
    """`ended` or `running` for a log without an end marker, by its last *recorded* time."""
    if last_seconds is None or not np.isfinite(last_seconds):
        return "ended"
    return "ended" if time.time() - last_seconds >= 60 * settle_minutes else "running"
