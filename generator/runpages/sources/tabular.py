"""Tables of metrics in CSV or JSON lines: Lightning, Keras, AlgoPerf, or written by hand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from runpages.errors import SourceError
from runpages.model import Attempt, Hardware, Provenance, Run, RunRef, SeriesSet

from ._ranks import are_ranks, clock_skew, missing_ranks, rank_of, spool_ranks
from ._tabular_config import config_names, counted_devices, foreign_config
from ._tabular_file import File, read_file
from ._tabular_look import Look, examine
from ._textfiles import Ledger, whole
from .contract import Claim, FileSource, Folder, settled_state
from .spool import BUFFER_BYTES, Spool

__all__ = ["Tabular"]

READER = "tabular 1"
_SPLIT = re.compile(
    r"(?:^|(?<=[._-]))(train|training|val|valid|validation|eval|evaluation|test)(?=[._-]|$)",
    re.IGNORECASE,
)
_TRAINING = frozenset({"train", "training"})
_VERSION = re.compile(r"version_\d+")
_TUNE, _TUNE_STEP = ("progress.csv", "result.json"), "training_iteration"
_LLAMA_FACTORY, _CHECKPOINT = "trainer_log.jsonl", re.compile(r"checkpoint-\d+")
_EVENT_FILE = "events.out.tfevents."
_LOUD_SKEW_SECONDS = 1.0
_LEAST_BUFFER = 1 << 20
_LOSSY = "A table of metrics does not tell how a run ended, its code or its hardware."
_NO_CLOCK = "No column of it holds the time of a row."


class _Part(NamedTuple):
    """One file of a run."""

    path: Path
    rank: int | None = None
    split: str = ""
    """`val`, `test`...: put before the names of its metrics."""


class Tabular(FileSource):
    """A file whose rows hold a step and a metric is a run; the files of its ranks are one together,
    and so are `train`, `val`... of one name.
    """

    kind = "tabular"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        looks = _looks(folder.path, folder.files)
        repeats = tuple(name for name in looks if _repeats(name, looks))
        logs = tuple(name for name in looks if name not in repeats)
        runs = _families(folder.path / name for name in logs if not looks[name].reason)
        configs = config_names(folder.files) if len(runs) == 1 else ()
        return Claim(logs=logs, companions=(*repeats, *(c for c in configs if c not in logs)))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        folders: dict[Path, list[Path]] = defaultdict(list)
        for path in logs:
            look = examine(path)
            if look is None or look.reason:
                self.skipped.append(
                    (str(path), look.reason if look else "holds no rows of metrics")
                )
            else:
                folders[path.parent].append(path)
        found = []
        for paths in folders.values():
            families = _families(paths)
            found += [self._ref(parts, alone=len(families) == 1) for parts in families]
        yield from sorted(found, key=lambda ref: ref.run_id)

    def _ref(self, parts: Sequence[_Part], *, alone: bool) -> RunRef:
        path = parts[0].path
        folder = path.parent
        name = folder.name if alone else path.stem
        if alone and _VERSION.fullmatch(name) and folder != self.root:
            name = f"{folder.parent.name}/{name}"
        return RunRef(
            source=self.name,
            project="",
            run_id=self.relative(path),
            name=name,
            state="",
            location=str(path),
            kind=self.kind,
            parts=tuple(str(part.path) for part in parts),
        )

    def read(self, ref: RunRef) -> Run:
        (parts,) = _families(Path(part) for part in ref.parts)
        folder = parts[0].path.parent
        ledger = Ledger(folder)
        files = _read_parts(ledger, parts)
        beside = _beside(parts)
        config = foreign_config(ledger, _settings_of(parts, beside))
        config = config or next((file.settings for file in files.values() if file.settings), {})
        if any(name.startswith(_EVENT_FILE) for name in beside):
            ledger.warn("TensorBoard event files lie beside it: they may log the same training")
        if parts[0].path.name == _LLAMA_FACTORY and any(map(_CHECKPOINT.fullmatch, beside)):
            ledger.warn("the Trainer's checkpoints lie beside it: they log the same training")
        if not ledger.records:
            raise SourceError(
                parts[0].path,
                "no row of it can be used",
                place=next(iter(ledger.warnings), ""),
                remedy="restore the file, or write one row a step",
            )
        return _run(ref, ledger, files, config, self.settle_minutes)


def _looks(folder: Path, names: Iterable[str]) -> dict[str, Look]:
    looks = ((name, examine(folder / name)) for name in names)
    return {name: look for name, look in looks if look is not None}


def _repeats(name: str, looks: Mapping[str, Look]) -> bool:
    """Whether the file only says again what the one beside it holds.

    So do AlgoPerf's evaluations, Ray Tune's progress.csv beside its result.json, and the JSON that
    Stable-Baselines3 writes beside a CSV of the same name.
    """
    own, stem = looks[name], name.rpartition(".")[0]
    if own.form.delimiter:
        beside = looks.get(name.removeprefix("eval_")) if name.startswith("eval_") else None
        if name == _TUNE[0] and own.meaning.step == _TUNE_STEP:
            other = looks.get(_TUNE[1])
            return other is not None and not other.reason and other.meaning.step == _TUNE_STEP
    else:
        beside = looks.get(f"{stem}.csv")
    if beside is None or beside.reason:
        return False
    return set(own.columns) <= set(beside.columns)


def _beside(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Names of the other files in the folder."""
    own = {part.path.name for part in parts}
    try:
        return tuple(sorted({path.name for path in parts[0].path.parent.iterdir()} - own))
    except OSError:
        return ()


def _settings_of(parts: Sequence[_Part], beside: Sequence[str]) -> tuple[str, ...]:
    """Which of the files beside hold settings of this run: none if another run's log is there."""
    settings = config_names(beside)
    if not settings:
        return ()
    looks = _looks(parts[0].path.parent, (part.path.name for part in parts))
    for name in beside:
        look = None if name in settings else examine(parts[0].path.parent / name)
        if look is not None and not look.reason:
            looks[name] = look
            if not _repeats(name, looks):
                return ()
    return settings


def _families(paths: Iterable[Path]) -> list[tuple[_Part, ...]]:
    """The files of one folder, those of one run together, by their names alone."""
    ranks: dict[str, list[_Part]] = defaultdict(list)
    splits: dict[str, list[_Part]] = defaultdict(list)
    for path in sorted(paths):
        rank = rank_of(PurePosixPath(path.name))
        word = _SPLIT.search(path.stem)
        if rank is not None:
            ranks[rank[1]].append(_Part(path, rank=rank[0]))
        elif word is not None:
            rest = f"{path.name[: word.start()]}/{path.name[word.end() :]}"
            splits[rest].append(_Part(path, split=word[1].lower()))
        else:
            splits[path.name].append(_Part(path))
    families = [_ranked(parts) for parts in ranks.values()]
    families += [_paired(parts) for parts in splits.values()]
    return [family for group in families for family in group]


def _ranked(parts: list[_Part]) -> list[tuple[_Part, ...]]:
    numbers = {part.rank for part in parts if part.rank is not None}
    if len(parts) > 1 and len(numbers) == len(parts) and are_ranks(numbers):
        return [tuple(sorted(parts, key=lambda part: part.rank or 0))]
    return [(_Part(part.path),) for part in parts]


def _paired(parts: list[_Part]) -> list[tuple[_Part, ...]]:
    training = [part for part in parts if part.split in _TRAINING]
    others = [part for part in parts if part.split not in _TRAINING]
    if len(training) == 1 and others and len({part.split for part in others}) == len(others):
        return [(_Part(training[0].path), *others)]
    return [(_Part(part.path),) for part in parts]


def _read_parts(ledger: Ledger, parts: Sequence[_Part]) -> dict[_Part, File]:
    """The files that can be used; raises SourceError if none can."""
    files: dict[_Part, File] = {}
    buffer_bytes = max(BUFFER_BYTES // len(parts), _LEAST_BUFFER)
    failed: SourceError | None = None
    for part in parts:
        prefix = f"{part.split}/" if part.split else ""
        try:
            files[part] = read_file(part.path, prefix=prefix, buffer_bytes=buffer_bytes)
        except SourceError as error:
            failed = error
            ledger.warn(f"{part.path.name}: {error.problem}; left out")
        else:
            ledger.absorb(files[part].ledger)
    if failed is not None and not files:
        raise failed
    return files


def _run(
    ref: RunRef,
    ledger: Ledger,
    files: Mapping[_Part, File],
    config: Mapping[str, object],
    settle_minutes: float,
) -> Run:
    ranks = {part.rank: file.series for part, file in files.items() if part.rank is not None}
    expected = whole(config.get("world_size")) if ranks else None
    series = _merged(ledger, files, ranks)
    attempts = _attempts(files.values(), series)
    end = max((a.end for a in attempts if a.end is not None), default=None)
    state = settled_state(end, settle_minutes)
    missing = missing_ranks(ranks, expected) if ranks else ()
    has_clock = any(file.rows.meaning.time for file in files.values())
    return Run(
        ref=ref,
        name=ref.name,
        state=state,
        incomplete=(
            *ledger.incomplete,
            *((f"there is no log of rank {_listed(missing)}",) if missing else ()),
        ),
        start=min((a.start for a in attempts if a.start is not None), default=None),
        end=end,
        attempts=attempts,
        series=series,
        config=config,
        hardware=Hardware(devices=counted_devices(config)),
        seed=whole(config.get("seed")),
        provenance=Provenance(
            reader=READER,
            files=tuple(ledger.files),
            records_read=ledger.records,
            records_damaged=ledger.damaged,
            bytes_damaged=ledger.bytes_damaged,
            ranks_seen=tuple(sorted(ranks)),
            ranks_expected=expected,
            step_source=", ".join(dict.fromkeys(file.step_source for file in files.values())),
            step_unit="epochs" if any(file.epochs for file in files.values()) else "",
            lossy=(_LOSSY,) if has_clock else (_LOSSY, _NO_CLOCK),
            warnings=ledger.warnings,
        ),
    )


def _merged(
    ledger: Ledger, files: Mapping[_Part, File], ranks: Mapping[int, SeriesSet]
) -> SeriesSet:
    """The series of all files."""
    if len(files) == 1:
        return next(iter(files.values())).series
    spool = Spool()
    counts = {len(file.rows.seen) for file in files.values()}
    if len(counts) > 1:
        ledger.warn(
            "its files do not tell of equally many attempts: which belong together is not recorded"
        )
    if ranks:
        spool_ranks(spool, ranks)
        skew = clock_skew(ranks)
        loud = {rank: s for rank, s in skew.items() if abs(s) > _LOUD_SKEW_SECONDS}
        if loud:
            rank = max(loud, key=lambda r: abs(loud[r]))
            ledger.warn(f"the clock of rank {rank} is {loud[rank]:+.1f} s off that of the first")
        return spool.finish()
    taken: set[str] = set()
    for part, file in files.items():
        names = {name: name if name not in taken else f"{name} (2)" for name in file.series}
        taken.update(names)
        for name, key in names.items():
            if key != name:
                ledger.warn(
                    f"{part.path.name}: another file has `{name}`, too; it is kept as {key}"
                )
            rows = file.series[name].recorded
            for attempt in dict.fromkeys(rows.attempt.tolist()):
                own = rows.take(rows.attempt == attempt)
                spool.extend(key, own.step, own.time, own.value, attempt=attempt)
    return spool.finish()


def _attempts(files: Iterable[File], series: SeriesSet) -> tuple[Attempt, ...]:
    rows = [file.rows for file in files]
    return tuple(
        Attempt(
            number=number,
            start=min((r.first[number] for r in rows if number in r.first), default=None),
            end=max((r.last[number] for r in rows if number in r.last), default=None),
            first_step=series.spans[number][0] if number in series.spans else None,
            last_step=series.spans[number][1] if number in series.spans else None,
        )
        for number in sorted({number for r in rows for number in r.seen})
    )


def _listed(ranks: Sequence[int]) -> str:
    shown = ", ".join(map(str, ranks[:8]))
    return f"{shown} and {len(ranks) - 8} more" if len(ranks) > 8 else shown
