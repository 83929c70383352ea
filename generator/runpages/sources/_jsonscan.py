"""A JSON document read piece by piece: what is whole is kept, what is damaged is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, cast

from runpages.errors import SourceError

from ._textfiles import Ledger

__all__ = ["MAX_BYTES", "Damaged", "JsonScan", "Piece"]

MAX_BYTES = 256_000_000
"""A larger document is not read."""
_MAX_PLACES = 1_000
"""Damaged places after which the rest is given up: each costs a walk over the text before it."""

_SPACE = re.compile(r"[ \t\r\n]*")
_UNDECODABLE = re.compile(r"[\udc80-\udcff]")


class _Kind(NamedTuple):
    """How one kind of container is written."""

    opening: str
    closing: re.Pattern[str]
    """With what may stand behind it: a bracket amid the items is damage, not their end."""
    follows: re.Pattern[str]
    """What stands behind a number or word in it."""
    item: tuple[re.Pattern[str], ...]
    """Where it can go on if what stands behind an item is damaged."""
    resume: tuple[re.Pattern[str], ...]
    """Where it can go on if an item is damaged; the first that is found at all."""


_OBJECT = _Kind(
    "{",
    re.compile(r"\}(?=[ \t\r\n]*(?:[,}\]]|\Z))"),
    re.compile(r'[ \t\r\n]*(?:,[ \t\r\n]*"|\})'),
    (re.compile(r'(?=["}])'),),
    (re.compile(r',[ \t\r\n]*(?=")|(?=\})'),),
)
_LIST = _Kind(
    "[",
    re.compile(r'\](?=[ \t\r\n]*(?:,[ \t\r\n]*(?:"|\Z)|[}\]]|\Z))'),
    re.compile(r"[ \t\r\n]*[,\]]"),
    (re.compile(r"(?=[{\]])"),),
    (
        re.compile(r"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)"),
        re.compile(r"\}[ \t\r\n]*(?=\])"),
    ),
)


class Damaged(ValueError):
    """The value at hand cannot be read; the ledger is told when the loop around it goes on."""


class Piece(NamedTuple):
    """A value, the text that it was read from, and the line where that begins."""

    value: Any
    text: str
    line: int


class JsonScan:
    """Goes through one document of objects, lists of objects, and values.

    Each item of a loop over `members` or `elements` is read by one `value`, `members` or
    `elements`; an item that is not asked for is passed over. Damage goes to the ledger, and the
    loop goes on at the next item that can be made out.
    """

    def __init__(self, ledger: Ledger, name: str, text: str) -> None:
        self._ledger = ledger
        self._name = name
        self._text = text
        self._at = 0
        self._lines = (0, 1)
        self._decode = json.JSONDecoder().raw_decode
        self._kind = _OBJECT
        self._problem = ""
        self._places = 0
        self._ended = False

    @classmethod
    def of_file(cls, ledger: Ledger, name: str) -> JsonScan:
        """Raises SourceError for a file that cannot be opened or is too large."""
        path = ledger.folder / name
        try:
            if not path.is_file():  # a pipe would wait for ever
                raise SourceError(path, "is no regular file")
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise SourceError(path, f"has {size:,} bytes, more than {MAX_BYTES:,}")
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(path, f"cannot be read: {error.strerror}") from error
        ledger.files.append((name, size))
        return cls(ledger, name, data.decode("utf-8-sig", "surrogateescape"))

    def members(self) -> Iterator[str]:
        """The keys of the object at hand."""
        return self._items(_OBJECT)

    def elements(self) -> Iterator[str]:
        """An empty text for each element of the list at hand."""
        return self._items(_LIST)

    def value(self) -> Piece:
        """The whole value at hand. Raises Damaged."""
        start = self._at
        try:
            found, end = self._decode(self._text, start)
        except json.JSONDecodeError as error:
            self._at = max(start, error.pos)
            raise self._damaged(f"not JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"not JSON ({str(error)[:80]})") from error
        if not isinstance(found, dict | list) and not self._kind.follows.match(self._text, end):
            # what stands there may be the first digits of another number
            self._at = end
            raise self._damaged("not JSON (something else stands behind the value)")
        text = self._text[start:end]
        self._at = end
        if not text.isascii() and _UNDECODABLE.search(text):
            self._told(start, end, "not UTF-8")
            raise Damaged("not UTF-8")
        return Piece(found, text, self._line(start))

    def _damaged(self, problem: str) -> Damaged:
        self._problem = problem
        return Damaged(problem)

    def _items(self, kind: _Kind) -> Iterator[str]:
        inside = self._enter(kind)
        wanted = False
        while inside and not self._ended:
            self._space()
            start = self._at
            if not wanted and kind.closing.match(self._text, start):
                self._at += 1
                return
            self._problem, self._kind = "", kind
            if kind is _LIST and not self._text.startswith("{", start):
                wanted = self._not_an_object(wanted=wanted)
                continue
            key = self._key() if kind is _OBJECT else ""
            if not self._problem:
                before = self._at
                yield key
                self._kind = kind
                if self._at == before and not (self._problem or self._ended):
                    self._pass_over()
            wanted = False
            if self._problem:
                self._resume(start, max(self._at, start + 1), kind.resume)
            elif not self._ended:
                wanted = self._separated(kind)

    def _not_an_object(self, *, wanted: bool) -> bool:
        """Pass over something else among the objects of a list; as `_separated`."""
        start = self._at
        try:
            found = self.value().value
        except Damaged:
            found = [{}]
        if isinstance(found, list) and any(isinstance(item, dict) for item in found):
            # a bracket amid the objects: they are what is wanted
            self._problem = "not JSON (an object expected)"
            self._resume(start, start if wanted else start + 1, _LIST.item)
            return False
        self._told(start, self._at, "not an object")
        return self._separated(_LIST)

    def _enter(self, kind: _Kind) -> bool:
        """Whether the container is there; a damaged opening is taken for one."""
        self._space()
        start = self._at
        if self._text.startswith(kind.opening, start):
            self._at += 1
            return True
        if start >= len(self._text):
            self._cut_off(start)
            return False
        try:
            self.value()
        except Damaged:
            self._at = start + 1
        self._told(start, self._at, f"not JSON ({kind.opening} expected)")
        return self._at == start + 1

    def _key(self) -> str:
        """The key at hand, behind which the value stands; sets `_problem` if there is none."""
        if not self._text.startswith('"', self._at):
            self._problem = "not JSON (a key expected)"
            return ""
        try:
            key, self._at = self._decode(self._text, self._at)
        except ValueError:
            self._problem = "not JSON (a key that does not end)"
            return ""
        self._space()
        if not self._text.startswith(":", self._at):
            self._problem = "not JSON (no colon behind a key)"
            return ""
        self._at += 1
        self._space()
        return str(key)

    def _pass_over(self) -> None:
        with suppress(Damaged):
            self.value()

    def _separated(self, kind: _Kind) -> bool:
        """Whether a comma stands behind an item, so that another must follow."""
        self._space()
        if self._text.startswith(",", self._at):
            self._at += 1
            return True
        if not kind.closing.match(self._text, self._at):
            self._problem = "not JSON (no comma behind a value)"
            self._resume(self._at, self._at, kind.item)
        return False

    def _resume(self, start: int, behind: int, where: tuple[re.Pattern[str], ...]) -> None:
        """Tell what is lost from `start` on, and go on where it can."""
        found = next((m for p in where if (m := p.search(self._text, behind))), None)
        if found is None:
            self._cut_off(start)
        else:
            self._at = found.end()
            self._told(start, self._at, self._problem)

    def _told(self, start: int, end: int, problem: str) -> None:
        self._problem = ""
        self._places += 1
        if self._places > _MAX_PLACES:
            self._ended, end = True, len(self._text)
            problem = f"more than {_MAX_PLACES:,} damaged places; nothing behind is read"
        self._ledger.damage(self._name, self._line(start), self._size(start, end), problem)

    def _cut_off(self, start: int) -> None:
        self._ended, self._problem = True, ""
        # a document cut between two values lacks at least its closing bracket
        size = max(1, self._size(start, len(self._text)))
        self._ledger.cut(self._name, self._line(start), size)

    def _size(self, start: int, end: int) -> int:
        return len(self._text[start:end].encode("utf-8", "surrogateescape"))

    def _space(self) -> None:
        self._at = cast("re.Match[str]", _SPACE.match(self._text, self._at)).end()

    def _line(self, at: int) -> int:
        known, line = self._lines
        if at < known:
            known, line = 0, 1
        self._lines = (at, line + self._text.count("\n", known, at))
        return self._lines[1]
