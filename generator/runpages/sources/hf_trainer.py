"""Output folders of the Hugging Face Trainer: trainer_state.json, there and in its checkpoints."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runpages.errors import SourceError
from runpages.model import (
    Attempt,
    Checkpoint,
    LoggedEvent,
    ModelFacts,
    Provenance,
    Run,
    RunRef,
)

from ._textfiles import Ledger, mapping_of, number, text, whole
from ._trainer_state import END, Segment, State, longest, read_state, segments, state_rows
from .contract import UNREADABLE, Claim, FileSource, Folder, is_pointer
from .spool import Spool

__all__ = ["HuggingFaceTrainer"]

READER = "trainer 1"
_STATE = "trainer_state.json"
_ARGUMENTS = "training_args.bin"
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")
_SETTINGS = (
    "max_steps",
    "num_train_epochs",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "trial_name",
    "trial_params",
)
_RESULTS = (
    "best_metric",
    "best_global_step",
    "best_model_checkpoint",
    "global_step",
    "num_input_tokens_seen",
    "total_flos",
)
_COMPANIONS = re.compile(
    r"(training_args\.bin|.*config\.json|\w+_results\.json|README\.md|vocab\..*|merges\.txt|.*token.*"
    r"|special_tokens_map\.json|chat_template\..*|.*\.safetensors(\.index\.json)?|pytorch_model.*)"
)
_REPEATS = frozenset({"trainer_log.jsonl"})
"""LLaMA-Factory's own log: the rows of the state, with the time that went by as a text."""
_MAX_ENTRIES = 20_000
_MAX_PLACES = 4
_BEFORE = -(2**63)
"""Before every step."""
LOSSY = (
    "trainer_state.json has no clock: when a step was done and how long it took is not known",
    "by default the Trainer replaces a NaN or infinite loss: that none is there proves nothing",
    "each loss is the mean over the steps since the row before it",
    "training_args.bin is a pickle and is never opened: most training arguments are not known",
)


class HuggingFaceTrainer(FileSource):
    """Each folder with a `trainer_state.json`, or with checkpoints that have one, is a run."""

    kind = "trainer"

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        if _STATE not in folder.files and _ARGUMENTS not in folder.files:
            return Claim()
        companions = {name for name in folder.files if _COMPANIONS.fullmatch(name)}
        if _STATE in folder.files and not is_pointer(folder.path / _STATE):
            companions |= _REPEATS.intersection(folder.files)
        return Claim(
            logs=(_STATE,) if _STATE in folder.files else (),
            companions=tuple(sorted(companions)),
            whole_tree=_CHECKPOINT.fullmatch(folder.path.name) is not None,
        )

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        found: dict[Path, list[Path]] = {}
        for path in logs:
            reason = _unusable(path)
            if reason:
                self.skipped.append((str(path), reason))
            else:
                found.setdefault(self._home(path.parent), []).append(path)
        refs = []
        for folder, states in found.items():
            refs.append(
                RunRef(
                    source=self.name,
                    project="",
                    run_id=self.identity(folder),
                    name=folder.name,
                    state="",
                    location=str(folder),
                    kind=self.kind,
                    parts=tuple(str(path) for path in sorted(states)),
                )
            )
        yield from sorted(refs, key=lambda ref: ref.run_id)

    def _home(self, folder: Path) -> Path:
        """The run's folder: the one above a checkpoint's, if that is below the root."""
        inside = folder != self.root and _CHECKPOINT.fullmatch(folder.name)
        return folder.parent if inside else folder

    def read(self, ref: RunRef) -> Run:
        folder = Path(ref.location)
        ledger = Ledger(folder, unit="record")
        states = []
        for part in ref.parts:
            try:
                states.append(read_state(ledger, Path(part).relative_to(folder).as_posix()))
            except SourceError as error:
                if len(ref.parts) == 1:
                    raise
                ledger.warn(f"{Path(part).relative_to(folder).as_posix()}: {error.problem}")
        if not any(state.marks or state.known for state in states):
            raise SourceError(
                folder,
                f"no record of its {_STATE} can be read",
                place=next(iter(ledger.warnings), ""),
            )
        reading = _Reading(ledger)
        for segment in segments(states):
            reading.rows(segment)
        search = any(state.facts.get("is_hyper_param_search") is True for state in states)
        group = "" if not search else self._above(folder)
        return reading.run(ref, states, group)

    def _above(self, folder: Path) -> str:
        """The run id that the folder above would have: all trials of one search lie in it.

        Empty where that folder is not below the root.
        """
        return "" if folder == self.root else self.identity(folder.parent)


@dataclass(slots=True)
class _Reading:
    """One run, while the rows of its segments are read in turn."""

    ledger: Ledger
    spool: Spool = field(default_factory=Spool)
    attempt: int = 1
    newest: int = _BEFORE
    """Last step of the attempt at hand."""
    ended: set[int] = field(default_factory=set)
    """Attempts whose training ended by itself."""
    ends: list[LoggedEvent] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    attempt_of: dict[bytes, int] = field(default_factory=dict)
    redone: list[str] = field(default_factory=list)

    def rows(self, segment: Segment) -> None:
        if not segment.last > segment.first:
            return
        unheard = Ledger(self.ledger.folder)  # its damage has been told before
        for line, mark in state_rows(unheard, segment):
            step = whole(line.row["step"]) or 0
            self._place(step)
            self.attempt_of[mark] = self.attempt
            self.ledger.records += 1
            if END in line.row:
                self._end(step, line.row)
                continue
            for key, value in line.row.items():
                if key == "step" or value is None:
                    continue
                found = number(value)
                if found is None:
                    self.ledger.no_number(key, line.place)
                else:
                    self.spool.add(key, step, math.nan, found, attempt=self.attempt)
        if segment.redone:
            self.redone.append(segment.state.name)
            self._next()

    def _next(self) -> None:
        self.attempt += 1
        self.newest = _BEFORE
        self.end = {}

    def _place(self, step: int) -> None:
        """A process ends where steps fall, and where training goes on behind its end."""
        if step < self.newest or (self.attempt in self.ended and step > self.newest):
            self._next()
        self.newest = step

    def _end(self, step: int, row: Mapping[str, Any]) -> None:
        self.ended.add(self.attempt)
        self.end = {key: value for key, value in row.items() if key != "step"}
        said = ", ".join(f"{key} {value}" for key, value in self.end.items())
        self.ends.append(
            LoggedEvent(kind="train_end", text=said[:1000], step=step, attempt=self.attempt)
        )

    def run(self, ref: RunRef, states: Sequence[State], group: str) -> Run:
        ledger, series = self.ledger, self.spool.finish()
        facts = longest(states).facts
        done = whole(facts.get("global_step"))
        if done is not None and done > 0 and done == whole(facts.get("max_steps")):
            self.ended.add(self.attempt)
        names = _names(ledger.folder)
        found = _checkpoints(ledger.folder, names)
        model = _model(ledger, found)
        summary = {key: facts[key] for key in _RESULTS if facts.get(key) is not None}
        summary |= self.end
        for name in names:
            if name.endswith("_results.json"):
                summary |= mapping_of(ledger, name) or {}
        config = {key: facts[key] for key in _SETTINGS if facts.get(key) is not None}
        version = text(model.get("model", {}).get("transformers_version"))
        return Run(
            ref=ref,
            name=text(facts.get("trial_name")) or ref.name,
            state="finished" if self.attempt in self.ended else "ended",
            incomplete=ledger.incomplete,
            attempts=self._attempts(series.spans),
            series=series,
            config=config | model,
            summary=summary,
            group=group,
            model=ModelFacts(architecture=_architecture(model.get("model", {}))),
            environment={"transformers": version} if version else {},
            checkpoints=tuple(self._checkpoint(step, path, states) for step, path in found),
            logged_events=tuple(self.ends),
            provenance=Provenance(
                reader=READER,
                files=tuple(ledger.files),
                records_read=ledger.records,
                records_damaged=ledger.damaged,
                bytes_damaged=ledger.bytes_damaged,
                step_source="`step` of log_history (global_step)",
                lossy=LOSSY,
                warnings=(*ledger.warnings, *self._orders()),
            ),
        )

    def _attempts(self, spans: Mapping[int, tuple[int, int]]) -> tuple[Attempt, ...]:
        numbers = sorted({1, *self.attempt_of.values()})
        return tuple(
            Attempt(
                number=number,
                first_step=spans[number][0] if number in spans else None,
                last_step=spans[number][1] if number in spans else None,
                state="finished" if number in self.ended else "ended",
            )
            for number in numbers
        )

    def _orders(self) -> Iterator[str]:
        for name in self.redone:
            yield (
                f"{name}: its history differs from the longest one; its rows are kept as an earlier"
                " attempt, as the files do not say which came first"
            )

    def _checkpoint(self, step: int, path: str, states: Sequence[State]) -> Checkpoint:
        state = next((s for s in states if s.name == f"{path}/{_STATE}" and s.marks), None)
        return Checkpoint(
            step=step,
            path=path,
            attempt=self.attempt_of.get(state.marks[-1], 1) if state else 1,
            size_bytes=_size(self.ledger.folder / path),
            metrics=state.evaluated if state and state.last_step == step else {},
        )


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def _checkpoints(folder: Path, names: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """(step, name) of each checkpoint's folder, by step."""
    named = ((_CHECKPOINT.fullmatch(name), folder / name) for name in names)
    found = ((int(m[1]), p.name) for m, p in named if m and p.is_dir() and not p.is_symlink())
    return tuple(sorted(found))


def _size(folder: Path) -> int | None:
    """Bytes of all files below; None where there are too many to count."""
    size = entries = 0
    for current, _, names in os.walk(folder):
        for name in names:
            entries += 1
            if entries > _MAX_ENTRIES:
                return None
            try:
                found = (Path(current) / name).lstat()
            except OSError:
                return None
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def _model(ledger: Ledger, checkpoints: Sequence[tuple[int, str]]) -> dict[str, dict[str, object]]:
    """The model's own configuration, of the run's folder or else of its last checkpoint."""
    found = {}
    for key, name in (("model", "config.json"), ("adapter", "adapter_config.json")):
        places = [name, *(f"{path}/{name}" for _, path in reversed(checkpoints))]
        mappings = (mapping_of(ledger, place) for place in places[:_MAX_PLACES])
        settings = next((mapping for mapping in mappings if mapping is not None), None)
        if settings is not None:
            found[key] = settings
    return found


def _architecture(config: Mapping[str, object]) -> str:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else config.get("model_type")
    return first if isinstance(first, str) else ""


def _unusable(path: Path) -> str:
    """Why nothing can be read of the log; empty if something can."""
    try:
        if not path.is_file():
            return "is no regular file"
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "empty: no record was written" if empty else ""
