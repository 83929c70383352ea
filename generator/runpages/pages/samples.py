"""What the model produced: the newest two steps of each prompt in the page, all in samples.json."""

from __future__ import annotations

from dataclasses import dataclass

from runpages import units
from runpages.markup import json_bytes
from runpages.model import Run, Sample

from .words import cut, joined, plural

__all__ = ["SamplesView", "samples_json", "view_samples"]

_STEPS = 2
_PROMPTS = 4
_TEXT = 1500
_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    step: str
    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptView:
    name: str
    prompt: str
    samples: tuple[SampleView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesView:
    prompts: tuple[PromptView, ...]
    rest: str
    """What is not in the page, and where it is."""


def samples_json(run: Run) -> bytes:
    """All samples, oldest first."""
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
            "decoding": {k: str(v) for k, v in s.decoding.items()},
        }
        for s in run.samples
    ]
    return json_bytes({"schema": "runpages.samples/1", "samples": rows})


def view_samples(run: Run) -> SamplesView:
    """Texts and tables grouped by name and prompt, in the order in which they first appear."""
    grouped: dict[tuple[str, str], list[Sample]] = {}
    for sample in run.samples:
        if sample.text or sample.rows:
            grouped.setdefault((sample.name, sample.prompt), []).append(sample)
    prompts = []
    shown = 0
    for (name, prompt), found in list(grouped.items())[:_PROMPTS]:
        newest = _newest(found)
        shown += len(newest)
        prompts.append(
            PromptView(name=name, prompt=cut(prompt), samples=tuple(_view(s) for s in newest))
        )
    return SamplesView(prompts=tuple(prompts), rest=_rest(run, shown))


def _newest(samples: list[Sample]) -> list[Sample]:
    """The last sample of each of the newest steps, oldest first."""
    by_step = {sample.step: sample for sample in samples}
    steps = sorted(by_step, key=lambda step: -1 if step is None else step)
    return [by_step[step] for step in steps[-_STEPS:]]


def _view(sample: Sample) -> SampleView:
    return SampleView(
        step="step not logged" if sample.step is None else f"step {units.count(sample.step)}",
        text=cut(sample.text, _TEXT),
        columns=sample.columns if sample.rows else (),
        rows=tuple(tuple(cut(c, 160) for c in row) for row in sample.rows[:_ROWS]),
    )


def _rest(run: Run, shown: int) -> str:
    media = sorted({s.kind for s in run.samples if not (s.text or s.rows)})
    parts = []
    if len(run.samples) > shown:
        parts.append(f"{units.count(shown)} of {plural(len(run.samples), 'sample')} shown")
    if media:
        count = sum(1 for s in run.samples if not (s.text or s.rows))
        parts.append(f"{plural(count, 'sample')} without text ({joined(media)}) not shown")
    return "; ".join(parts)
