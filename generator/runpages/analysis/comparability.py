"""What makes two runs hard to compare: said before any difference between them is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runpages import units
from runpages.model import Difference, Quantity, Report

from .seeds import TOLD

__all__ = ["Caution", "cautions"]

_SAME_LENGTH = 0.01
"""Runs whose tokens or steps differ by less went equally far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    text: str
    voids: frozenset[str] = frozenset()
    """Roles whose values are then not on one scale: no verdict is given on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Topic:
    what: str
    keys: re.Pattern[str]
    """Matches the whole of a difference's key, without regard to case."""
    ending: str
    """Of `differ`, and what follows from it."""
    voids: frozenset[str] = frozenset()


def _topic(what: str, keys: str, *voids: str, ending: str = "s") -> _Topic:
    pattern = re.compile(keys, re.IGNORECASE)
    return _Topic(what=what, keys=pattern, voids=frozenset(voids), ending=ending)


_EVALUATION = (
    r"(lm_?eval\w*|eval_?harness\w*|harness\w*|num_?fewshot|n_?shots?|fewshot"
    r"|(eval|evaluation|val|valid|validation|test)_(tokens|batch(es)?|iters|samples|examples|limit"
    r"|n|size|split|subset|data(set)?|data_?path|files?|set))"
)
_TOPICS = (
    _topic(
        "the tokenizer", r"config\.(.*[._])?tokenizer(_\w+)?(\..*)?",
        "loss", "val_loss", "eval_lower",
    ),
    _topic(
        "the vocabulary's size",
        r"config\.(.*\.)?(n_?vocab|vocab(ulary)?(_?size)?|padded_vocab_size)",
        ending="s (another tokenizer, or padding)",
    ),
    _topic(
        "the evaluation",
        rf"config\.(.*\.)?{_EVALUATION}(\..*)?|environment\.(lm[_-]eval|lighteval|evaluate|helm).*",
        "val_loss", "eval", "eval_lower",
    ),
    _topic(
        "the batch size",
        r"config\.(.*\.)?((\w*_)?batch(_?size)?(_tokens)?(_per_\w+)?|gbs|mbs|tokens_per_(batch|step)"
        r"|(grad(ient)?_?)?accum(ulation)?(_?steps)?|gradient_accumulation(_steps)?)",
    ),
    _topic(
        "the context length",
        r"model\.context|config\.(.*\.)?(block_?size|seq_?len(gth)?|max_seq_?len(gth)?"
        r"|max_length|context(_?(size|len(gth)?))?|n_ctx|n_positions|max_position_embeddings)",
    ),
    _topic(
        "the data",
        r"data|config\.(.*\.)?((train_)?data(_?set)?s?(_?(name|path|dir|files?|mix|version|split"
        r"|subset))?|split|corpus)(\..*)?",
        ending="",
    ),
    _topic(
        "the size of the model",
        r"model\.parameters|config\.(.*\.)?(n_?params|num_params(eters)?|n_parameters)",
    ),
    _topic(
        "the hardware", r"hardware\..*", ending="s (time, speed and cost are not comparable)"
    ),
)  # fmt: skip


def cautions(
    base: Sequence[Report],
    other: Sequence[Report],
    *,
    names: tuple[str, str],
    differences: Sequence[Difference],
) -> list[Caution]:
    """Everything that speaks against reading a difference between two sides as their quality.

    `names` and the values of `differences` are those of base and other, in this order.
    """
    out, unknown = [], []
    for topic in _TOPICS:
        found = [d for d in differences if topic.keys.fullmatch(d.key)]
        known = [d for d in found if all(d.values.values())]
        if known:
            told = "; ".join(_told(d, names) for d in known[:4])
            out.append(
                Caution(text=f"{topic.what} differ{topic.ending}: {told}", voids=topic.voids)
            )
        elif found:
            unknown.append(topic.what)
    if unknown:
        told = ", ".join(unknown)
        out.append(Caution(text=f"recorded by only one of {names[0]} and {names[1]}: {told}"))
    return [*out, *_lengths(base, other, names), *_names(base, other, names)]


def _told(difference: Difference, names: tuple[str, str]) -> str:
    sides = zip(difference.values.values(), names, strict=True)
    values = [f"{', '.join(map(str, v))[:80] or 'not logged'} in {name}" for v, name in sides]
    return f"{difference.key} is {', '.join(values)}"


def _lengths(
    base: Sequence[Report], other: Sequence[Report], names: tuple[str, str]
) -> list[Caution]:
    """Tokens where both sides know them, else steps."""
    counted = [{r.run.provenance.step_unit for r in side} for side in (base, other)]
    if counted[0] != counted[1]:
        words = [", ".join(sorted(u or "steps" for u in units_)) for units_ in counted]
        return [Caution(text=f"the logs count {words[0]} in {names[0]}, {words[1]} in {names[1]}")]
    for what, read in (("tokens", _tokens), ("steps", _steps)):
        sides = [[read(report).value for report in side] for side in (base, other)]
        known = [[v for v in side if v is not None] for side in sides]
        if not all(known):
            continue
        lengths = [max(side) for side in known]
        if abs(lengths[0] - lengths[1]) > _SAME_LENGTH * max(lengths):
            each = [f"{units.count(v)} in {n}" for v, n in zip(lengths, names, strict=True)]
            return [Caution(text=f"different length of training: {what} {', '.join(each)}")]
        return []
    return []


def _tokens(report: Report) -> Quantity:
    return report.timing.tokens


def _steps(report: Report) -> Quantity:
    return report.steps


def _names(
    base: Sequence[Report], other: Sequence[Report], names: tuple[str, str]
) -> list[Caution]:
    sides = [
        {name for r in side for name, summary in r.metrics.items() if summary.role in TOLD}
        for side in (base, other)
    ]
    out = []
    for own, else_, name in ((sides[0], sides[1], names[0]), (sides[1], sides[0], names[1])):
        lone = sorted(own - else_)
        if lone:
            more = f" and {len(lone) - 8} more" if len(lone) > 8 else ""
            out.append(Caution(text=f"only {name} has {', '.join(lone[:8])}{more}"))
    return out
