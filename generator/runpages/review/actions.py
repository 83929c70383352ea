"""GitHub Actions: step summary, outputs and annotations.

Forms by docs.github.com, Workflow commands for GitHub Actions; escapes by actions/toolkit
packages/core/src/command.ts.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from runpages.model import Event

__all__ = ["annotation", "finding_commands", "write_outputs", "write_summary"]

_LEVELS = {"critical": "error", "warning": "warning", "info": "notice"}
_MOST = 10
"""Annotations of a kind that a step may have; GitHub drops further ones."""
_CHARACTERS = 500


def annotation(level: str, title: str, words: str) -> str:
    """A workflow command, in one line: `level` is `error`, `warning` or `notice`."""
    return f"::{level} title={_property(title)}::{_data(words[:_CHARACTERS])}"


def finding_commands(events: Iterable[Event], *, name: str) -> list[str]:
    """A command for each finding, at most ten a kind; the most severe first, as they come."""
    counts = dict.fromkeys(_LEVELS, 0)
    lines = []
    for event in events:
        counts[event.severity] += 1
        if counts[event.severity] <= _MOST:
            level = _LEVELS[event.severity]
            lines.append(annotation(level, f"{name}: {event.kind}", event.message))
    return lines


def write_summary(env: Mapping[str, str], text: str) -> None:
    """Add `text` to the step's summary; nothing outside of a step."""
    _append(env.get("GITHUB_STEP_SUMMARY", ""), text + "\n")


def write_outputs(env: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Set outputs of the step; nothing outside of one. No value can set another one: what parts
    them is drawn by chance."""
    parts = []
    for name, value in values.items():
        end = f"runpages-{secrets.token_hex(16)}"
        parts.append(f"{name}<<{end}\n{value}\n{end}\n")
    _append(env.get("GITHUB_OUTPUT", ""), "".join(parts))


def _append(path: str, text: str) -> None:
    if not path:
        return
    with Path(path).open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
