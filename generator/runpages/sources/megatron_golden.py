"""Golden values of Megatron-LM's functional tests: one JSON of metrics by step a training."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from runpages.errors import SourceError
from runpages.model import Attempt, Provenance, Run, RunRef, SeriesSet

from ._jsonscan import Damaged, JsonScan
from ._textfiles import Ledger, mapping_of, number, whole
from .contract import UNREADABLE, Claim, FileSource, Folder
from .spool import Spool

__all__ = ["MegatronGolden"]

READER = "golden 1"
_HEAD = re.compile(rb'\s*\{\s*"[^"\\]{1,200}"\s*:\s*\{\s*"start_step"\s*:')
_HEAD_BYTES = 1_000
_NAME = re.compile(r"golden_values.*\.json")
_SECOND = "_2nd"
_CONFIG = "model_config.yaml"
_ABSENT = "nan"
"""What stands where a metric was not recorded; NaN itself is JSON's bare word."""
_TOLD = ("start_step", "end_step", "step_interval")
LOSSY = (
    "golden values have no clock: when a step was done is not known",
    "values are rounded to 5 decimals and come from TensorBoard's single precision",
    "of a training whose parts were put into one file, redone steps keep their first value",
)


class MegatronGolden(FileSource):
    """Each JSON of golden values is a run; with the `..._2nd.json` of its restart it has two lives.

    The second file of a restart test holds the same training, gone on from a checkpoint of the
    first: it is taken for that if it begins behind the first file's first step.
    """

    kind = "golden"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        found = [n for n in folder.files if n.endswith(".json") and _ours(folder.path / n)]
        beside = (_CONFIG,) if found and _CONFIG in folder.files else ()
        return Claim(logs=tuple(found), companions=beside)

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        usable = []
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
            else:
                usable.append(path)
        second = {path: other for path in usable if (other := _restart_of(path, usable))}
        refs = []
        for path in usable:
            if path in second.values():
                continue
            below = PurePosixPath(self.relative(path))
            parts = (path, second[path]) if path in second else (path,)
            refs.append(
                RunRef(
                    source=self.name,
                    project="",
                    run_id=str(below),
                    name="/".join([*below.parts[-2:-1], below.stem]),
                    state="",
                    location=str(path),
                    kind=self.kind,
                    parts=tuple(str(part) for part in parts),
                )
            )
        yield from sorted(refs, key=lambda ref: ref.run_id)

    def read(self, ref: RunRef) -> Run:
        folder = Path(ref.location).parent
        ledger = Ledger(folder, unit="value")
        reading = _Reading(ledger)
        for attempt, part in enumerate(ref.parts, start=1):
            reading.document(Path(part).name, attempt)
        if not ledger.records:
            raise SourceError(
                ref.location, "no value of it can be read", place=next(iter(ledger.warnings), "")
            )
        return reading.run(ref)


@dataclass(slots=True)
class _Reading:
    """One run, while its documents are read in turn."""

    ledger: Ledger
    spool: Spool = field(default_factory=Spool)
    summary: dict[str, Any] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    absent: dict[str, list[int]] = field(default_factory=dict)
    """Metric -> the steps at which it was not recorded."""

    def document(self, name: str, attempt: int) -> None:
        document = JsonScan.of_file(self.ledger, name)
        for metric in document.members():
            facts: dict[str, object] = {}
            for key in document.members():
                if key == "values":
                    self._values(document, name, metric, attempt)
                    continue
                try:
                    facts[key] = document.value().value
                except Damaged:
                    continue
            self.summary[metric] = {key: facts[key] for key in _TOLD if key in facts}

    def _values(self, document: JsonScan, name: str, metric: str, attempt: int) -> None:
        steps: list[int] = []
        values: list[float] = []
        for key in document.members():
            try:
                piece = document.value()
            except Damaged:
                continue
            if piece.value == _ABSENT:
                at = whole(key)
                self.absent.setdefault(metric, []).extend([] if at is None else [at])
                continue
            step, value = whole(key), number(piece.value)
            if step is None or value is None:
                problem = "no whole number for a step" if step is None else "no number"
                self.ledger.damage(name, piece.line, len(piece.text), problem)
                continue
            steps.append(step)
            values.append(value)
        self.ledger.records += len(steps)
        if not steps:
            return
        if attempt not in self.seen:
            self.seen.append(attempt)
        # a mapping has no order of its own
        order = np.argsort(np.array(steps, dtype=np.int64), kind="stable")
        step_column, value_column = np.array(steps, dtype=np.int64), np.array(values)
        times = np.full(len(steps), math.nan)
        self.spool.extend(metric, step_column[order], times, value_column[order], attempt=attempt)

    def run(self, ref: RunRef) -> Run:
        ledger, series = self.ledger, self.spool.finish()
        config = mapping_of(ledger, _CONFIG) or {}
        return Run(
            ref=ref,
            name=ref.name,
            state="ended",
            incomplete=ledger.incomplete,
            attempts=tuple(_attempts(self.seen, series.spans)),
            series=series,
            config=config,
            summary=self.summary,
            provenance=Provenance(
                reader=READER,
                files=tuple(ledger.files),
                records_read=ledger.records,
                records_damaged=ledger.damaged,
                bytes_damaged=ledger.bytes_damaged,
                step_source="key of `values` (training iteration)",
                parts_joined=True,
                lossy=LOSSY,
                warnings=(*ledger.warnings, *self._not_recorded(series)),
            ),
        )

    def _not_recorded(self, series: SeriesSet) -> Iterator[str]:
        """One sentence for metrics that lack the same steps; whether these are the end."""
        alike: dict[tuple[int, ...], list[str]] = {}
        for metric, steps in self.absent.items():
            alike.setdefault(tuple(sorted(steps)), []).append(metric)
        for missing, metrics in alike.items():
            if not missing:
                continue
            where = "of the steps"
            ends = [int(series[m].recorded.step[-1]) for m in metrics if m in series]
            if missing[0] > max(ends, default=-1):
                where = "steps, the last ones,"
            yield (
                f"{', '.join(metrics)}: not recorded at {len(missing):,} {where}"
                f' between {missing[0]:,} and {missing[-1]:,} (written as "nan")'
            )


def _attempts(seen: Sequence[int], spans: Mapping[int, tuple[int, int]]) -> Iterator[Attempt]:
    for attempt in sorted(seen):
        first, last = spans[attempt]
        yield Attempt(number=attempt, first_step=first, last_step=last)


def _ours(path: Path) -> bool:
    """Whether a JSON begins as golden values do; by its name if it is empty or cannot be opened."""
    try:
        if not path.is_file():
            return _NAME.fullmatch(path.name) is not None
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return _NAME.fullmatch(path.name) is not None
    return bool(_HEAD.match(head) if head else _NAME.fullmatch(path.name))


def _restart_of(path: Path, others: Sequence[Path]) -> Path | None:
    """The file of the process that went on where that of `path` had saved a checkpoint."""
    second = path.with_name(f"{path.stem}{_SECOND}.json")
    if second not in others:
        return None
    began, went_on = _first_step(path), _first_step(second)
    return second if began is not None and went_on is not None and went_on > began else None


def _first_step(path: Path) -> int | None:
    """The first step that has a value, of the first metric that has one."""
    ledger = Ledger(path.parent)
    try:
        document = JsonScan.of_file(ledger, path.name)
    except SourceError:
        return None
    for _ in document.members():
        for key in document.members():
            if key != "values":
                continue
            for step in document.members():
                try:
                    absent = document.value().value == _ABSENT
                except Damaged:
                    continue
                if not absent and whole(step) is not None:
                    return whole(step)
    return None


def _unusable(path: Path) -> str:
    """Why nothing can be read of the log; empty if something can."""
    try:
        if not path.is_file():
            return "is no regular file"
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "empty: no value was written" if empty else ""
