"""The review's comment: Markdown for a code host, plain lines for a chat; at most 4,000 characters.

No HTML, which Bitbucket does not take, and no line that begins with foreign text, as that is where
Markdown has its blocks and GitLab its quick actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runpages import units
from runpages.markup import chat_text, comment_code, comment_text

from .brief import Brief, Found, Row

__all__ = ["MOST_CHARACTERS", "as_markdown", "as_text"]

MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How much is said."""

    words: int
    """Characters of a sentence out of the run."""
    name: int
    differences: int
    warnings: int
    worst: int = 3
    metrics: int = 8
    reasons: int = 120
    """Characters of the cell of a table."""


_ROOMS = (
    _Room(words=400, name=60, differences=12, warnings=4),
    _Room(words=300, name=60, differences=8, warnings=3),
    _Room(words=200, name=50, differences=5, warnings=2, reasons=80),
    _Room(words=150, name=40, differences=3, warnings=1, reasons=50),
    _Room(words=100, name=30, differences=0, warnings=1, reasons=40),
    _Room(words=80, name=20, differences=0, warnings=1, worst=1, metrics=4, reasons=24),
    _Room(words=60, name=16, differences=0, warnings=0, worst=0, metrics=2, reasons=16),
)
"""Tried in this order until the whole is short enough."""


def as_markdown(told: Brief, *, most: int = MOST_CHARACTERS) -> str:
    """For GitHub, GitLab and Bitbucket; ends in a line feed."""
    return _fitting(told, _markdown, most)


def as_text(told: Brief, *, most: int = MOST_CHARACTERS) -> str:
    """For a chat; ends in a line feed."""
    return _fitting(told, _text, most)


def _fitting(told: Brief, form: Callable[[Brief, _Room], Iterator[str]], most: int) -> str:
    for room in _ROOMS:
        text = "\n".join(form(told, room)) + "\n"
        if len(text) <= most:
            return text
    return text[: most - 1].rpartition("\n")[0] + "\n"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _link(words: str, href: str) -> str:
    return f"[{words}](<{href}>)" if href else words


def _markdown(told: Brief, room: _Room) -> Iterator[str]:
    name = comment_code(_cut(told.name, room.name))
    yield f"### Run {_link(name, told.page)}: {told.state}, {told.findings}"
    yield ""
    yield _verdict_line(told, room)
    yield ""
    yield "Result: " + comment_text(_cut(told.sentence, room.words))
    if told.warnings[: room.warnings]:
        yield ""
        yield "Read with care:"
        yield ""
        for warning in told.warnings[: room.warnings]:
            yield "- note: " + comment_text(_cut(warning, room.words))
        yield from _left("- ", len(told.warnings) - room.warnings, "further remark")
    yield ""
    yield from _table(told, room)
    if told.worst[: room.worst]:
        yield ""
        yield _link("Findings", f"{told.page}#findings" if told.page else "") + ":"
        yield ""
        for found in told.worst[: room.worst]:
            yield _finding(found, room)
        yield from _left("- ", told.worst_left + len(told.worst[room.worst :]), "further finding")
    yield from _differences(told, room)
    links = [
        _link(words, href)
        for words, href in (
            ("Run page", told.page),
            ("Compare", told.compare),
            ("Curves", f"{told.page}#curves" if told.page else ""),
            ("Reproduce", f"{told.page}#reproduce" if told.page else ""),
        )
        if href
    ]
    if links:
        yield ""
        yield " · ".join(links)


def _verdict_line(told: Brief, room: _Room) -> str:
    said = told.verdict
    if said is None:
        return "**No verdict yet**"
    reason = " ".join(said.text.split())
    why = f": {comment_text(_cut(reason, room.words))}" if reason else ""
    return f"**Verdict: {said.outcome}**{why} ({comment_code(_cut(said.author, room.name))})"


def _left(start: str, number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"{start}{units.count(number)} {what}{'s' if number > 1 else ''} on the page"


def _table(told: Brief, room: _Room) -> Iterator[str]:
    base = comment_code(_cut(told.base, room.name)) if told.base else ""
    head = ["metric", "this run", *([f"base {base}", "difference"] if base else [])]
    yield _row(head)
    yield _row(["---", *["---:"] * (len(head) - 1)])
    for row in told.metrics[: room.metrics]:
        yield _row(
            [f"{comment_code(_cut(row.name, room.name))} {row.arrow}", *_cells(told, row, room)]
        )
    if left := told.metrics_left + len(told.metrics[room.metrics :]):
        yield _row([f"{units.count(left)} more on the page", *[""] * (len(head) - 1)])
    for row in told.costs:
        yield _row([f"{row.name} {row.arrow}", *_cells(told, row, room)])


def _cells(told: Brief, row: Row, room: _Room) -> list[str]:
    base = "n/a" if row.base == row.value and row.base.startswith("n/a") else row.base
    cells = [row.value, *([base, row.difference] if told.base else [])]
    return [comment_text(_cut(cell, room.reasons)) for cell in cells]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def _finding(found: Found, room: _Room) -> str:
    title = _link(comment_text(found.title), found.href)
    return f"- **{found.severity}** {title}: {comment_text(_cut(found.message, room.words))}"


def _differences(told: Brief, room: _Room) -> Iterator[str]:
    if not told.differences:
        return
    number = len(told.differences)
    yield ""
    yield f"What differs ({units.count(number)}){':' if room.differences else ' is on the page'}"
    if not room.differences:
        return
    yield ""
    base = comment_code(_cut(told.base, room.name))
    yield _row(["setting", "this run", f"base {base}"])
    yield _row(["---", "---", "---"])
    for cells in told.differences[: room.differences]:
        yield _row([comment_code(_cut(cell, room.name)) for cell in cells])
    if number > room.differences:
        yield _row([f"{units.count(number - room.differences)} more on the page", "", ""])


def _text(told: Brief, room: _Room) -> Iterator[str]:
    name = chat_text(_cut(told.name, room.name))
    yield f"Run {name}: {told.state}, {told.findings}"
    said = told.verdict
    yield f"Verdict: {said.outcome} ({chat_text(said.author)})" if said else "No verdict yet"
    yield "Result: " + chat_text(_cut(told.sentence, room.words))
    for warning in told.warnings[: room.warnings]:
        yield "Read with care: " + chat_text(_cut(warning, room.words))
    for row in (*told.metrics[: room.metrics], *told.costs):
        yield f"- {chat_text(_cut(row.name, room.name))}: {_told(told, row, room)}"
    for found in told.worst[: room.worst]:
        yield f"- {found.severity}: {chat_text(_cut(found.message, room.words))}"
    for cells in told.differences[: room.differences]:
        key, own, base = (chat_text(_cut(cell, room.name)) for cell in cells)
        yield f"- {key}: {own}, base {base}"
    for href in (told.page, told.compare):
        if href:
            yield href


def _told(told: Brief, row: Row, room: _Room) -> str:
    value, base, difference = (
        chat_text(_cut(cell, room.reasons)) for cell in (row.value, row.base, row.difference)
    )
    return f"{value} (base {base}: {difference})" if told.base and base != value else value
