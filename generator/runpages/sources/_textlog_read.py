"""Reads one run of a text log: rows, settings, checkpoints, samples, errors, console."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from runpages.model import Checkpoint, LoggedEvent, Sample

from ._textlog_config import Settings
from ._textlog_dialects import EVENTS, Dialect, EventLine, any_of
from ._textlog_lines import Counts, TextLine, text_lines
from ._textlog_places import Places
from ._textlog_rows import Clock, Message, Row, RowFinder, message_of, starts_of
from ._textlog_sink import Sink

__all__ = ["Reading", "Section"]

CONSOLE_BYTES = 64_000
_CONSOLE_LINES = 2000
_SAMPLE_CHARS = 8000
_MOST_SAMPLES = 2000
_MOST_EVENTS = 200
_MOST_CHECKPOINTS = 10_000
_CONTEXT_MIB = 300
"""A CUDA context alone takes more; a device without a process has a few MiB in use."""
_EXCEPTION = re.compile(r"(?:[\w]+\.)*\w*(?:Error|Exception|Interrupt|Exit)(?::|$)")
_WHOLE_NUMBERS = frozenset({"devices", "parameters", "seed", "world_size"})


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one run in a file: first to last, both included; numbers from 1."""

    first: int = 1
    last: int = 2**62


@dataclass(slots=True)
class _Waiting:
    """Figures and texts whose step the next row tells."""

    rows: list[tuple[Row, float]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """Takes the lines of one run in turn."""

    dialect: Dialect
    clock: Clock
    sink: Sink = field(default_factory=Sink)
    rank: int | None = None
    """Of all rows that name none: the rank whose own file this is."""
    counts: Counts = field(default_factory=Counts)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    hints: dict[str, str] = field(default_factory=dict)
    summary: dict[str, object] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    """Attempt -> what a line proved of how it ended, if no row came after."""
    cut_line: int = 0
    """Number of the last line if it has no end."""
    cut_bytes: int = 0
    cut_name: str = ""
    """The file that is cut, if it is another than the run's first."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason -> number of rows."""
    began: float = math.nan
    """The date of the first header."""
    places: Places = field(default_factory=Places)
    settings: Settings = field(init=False)
    _finder: RowFinder = field(init=False)
    _other: re.Pattern[str] | None = field(init=False)
    _ticks: bool = field(init=False)
    _begun: bool = False
    _fresh: bool = False
    _follow: Row | None = None
    _sample: Sample | None = None
    _waiting: _Waiting = field(default_factory=_Waiting)
    _steps: deque[int] = field(default_factory=lambda: deque(maxlen=2))
    _held: tuple[Row, int] | None = None
    """The last state of a progress bar whose step the tick before told."""
    _lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=_CONSOLE_LINES))
    _traceback: bool = False
    _in_use: int = 0
    """Devices with a process on them, in the table that the run printed as it began."""
    _more: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(self.dialect)
        self._finder = RowFinder(self.dialect, within=self.places.within)
        self._other = any_of(self.dialect)
        self._ticks = any(line.tick for line in self.dialect.row)

    def read(self, path: Path, section: Section) -> None:
        """All lines of the section. Raises OSError."""
        for line in text_lines(path, self.counts):
            if line.number < section.first:
                continue
            if line.number > section.last:
                break
            self.take(line)
        self._finish()

    def take(self, line: TextLine) -> None:
        data = line.data
        self._lines.append(data)
        if self._follow is not None and self._followed(line):
            return
        found = self._finder.find(data)
        if found is not None:
            if line.closed or found.line.whole:
                self._row(found)
            else:
                self._cut(line)
            return
        if not line.closed:
            self._cut(line)
            return
        self._plain_line(data)

    def _cut(self, line: TextLine) -> None:
        self.cut_line, self.cut_bytes = line.number, len(line.data)

    def _followed(self, line: TextLine) -> bool:
        """Whether the line gives another metric of the row before."""
        assert self._follow is not None  # noqa: S101 - the caller has looked
        row = self._follow
        pattern = row.line.follow
        text = line.data.decode("utf-8", "replace")
        found = pattern.match(text) if pattern is not None else None
        if found is None or not line.closed:
            self._follow = None
            self._put(row)
            return False
        name = row.line.prefix + row.line.names.get(found["name"], found["name"])
        if name not in row.names and name not in row.line.skip:
            value = float(found["value"].replace(",", ""))
            self._follow = row._replace(names=(*row.names, name), values=[*row.values, value])
        return True

    def _row(self, row: Row) -> None:
        if self._sample is not None:
            self._close_sample()
        if row.plain and row.step is not None and not self.places.several:
            self._wait_for_row_no_more(row.step)
            self._record(row, row.step, self.clock.seconds(row.clock))
            self._step(row.step)
        elif row.line.follow is not None:
            self._follow = row
        else:
            self._put(row)

    def _put(self, row: Row) -> None:
        line = row.line
        if line.summary:
            self.summary |= {
                f"{row.label} {name}".strip(): value
                for name, value in zip(row.names, row.values, strict=True)
            }
        elif row.rounded:
            self._leave_out("its step is printed with three digits only")
        elif line.tick:
            self._tick(row)
        elif line.position:
            self._put_step(row, self.places.number(row.position))
        elif self.places.several and row.step is not None:
            epoch = {"epoch": float(row.step)}
            row = row._replace(names=(*row.names, *epoch), values=[*row.values, *epoch.values()])
            self._put_step(row, self.places.next_record())
        elif line.after or self.places.counts(row):
            self._put_placed(row)
        elif row.step is None:
            self._wait(row)
        else:
            self._put_step(row, row.step)

    def _wait(self, row: Row) -> None:
        if not self._ticks and any(
            r.line is row.line and r.rank == row.rank for r, _ in self._waiting.rows
        ):
            self._settle_waiting()  # the process died before the row that they waited for
        self._waiting.rows.append((row, self.clock.seconds(row.clock)))

    def _put_step(self, row: Row, step: int) -> None:
        if step >= 2**63:
            self._leave_out("its step is larger than 64 bits")
        elif not row.line.with_last:
            self._take(row, step)
        elif self._steps and self._steps[-1] != step:
            self._leave_out("it counts other steps than the rows around it")
        else:
            self._wait_for_row_no_more(step)
            self._record(row, step, self.clock.seconds(row.clock))

    def _put_placed(self, row: Row) -> None:
        """A row whose step other lines tell as well."""
        if self.places.counts(row):
            step = self.places.step(row)
        else:
            step = self._steps[-1] if self.places.tick is None and self._steps else self.places.tick
        if step is None:
            self._leave_out("no line before tells its step")
        elif not row.line.progress:
            self._take(row, step)
        elif self._held is not None and self._held[0].steps != row.steps:
            self._leave_out("its bar is of another loop than the one before")
        else:
            self._held = (row, step)

    def _let_go(self) -> None:
        """The state of the progress bar that was held was its last one."""
        if self._held is not None:
            (row, step), self._held = self._held, None
            self._take(row, step)

    def _take(self, row: Row, step: int) -> None:
        self._wait_for_row_no_more(step)
        self._record(row, step, self.clock.seconds(row.clock))
        self._step(step)

    def _tick(self, row: Row) -> None:
        """A line that tells how far the training is: of this step is what waits."""
        self._let_go()
        assert row.step is not None  # noqa: S101 - a tick has its group
        rows = self._waiting.rows
        if row.step >= 2**63 or not self.places.see_tick(row, [r.line for r, _ in rows]):
            return
        if len(rows) > 1:  # the output was buffered: this tick is not the one they were drawn with
            self._give_up_waiting()
            return
        self._wait_no_more(row.step)
        self._step(row.step)

    def _step(self, step: int) -> None:
        if not self._steps or self._steps[-1] != step:
            self._steps.append(step)

    def _record(self, row: Row, step: int, seconds: float) -> None:
        if self._fresh:
            self.sink.begin(self.rank)
            self._fresh = False
        self.settings.close()
        self._traceback = False
        rank = self.rank if row.rank is None else row.rank
        if row.names and self.sink.put(
            rank, row.names, step, seconds, row.values, once=row.line.progress
        ):
            self.states.pop(self.sink.attempt, None)

    def _wait_for_row_no_more(self, step: int) -> None:
        """A row has come. Where there are ticks only these tell what waits its step."""
        if not self._ticks:
            self._wait_no_more(step)

    def _wait_no_more(self, step: int) -> None:
        waiting = self._waiting
        if not (waiting.rows or waiting.samples):
            return
        self._waiting = _Waiting()
        offset = next((r.line.waits or 0 for r, _ in waiting.rows), 0)
        for row, seconds in waiting.rows:
            self._record(row, step + (row.line.waits or 0), seconds)
        for sample in waiting.samples:
            self._keep_sample(sample, step + offset)

    def _settle_waiting(self) -> None:
        """No row comes any more that tells the step of what waits."""
        if len(self._steps) == 2 and self._steps[1] - self._steps[0] == 1 and not self._ticks:
            # every step has its row: it would have been the next step's
            self._wait_no_more(self._steps[-1] + 1)
            return
        self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        for _ in self._waiting.rows:
            self._leave_out("no row tells its step")
        self._waiting = _Waiting()

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def _plain_line(self, data: bytes) -> None:
        """A line without figures: what it says is looked for in turn."""
        for event in EVENTS:
            if event.mark and event.mark.encode() in data and self._event(event, data):
                return
        message = message_of(data.decode("utf-8", "replace"))
        if self._other is not None:
            for start in starts_of(message):
                if self._other.match(message.text, start) and self._known(message, start):
                    return
        if self.settings.take(message.text, message.start, running=self._running):
            return
        for event in self.dialect.event:
            if event.mark.encode() in data and self._event(event, data):
                return
        if self._sample is not None:
            self._continue_sample(data)

    @property
    def _running(self) -> bool:
        """No settings are taken: rows come, or the header is still to come (a program's text)."""
        if self.dialect.begin and not self._begun:
            return True
        return bool(self.sink.rows) and not self._fresh

    def _known(self, message: Message, start: int) -> bool:
        dialect, text = self.dialect, message.text
        for pattern in dialect.begin:
            found = pattern.match(text, start)
            if found is not None:
                self._begin(found)
                self.settings.take(text, start, running=False)
                self._hint(text, start)
                return True
        if any(pattern.match(text, start) for pattern in dialect.end):
            self.states[self._attempt] = "finished"
            return True
        for pattern in dialect.checkpoint:
            found = pattern.match(text, start)
            if found is not None:
                self._checkpoint(found, self.clock.seconds(message.clock))
                return True
        for pattern in dialect.sample:
            found = pattern.match(text, start)
            if found is not None:
                self._close_sample()
                name = found["name"] if "name" in pattern.groupindex else "sample"
                self._sample = Sample(kind="text", name=name, text=found["text"])
                return True
        return self._hint(text, start)

    def _hint(self, text: str, start: int) -> bool:
        for pattern in self.dialect.hints:
            found = pattern.match(text, start)
            if found is not None:
                told = {k: v.strip() for k, v in found.groupdict().items() if v}
                used = told.pop("used_mib", None)
                self._in_use += used is not None and int(used[:9]) >= _CONTEXT_MIB
                self.hints |= told
                return True
        return False

    def _begin(self, found: re.Match[str]) -> None:
        self._begun = True
        self._in_use = 0
        self._let_go()
        self._close_sample()
        self._settle_waiting()
        self._fresh = bool(self.sink.rows)
        if math.isnan(self.began) and "began" in found.re.groupindex:
            self.began = self.clock.date(found["began"])

    @property
    def _attempt(self) -> int:
        """The attempt of something that is no row."""
        return self.sink.attempt + (1 if self._fresh else 0)

    def _checkpoint(self, found: re.Match[str], seconds: float) -> None:
        groups = found.re.groupindex
        step = int(found["step"]) if "step" in groups and found["step"] else None
        if step is None and self._steps:
            step = self._steps[-1]
        if step is None or step >= 2**63:
            return
        if len(self.checkpoints) >= _MOST_CHECKPOINTS:
            self._more += 1
            return
        self.checkpoints.append(
            Checkpoint(
                step=step,
                path=found["path"] or "" if "path" in groups else "",
                time=None if math.isnan(seconds) else seconds,
                attempt=self._attempt,
            )
        )

    def _event(self, event: EventLine, data: bytes) -> bool:
        message = message_of(data.decode("utf-8", "replace"))
        if not any(event.line.match(message.text, start) for start in starts_of(message)):
            return False
        seconds = self.clock.seconds(message.clock)
        if event.state:
            self.states[self._attempt] = event.state
        self._traceback |= event.mark.startswith("Traceback")
        if len(self.events) < _MOST_EVENTS:
            self.events.append(
                LoggedEvent(
                    kind=event.kind,
                    text=message.text[message.start :].strip()[:500],
                    step=self._steps[-1] if self._steps else None,
                    time=None if math.isnan(seconds) else seconds,
                    attempt=self._attempt,
                )
            )
        else:
            self._more += 1
        return True

    def _continue_sample(self, data: bytes) -> None:
        assert self._sample is not None  # noqa: S101 - the caller has looked
        said = self._sample.text
        if len(said) < _SAMPLE_CHARS:
            text = data.decode("utf-8", "replace")
            self._sample = _said(self._sample, f"{said}\n{text}"[:_SAMPLE_CHARS])

    def _close_sample(self) -> None:
        if self._sample is None:
            return
        sample, self._sample = self._sample, None
        if any(line.waits is not None for line in self.dialect.row):
            self._waiting.samples.append(sample)
        else:
            self._keep_sample(sample, None)

    def _keep_sample(self, sample: Sample, step: int | None) -> None:
        if len(self.samples) < _MOST_SAMPLES:
            self.samples.append(
                Sample(
                    kind="text",
                    name=sample.name,
                    step=step,
                    attempt=self.sink.attempt,
                    text=sample.text,
                )
            )
        else:
            self._more += 1

    def _finish(self) -> None:
        if self._follow is not None:
            self._put(self._follow)
            self._follow = None
        self._let_go()
        self._close_sample()
        self._settle_waiting()
        if self._finder.planned is not None and self.sink.rows:
            self.summary["planned_steps"] = self._finder.planned
        if self._traceback and self._lines:
            last = message_of(self._lines[-1].decode("utf-8", "replace"))
            if _EXCEPTION.match(last.text, last.start):
                self.states.setdefault(self._attempt, "failed")

    @property
    def console(self) -> str:
        """The last lines, at most 64 kB."""
        kept: list[str] = []
        size = 0
        for data in reversed(self._lines):
            size += len(data) + 1
            if size > CONSOLE_BYTES:
                break
            kept.append(data.decode("utf-8", "replace"))
        return "\n".join(reversed(kept))

    @property
    def not_kept(self) -> int:
        """Events, checkpoints and samples beyond the caps."""
        return self._more

    def whole_hint(self, name: str) -> int | None:
        """A fact that is a whole number, from a line or from the configuration."""
        key = self.dialect.facts.get(name, "")
        value = self.hints.get(name) or self.settings.values.get(key)
        if name == "devices" and value is None:
            return self._in_use or self.whole_hint("world_size")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = int(str(value).replace(",", ""))
            if name == "parameters":
                number += int(self.hints.get("more_parameters", "0").replace(",", ""))
        except ValueError:
            return None
        return number if abs(number) < 2**63 else None


def _said(sample: Sample, text: str) -> Sample:
    return Sample(kind=sample.kind, name=sample.name, text=text)
