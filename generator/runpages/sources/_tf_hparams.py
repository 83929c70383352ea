"""What the hyper-parameter plugin knows of a run: settings, group, author, how it ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from ._tf_run import Message
from ._tfevents import HParams

__all__ = ["Session", "seed_of", "session_of"]

_STATUS = {1: "finished", 2: "failed"}
"""success, failure; 0 and 3 stand for unknown and running."""
_MAX_DEPTH = 32
_TOGETHER_SECONDS = 1.0
"""What is written in one go takes less than this."""
_LATE_SECONDS = 1.0


@dataclass(slots=True)
class Session:
    """One session of the plugin: what was told at its start and at its end."""

    settings: dict[str, object] = field(default_factory=dict)
    group: str = ""
    author: str = ""
    description: str = ""
    starts: int = 0
    """Times that settings were told."""
    started: float = math.nan
    ended: float = math.nan
    state: str = ""
    """`finished` or `failed` if the end says so."""
    malformed: int = 0

    def end_state(self, first: float, last: float, *, results: bool) -> str:
        """How the run ended, or nothing if the end that was told is none.

        PyTorch, tensorboardX and Lightning write settings and `success` in one go, often before
        the training begins. So it only counts when nothing was logged later, and if it was told
        together with the settings only when something was logged well before, or results with it.
        `first`, `last`: times of the run's own rows.
        """
        together = not self.ended - self.started > _TOGETHER_SECONDS
        before = self.started - first > _TOGETHER_SECONDS
        later = last > self.ended + _LATE_SECONDS
        if later or (together and not before and not results):
            return ""
        return self.state


def session_of(messages: Iterable[Message]) -> Session:
    """What several messages tell together; of two the later one counts."""
    session = Session()
    # those without a time first
    for time, content in sorted(
        messages, key=lambda m: -math.inf if math.isnan(m.time) else m.time
    ):
        message: Any = HParams()
        try:
            message.ParseFromString(content)
        except DecodeError:
            session.malformed += 1
            continue
        if message.HasField("experiment"):
            session.author = message.experiment.user or session.author
            session.description = message.experiment.description or session.description
        if message.HasField("session_start_info"):
            start = message.session_start_info
            session.starts += 1
            session.started = time
            session.settings |= {e.key: _plain(e.value) for e in start.hparams}
            session.group = start.group_name or session.group
            session.ended, session.state = math.nan, ""
        if message.HasField("session_end_info"):
            session.ended = time
            session.state = _STATUS.get(message.session_end_info.status, "")
    return session


def _plain(value: Any, depth: int = 0) -> object:
    """The Python value of a google.protobuf.Value."""
    for listed in (value.number_value, value.string_value, value.bool_value):
        if len(listed):
            found: object = listed[-1]
            return found
    if depth > _MAX_DEPTH:
        return None
    if value.HasField("struct_value"):
        return {e.key: _plain(e.value, depth + 1) for e in value.struct_value.fields}
    if value.HasField("list_value"):
        return [_plain(item, depth + 1) for item in value.list_value.values]
    return None


def seed_of(config: Mapping[str, object]) -> int | None:
    """Of the settings, or of Hugging Face's `args`. A whole number, though stored as a double."""
    args = config.get("args")
    found = config.get("seed", args.get("seed") if isinstance(args, dict) else None)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if math.isfinite(found) and found == int(found) else None
