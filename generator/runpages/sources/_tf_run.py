"""All files of one run: rows into the spool, lives into attempts, ranks into one curve."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runpages.model import Attempt, Sample, SeriesInfo, SeriesSet, rank_key

from ._ranks import spool_ranks
from ._tf_attempts import FileLives, Span, joined, restarts
from ._tf_frames import windows
from ._tf_media import MediaPlace, Moment, Samples
from ._tf_rows import Book, Other, Rows, rows_of
from ._tf_values import GRAPHS, Distribution, Pictures, Settings, Text, Unread
from ._tfevents import Damage
from .spool import Spool

__all__ = ["Attempts", "EventFile", "Finished", "Message", "RunReading", "Stream"]

_BATCH_ROWS = 1 << 19
_TAG_ROWS = 16
_SEPARATOR = "\x1f"
_CONFIG_TEXTS = frozenset({"args", "model_config"})
"""What Hugging Face's trainer logs as text at its start: JSON objects."""


class Stream(NamedTuple):
    """What one process wrote to one folder."""

    rank: int | None = None
    prefix: str = ""
    """`train/`, `validation/`..., before the names of its series."""


class Message(NamedTuple):
    """Something of the hyper-parameter plugin."""

    time: float
    content: bytes


@dataclass(slots=True)
class EventFile:
    """One file while it is read."""

    path: Path
    stream: Stream
    first_life: int
    damage: Damage = field(default_factory=Damage)
    lives: FileLives = field(default_factory=FileLives)
    events: int = 0
    size: int = 0
    session: bool = False
    """Whether a session has begun with which no row has come yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempt of each life; where `moments` is set, its rows are told apart by their times."""

    of_life: Mapping[int, int]
    spans: Mapping[int, Span]
    """Clock of each attempt; empty where the rows have to be asked one by one."""
    moments: tuple[float, ...] | None = None

    def at(self, life: int, time: float) -> int:
        if self.moments is None:
            return self.of_life[life]
        return 1 + bisect_right(self.moments, time)


class _Source(NamedTuple):
    """Where the rows of a series come from."""

    stream: Stream
    tag: str
    statistic: str
    """Of a histogram; empty for a scalar."""


class Finished(NamedTuple):
    """A run's rows and samples."""

    series: SeriesSet
    ranks: Mapping[int, SeriesSet]
    """What each rank wrote, where there are ranks."""
    attempts: tuple[Attempt, ...]
    samples: tuple[Sample, ...]
    left_out: tuple[str, ...]


class RunReading:
    """Reads the files of one run, the files of each stream oldest first."""

    def __init__(self) -> None:
        self.book = Book()
        self.samples = Samples()
        self.unread: Counter[str] = Counter()
        self.messages: list[Message] = []
        self.files: list[EventFile] = []
        self.config_texts: dict[str, str] = {}
        self._spool = Spool()
        self._keys: dict[_Source, str] = {}
        self._lives = 0

    def read(self, path: Path, stream: Stream) -> None:
        """One file. Raises OSError if it cannot be read."""
        file = EventFile(path, stream, self._lives, size=path.stat().st_size)
        self.files.append(file)
        waiting: list[Rows] = []
        rows = 0
        for window in windows(path, file.damage):
            found = rows_of(window, self.book, file.damage)
            file.events += found.events
            self.unread[GRAPHS] += found.graphs
            waiting.append(found)
            rows += len(found.tag)
            # many tags make small blocks, and each block costs memory
            if rows >= max(_BATCH_ROWS, _TAG_ROWS * len(self.book.tags.known)):
                self._keep(file, waiting)
                waiting, rows = [], 0
        self._keep(file, waiting)
        self.unread["records of more than 32 MiB"] += file.damage.oversized
        self._lives += max(1, len(file.lives.spans))

    def _keep(self, file: EventFile, waiting: Sequence[Rows]) -> None:
        """Rows of some windows into the spool."""
        if not waiting:
            return
        tag, step, time, value, scalar = (
            np.concatenate(column) for column in zip(*(rows[:5] for rows in waiting), strict=True)
        )
        starts = np.cumsum([0, *(len(rows.tag) for rows in waiting)]).tolist()
        placed = list(zip(starts, waiting, strict=False))
        sessions = [0] if file.session else []
        sessions += [start + row for start, rows in placed for row in rows.sessions]
        file.session = len(tag) in sessions
        own = [row for row in sessions if row < len(tag)]
        life, order = file.lives.place(tag, step, time, own)
        life = life + file.first_life
        order = order if scalar.all() else order[scalar[order]]
        tags, lives = tag[order], life[order]
        heads = np.flatnonzero(np.append(True, (tags[1:] != tags[:-1]) | (lives[1:] != lives[:-1])))
        blocks = np.split(order, heads[1:])
        # names in the order in which the file has them
        for block in sorted(blocks, key=lambda block: block[:1].tolist()):
            if len(block):
                key = self._key(file.stream, self.book.name(int(tag[block[0]])))
                attempt = int(life[block[0]])
                self._spool.extend(key, step[block], time[block], value[block], attempt=attempt)
        for start, rows in placed:
            for other in rows.others:
                at = int(life[start + other.row]) if other.row >= 0 else file.first_life
                self._other(file, other, at)

    def _other(self, file: EventFile, other: Other, life: int) -> None:
        """Something that is no scalar."""
        content, rank = other.content, file.stream.rank
        name = f"{file.stream.prefix}{other.tag}"
        own = name if rank is None else rank_key(name, rank)
        moment = Moment(life, other.step, other.time)
        if isinstance(content, Settings):
            self.messages.append(Message(other.time, content.content))
        elif isinstance(content, Text):
            self.samples.text(own, moment, content.text)
            if other.tag in _CONFIG_TEXTS:
                self.config_texts[other.tag] = content.text
        elif isinstance(content, Distribution):
            for statistic, value in content.statistics.items():
                key = self._key(file.stream, other.tag, statistic)
                self._spool.add(key, other.step, other.time, value, attempt=life)
        elif isinstance(content, Pictures):
            for element, caption in enumerate(content.captions):
                sample = Sample(kind=content.kind, name=own, text=caption)
                place = (file.path, other.offset, other.size, other.number, element)
                self.samples.media(sample, moment, MediaPlace(*place))
        elif isinstance(content, Unread):
            self.unread[content.what] += 1

    def _key(self, stream: Stream, tag: str, statistic: str = "") -> str:
        """Of a series in the spool while names that are used twice are not known."""
        return self._keys.setdefault(_Source(stream, tag, statistic), str(len(self._keys)))

    def finish(self) -> Finished:
        """Everything that was read, once all files are."""
        attempts = self._attempts()
        names, told = _named(self._keys)
        self._spool.rename(names)
        self._spool.renumber(attempts.of_life)
        series = self._spool.finish()
        spans = attempts.spans
        if attempts.moments is not None:
            series = _split(series, attempts.moments)
        samples, left_out = self.samples.finish(attempts.at)
        if attempts.moments is not None:
            spans = _clocks(series, samples)
        ranks = sorted({f.stream.rank for f in self.files if f.stream.rank is not None})
        own = {rank: _of_rank(series, rank) for rank in ranks}
        if ranks:
            merged = Spool()
            spool_ranks(merged, own)
            series = merged.finish()
        numbered = tuple(_numbered(spans, series.spans))
        return Finished(series, own, numbered, samples, (*told, *left_out))

    def _attempts(self) -> Attempts:
        """Lives into attempts: within each stream by the steps, between streams by the clock."""
        streams: dict[Stream, list[EventFile]] = {}
        for file in self.files:
            streams.setdefault(file.stream, []).append(file)
        of_life: dict[int, int] = {}
        clock: dict[int, Span] = {}
        clocks = []
        for files in streams.values():
            own: dict[int, Span] = {}
            for file, numbers in zip(files, joined([f.lives for f in files]), strict=True):
                of_life |= {file.first_life + n: number for n, number in enumerate(numbers)}
                for n, span in enumerate(file.lives.spans):
                    clock[file.first_life + n] = span
                    own[numbers[n]] = own.get(numbers[n], Span()).joined(span)
            clocks.append([own[number] for number in sorted(own)])
        moments = None
        if len(clocks) > 1 and any(len(spans) > 1 for spans in clocks):
            moments = restarts(clocks)
        if moments is not None:
            if any(bisect_right(moments, s.first) != bisect_right(moments, s.last)
                   for s in clock.values()):  # fmt: skip
                return Attempts(of_life=of_life, spans={}, moments=tuple(moments))
            of_life |= {life: 1 + bisect_right(moments, s.first) for life, s in clock.items()}
        spans: dict[int, Span] = {}
        for life, span in clock.items():
            spans[of_life[life]] = spans.get(of_life[life], Span()).joined(span)
        return Attempts(of_life=of_life, spans=spans)


def _named(keys: Mapping[_Source, str]) -> tuple[dict[str, str], list[str]]:
    """The name of each series by its key in the spool, and what was renamed.

    A tag keeps its name before a statistic of a histogram gets one, and the run's own folder before
    `train` and the like.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    told = []
    for source, key in sorted(
        keys.items(), key=lambda k: (bool(k[0].statistic), k[0].stream.prefix)
    ):
        name = plain = f"{source.stream.prefix}{source.tag}"
        if source.statistic:
            name = plain = f"{plain}/{source.statistic}"
        if source.stream.rank is not None:
            name = f"{source.stream.rank}{_SEPARATOR}{plain}"
        if name in taken:
            told.append(f"{plain}: two series have this name; one is kept as {plain} (2)")
        while name in taken:
            name += " (2)"
        taken.add(name)
        names[key] = name
    return names, told


def _split(series: SeriesSet, moments: Sequence[float]) -> SeriesSet:
    """Attempts told apart row by row: a restart lies within what one stream wrote in one go."""
    spool = Spool()
    for name in series:
        rows = series[name].recorded
        attempt = 1 + np.searchsorted(np.array(moments), rows.time, side="right")
        cuts = np.flatnonzero(attempt[1:] != attempt[:-1]) + 1
        for part in np.split(np.arange(len(attempt)), cuts):
            mine = rows.take(part)
            number = int(attempt[part[0]])
            spool.extend(name, mine.step, mine.time, mine.value, attempt=number)
    return spool.finish()


def _clocks(series: SeriesSet, samples: Sequence[Sample]) -> dict[int, Span]:
    """The clock of each attempt, by the rows themselves."""
    spans: dict[int, Span] = {}
    for name in series:
        rows = series[name].recorded
        for number in np.unique(rows.attempt).tolist():
            own = rows.time[rows.attempt == number]
            spans[number] = spans.get(number, Span()).over(own)
    for sample in samples:
        at = np.array([math.nan if sample.time is None else sample.time])
        spans[sample.attempt] = spans.get(sample.attempt, Span()).over(at)
    return spans


def _numbered(
    clocks: Mapping[int, Span], steps: Mapping[int, tuple[int, int]]
) -> Iterable[Attempt]:
    for number, span in sorted(clocks.items()):
        known = span.first <= span.last
        first, last = steps.get(number, (None, None))
        yield Attempt(
            number=number,
            start=span.first if known else None,
            end=span.last if known else None,
            first_step=first,
            last_step=last,
        )


def _of_rank(series: SeriesSet, rank: int) -> SeriesSet:
    """The series of one rank under their own names."""
    before = f"{rank}{_SEPARATOR}"
    infos: dict[str, SeriesInfo] = {}
    for info in series.infos:
        if info.name.startswith(before):
            name = info.name.removeprefix(before)
            infos[name] = replace(info, name=name)
    return SeriesSet(infos, lambda name: series[before + name].recorded, series.spans)
