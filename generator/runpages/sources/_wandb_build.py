"""Fields of a Run from what the files of a W&B run hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from runpages.model import Attempt

from ._wandb_curves import Curves, Span
from ._wandb_facts import Facts
from ._wandb_media import is_internal
from ._wandb_part import CONSOLE_BYTES, Part
from ._wandb_rows import flatten
from ._wandb_steps import LOG_CALLS, Placed
from .contract import settled_state

__all__ = [
    "attempts_of",
    "console_of",
    "environment_of",
    "exit_state",
    "losses_of",
    "lossy_of",
    "summary_of",
    "warnings_of",
]

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))")


def exit_state(exit_code: int) -> str:
    return "finished" if exit_code == 0 else "failed"


def attempts_of(
    parts: Sequence[Part],
    placed: Placed,
    curves: Curves,
    facts: Sequence[Facts],
    settle_minutes: float,
) -> tuple[Attempt, ...]:
    """The lives of the process: at least one a file, more where its steps fall back."""
    attempts: list[Attempt] = []
    for number, (part, fact) in enumerate(zip(parts, facts, strict=True)):
        first, final = placed.first_attempt[number], placed.last_attempt(number)
        for own in range(first, final + 1):
            span = curves.spans.get(own, Span())
            attempts.append(
                Attempt(
                    number=own,
                    start=part.start if own == first else span.first_time,
                    end=_end(part) if own == final else span.last_time,
                    first_step=span.first_step,
                    last_step=span.last_step,
                    state=_state(parts, number, settle_minutes) if own == final else "ended",
                    host=fact.texts.get("host", ""),
                    devices=fact.numbers.get("gpu_count"),
                )
            )
    return tuple(attempts)


def _end(part: Part) -> float | None:
    """Last recorded time; of a process that recorded none, start and run time of the exit."""
    if part.exit_code is not None and part.start is not None and part.last == part.start:
        return part.start + part.runtime
    return part.last


def _state(parts: Sequence[Part], number: int, settle_minutes: float) -> str:
    code = parts[number].exit_code
    if code is not None:
        return exit_state(code)
    if number < len(parts) - 1:
        return "ended"
    # a process that died before it recorded a time says nothing; the one before it does
    last = next((part.last for part in reversed(parts) if part.last is not None), None)
    return settled_state(last, settle_minutes)


def summary_of(parts: Sequence[Part]) -> dict[str, object]:
    """Last value of each key; the tracker's own keys and media objects are left out."""
    last: dict[str, str] = {}
    for part in parts:
        last |= part.summary
    media = {name.removesuffix("._type") for name in last if name.endswith("._type")}
    summary: dict[str, object] = {}
    for name, text in last.items():
        if name.startswith("_") or any(name.startswith(f"{key}.") for key in media):
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        summary |= {k: v for k, v in flatten(name, value) if not isinstance(v, dict)}
    return summary


def environment_of(facts: Sequence[Facts]) -> dict[str, str]:
    environment: dict[str, str] = {}
    for one in facts:
        environment |= {
            name: one.texts[name]
            for name in ("python", "os", "cuda", "docker")
            if one.texts.get(name)
        }
        environment |= one.versions
    return environment


def console_of(parts: Sequence[Part]) -> str:
    """The end of all consoles; of a line that a progress bar wrote over, what stood there last."""
    text = _ANSI.sub("", "".join(chunk for part in parts for chunk in part.console))
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    text = "\n".join(lines)
    raw = text.encode("utf-8", "replace")
    if len(raw) <= CONSOLE_BYTES:
        return text
    kept = raw[-CONSOLE_BYTES:].decode("utf-8", "ignore")
    return kept.partition("\n")[2] or kept


def losses_of(part: Part, name: str) -> Iterator[str]:
    log = part.log
    if log.spots or log.damaged_bytes:
        lost = log.damaged - (1 if log.tail_bytes else 0)
        yield (
            f"{name}: {lost} record{'s are' if lost != 1 else ' is'} damaged "
            f"({log.damaged_bytes:,} bytes); those before and after are kept"
        )
    if log.tail_bytes:
        yield f"{name}: the file ends inside a record ({log.tail_bytes:,} bytes of it)"


def lossy_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """What was logged and cannot be shown, one sentence a kind."""
    unread: dict[str, dict[str, int]] = {}
    for part in parts:
        for (kind, name), count in part.others.unread.items():
            names = unread.setdefault(kind, {})
            names[name] = names.get(name, 0) + count
    sentences = [
        f"{kind} left out: {_few(names)} ({sum(names.values()):,} logged)"
        for kind, names in sorted(unread.items())
    ]
    artifacts = [artifact for part in parts for artifact in part.artifacts]
    files = sum(a.files for a in artifacts if not is_internal(a))
    if files:
        sentences.append(
            f"files of its artifacts lie outside the run's folder and are not read ({files:,})"
        )
    if tables := {a.name for a in artifacts if a.type == "run_table" and a.files > 1}:
        sentences.append(
            f"images and sounds in tables lie outside the run's folder and are not read: "
            f"{_few(tables)}"
        )
    return tuple(sentences)


def _few(names: Iterable[str]) -> str:
    ordered = sorted(names)
    shown = ", ".join(ordered[:8])
    return shown if len(ordered) <= 8 else f"{shown} and {len(ordered) - 8} more"


def _texts(parts: Sequence[Part]) -> Iterator[str]:
    rows: dict[str, int] = {}
    for part in parts:
        for name, count in part.others.texts.items():
            rows[name] = rows.get(name, 0) + count
    for name, count in sorted(rows.items()):
        where = f"{count} row{'s' if count != 1 else ''}"
        yield f"{name} is no number in {where}, which are not charted"


def _restarted_count(parts: Sequence[Part], placed: Placed) -> Iterator[str]:
    if placed.main != LOG_CALLS:
        return
    counted = [part.history for part in parts if part.history.rows]
    if any(b.first_step == 0 and a.highest_step > 0 for a, b in pairwise(counted)):
        yield (
            "a resumed process counts its log calls from 0 again, so its rows replace earlier "
            "ones; log a step column or pass step= to keep both"
        )


def warnings_of(parts: Sequence[Part], placed: Placed) -> tuple[str, ...]:
    """What was met in the history and set aside."""
    return (*_restarted_count(parts, placed), *_texts(parts))
