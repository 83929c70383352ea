"""Monitor files of Stable-Baselines3 and Gym: an episode a row, a file an environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from runpages.errors import SourceError
from runpages.model import Attempt, Provenance, Run, RunRef, rank_key

from ._monitor_files import Episodes, MonitorFile, read_monitor
from ._ranks import KEPT_RANKS, missing_ranks
from ._textfiles import Ledger
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state
from .spool import Spool

__all__ = ["RlMonitor"]

READER = "monitor 1"
_NAME = re.compile(r"(?:.*\.)?monitor\.csv")
_WORKER = re.compile(r"(\d{1,6})\.monitor\.csv")
_HEAD_BYTES = 10_000
LOSSY = (
    "steps are those of the environments: how many updates of the weights they led to is not known",
    "an episode that was not over when training stopped is in no row",
)
APPENDED = (
    "a process that appends to a file does not write when it began: its episodes have no time"
)


class RlMonitor(FileSource):
    """The numbered monitor files of a folder are the environments of one run.

    A `monitor.csv` is a run, too; one that is named otherwise is a run of its own beside it.
    """

    kind = "monitor"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        found = (n for n in folder.files if _NAME.fullmatch(n) and _ours(folder.path / n))
        return Claim(logs=tuple(found))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        usable = []
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
            else:
                usable.append(path)
        numbered = {path.parent for path in usable if _WORKER.fullmatch(path.name)}
        found: dict[str, list[Path]] = {}
        for path in usable:
            alone = path.name == "monitor.csv" and path.parent not in numbered
            whole = alone or _WORKER.fullmatch(path.name)
            found.setdefault(self.identity(path.parent if whole else path), []).append(path)
        for run_id, files in sorted(found.items()):
            files.sort(key=lambda path: _worker_of(path.name))
            yield RunRef(
                source=self.name,
                project="",
                run_id=run_id,
                name=PurePosixPath(run_id).name,
                state="",
                location=str(files[0].parent),
                kind=self.kind,
                parts=tuple(str(path) for path in files),
            )

    def read(self, ref: RunRef) -> Run:
        ledger = Ledger(Path(ref.location))
        names = [Path(part).name for part in ref.parts]
        files = {_worker_of(name): read_monitor(ledger, name) for name in names}
        episodes = Episodes(files)
        if not len(episodes.step):
            raise SourceError(
                ref.location, "no episode can be read", place=next(iter(ledger.warnings), "")
            )
        return _run(ref, ledger, files, episodes, self.settle_minutes)


def _worker_of(name: str) -> int:
    found = _WORKER.fullmatch(name)
    return int(found[1]) if found else 0


def _spooled(episodes: Episodes, lives: Sequence[int], *, ranks: bool) -> Spool:
    spool = Spool()
    workers = np.unique(episodes.worker).tolist() if ranks else []
    for name in episodes.names:
        for life in lives:
            rows = episodes.rows(name, life)
            spool.extend(name, rows.step, rows.time, rows.value, attempt=life)
            for worker in workers:
                own = rows.worker == worker
                spool.extend(
                    rank_key(name, worker),
                    rows.step[own],
                    rows.time[own],
                    rows.value[own],
                    attempt=life,
                    rank=worker,
                )
    return spool


def _run(
    ref: RunRef,
    ledger: Ledger,
    files: Mapping[int, MonitorFile],
    episodes: Episodes,
    settle_minutes: float,
) -> Run:
    lives = np.unique(episodes.life).tolist()
    series = _spooled(episodes, lives, ranks=1 < len(files) <= KEPT_RANKS).finish()
    series = series.telling({"r": "reward"})
    starts = [file.began for file in files.values() if file.began is not None]
    times = episodes.time[np.isfinite(episodes.time)]
    # the end of a process that appended is not known, so neither is the run's
    end = float(times.max()) if len(times) and lives == [1] else None
    state = settled_state(end, settle_minutes)
    environments = dict.fromkeys(file.environment for file in files.values() if file.environment)
    return Run(
        ref=ref,
        name=ref.name,
        state=state,
        incomplete=(*_missing(files), *ledger.incomplete),
        start=min(starts, default=None),
        end=end,
        attempts=tuple(_attempts(lives, series.spans, starts, times, state)),
        series=series,
        config={"env_id": ", ".join(environments)} if environments else {},
        provenance=Provenance(
            reader=READER,
            files=tuple(ledger.files),
            records_read=ledger.records,
            records_damaged=ledger.damaged,
            bytes_damaged=ledger.bytes_damaged,
            ranks_seen=tuple(sorted(files)) if len(files) > 1 else (),
            step_source="sum of l (steps of all environments in episodes that are over)",
            step_unit="environment steps",
            lossy=LOSSY if len(lives) == 1 else (*LOSSY, APPENDED),
            warnings=(*ledger.warnings, *_strangers(files)),
        ),
    )


def _missing(files: Mapping[int, MonitorFile]) -> Iterator[str]:
    missing = missing_ranks(files, None) if len(files) > 1 else ()
    if missing:
        named = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        yield f"the files of {len(missing)} environments are not there: {named}"


def _strangers(files: Mapping[int, MonitorFile]) -> Iterator[str]:
    """Files of environments that were gone before any other began."""
    for worker, file in files.items():
        others = [f.began for w, f in files.items() if w != worker and f.began is not None]
        ends = [s for s, life in zip(file.seconds, file.life, strict=True) if life == 1]
        if others and ends and file.began is not None and file.began + ends[-1] < min(others):
            yield (
                f"{worker}.monitor.csv ends before the other environments begin: it may be left"
                " from another training"
            )


def _attempts(
    lives: Sequence[int],
    spans: Mapping[int, tuple[int, int]],
    starts: Sequence[float],
    times: NDArray[np.float64],
    state: str,
) -> Iterator[Attempt]:
    for life in lives:
        first, last = spans[life]
        yield Attempt(
            number=life,
            start=min(starts, default=None) if life == 1 else None,
            end=float(times.max()) if life == 1 and len(times) else None,
            first_step=first,
            last_step=last,
            state=state if life == lives[-1] else "ended",
        )


def _ours(path: Path) -> bool:
    """Whether a file begins as a monitor's does, or is empty or cannot be opened."""
    try:
        if not path.is_file():
            return True
        with path.open("rb") as stream:
            first, second = stream.readline(_HEAD_BYTES), stream.readline(_HEAD_BYTES)
    except OSError:
        return True
    return not first or (
        first.startswith(b"#") and (b'"t_start"' in first or second.startswith(b"r,l,t"))
    )


def _unusable(path: Path) -> str:
    """Why nothing can be read of the log; empty if something can."""
    try:
        if not path.is_file():
            return "is no regular file"
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "empty: no episode was written" if empty else ""
