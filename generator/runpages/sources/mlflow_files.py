"""MLflow's stores on disk: `mlruns` folders and SQLite files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from runpages.errors import SourceError
from runpages.model import Run, RunRef

from ._mlflow_artifacts import artifact_folder, files_below
from ._mlflow_build import run_of
from ._mlflow_facts import RUN_ID, STATUS, Artifact, Tally
from ._mlflow_folder import (
    PARTS,
    artifacts_of_folder,
    experiment_of,
    facts_of_folder,
    read_metrics,
    status_of,
)
from ._mlflow_meta import META, kind_of, mapping_of
from ._mlflow_sqlite import Store, holds_runs, opened
from ._mlflow_tables import artifact_uri, experiments, facts_of_tables, runs
from ._textfiles import text
from .contract import UNREADABLE, Claim, FileSource, Folder
from .spool import Spool

__all__ = ["MlflowFiles"]

_SUFFIXES = frozenset({"", ".db", ".db3", ".sqlite", ".sqlite3"})
_STORED = re.compile(r"(?:m-)?[0-9a-f]{32}")
"""Folders of a run or a logged model in which a SQL store keeps `artifacts`."""
_TRASH = ".trash"


class MlflowFiles(FileSource):
    """A run is a run folder of a file store, or a row of `runs` in a SQLite store."""

    kind = "mlflow"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        """Run folders as a whole, SQLite files with MLflow's tables, MLflow's own meta.yaml."""
        if folder.path.name == "artifacts" and _STORED.fullmatch(folder.path.parent.name):
            return Claim(companions=folder.files, whole_tree=True)
        if _is_run(folder.path):
            return Claim(logs=(META,), companions=folder.files, whole_tree=True)
        if "metrics" in folder.path.parts and _run_above(folder.path) is not None:
            return Claim(logs=folder.files)
        if META in folder.files:
            kind = kind_of(folder.path / META)
            if kind:
                return Claim(companions=(META,), whole_tree=kind == "experiment")
        if _is_run(folder.path.parent):
            return Claim()  # values, one a file: none of them is a store
        stores = [
            name
            for name in folder.files
            if Path(name).suffix.lower() in _SUFFIXES and holds_runs(folder.path / name)
        ]
        beside = [f"{name}{end}" for name in stores for end in ("-wal", "-shm", "-journal")]
        return Claim(logs=tuple(stores), companions=tuple(n for n in beside if n in folder.files))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found: dict[str, RunRef] = {}
        stores = [path for path in logs if path.name != META and _run_above(path.parent) is None]
        for path in stores:
            for ref in self._of_store(path):
                self._keep(found, ref)
        folders = dict.fromkeys(
            run for path in logs if path not in stores and (run := _run_above(path.parent))
        )
        for run in folders:
            self._keep(found, self._of_folder(run))
        yield from sorted(found.values(), key=lambda ref: (ref.run_id, ref.project))

    def _keep(self, found: dict[str, RunRef], ref: RunRef | None) -> None:
        if ref is None:
            return
        first = found.setdefault(ref.slug, ref)
        if first is not ref:
            other = self._below(Path(first.location))
            self.skipped.append((ref.location, f"run {ref.run_id!r} is read from {other}"))

    def _below(self, path: Path) -> str:
        return self.relative(path) if path.is_relative_to(self.root) else path.name

    def _of_folder(self, run: Path) -> RunRef | None:
        tally = Tally()
        meta = mapping_of(run / META, META, tally)
        if meta.get("lifecycle_stage") == "deleted" or run.parents[1].name == _TRASH:
            self.skipped.append((str(run), "the run or its experiment is deleted"))
            return None
        return RunRef(
            source=self.name,
            project=self._experiment(run, meta, tally),
            run_id=_id_of(run, meta),
            name=text(meta.get("run_name")) or text(meta.get("name")) or run.name,
            state=STATUS.get(status_of(meta), ""),
            location=str(run),
            kind=self.kind,
            parts=(str(run),),
        )

    def _experiment(self, run: Path, meta: dict[str, object], tally: Tally) -> str:
        """Its name, if that lies below the root; else its id, as the run itself has it."""
        known = text(meta.get("experiment_id"))
        if run.parent != self.root and self.root not in run.parent.parents:
            return known
        return experiment_of(run, tally) or known or run.parent.name

    def _of_store(self, path: Path) -> Iterator[RunRef]:
        try:
            if not path.stat().st_size:
                self.skipped.append((str(path), "empty: 0 bytes"))
                return
            with opened(path) as store:
                tally = Tally()
                names = experiments(store, tally)
                rows = runs(store, tally)
        except SourceError as error:
            self.skipped.append((str(path), error.problem))
            return
        except OSError as error:
            self.skipped.append((str(path), f"{UNREADABLE}: {error.strerror}"))
            return
        self.skipped += [(str(path), warning) for warning in tally.warnings]
        if not rows:
            self.skipped.append((str(path), "holds no run that can be read"))
        for run_id, name, experiment, stage, status in rows:
            project, deleted = names.get(experiment, (str(experiment), False))
            if deleted or stage == "deleted":
                why = f"run {run_id!r} or its experiment is deleted"
                self.skipped.append((str(path), why))
                continue
            yield RunRef(
                source=self.name,
                project=project,
                run_id=str(run_id),
                name=text(name) or str(run_id),
                state=STATUS.get(str(status), ""),
                location=str(path),
                kind=self.kind,
                parts=(str(path),),
            )

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        try:
            return self._read_folder(ref, path) if path.is_dir() else self._read_store(ref, path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(error.filename or path, f"cannot be read: {reason}") from error

    def _read_folder(self, ref: RunRef, run: Path) -> Run:
        tally = Tally()
        meta = mapping_of(run / META, META, tally)
        if not (run / META).is_file():
            tally.lost.append("the run has no meta.yaml: its state and times are lost")
        rows = Spool()
        facts = facts_of_folder(run, meta, tally)
        read_metrics(run, rows, tally)
        artifacts = artifacts_of_folder(run, meta, tally)
        return run_of(ref, facts, rows, artifacts, tally, settle_minutes=self.settle_minutes)

    def _read_store(self, ref: RunRef, path: Path) -> Run:
        tally = Tally(files=[(path.name, path.stat().st_size)])
        with opened(path) as store:
            if store.lost_bytes:
                tally.damage(
                    path.name,
                    f"its last {store.lost_bytes:,} bytes are missing",
                    size=store.lost_bytes,
                )
            rows = store.read_metrics(ref.run_id, tally)
            facts = facts_of_tables(store, ref.run_id, tally)
            artifacts = self._artifacts(store, ref, tally)
        return run_of(ref, facts, rows, artifacts, tally, settle_minutes=self.settle_minutes)

    def _artifacts(self, store: Store, ref: RunRef, tally: Tally) -> Iterator[Artifact]:
        uri = artifact_uri(store, ref.run_id, tally)
        folder = artifact_folder(store.path.parent, uri)
        if folder is not None:
            return files_below(folder, tally)
        scheme = uri.partition("://")[0][:20] if "://" in uri else "a folder"
        tally.lossy.append(
            f"its artifacts, if there are any, do not lie beside the store ({scheme}); not read"
        )
        return iter(())


def _is_run(folder: Path) -> bool:
    """A folder with a run's meta.yaml, or one that has lost it and is named and built like one."""
    if kind_of(folder / META) == "run":
        return True
    named = len(folder.name) == 32 and RUN_ID.fullmatch(folder.name) is not None
    return named and sum((folder / part).is_dir() for part in PARTS) > 1


def _run_above(folder: Path) -> Path | None:
    """The run folder that `folder` is, or in whose metrics it lies."""
    if _is_run(folder):
        return folder
    for inner, outer in zip((folder, *folder.parents), folder.parents, strict=False):
        if inner.name == "metrics" and _is_run(outer):
            return outer
    return None


def _id_of(run: Path, meta: dict[str, object]) -> str:
    return text(meta.get("run_id")) or text(meta.get("run_uuid")) or run.name
