"""A light look at the begin of an event file: whether there is anything in it, and of what kind."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from ._tf_frames import windows
from ._tf_values import GRAPHS, Settings, Unread, decoded
from ._tfevents import Damage, HParams

__all__ = ["Head", "look"]

_WIDTH = 1 << 16
_SESSION_BYTES = 1 << 20
"""A file of `add_hparams` holds a few records; a larger one is a run of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a file is, by its first records."""

    reason: str = ""
    """Why nothing can be read of it; empty if something can."""
    began: float = math.inf
    """The earliest time seen."""
    values: bool = False
    """Whether it has a value that is read or counted."""
    settings: bool = False
    """Whether it has hyper-parameters."""
    session: bool = False
    """Whether it is what `add_hparams` writes: a whole session, then one value a metric."""


def look(path: Path) -> Head:
    """Reads no further than it must. Raises OSError if the file cannot be opened."""
    size = path.stat().st_size
    if not size:
        return Head(reason="empty: 0 bytes")
    seen = _Seen(small=size <= _SESSION_BYTES)
    for window in windows(path, Damage(), width=_WIDTH):
        for number in range(len(window.start)):
            seen.record(window.payload(number))
            if seen.enough:
                break
        if seen.enough:
            break
    return seen.head()


@dataclass(slots=True)
class _Seen:
    small: bool
    events: int = 0
    began: float = math.inf
    values: int = 0
    tags: set[str] = field(default_factory=set)
    step: int | None = None
    started: bool = False
    ended: bool = False
    settings: bool = False
    plain: bool = True
    """Whether all values are numbers of one step, each of another tag."""

    @property
    def enough(self) -> bool:
        return self.values > 0 and not (self.small and self.started and self.ended and self.plain)

    def record(self, payload: bytes) -> None:
        event = decoded(payload, {})
        if event is None:
            return
        self.events += 1
        self.began = min(self.began, event.time)  # NaN is never the smaller one
        for tag, content in event.values:
            if isinstance(content, Settings):
                self._setting(content.content)
            elif not isinstance(content, Unread) or not (content.apart or content.what == GRAPHS):
                self.values += 1
                alike = tag not in self.tags and self.step in {None, event.step}
                self.plain = self.plain and alike and isinstance(content, float)
                self.tags.add(tag)
                self.step = event.step

    def _setting(self, content: bytes) -> None:
        self.settings = True
        if self.values:
            self.plain = False
        self.started = self.started or _has(content, "session_start_info")
        self.ended = self.ended or _has(content, "session_end_info")

    def head(self) -> Head:
        reason = ""
        if not self.events:
            reason = "no event record in it: not an event file, or damaged all through"
        elif not self.values and not self.settings:
            reason = "holds no summaries (only a graph or a file header)"
        return Head(
            reason=reason,
            began=self.began,
            values=self.values > 0,
            settings=self.settings,
            session=self.small and self.started and self.ended and self.plain,
        )


def _has(content: bytes, name: str) -> bool:
    message = HParams()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return False
    return message.HasField(name)
