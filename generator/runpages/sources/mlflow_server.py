"""An MLflow tracking server, read by its REST API."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runpages.errors import SourceError, UnknownNameError, UnreachableError, UsageError
from runpages.model import Run, RunRef

from ._media import MEDIA_BYTES
from ._mlflow_answers import Json, dict_of, dicts_of, facts_of_answer
from ._mlflow_artifacts import MAX_FILES
from ._mlflow_build import run_of
from ._mlflow_facts import RUN_ID, STATUS, Artifact, Tally, seconds_of
from ._mlflow_rest import CONNECTIONS, Client, Refused
from ._mlflow_rows import decoded
from ._textfiles import number, text, whole
from .contract import ServerSource
from .spool import Spool

__all__ = ["MlflowServer"]

_PAGE_ROWS = 25_000
"""As MLflow's own client asks for at once."""
_PAGE_RUNS = 200
_PAGE_EXPERIMENTS = 1000
_EXPERIMENTS_AT_ONCE = 50
_MAX_FOLDERS = 2000
_MAX_NAMED = 50
_AGAIN = "see whether the server is well, then pull again"


class MlflowServer(ServerSource):
    """Runs of the experiments of a tracking server; `project` is the name of one experiment.

    `filter` is MLflow's own search language (`metrics.loss < 2 and tags.team = 'nlp'`).
    """

    kind = "mlflow"

    def discover(self) -> Iterator[RunRef]:
        client = Client(self.location, self.run_seconds)
        try:
            with client.session:
                found = sorted(self._found(client), key=lambda ref: (ref.run_id, ref.project))
        except UnreachableError:
            raise
        except SourceError as error:
            if isinstance(error, Refused) and error.status == 400:
                raise UsageError(f"{self.kind}: {error}; see `filter` and `project`") from error
            raise UnreachableError(error.path, error.problem, remedy=error.remedy) from error
        yield from found

    def _found(self, client: Client) -> Iterator[RunRef]:
        names = self._experiments(client)
        ids = sorted(names)
        for start in range(0, len(ids), _EXPERIMENTS_AT_ONCE):
            body = {
                "experiment_ids": ids[start : start + _EXPERIMENTS_AT_ONCE],
                "filter": self.filter,
                "run_view_type": "ALL",
                "max_results": _PAGE_RUNS,
            }
            for page in client.pages("POST", "runs/search", body):
                client.restart()  # the time is meant for one run, here for one page
                for run in dicts_of(page.get("runs")):
                    ref = self._ref(client, run, names)
                    if ref is not None:
                        yield ref

    def _experiments(self, client: Client) -> dict[str, str]:
        """Id -> name of the experiments to look into."""
        body = {"max_results": _PAGE_EXPERIMENTS, "view_type": "ALL"}
        names: dict[str, str] = {}
        for page in client.pages("POST", "experiments/search", body):
            for found in dicts_of(page.get("experiments")):
                name, key = text(found.get("name")), text(found.get("experiment_id"))
                if found.get("lifecycle_stage") == "deleted":
                    address = f"{client.base}/#/experiments/{key}"
                    self.skipped.append((address, f"experiment {name!r} is deleted"))
                else:
                    names[key] = name
        if not self.project:
            return names
        if self.project not in names.values():
            raise UnknownNameError("experiment", self.project, sorted(names.values())[:_MAX_NAMED])
        return {key: name for key, name in names.items() if name == self.project}

    def _ref(self, client: Client, run: Json, names: Mapping[str, str]) -> RunRef | None:
        info = dict_of(run.get("info"))
        run_id = text(info.get("run_id")) or text(info.get("run_uuid"))
        experiment = text(info.get("experiment_id"))
        address = f"{client.base}/#/experiments/{experiment}/runs/{run_id}"
        if info.get("lifecycle_stage") == "deleted":
            self.skipped.append((address, f"run {run_id!r} is deleted"))
            return None
        if not RUN_ID.fullmatch(run_id):
            self.skipped.append((address, "a run without an id"))
            return None
        status, end = text(info.get("status")), whole(info.get("end_time"))
        return RunRef(
            source=self.name,
            project=names.get(experiment, experiment),
            run_id=run_id,
            name=text(info.get("run_name")) or run_id,
            state=STATUS.get(status, ""),
            location=address,
            kind=self.kind,
            stamp=f"{status} {info.get('end_time', '')} {_digest(run)}",
            latest=seconds_of(end),
        )

    def read(self, ref: RunRef) -> Run:
        client = Client(self.location, self.run_seconds)
        try:
            with client.session:
                return self._read(client, ref)
        except UnreachableError:
            raise
        except SourceError as error:
            raise SourceError(
                ref.location, error.problem, place=error.place, remedy=error.remedy or _AGAIN
            ) from error

    def _read(self, client: Client, ref: RunRef) -> Run:
        tally = Tally()
        run = dict_of(client.get("runs/get", run_id=ref.run_id).get("run"))
        facts = facts_of_answer(client, ref.run_id, run, tally)
        rows = _read_metrics(client, ref.run_id, facts.metric_names, tally)
        artifacts = list(_artifacts(client, ref.run_id, tally))
        return run_of(ref, facts, rows, artifacts, tally, settle_minutes=self.settle_minutes)


def _digest(run: Json) -> str:
    """Changes with every metric, parameter, tag, input or output that is logged."""
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]


def _read_metrics(client: Client, run_id: str, names: Iterable[str], tally: Tally) -> Spool:
    """The rows of all metrics, several at a time."""
    spool, lock = Spool(), threading.Lock()
    infinite = 0

    def read(name: str) -> int:
        found = 0
        asked = {"run_id": run_id, "metric_key": name, "max_results": _PAGE_ROWS}
        for page in client.pages("GET", "metrics/get-history", asked):
            columns, unusable = _columns(page.get("metrics"))
            times, values, count = decoded(columns[1], columns[2])
            found += count
            with lock:
                spool.extend(name, columns[0], times, values)
                tally.records += len(times)
                for _ in range(unusable):
                    tally.damage(name[:80], "a row holds no number")
        return found

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        reads = [pool.submit(read, name) for name in sorted(names)]
        try:
            for future in reads:
                infinite += future.result()
        except (SourceError, KeyboardInterrupt, SystemExit):
            client.stop()
            pool.shutdown(cancel_futures=True)
            raise
    tally.tell_infinite(infinite)
    return spool


_Columns = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


def _columns(rows: object) -> tuple[_Columns, int]:
    """(steps, milliseconds, values) of a page of rows, and how many of them cannot be used."""
    found = rows if isinstance(rows, list) else []
    count = len(found)
    try:
        return (
            np.fromiter([row["step"] for row in found], np.int64, count),
            np.fromiter([row["timestamp"] for row in found], np.float64, count),
            np.fromiter(map(float, [row["value"] for row in found]), np.float64, count),
        ), 0
    except (KeyError, TypeError, ValueError, OverflowError):
        good = []
        for row in dicts_of(found):
            # a number that is 0 may be left out, and NaN and infinities are texts
            step, ms = whole(row.get("step", 0)), number(row.get("timestamp", 0))
            value = number(row.get("value", 0.0))
            if step is not None and ms is not None and value is not None:
                good.append((step, ms, value))
        step_, ms_, value_ = zip(*good, strict=True) if good else ((), (), ())
        columns = np.array(step_, np.int64), np.array(ms_, float), np.array(value_, float)
        return columns, count - len(good)


def _artifacts(client: Client, run_id: str, tally: Tally) -> Iterator[Artifact]:
    """The files of a run, folder by folder."""
    waiting, seen, count = [""], 0, 0
    while waiting and seen < _MAX_FOLDERS:
        folder = waiting.pop()
        seen += 1
        asked = {"run_id": run_id, **({"path": folder} if folder else {})}
        try:
            files = [
                file
                for page in client.pages("GET", "artifacts/list", asked)
                for file in dicts_of(page.get("files"))
            ]
        except Refused as error:
            tally.lossy.append(f"its artifacts are not read: the server {error.problem}")
            return
        for file in files:
            path = text(file.get("path"))
            if not path.startswith(f"{folder}/" if folder else "") or {"", ".."} & {
                *path.split("/")
            }:
                continue  # no file of this folder
            if file.get("is_dir"):
                waiting.append(path)
            else:
                count += 1
                load = partial(client.file, run_id, path, MEDIA_BYTES)
                yield Artifact(path, whole(file.get("file_size", 0)), load)
        if count > MAX_FILES:
            break
    if waiting:
        tally.warn(
            f"artifacts: more than {MAX_FILES:,} files or {_MAX_FOLDERS:,} folders; the"
            " rest is not looked at"
        )
