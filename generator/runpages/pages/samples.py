"""What the model produced: the newest two steps of each prompt in the page, all in samples.json."""

from __future__ import annotations

from dataclasses import dataclass

from runpages import units
from runpages.markup import Safe, json_bytes, pre
from runpages.model import Run, Sample

__all__ = ["SampleGroup", "sample_groups", "samples_file"]

_STEPS = 2
_GROUPS = 4
_TEXT = 1500
_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleGroup:
    """Samples of one name and prompt, the newest steps, oldest of them first."""

    name: str
    prompt: str
    texts: tuple[tuple[str, Safe], ...]
    """(step in words, text)."""
    more: int
    """How many earlier ones are in samples.json only."""


def samples_file(run: Run) -> bytes:
    """All samples in the order of the log."""
    rows = [
        {
            "kind": s.kind,
            "name": s.name,
            "step": s.step,
            "attempt": s.attempt,
            "prompt": s.prompt,
            "text": s.text,
            "columns": s.columns,
            "rows": s.rows,
            "decoding": {key: str(value) for key, value in s.decoding.items()},
        }
        for s in run.samples
    ]
    return json_bytes({"schema": "runpages.samples/1", "samples": rows})


def sample_groups(run: Run) -> list[SampleGroup]:
    """Texts, tables and the names of media, grouped by name and prompt as they first appear."""
    grouped: dict[tuple[str, str], list[Sample]] = {}
    for sample in run.samples:
        grouped.setdefault((sample.name, sample.prompt), []).append(sample)
    groups = []
    for (name, prompt), found in list(grouped.items())[:_GROUPS]:
        newest = _newest(found)
        groups.append(
            SampleGroup(
                name=name,
                prompt=_cut(prompt),
                texts=tuple((_when(s), pre(_words(s))) for s in newest),
                more=len(found) - len(newest),
            )
        )
    return groups


def _newest(samples: list[Sample]) -> list[Sample]:
    """The last sample of each of the newest steps."""
    by_step = {sample.step: sample for sample in samples}
    steps = sorted(by_step, key=lambda step: -1 if step is None else step)
    return [by_step[step] for step in steps[-_STEPS:]]


def _when(sample: Sample) -> str:
    return "step not logged" if sample.step is None else f"step {units.count(sample.step)}"


def _words(sample: Sample) -> str:
    if sample.text:
        return _cut(sample.text)
    if sample.rows:
        lines = [sample.columns, *sample.rows[:_ROWS]]
        return _cut("\n".join(" | ".join(line) for line in lines))
    return f"({sample.kind}; its file is not shown)"


def _cut(words: str) -> str:
    if len(words) <= _TEXT:
        return words
    return f"{words[:_TEXT]}… (first {units.count(_TEXT)} of {units.count(len(words))} characters)"
