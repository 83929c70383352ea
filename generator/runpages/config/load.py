"""Reading runpages.toml: every mistake is one sentence with file, line and what would be right."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, get_args, get_origin, get_type_hints

from runpages.analysis.energy import shipped_grid
from runpages.errors import ConfigError
from runpages.model import STATES
from runpages.review import FAIL_ON

from .settings import Settings

__all__ = ["load_settings"]

_WORDS: dict[Any, str] = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str | float: "a number or a text",
}
_CHOICES = {
    ("model", "loss_unit"): ("", "nats", "bits"),
    ("energy", "region"): ("", *shipped_grid()),
    ("check", "fail_on"): FAIL_ON,
    ("check", "states"): STATES,
    ("site", "search"): ("auto", "material", "pagefind"),
}
_NOT_NEGATIVE = {
    *(("site", "full_runs"), ("site", "max_mb"), ("site", "pagefind_from")),
    ("check", "max_cost_usd"),
}


def load_settings(path: str | Path = "runpages.toml") -> Settings:
    """The settings in the file. Raises ConfigError."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            file, "there is no such file; `runpages init` writes one, `runpages preview` needs none"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, f"cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, f"not valid TOML: {error}") from error
    return _Reader(file, text).settings(data)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Reader:
    """Checks parsed TOML against the settings classes."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()

    def settings(self, data: Mapping[str, Any]) -> Settings:
        hints = get_type_hints(Settings)
        known = [f.name for f in dataclasses.fields(Settings) if f.name != "folder"]
        values: dict[str, Any] = {}
        for table, content in data.items():
            if table not in known:
                raise self._unknown(table, "", known)
            hint = hints[table]
            if table == "dialect":
                values[table] = self._tables(table, content)
            elif get_origin(hint) is tuple:
                values[table] = self._array(table, content, get_args(hint)[0])
            elif table == "metrics":
                values[table] = self._metrics(content)
            else:
                values[table] = self._table(table, content, hint, occurrence=0)
        settings = Settings(folder=self.file.parent, **values)
        section = PurePosixPath(settings.site.section)
        if section.is_absolute() or ".." in section.parts or not section.parts:
            problem = f"section = {settings.site.section!r} must be a folder below docs_dir"
            raise ConfigError(self.file, problem, line=self._line("section", "site", 0))
        return settings

    def _array(self, table: str, content: Any, cls: type) -> tuple[Any, ...]:
        if not isinstance(content, list):
            problem = f"[{table}] must be written [[{table}]], once for each"
            raise ConfigError(self.file, problem, line=self._line(None, table, 0))
        return tuple(
            self._table(table, item, cls, occurrence=number) for number, item in enumerate(content)
        )

    def _tables(self, table: str, content: Any) -> tuple[dict[str, Any], ...]:
        """Tables whose keys somebody else checks."""
        if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
            problem = f"[{table}] must be written [[{table}]], once for each"
            raise ConfigError(self.file, problem, line=self._line(None, table, 0))
        return tuple(content)

    def _metrics(self, content: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(content, dict):
            raise ConfigError(self.file, "[metrics] must be a table of role = [names]")
        from runpages.analysis.roles import ROLES

        out = {}
        for role, names in content.items():
            if role not in ROLES:
                raise self._unknown(role, "metrics", sorted(ROLES))
            out[role] = self._value("metrics", role, names, tuple[str, ...], 0)
        return out

    def _table(self, table: str, content: Any, cls: type, *, occurrence: int) -> Any:
        if not isinstance(content, dict):
            raise ConfigError(self.file, f"{table} must be a table: [{table}]")
        hints = get_type_hints(cls)
        fields = dataclasses.fields(cls)
        for key in content:
            if key not in hints:
                raise self._unknown(key, table, list(hints), occurrence)
        for field in fields:
            needed = field.default is dataclasses.MISSING and (
                field.default_factory is dataclasses.MISSING
            )
            if needed and field.name not in content:
                problem = f"[[{table}]] needs the key {field.name!r}"
                raise ConfigError(self.file, problem, line=self._line(None, table, occurrence))
        return cls(
            **{
                key: self._value(table, key, value, hints[key], occurrence)
                for key, value in content.items()
            }
        )

    def _value(self, table: str, key: str, value: Any, hint: Any, occurrence: int) -> Any:
        self._choose(table, key, value, occurrence)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if (table, key) in _NOT_NEGATIVE and _is_number(value) and value < 0:
            problem = f"[{table}] {key} = {value!r}: 0 or more was expected"
            raise ConfigError(self.file, problem, line=self._line(key, table, occurrence))
        if hint in (float, str | float) and whole:
            return float(value)
        if hint is str and hasattr(value, "isoformat"):
            return value.isoformat()
        if get_origin(hint) is tuple:
            kind = get_args(hint)[0]
            if isinstance(value, list) and all(type(item) is kind for item in value):
                return tuple(value)
            wanted = 'a list of texts, e.g. ["*"]'
            if kind is int:
                wanted = "a list of whole numbers"
        elif get_origin(hint) is Mapping:
            if isinstance(value, dict) and all(_is_number(v) and v >= 0 for v in value.values()):
                return {name: float(number) for name, number in value.items()}
            wanted = "a table of numbers of 0 or more, e.g. {val_loss = 0.01}"
        elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
            return value
        else:
            wanted = _WORDS[hint]
        problem = f"[{table}] {key} = {value!r}: {wanted} was expected"
        raise ConfigError(self.file, problem, line=self._line(key, table, occurrence))

    def _choose(self, table: str, key: str, value: Any, occurrence: int) -> None:
        """Raises ConfigError for a word that is none of those that are known."""
        choices = _CHOICES.get((table, key))
        given = value if isinstance(value, list) else [value]
        wrong = [one for one in given if isinstance(one, str) and one not in (choices or (one,))]
        if choices and wrong:
            known = ", ".join(choice for choice in choices if choice)
            problem = f"[{table}] {key} = {wrong[0]!r} is not known; there are: {known}"
            raise ConfigError(self.file, problem, line=self._line(key, table, occurrence))

    def _unknown(self, key: str, table: str, known: list[str], occurrence: int = 0) -> ConfigError:
        where = f" in [{table}]" if table else ""
        line = self._line(key, table, occurrence) if table else self._line(None, key, 0)
        return ConfigError(
            self.file, f"unknown key {key!r}{where}; there are: {', '.join(known)}", line=line
        )

    def _line(self, key: str | None, table: str, occurrence: int) -> int | None:
        """Line of `key` in the given occurrence of its table, or of the table's header."""
        header = re.compile(rf"\s*\[\[?\s*{re.escape(table)}\s*[\].]")
        entry = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=") if key else None
        seen = -1
        inside = False
        for number, line in enumerate(self.lines, start=1):
            if line.lstrip().startswith("["):
                inside = bool(header.match(line))
                seen += inside
                if inside and entry is None and seen == occurrence:
                    return number
            elif entry and inside and seen == occurrence and entry.match(line):
                return number
        bare = re.compile(rf"\s*{re.escape(table)}\s*=")
        return next((n for n, text in enumerate(self.lines, 1) if bare.match(text)), None)
