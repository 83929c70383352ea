"""The states that a transformers Trainer saved of one run, put in order.

Each checkpoint holds the whole history up to it, so most states are a beginning of the longest.
Where one differs, a process redid the steps behind that place: its rows are an earlier attempt's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ._jsonscan import Damaged, JsonScan, Piece
from ._textfiles import Ledger, Line, number, whole

__all__ = ["END", "Segment", "State", "longest", "read_state", "segments", "state_rows"]

END = "train_runtime"
"""Only the record that ends `train()` has it."""
_HISTORY = "log_history"
_CHECKPOINT = "checkpoint-"
_ROW_BYTES = 8


@dataclass(slots=True)
class State:
    """One trainer_state.json."""

    path: Path
    name: str
    """Below the run's folder."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Everything in it but the history."""
    marks: list[bytes] = field(default_factory=list)
    """A fingerprint of each row."""
    known: bool = False
    """Whether it has a history, be it empty."""
    last_step: int = -1
    evaluated: dict[str, float] = field(default_factory=dict)
    """What the last evaluation at the last step measured."""


class Segment(NamedTuple):
    """Rows `first` to `last` (exclusive) of a state's history, written by one process or more."""

    state: State
    first: int
    last: int
    redone: bool = False
    """Whether a later process did the steps again."""


def read_state(ledger: Ledger, name: str) -> State:
    """Everything but the rows themselves. Raises SourceError if the file cannot be opened."""
    state = State(ledger.folder / name, name)
    for line, text in _scan(ledger, name, state.facts):
        state.marks.append(_mark(text))
        step = whole(line.row["step"])
        if step is None:
            continue
        if step != state.last_step:
            state.evaluated = {}
        state.last_step = step
        found = {k: number(value) for k, value in line.row.items() if k.startswith("eval_")}
        state.evaluated |= {key: value for key, value in found.items() if value is not None}
    state.known = _HISTORY in state.facts
    return state


def state_rows(ledger: Ledger, segment: Segment) -> Iterator[tuple[Line, bytes]]:
    """The rows of a segment and their fingerprints; the ledger is told what was told before."""
    for count, (line, text) in enumerate(_scan(ledger, segment.state.name, {})):
        if count >= segment.last:
            return
        if count >= segment.first:
            yield line, _mark(text)


def longest(states: Sequence[State]) -> State:
    """The state with the history that came furthest; of equal ones the run folder's own."""
    return max(states, key=lambda s: (s.last_step, len(s.marks), _CHECKPOINT not in s.name))


def segments(states: Sequence[State]) -> list[Segment]:
    """The rows of all states in the order of the processes that wrote them.

    The longest history is the run's. Where another leaves it, the rows behind that place were done
    again; of several that leave it the one that leaves earliest stands first.
    """
    main = longest(states)
    at = {mark: position for position, mark in enumerate(main.marks)}
    branches = []
    for state in states:
        shared = len(state.marks)
        while shared and state.marks[shared - 1] not in at:
            shared -= 1
        if shared < len(state.marks):
            leaves = at[state.marks[shared - 1]] + 1 if shared else 0
            branches.append((leaves, shared - len(state.marks), state.name, shared, state))
    found = []
    known: set[bytes] = set()
    done = 0
    for leaves, _, _, first, state in sorted(branches, key=lambda branch: branch[:3]):
        own = [n for n in range(first, len(state.marks)) if state.marks[n] not in known]
        if not own:
            continue  # a beginning of what another checkpoint of the same process holds
        found += [
            Segment(main, done, leaves),
            Segment(state, own[0], len(state.marks), redone=True),
        ]
        known.update(state.marks[own[0] :])
        done = leaves
    return [*found, Segment(main, done, len(main.marks))]


def _scan(ledger: Ledger, name: str, facts: dict[str, Any]) -> Iterator[tuple[Line, str]]:
    document = JsonScan.of_file(ledger, name)
    for key in document.members():
        if key != _HISTORY or key in facts:
            try:
                facts[key] = document.value().value
            except Damaged:
                continue
            continue
        facts[_HISTORY] = []
        for _ in document.elements():
            try:
                piece = document.value()
            except Damaged:
                continue
            line = _line(name, piece)
            if whole(piece.value.get("step")) is None:
                ledger.records += 1
                ledger.reject(line, "no whole number under `step`")
            else:
                yield line, piece.text


def _line(name: str, piece: Piece) -> Line:
    return Line(
        f"{name}:{piece.line}", len(piece.text.encode("utf-8", "surrogateescape")), piece.value
    )


def _mark(text: str) -> bytes:
    # the same row is indented in the same way, unless somebody formatted the file
    plain = "".join(text.split()).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(plain, digest_size=_ROW_BYTES).digest()
