"""MLPerf training logs: `:::MLLOG {json}` lines, whatever stands before them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from runpages.errors import SourceError
from runpages.model import Attempt, Provenance, Run, RunRef, SeriesSet

from ._textfiles import whole
from ._textlog_lines import Counts, TextLine, text_lines, windows
from ._textlog_sink import Sink
from ._textlog_sniff import looks_like_a_log
from .contract import UNREADABLE, Claim, FileSource, Folder, settled_state

__all__ = ["MLPerf"]

READER = "mlperf 1"
_TOKEN = b":::MLLOG "
_OLD_TOKEN = re.compile(rb":::MLPv0\.[56]\.\d+ ")
_RESULT = re.compile(r"result_\d+\.txt")
"""How the rules have a log named."""
_COUNTERS = ("step_num", "samples_count", "epoch_num", "step")
"""Metadata that tell how far the training was, in the order of preference."""
_UNITS = {"samples_count": "samples", "epoch_num": "epochs or tokens"}
"""For GPT-3 `epoch_num` counts tokens, for others epochs or samples: the log does not say which."""
_MOST_EPOCHS = 1e6
"""No training makes as many epochs: where GPT-3 counts further, it counts tokens."""
_MOST_SETTINGS = 2000
_MOST_ROWS = 2_000_000
_MOST_COUNTS = 1_000_000
_TEXT_CHARS = 4000
# MLPerf logs the quality of every benchmark as `eval_accuracy`. For these it is a loss (a log
# perplexity): to pass it must be *at most* the target. mlcommons/logging
# mlperf_logging/compliance_checker/training_*/closed_*.yaml
_LOSSES = frozenset(
    {"deepseekv3_671b", "flux1", "gpt3", "gpt_oss_20b", "llama2_70b_lora", "llama31_405b"}
    | {"llama31_8b"}
)


class _Point(NamedTuple):
    """One figure, before it is known which counter is the step."""

    name: str
    counter: str
    progress: float
    """What the counter said."""
    seconds: float
    value: float


class MLPerf(FileSource):
    """Each file with `:::MLLOG` lines is a run; the files of one folder are repeats of it."""

    kind = "mlperf"
    general = True

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        logs = (n for n in folder.files if looks_like_a_log(n) and _has_events(folder.path / n))
        return Claim(logs=tuple(logs))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        for path in sorted(logs, key=self.relative):
            reason = _unreadable(path)
            if reason:
                self.skipped.append((str(path), reason))
                continue
            run_id = self.relative(path)
            yield RunRef(
                source=self.name,
                project="",
                run_id=run_id,
                name="/".join(Path(run_id).with_suffix("").parts[-2:]),
                state="",
                location=str(path),
                kind=self.kind,
                parts=(str(path),),
            )

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        reading = _Reading()
        try:
            if path.exists() and not path.is_file():
                raise SourceError(path, "is no regular file")
            for line in text_lines(path, reading.counts):
                reading.take(line)
            size = path.stat().st_size
        except OSError as error:
            raise SourceError(path, f"{UNREADABLE}: {error.strerror or error}") from error
        if not reading.records:
            raise SourceError(path, "none of its :::MLLOG lines can be read")
        return self._run(ref, reading, size)

    def _run(self, ref: RunRef, reading: _Reading, size: int) -> Run:
        axis = _axis(reading)
        sink, left_out = _placed(reading, axis)
        series = sink.finish()
        if reading.quality:
            series = series.telling({"eval_accuracy": "val_loss"})
        state = reading.state or settled_state(reading.last, self.settle_minutes)
        name = Path(ref.location).name
        group = Path(ref.run_id).parent.as_posix()
        damaged = reading.damaged + reading.counts.long_lines
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=_incomplete(reading, name),
            start=reading.first,
            end=reading.last,
            attempts=_attempts(sink, series, reading, state),
            series=series,
            config=reading.settings,
            group="" if group == "." else group,
            tags=reading.tags,
            seed=whole(reading.settings.get("seed")),
            provenance=Provenance(
                reader=READER,
                files=((name, size),),
                records_read=reading.records,
                records_damaged=damaged,
                bytes_damaged=reading.bytes_damaged + reading.counts.long_bytes,
                step_source=axis.told,
                step_unit=axis.unit,
                lossy=_lossy(reading),
                warnings=tuple(_warnings(reading, name, left_out)),
            ),
        )


def _has_events(path: Path) -> bool:
    """Whether lines of the head, middle or end are events of MLPerf's logger."""
    try:
        if not path.is_file():
            return False
        if not path.stat().st_size:
            return _RESULT.fullmatch(path.name) is not None  # claimed, so that it is told
        lines = windows(path)
        return any(
            (_TOKEN in line and any(_objects(line))) or _OLD_TOKEN.search(line) for line in lines
        )
    except OSError:
        return False


def _unreadable(path: Path) -> str:
    """Why a file that was claimed is no run; empty if it is one."""
    try:
        lines = windows(path)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    if not lines:
        return "empty: no event was written"
    if not any(_TOKEN in line for line in lines):
        return (
            "is of MLPerf v0.5 or v0.6 (:::MLPv0…): only the :::MLLOG lines from v0.7 on are read"
        )
    return ""


def _objects(data: bytes) -> Iterator[dict[str, Any] | None]:
    """The events of a line: programs write into each other's lines. None is one that is broken."""
    decoder = json.JSONDecoder()
    text = data.decode("utf-8", "replace")
    for part in text.split(_TOKEN.decode())[1:]:
        try:
            event, _ = decoder.raw_decode(part.lstrip())
        except (ValueError, RecursionError):
            event = None
        known = isinstance(event, dict) and isinstance(event.get("key"), str)
        yield event if known else None


@dataclass(slots=True)
class _Times:
    """The first and the last of some times, in seconds since 1970."""

    first: float | None = None
    last: float | None = None

    def see(self, seconds: float) -> None:
        self.first = seconds if self.first is None else min(self.first, seconds)
        self.last = seconds if self.last is None else max(self.last, seconds)


@dataclass(slots=True)
class _Reading:
    """Takes the events of one log in turn."""

    counts: Counts = field(default_factory=Counts)
    points: list[_Point] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    counted: dict[str, set[float]] = field(default_factory=dict)
    """Counter -> every value that any event gave it."""
    records: int = 0
    damaged: int = 0
    bytes_damaged: int = 0
    first_damage: str = ""
    cut: int = 0
    state: str = ""
    happened: _Times = field(default_factory=_Times)
    """Of what began, ended or was measured: these tell how long the run took."""
    set: _Times = field(default_factory=_Times)
    """Of settings: they are logged at any time, also after the run or by hand."""
    not_kept: int = 0
    repeated: int = 0
    quality: bool = False
    """An `eval_accuracy` that is none was met."""
    _newest: dict[str, tuple[str, float, float]] = field(default_factory=dict)

    def take(self, line: TextLine) -> None:
        if _TOKEN not in line.data:
            return
        events = list(_objects(line.data))
        for event in events:
            if event is not None:
                self.records += 1
                self._event(event)
        broken = events.count(None)
        if not broken:
            return
        self.damaged += broken
        if broken == len(events):
            self.bytes_damaged += len(line.data)
        self.first_damage = self.first_damage or f"line {line.number} is no JSON object"
        if not line.closed and events[-1] is None:
            self.cut = line.number

    def _event(self, event: Mapping[str, Any]) -> None:
        key, value = str(event["key"]), event.get("value")
        given = event.get("metadata")
        metadata: Mapping[str, Any] = given if isinstance(given, dict) else {}
        seconds = _seconds(event.get("time_ms"))
        counter, count = self._count(metadata)
        is_setting = event.get("event_type") == "POINT_IN_TIME" and not (
            counter or key in {"tracked_stats", "eval_accuracy"}
        )
        if not math.isnan(seconds):
            (self.set if is_setting else self.happened).see(seconds)
        if key == "run_stop":
            status = metadata.get("status")
            self.state = {"success": "finished", "aborted": "failed"}.get(str(status), self.state)
        if event.get("event_type") != "POINT_IN_TIME":
            return
        if key == "tracked_stats" and isinstance(value, dict):
            for name, number in value.items():
                self._point(str(name), number, counter, count, seconds)
        elif key == "eval_accuracy":
            self._point(self._quality(metadata), value, counter, count, seconds)
        elif counter and _is_number(value):
            self._point(key, value, counter, count, seconds)
        elif value is not None:
            self._setting(key, value)

    def _count(self, metadata: Mapping[str, Any]) -> tuple[str, float]:
        found = ("", math.nan)
        for counter in _COUNTERS:
            value = metadata.get(counter)
            if not _is_number(value) or not -(2.0**63) < value < 2.0**63:
                continue
            known = self.counted.setdefault(counter, set())
            if len(known) < _MOST_COUNTS:
                known.add(float(value))
            found = found if found[0] else (counter, float(value))
        return found

    def _quality(self, metadata: Mapping[str, Any]) -> str:
        """The name of a benchmark's quality: `eval_accuracy`, unless it is another measure."""
        self.quality |= str(self.settings.get("submission_benchmark", "")) in _LOSSES
        measure = metadata.get("metric")
        return f"eval_accuracy/{measure}" if isinstance(measure, str) else "eval_accuracy"

    def _point(self, name: str, value: object, counter: str, count: float, seconds: float) -> None:
        if not _is_number(value):
            return
        try:
            number = float(value)
        except OverflowError:
            return
        if counter and self._newest.get(name) == (counter, count, number):
            self.repeated += 1
        elif len(self.points) >= _MOST_ROWS:
            self.not_kept += 1
        else:
            self.points.append(_Point(name, counter, count, seconds, number))
        self._newest[name] = (counter, count, number)

    def _setting(self, key: str, value: object) -> None:
        """The first value of each: every rank logs its own line."""
        if key in self.settings:
            return
        if len(self.settings) >= _MOST_SETTINGS:
            self.not_kept += 1
        elif isinstance(value, str):
            self.settings[key] = value[:_TEXT_CHARS]
        else:
            self.settings[key] = value

    @property
    def first(self) -> float | None:
        return (self.happened if self.happened.first is not None else self.set).first

    @property
    def last(self) -> float | None:
        return (self.happened if self.happened.last is not None else self.set).last

    @property
    def tags(self) -> tuple[str, ...]:
        """What was submitted; the people who did it are left out."""
        start = "submission_"
        return tuple(
            f"{key.removeprefix(start)}: {value}"
            for key, value in self.settings.items()
            if key.startswith(start) and not key.startswith(f"{start}poc") and value
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(value: object) -> float:
    """Milliseconds since 1970 -> seconds."""
    if not _is_number(value) or not 0 < value < 1e14:
        return math.nan
    return float(value) / 1000


class _Axis(NamedTuple):
    """Which counter is the step: its values over `divisor`; without one, the record's number."""

    counters: frozenset[str]
    divisor: int
    told: str
    unit: str
    """What it counts, if not the optimiser's steps."""


def _axis(reading: _Reading) -> _Axis:
    used = Counter(point.counter for point in reading.points if point.counter)
    if not used:
        told = "number of the record, from 0: the log counts nothing"
        return _Axis(frozenset(), 1, told, "records")
    counter = max(used, key=lambda name: (used[name], -_COUNTERS.index(name)))
    same = _same_as(counter, used, reading.counted)
    counts = [point.progress for point in reading.points if point.counter in same]
    if any(count != int(count) or abs(count) >= 2**63 for count in counts):
        told = f"number of the record, from 0: {counter} has fractions"
        return _Axis(frozenset(), 1, told, "records")
    batch = whole(reading.settings.get("global_batch_size"))
    if counter == "samples_count" and batch and all(count % batch == 0 for count in counts):
        return _Axis(same, batch, "samples_count / global_batch_size", "")
    gpt3 = reading.settings.get("submission_benchmark") == "gpt3"
    if gpt3 and counter == "epoch_num" and max(counts) > _MOST_EPOCHS:
        return _Axis(same, 1, counter, "tokens")
    return _Axis(same, 1, counter, _UNITS.get(counter, ""))


def _same_as(
    counter: str, used: Iterable[str], counted: Mapping[str, set[float]]
) -> frozenset[str]:
    """The counters that count the same: every value of theirs is a value of `counter` as well."""
    known = counted.get(counter, set())
    return frozenset({counter, *(c for c in used if counted.get(c, {math.nan}) <= known)})


def _placed(reading: _Reading, axis: _Axis) -> tuple[Sink, Counter[str]]:
    """The points at their steps; of those that cannot be placed how many, by counter."""
    sink = Sink()
    left_out: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for point in reading.points:
        if not axis.counters:
            step = numbers[point.name]
            numbers[point.name] += 1
        elif point.counter in axis.counters:
            step = int(point.progress) // axis.divisor
        else:
            left_out[point.counter or "nothing"] += 1
            continue
        sink.put(None, (point.name,), step, point.seconds, [point.value])
    return sink, left_out


def _attempts(sink: Sink, series: SeriesSet, reading: _Reading, state: str) -> tuple[Attempt, ...]:
    numbers = sorted(sink.attempts) or [1]
    return tuple(
        Attempt(
            number=number,
            start=reading.first if number == 1 else sink.first.get(number),
            end=reading.last if number == numbers[-1] else sink.last.get(number),
            first_step=series.spans[number][0] if number in series.spans else None,
            last_step=series.spans[number][1] if number in series.spans else None,
            state=state if number == numbers[-1] else "ended",
        )
        for number in numbers
    )


def _incomplete(reading: _Reading, name: str) -> tuple[str, ...]:
    told = []
    if reading.cut:
        told.append(f"{name} ends in the middle of line {reading.cut}")
    others = reading.damaged - (1 if reading.cut else 0)
    if others:
        told.append(f"{name} has {others} event{'s' * (others > 1)} that cannot be read")
    return tuple(told)


def _lossy(reading: _Reading) -> tuple[str, ...]:
    if not reading.quality:
        return ()
    return ("eval_accuracy is the benchmark's quality, here a loss: lower is better",)


def _warnings(reading: _Reading, name: str, left_out: Mapping[str, int]) -> Iterator[str]:
    if reading.first_damage:
        yield f"{name}: {reading.first_damage}; {reading.damaged:,} in all are left out"
    if reading.counts.long_lines:
        yield f"{name}: {reading.counts.long_lines:,} lines are too long and are passed over"
    for counter, count in left_out.items():
        yield f"{name}: {count:,} figures are left out: they count by {counter}, others do not"
    if reading.not_kept:
        yield f"{name}: {reading.not_kept:,} figures or settings beyond the cap are not kept"
