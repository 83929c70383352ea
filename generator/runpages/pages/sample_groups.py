"""Samples in groups of one name and prompt, and the file of what the page has no room for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from runpages import units
from runpages.markup import json_bytes
from runpages.model import Media, Run, Sample

__all__ = ["TEXT_MAX", "Key", "Steps", "cut", "grouped", "samples_file", "spread"]

TEXT_MAX = 1500
"""Characters of one text."""
"""Of samples.json: a light page has at most 300 kB of data."""

_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_Item = TypeVar("_Item")
Key = tuple[str, str, str, int]
"""Kind, name, prompt, place within its step."""
Steps = dict[int | None, list[Sample]]


def grouped(run: Run) -> dict[Key, Steps]:
    """Key -> step -> samples of the last attempt that made any, in the order of first appearance.

    Names that differ in numbers only (`rank 3 sample 1`: ranks print when they come to it) are
    together, by these.

    Media of one step stay together; texts and tables of one step are told by their place in it.
    """
    steps: dict[tuple[str, str, str], Steps] = {}
    for one in run.samples:
        found = steps.setdefault((one.kind, one.name, one.prompt), {})
        kept = found.setdefault(one.step, [])
        if kept and kept[-1].attempt != one.attempt:
            kept.clear()
        kept.append(one)
    out: dict[Key, Steps] = {}
    for (kind, name, prompt), by_step in steps.items():
        for step, samples in sorted(by_step.items(), key=lambda item: _order(item[0])):
            if kind in {"image", "audio"}:
                out.setdefault((kind, name, prompt, 0), {})[step] = samples
                continue
            for place, sample in enumerate(samples):
                out.setdefault((kind, name, prompt, place), {})[step] = [sample]
    first: dict[str, int] = {}
    for number, key in enumerate(out):
        first.setdefault(_DIGITS.sub("#", key[1]), number)
    return dict(sorted(out.items(), key=lambda item: _by_numbers(item[0][1], first)))


def _by_numbers(name: str, first: Mapping[str, int]) -> tuple[int, list[int]]:
    return first[_DIGITS.sub("#", name)], [int(digits) for digits in _DIGITS.findall(name)]


def _order(step: int | None) -> int:
    return -1 if step is None else step


def cut(words: str) -> str:
    """At most `TEXT_MAX` characters and how many there are."""
    if len(words) <= TEXT_MAX:
        return words
    of = f"first {units.count(TEXT_MAX)} of {units.count(len(words))} characters"
    return f"{words[:TEXT_MAX]}… ({of})"


def spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most `most`, evenly chosen, the last and, of several, the first among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def samples_file(grouped: Mapping[Key, Steps], count: int, *, most: int) -> bytes:
    """Texts and tables of as many steps and, failing that, groups as fit; of media what they are.

    The newest step of a group is the last to go.
    """
    groups = len(grouped)
    steps = max(map(len, grouped.values()))
    while True:
        rows = [
            _described(number, sample)
            for number, by_step in enumerate(list(grouped.values())[:groups])
            for step in spread(list(by_step), steps)
            for sample in by_step[step]
        ]
        data = json_bytes({"schema": "runpages.samples/1", "count": count, "samples": rows})
        if len(data) <= most or groups == 1 == steps:
            return data
        if steps > 1:
            steps = min(steps - 1, steps * 2 // 3)
        else:
            groups = max(1, groups // 2)


def _described(group: int, sample: Sample) -> dict[str, object]:
    row = {
        "id": sample.id,
        "group": group,
        "kind": sample.kind,
        "name": sample.name,
        "step": sample.step,
        "attempt": sample.attempt,
        "prompt": sample.prompt,
        "text": cut(sample.text),
        "columns": sample.columns,
        "rows": sample.rows[:100],
        "decoding": {key: str(value) for key, value in sample.decoding.items()},
        "media": _media(sample.media),
    }
    return {key: value for key, value in row.items() if value not in (None, "", (), {})}


def _media(media: Media | None) -> dict[str, object] | None:
    if media is None:
        return None
    return {"type": media.media_type, "bytes": media.size_bytes, "sha256": media.sha256}
