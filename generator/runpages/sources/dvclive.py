"""DVCLive folders: one table a metric, parameters, images."""

from __future__ import annotations

import math
import os
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from runpages.errors import SourceError
from runpages.model import Attempt, Dataset, Provenance, Run, RunRef, Sample

from ._dvclive_tables import Lives, falls_of, rows_of_table
from ._media import Gallery
from ._textfiles import Ledger, core_yaml, mapping_of, text, whole
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state
from .spool import Spool

__all__ = ["DvcLive"]

READER = "dvclive 1"
_METRICS = PurePosixPath("plots/metrics")
_DEPTH = 8
"""Folders between a run's own and one of its metrics that are looked through at most."""
_HEADER = re.compile(rb"(timestamp\t)?step\t[^\t]*(\r?\n|$)")
_HEAD_BYTES = 1_000
_MAX_FILES = 20_000
_SYSTEM = "system/"
_OWN = re.compile(r"(metrics\.json|params\.yaml|dvc\.yaml|report\.(html|md)|\.gitignore|.*\.dvc)")
NO_CLOCK = "no metric was logged with its time: when a step was done is not known"
REPLACED = "an image or a value of the summary that is logged again replaces the one before it"


class DvcLive(FileSource):
    """Each folder with tables of metrics below `plots/metrics` is a run."""

    kind = "dvclive"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        home = _home(folder.path)
        if home is None:
            return Claim()
        below = PurePosixPath(folder.path.relative_to(home).as_posix())
        if below == PurePosixPath():
            return Claim(companions=tuple(name for name in folder.files if _OWN.fullmatch(name)))
        if below.is_relative_to(_METRICS):
            tables = (n for n in folder.files if n.endswith(".tsv") and _ours(folder.path / n))
            return Claim(logs=tuple(tables))
        if below.is_relative_to("plots"):
            return Claim(companions=folder.files)
        return Claim()

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found: dict[Path, list[Path]] = {}
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
            else:
                found.setdefault(self._run_folder(path), []).append(path)
        refs = []
        for folder, tables in found.items():
            run_id = self.identity(folder)
            parts = PurePosixPath(run_id).parts
            named = parts[-2] if parts[-1] == "dvclive" and len(parts) > 1 else folder.name
            refs.append(
                RunRef(
                    source=self.name,
                    project="",
                    run_id=run_id,
                    name=named,
                    state="",
                    location=str(folder),
                    kind=self.kind,
                    parts=tuple(str(path) for path in sorted(tables)),
                )
            )
        yield from sorted(refs, key=lambda ref: ref.run_id)

    def _run_folder(self, path: Path) -> Path:
        """The folder above `plots/metrics`; the root if that lies inside of it."""
        parts = path.relative_to(self.root).parts
        for at in range(len(parts) - 1):
            if PurePosixPath(*parts[at : at + 2]) == _METRICS:
                return self.root.joinpath(*parts[:at])
        return self.root

    def read(self, ref: RunRef) -> Run:
        folder = Path(ref.location)
        ledger = Ledger(folder)
        names = [Path(part).relative_to(folder).as_posix() for part in ref.parts]
        reading = _Reading(ledger, Lives([falls_of(Ledger(folder), name) for name in names]))
        for name in names:
            reading.table(name)
        if not ledger.records:
            raise SourceError(
                folder, "no row of its metrics can be read", place=next(iter(ledger.warnings), "")
            )
        return reading.run(ref, self.settle_minutes)


@dataclass(slots=True)
class _Reading:
    """One run, while its tables are read in turn."""

    ledger: Ledger
    lives: Lives
    spool: Spool = field(default_factory=Spool)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)

    def table(self, name: str) -> None:
        path = PurePosixPath(name)
        metric = str(path.relative_to(_METRICS) if path.is_relative_to(_METRICS) else path)
        metric = metric.removesuffix(".tsv")
        columns: tuple[array[int], array[float], array[float]]
        columns = array("q"), array("d"), array("d")
        for row in rows_of_table(self.ledger, name, metric):
            columns[0].append(row.step)
            columns[1].append(row.time)
            columns[2].append(row.value)
        step, time, value = (np.array(column) for column in columns)
        attempts = np.array(self.lives.attempts(columns[0]), dtype=np.int64)
        # readings that the system monitor takes by the clock
        sampled = metric.startswith(_SYSTEM) and len(time) > 0 and bool(np.isfinite(time).all())
        for attempt in np.unique(attempts).tolist():
            own = np.flatnonzero(attempts == attempt)
            clocks = time[own][np.isfinite(time[own])]
            if len(clocks):
                self.first[attempt] = min(self.first.get(attempt, math.inf), float(clocks.min()))
                self.last[attempt] = max(self.last.get(attempt, -math.inf), float(clocks.max()))
            self.spool.extend(
                metric,
                own if sampled else step[own],
                time[own],
                value[own],
                attempt=attempt,
                time_axis=sampled,
            )

    def run(self, ref: RunRef, settle_minutes: float) -> Run:
        ledger = self.ledger
        samples, told = self._images()
        config = mapping_of(ledger, "params.yaml", parse_yaml=core_yaml) or {}
        summary = mapping_of(ledger, "metrics.json") or {}
        artifacts = (mapping_of(ledger, "dvc.yaml", parse_yaml=core_yaml) or {}).get("artifacts")
        if isinstance(artifacts, dict):
            summary["artifacts"] = artifacts
        series = self.spool.finish()
        end = max(self.last.values(), default=None)
        state = settled_state(end, settle_minutes)
        seed = config.get("seed")
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=ledger.incomplete,
            start=min(self.first.values(), default=None),
            end=end,
            attempts=self._attempts(series.spans, state),
            series=series,
            config=config,
            summary=summary,
            seed=seed if type(seed) is int else None,
            datasets=tuple(_datasets(artifacts)),
            samples=samples,
            provenance=Provenance(
                reader=READER,
                files=tuple(ledger.files),
                records_read=ledger.records,
                records_damaged=ledger.damaged,
                bytes_damaged=ledger.bytes_damaged,
                step_source="`step` of DVCLive (counts next_step() unless a callback sets it)",
                lossy=(REPLACED,) if self.first else (NO_CLOCK, REPLACED),
                warnings=(*ledger.warnings, *told, *self._not_read()),
            ),
        )

    def _attempts(self, spans: Mapping[int, tuple[int, int]], state: str) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(
                number=number,
                start=self.first.get(number),
                end=self.last.get(number),
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
                state=state if number == self.lives.count else "ended",
            )
            for number in range(1, self.lives.count + 1)
        )

    def _images(self) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
        gallery = Gallery()
        folder = self.ledger.folder / "plots" / "images"
        found = [(*_image_of(path.relative_to(folder)), path) for path in _files(folder)]
        for name, step, path in sorted(found, key=lambda f: (f[0], -1 if f[1] is None else f[1])):
            attempt = self.lives.at(step)
            gallery.add_file(Sample(kind="image", name=name, step=step, attempt=attempt), path)
        return gallery.finish()

    def _not_read(self) -> Iterator[str]:
        for kind in ("custom", "sklearn"):
            count = sum(1 for _ in _files(self.ledger.folder / "plots" / kind))
            if count:
                yield f"plots/{kind}: {count} plot{'s' * (count > 1)} of other kinds are not read"


def _home(folder: Path) -> Path | None:
    """The folder of the run that `folder` belongs to."""
    for above in (folder, *folder.parents[:_DEPTH]):
        if (above / _METRICS).is_dir():
            return above
    return None


def _ours(path: Path) -> bool:
    """Whether a table's first line is DVCLive's; what cannot be opened or is empty is claimed."""
    try:
        if not path.is_file():
            return True
        with path.open("rb") as stream:
            head = stream.readline(_HEAD_BYTES)
    except OSError:
        return True
    return not head or _HEADER.fullmatch(head) is not None or len(head) == _HEAD_BYTES


def _files(folder: Path) -> list[Path]:
    """Regular files below, sorted; links are left out: they may lead out of the run."""
    found = []
    for current, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(current) / name for name in sorted(names))
        found += [path for path in paths if not path.is_symlink() and path.is_file()]
        if len(found) > _MAX_FILES:
            break
    return found[:_MAX_FILES]


def _image_of(path: Path) -> tuple[str, int | None]:
    """(name, step) of an image: `log_image(f"name/{live.step}.png", ...)` keeps that of each step.

    Any other image is replaced by the next of its name.
    """
    name = PurePosixPath(path.as_posix())
    step = whole(name.stem) if len(name.parts) > 1 and name.stem.isdecimal() else None
    return (str(name.with_suffix("")), None) if step is None else (str(name.parent), step)


def _datasets(artifacts: object) -> Iterator[Dataset]:
    for name, artifact in artifacts.items() if isinstance(artifacts, dict) else ():
        if isinstance(artifact, dict) and artifact.get("type") == "dataset":
            yield Dataset(name=text(name))


def _unusable(path: Path) -> str:
    """Why nothing can be read of the log; empty if something can."""
    try:
        if not path.is_file():
            return "is no regular file"
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "empty: no row was written" if empty else ""
