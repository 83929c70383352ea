"""Notes, verdicts and ratings: small files that people write, edit and review in git.

`notes/<UTC>-<author>-<note|verdict|rating>.json`. runpages adds files and never changes one. A file
that somebody broke costs itself only: it becomes a sentence.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from dataclasses import fields
from pathlib import Path
from typing import Any

from runpages.model import NOTE_KINDS, OUTCOMES, Note

__all__ = ["NOTES", "parse_scale", "read_notes", "write_note"]

NOTES = "notes"
_CHARACTERS_MAX = 65_536
_NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?"
_SCALE = re.compile(rf"({_NUMBER})-({_NUMBER})")


def read_notes(folder: Path) -> tuple[tuple[Note, ...], tuple[str, ...]]:
    """The notes in `folder`, oldest first, and a sentence for each file that is none."""
    found = []
    broken = []
    for path in sorted(folder.glob("*.json")):
        try:
            note = _note(json.loads(path.read_bytes()))
        except (ValueError, OSError, OverflowError, RecursionError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            broken.append(f"{NOTES}/{path.name}: {problem}; mend or delete it")
        else:
            found.append((note.moment, path.name, note))
    return tuple(note for _, _, note in sorted(found, key=lambda row: row[:2])), tuple(broken)


def write_note(folder: Path, note: Note) -> Path:
    """A new file; one that is there is never touched. Raises ValueError if `note` is none that
    could be read back."""
    content = {field.name: getattr(note, field.name) for field in fields(note)}
    content = {name: value for name, value in content.items() if value not in {"", None}}
    _note(content)
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    stamp = note.moment.strftime("%Y%m%dT%H%M%S.%fZ")
    path = folder / f"{stamp}-{_readable(note.author)}-{note.kind}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        stream.write(text.encode("utf-8", "replace"))
    return path


def parse_scale(scale: str) -> tuple[float, float]:
    """(lowest, highest) of `1-5`. Raises ValueError."""
    found = _SCALE.fullmatch(scale)
    if found is None or float(found[1]) >= float(found[2]):
        raise ValueError(f"scale {scale!r} is not of the form 1-5, lowest to highest")
    return float(found[1]), float(found[2])


def _note(data: Any) -> Note:
    """Raises ValueError with what was expected and what was found."""
    if not isinstance(data, dict):
        raise ValueError("a note is a JSON object")  # noqa: TRY004 - a file's error
    texts = {f.name: data[f.name] for f in fields(Note) if f.name in data and f.name != "value"}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{name!r} is {text!r} where a text was expected")  # noqa: TRY004
        if len(text) > _CHARACTERS_MAX:
            raise ValueError(f"{name!r} is longer than {_CHARACTERS_MAX:,} characters")
    for name in ("author", "time", "kind"):
        if not texts.get(name, "").strip():
            raise ValueError(f"{name!r} is missing")
    note = Note(**texts, value=_value(data.get("value")))
    _ = note.moment  # its sentence, if it is none
    _one_of("kind", note.kind, NOTE_KINDS)
    if note.kind == "verdict" or note.outcome:
        _one_of("outcome", note.outcome, OUTCOMES)
    if note.kind == "rating":
        _check_rating(note)
    return note


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")


def _value(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"'value' is {value!r} where a number was expected")
    return float(value)


def _check_rating(note: Note) -> None:
    low, high = parse_scale(note.scale)
    if not note.sample:
        raise ValueError("'sample' is missing: a rating names what it rates")
    if note.value is None or not low <= note.value <= high:
        raise ValueError(f"value {note.value} is not within the scale {note.scale}")


def _readable(author: str) -> str:
    plain = unicodedata.normalize("NFKD", author).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-")
    return readable or hashlib.sha256(author.encode("utf-8", "replace")).hexdigest()[:6]
