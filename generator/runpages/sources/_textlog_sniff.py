"""Which dialect a file speaks, and where in it runs begin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ._textlog_dialects import NUMBER, Dialect
from ._textlog_lines import Counts, occur_twice, text_lines, windows
from ._textlog_read import Section
from ._textlog_rows import Row, RowFinder, message_of, starts_of

__all__ = ["Sniffed", "looks_like_a_log", "sections_of", "sniff_text"]

_NAME = re.compile(
    r"(?i)(?!readme|licen[cs]e|requirements|changelog|notice|authors|cmakelists|constraints)"
    r"(?:.*\.(?:log|out|err|txt|stdout|stderr|console)(?:[._-]?\d+|\.old)?"
    r"|.*\.[oe]\d+(?:\.\d+)?"
    r"|(?:.*[-_.])?(?:log|stdout|stderr|output|console)(?:[-_.]?\d+)?)$"
)
_TOLD = re.compile(r".{0,120}?\b(?:loss|accuracy|perplexity)\b.{0,4}?\d", re.IGNORECASE)
_HF = re.compile(r"\{'(?:eval_)?(?:loss|runtime)': ['\d]")
_BAR = re.compile(
    r"(?i).{0,80}?\d+%\|[^|]*\| *\d+/\d+ \[[^\]]*, [^,\]]*(?:loss|acc|ppl)[^,\]\d]*\d"
)
_PLACE = re.compile(r"(?i)(?:step|iter|epoch|batch|update|round|ep\b)[^a-z]{0,12}\d")
_CELL = re.compile(rf"(?:{NUMBER})?")
_MOST_LINES = 40_000
_Place = tuple[int, ...]
"""Where in the training a row is: its step, or epoch and iteration."""


class Sniffed(NamedTuple):
    """What a file is taken for: its dialect, or why it is none although it looks like a log."""

    dialect: Dialect | None
    reason: str = ""


def looks_like_a_log(name: str) -> bool:
    """By its name: source code, tables, documents and archives are not even opened."""
    return _NAME.match(name) is not None


def sniff_text(path: Path, dialects: Sequence[Dialect]) -> Sniffed:
    """By the lines at the head, in the middle and at the end. Raises OSError."""
    lines = windows(path)
    if not lines:
        return Sniffed(None, "empty: no line was written")
    if len(lines) > _MOST_LINES:
        third = _MOST_LINES // 3
        middle = len(lines) // 2
        lines = [*lines[:third], *lines[middle : middle + third], *lines[-third:]]
    whole = b"\n".join(lines)
    for general in (False, True):
        best, most = None, 0
        for dialect in dialects:
            if dialect.general is not general:
                continue
            if not any(row.mark.encode() in whole for row in dialect.row):
                continue
            count = _count(lines, dialect)
            # a dialect that includes another has at least its rows: more must speak for it
            if count >= dialect.least and count > most:
                best, most = dialect, count
        if best is not None:
            return Sniffed(best)
    return Sniffed(None, _reason(lines, dialects))


def _count(lines: Sequence[bytes], dialect: Dialect) -> int:
    """Lines with figures; for a general dialect only those of the commonest form.

    A row that waits counts when a tick comes before another one of its kind.
    """
    finder = RowFinder(dialect)
    ticks = any(row.tick for row in dialect.row)
    forms: Counter[tuple[str, ...]] = Counter()
    places: set[tuple[float, ...]] = set()
    count = waiting = 0
    for line in lines:
        found = finder.find(line)
        if found is None or found.line.summary:
            continue
        if found.line.tick:
            count += waiting == 1
            waiting = 0
        elif ticks and found.line.waits is not None:
            waiting += 1
        else:
            count += 1
        if dialect.general and _tells(dialect, found.names):
            forms[found.names] += 1
            epoch = found.values[found.names.index("epoch")] if "epoch" in found.names else 0
            places.add((epoch, found.step or 0))
    if not dialect.general:
        return count
    return max(forms.values(), default=0) if len(places) >= dialect.least else 0


def _tells(dialect: Dialect, names: Sequence[str]) -> bool:
    """Whether figures of these names are a training's."""
    return dialect.figures is None or any(map(dialect.figures.search, names))


def _reason(lines: Sequence[bytes], dialects: Sequence[Dialect]) -> str:
    """Why a file that looks like a training's is none of ours, as far as that can be told."""
    texts = [line.decode("utf-8", "replace") for line in lines[:20_000]]
    if _is_table(texts[:3]):
        return "is a table of comma-separated values: named .csv it is read as one"
    if sum(_HF.search(text) is not None for text in texts) >= 3:
        return (
            "prints the Hugging Face Trainer's dictionaries, which name no step, without the "
            "progress bar behind each that does: its trainer_state.json has the same figures"
        )
    if sum(_BAR.match(text) is not None for text in texts) >= 5:
        return (
            "shows figures in progress bars only, which do not tell of which step they are: "
            "print a line such as `step=10 loss=1.2`"
        )
    told = [text for text in texts if _TOLD.match(text)]
    if len(told) < 5:
        return ""
    if sum(_PLACE.search(text) is not None for text in told) * 2 < len(told):
        return "looks like a training log, but the lines with its losses name no step and no epoch"
    return (
        "looks like a training log, but its lines are of no dialect that is known "
        f"({len(dialects)} are tried: {dialects[0].name} to {dialects[-1].name}); "
        "a [[dialect]] table can describe them"
    )


def _is_table(texts: Sequence[str]) -> bool:
    """A header with a column of steps or epochs, and numbers below it (Keras's CSVLogger)."""
    cells = [text.strip().split(",") for text in texts]
    return (
        len(cells) == 3
        and len({len(row) for row in cells}) == 1
        and len(cells[0]) > 1
        and not {"epoch", "step", "iteration"}.isdisjoint(name.lower() for name in cells[0])
        and all(_CELL.fullmatch(cell) for row in cells[1:] for cell in row)
    )


def sections_of(path: Path, dialect: Dialect) -> list[Section]:
    """The runs of a file. Raises OSError.

    A new one begins where a header is followed by a row at or before the first row of the run
    before, if it is a start from nothing: not farther than one logging interval. A log that began
    in the middle and goes back to its own first row has been resumed again: that is an attempt.
    """
    if not dialect.begin or (dialect.begin_mark and not occur_twice(path, dialect.begin_mark)):
        return [Section()]
    finder = RowFinder(dialect)
    starts = [1]
    header = 0
    seen: list[_Place] = []
    for line in text_lines(path, Counts()):
        if header or len(seen) < 2:
            found = finder.find(line.data)
            place = _place(found) if found is not None else None
            if place is not None:
                if header and seen and _from_nothing(place, seen):
                    starts.append(header)
                    seen = []
                header = 0
                if len(seen) < 2 and place not in seen:
                    seen.append(place)
                continue
        if seen and not header and _begins(line.data, dialect):
            header = line.number
    lasts = [*(start - 1 for start in starts[1:]), Section().last]
    return [Section(start, last) for start, last in zip(starts, lasts, strict=True)]


def _from_nothing(place: _Place, seen: Sequence[_Place]) -> bool:
    """Whether a training starts anew there; `seen` are the first two places of the one before."""
    if place > seen[0]:
        return False
    if len(place) > 1 or len(seen) < 2:
        return True
    return place[0] <= abs(seen[1][0] - seen[0][0])


def _place(row: Row) -> _Place | None:
    if row.position or row.step is None or row.rounded or row.line.tick:
        return row.position or None
    return (row.step,) if row.line.epochs_from is None else (row.epoch or 0, row.step)


def _begins(data: bytes, dialect: Dialect) -> bool:
    marks = dialect.begin_mark
    if marks and not any(mark.encode() in data for mark in marks):
        return False
    message = message_of(data.decode("utf-8", "replace"))
    return any(
        pattern.match(message.text, start)
        for start in starts_of(message)
        for pattern in dialect.begin
    )
