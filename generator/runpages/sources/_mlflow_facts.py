"""What MLflow keeps of a run beside its metrics, whichever way it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from runpages.model import Dataset

__all__ = [
    "MAX_MILLISECONDS",
    "RUN_ID",
    "STATUS",
    "Artifact",
    "Facts",
    "LoggedModel",
    "ModelVersion",
    "Tally",
    "seconds_of",
]

STATUS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}
"""A run whose process died keeps RUNNING for ever, so that RUNNING says nothing."""

RUN_ID = re.compile(r"[0-9A-Za-z][\w-]{0,255}")
"""What MLflow takes as the id of a run, a data set or a model; no path."""

_MAX_WARNINGS = 20
MAX_MILLISECONDS = 10**14


def seconds_of(milliseconds: object) -> float | None:
    """UTC seconds; None for what MLflow writes where it knows no time (0, -1, nothing)."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    known = math.isfinite(milliseconds) and 0 < milliseconds < MAX_MILLISECONDS
    return milliseconds / 1000 if known else None


@dataclass(slots=True)
class Tally:
    """What was read of one run, and what was not."""

    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    files: list[tuple[str, int]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Why records are known to be missing, one sentence each."""
    lossy: list[str] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _more: int = 0
    _unusable: dict[str, int] = field(default_factory=dict)

    def warn(self, sentence: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(sentence)
        else:
            self._more += 1

    def damage(self, name: str, problem: str, *, place: object = "", size: int = 0) -> None:
        """A record of the file or table `name` that is left out, `size` bytes long."""
        self.damaged += 1
        self.bytes_damaged += size
        self._unusable[name] = self._unusable.get(name, 0) + 1
        self.warn(f"{name}{f':{place}' if place else ''}: {problem}; left out")

    def add(self, other: Tally) -> None:
        """What `other` counted as well."""
        self.records += other.records
        self.damaged += other.damaged
        self.bytes_damaged += other.bytes_damaged
        for name, count in other._unusable.items():
            self._unusable[name] = self._unusable.get(name, 0) + count
        for sentence in other._warnings:
            self.warn(sentence)
        self._more += other._more

    def tell_infinite(self, count: int) -> None:
        if count:
            plural = "s are" if count > 1 else " is"
            self.lossy.append(
                f"{count:,} value{plural} ±1.797e308, as MLflow's SQL stores write infinities;"
                " read as ±Inf"
            )

    @property
    def incomplete(self) -> tuple[str, ...]:
        damaged = (
            f"{name} has {count:,} record{'s' * (count > 1)} that cannot be used"
            for name, count in self._unusable.items()
        )
        return (*self.lost, *damaged)

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self._warnings, *((f"and {self._more} more",) if self._more else ()))


class Artifact(NamedTuple):
    """A file that the run stored."""

    path: str
    """POSIX path below the run's artifacts."""
    size: int | None
    load: Callable[[], bytes]
    """Raises OSError or ValueError; never more than MEDIA_BYTES."""


class LoggedModel(NamedTuple):
    """A model that the run logged."""

    model_id: str
    name: str
    step: int
    created: float | None
    metrics: tuple[tuple[str, int, float, float], ...]
    """(name, step, UTC seconds or 0, value) of the metrics that were linked to it."""


class ModelVersion(NamedTuple):
    """An entry of the model registry that names the run as its origin."""

    name: str
    version: str
    stage: str
    created: float | None
    link: str


@dataclass(slots=True, kw_only=True)
class Facts:
    """One run but for its rows and files."""

    status: str = ""
    start: float | None = None
    end: float | None = None
    user: str = ""
    source_name: str = ""
    source_version: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[Dataset] = field(default_factory=list)
    models: list[LoggedModel] = field(default_factory=list)
    versions: list[ModelVersion] = field(default_factory=list)
    metric_names: frozenset[str] = frozenset()
    """Metrics of which the store says that they have rows."""
