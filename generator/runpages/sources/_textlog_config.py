"""Settings that a program printed before it trained: argument blocks, pairs, Python literals."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ._textlog_dialects import ConfigLines, Dialect

__all__ = ["Settings", "plain_value"]

_MOST_KEYS = 2000
_MOST_CHARS = 4000
_OPTIONS_BYTES = 1 << 20
_FIGURES = re.compile(r"\{'(?:eval_|train_)?(?:loss|runtime)': ")
"""How the Hugging Face Trainer begins a line with figures."""
_OPTION = re.compile(r"\s*([A-Za-z_][\w.-]*): (.*?)\s*(?:\[default: .*\])?$")


def plain_value(text: str) -> object:
    """What a printed Python value was: number, truth value, None, text, list; else the text."""
    text = text.strip()[:_MOST_CHARS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what stands in the text
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return _plain(value)


def _plain(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth > 16:
        return str(value)[:_MOST_CHARS]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return str(value)


def _namespace(text: str) -> dict[str, object] | None:
    """`Namespace(lr=0.1, name='x')` or `{'lr': 0.1}`; None if it is neither."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args:
        return {
            word.arg: plain_value(ast.unparse(word.value)) for word in tree.keywords if word.arg
        }
    if isinstance(tree, ast.Dict) and tree.keys:
        value = plain_value(text)
        return value if isinstance(value, dict) else None
    return None


@dataclass(slots=True)
class Settings:
    """Collects the configuration; of a key printed twice the last value stands."""

    dialect: Dialect
    values: dict[str, object] = field(default_factory=dict)
    _open: ConfigLines | None = None
    """The block that lines are being read of."""
    _left_out: int = 0

    def take(self, text: str, start: int, *, running: bool) -> bool:
        """Whether the line is a setting. Outside of blocks none is taken while rows come."""
        if self._open is not None:
            return self._inside(self._open, text, start)
        for lines in self.dialect.config:
            if lines.begin is not None:
                if lines.begin.match(text, start):
                    self._open = lines
                    return True
            elif not running and self._line(lines, text, start):
                return True
        message = text[start:]
        if running or not message.startswith(("Namespace(", "{'")) or _FIGURES.match(message):
            return False
        found = _namespace(message)
        for key, value in (found or {}).items():
            self._put(key, value)
        return found is not None

    def _inside(self, lines: ConfigLines, text: str, start: int) -> bool:
        if lines.end is not None and lines.end.match(text, start):
            self._open = None
            return True
        return self._line(lines, text, start)

    def _line(self, lines: ConfigLines, text: str, start: int) -> bool:
        if lines.skip is not None and lines.skip.match(text, start):
            return False
        found = lines.line.match(text, start)
        if found is None:
            return False
        if lines.pairs is None:
            self._put(found["key"], plain_value(found["value"]))
        else:
            for pair in lines.pairs.finditer(found["pairs"]):
                self._put(pair["name"], plain_value(pair["value"]))
        return True

    def _put(self, key: str, value: object) -> None:
        if len(self.values) < _MOST_KEYS or key in self.values:
            self.values[key] = value
        else:
            self._left_out += 1

    def close(self) -> None:
        """Rows have begun: a block that never ended ends here."""
        self._open = None

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self._left_out:
            return ()
        return (f"{self._left_out:,} settings beyond the first {_MOST_KEYS:,} are left out",)

    def read_options(self, path: Path) -> int:
        """Settings of a file of lines `name: value`; its size. Raises OSError."""
        with path.open("rb") as stream:
            data = stream.read(_OPTIONS_BYTES)
        for line in data.decode("utf-8", "replace").splitlines():
            found = _OPTION.match(line)
            if found is not None:
                self._put(found[1], plain_value(found[2]))
        return path.stat().st_size
