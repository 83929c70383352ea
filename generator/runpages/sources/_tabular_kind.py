"""Whether a table with steps is the log of one training: other tables have steps as well.

A recipe, a simulation, a benchmark, the results of many runs: the names of the columns tell them
from a training, and so does a column that says to which of several runs a row belongs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from runpages.analysis.roles import role_of

from ._tabular_rows import TRAINING, Lives
from ._textfiles import number, whole

__all__ = ["TRAINING_STEPS", "Row", "names_training", "plain_name", "split_of", "told_apart_by"]

TRAINING_STEPS = frozenset(
    {
        "global_step", "trainer/global_step", "train/global_step", "optimizer_step",
        "current_steps", "train_step", "training_step", "num_updates", "n_updates", "nupdates",
        "trained_steps", "training_iteration", "time/total_timesteps", "total_timesteps",
        "timesteps_total", "timestepssofar", "num_timesteps", "_step",
    }
)  # fmt: skip
"""Names of steps that nothing but a training has."""
_WORDS = frozenset(
    {
        "acc", "accuracy", "advantage", "ap", "auc", "auroc", "bleu", "bpb", "cer", "chrf", "dice",
        "elbo", "entropy", "eval", "evaluation", "f1", "fid", "grad", "gradient", "iou", "kl",
        "logits", "logp", "logprob", "loss", "losses", "lr", "mae", "map", "mape", "mfu", "miou",
        "mse", "nll", "perplexity", "policy", "ppl", "precision", "psnr", "recall", "ret",
        "return", "returns", "rew", "reward", "rewards", "rmse", "rouge", "ssim", "tokens",
        "train", "training", "val", "valid", "validation", "wer",
    }
)  # fmt: skip
"""Parts of names of what a training measures."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FILES = frozenset(
    {"finetune", "log", "logs", "loss", "losses", "metrics", "pretrain", "scalars", "train",
     "training"}
)  # fmt: skip
"""Parts of names of files that are logs."""
_SPLITS = frozenset(
    {"split", "phase", "mode", "stage", "set", "subset", "type", "kind", "dataset", "data"}
)
_SPLIT = TRAINING | {"val", "valid", "validation", "eval", "evaluation", "dev", "test"}
_NUMBERED = frozenset(
    {"run", "run_id", "seed", "fold", "cv_fold", "k_fold", "trial", "trial_id", "experiment",
     "repeat", "repetition", "replicate", "rep", "client", "client_id", "agent", "agent_id",
     "config_id", "model_id", "job", "job_id"}
)  # fmt: skip
"""Columns that count runs, or what is trained side by side."""
_NAMED = _NUMBERED | {
    "model", "model_name", "name", "run_name", "exp", "exp_name", "experiment_name", "config",
    "variant", "method", "algorithm", "algo",
}  # fmt: skip
"""Columns that name them."""
_TIME = re.compile(r"[\d\s:.,/T+-]*\d[\d\s:.,/T+Zz-]*(\s*[a-zA-Z]{1,7})?")
"""A text that is a time or a number with its unit."""
_LONGEST_TIME = 60
_CLOCK = frozenset({"time", "timestamp", "date", "datetime", "elapsed", "eta", "remaining"})
_STAMPS = frozenset({"wall_time", "_timestamp"})
"""Times of rows as TensorBoard and W&B export them."""
_MOSTLY = 0.9
_JOINED = str.maketrans(" -", "__")


class Row(NamedTuple):
    """One row of the beginning of a table."""

    step: int
    cells: Mapping[str, Any]


def plain_name(name: str) -> str:
    """In lower case, with "_" for spaces and hyphens."""
    return name.strip().lower().translate(_JOINED)


def names_training(step: str, clock: str, metrics: Iterable[str], path: PurePath) -> bool:
    """Whether the step, the clock, a metric or the file has a name that tells of a training."""
    if plain_name(step) in TRAINING_STEPS or plain_name(clock) in _STAMPS:
        return True
    if not _FILES.isdisjoint(_words(path.stem)):
        return True
    return any(role_of(name) is not None or not _WORDS.isdisjoint(_words(name)) for name in metrics)


def _words(name: str) -> set[str]:
    parts = {word.lower() for word in _WORD.findall(name)}
    return parts | {word for word in re.split(r"[^a-z]+", name.lower()) if word}


def split_of(rows: Sequence[Row], special: frozenset[str]) -> str:
    """The column that says `train`, `val`... where these have metrics of the same names.

    Where only one of them stands in the first rows, the others may follow.
    """
    names = dict.fromkeys(name for row in rows for name in row.cells)
    for name in names:
        if plain_name(name) not in _SPLITS:
            continue
        metrics: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            value = row.cells.get(name)
            said = value.strip().lower() if isinstance(value, str) else ""
            metrics[said] |= _metrics(row, special)
        told = set(metrics) - {""}
        if not told or not told <= _SPLIT:
            continue
        shared = len(set().union(*metrics.values())) < sum(map(len, metrics.values()))
        if shared or len(told) == 1:
            return name
    return ""


def told_apart_by(rows: Sequence[Row], special: frozenset[str]) -> str:
    """The column that says which of several runs a row belongs to; empty if none does.

    Its value is another one in each stretch of rising steps, or in each row of a step, or (the
    name of a model, of a run) in each row of the table.
    """
    attempts = _attempts(rows, special)
    for name, numbered in _tellers(rows, special).items():
        values = [str(row.cells.get(name, "")) for row in rows]
        known = numbered or plain_name(name) in _NAMED
        if known and _by_stretch(values, attempts):
            return name
        if known and not numbered and len(rows) > 1 and len(set(values)) == len(rows):
            return name
        if _by_step(rows, values, attempts, special):
            return name
    return ""


def _tellers(rows: Sequence[Row], special: frozenset[str]) -> dict[str, bool]:
    """Columns of texts, and those that number runs (True)."""
    found: dict[str, bool] = {}
    for name in dict.fromkeys(name for row in rows for name in row.cells):
        cells = [row.cells[name] for row in rows if name in row.cells]
        clock = not _CLOCK.isdisjoint(_words(name))
        if name in special or clock or len(cells) < _MOSTLY * len(rows):
            continue
        if all(whole(cell) is not None for cell in cells):
            if plain_name(name) in _NUMBERED:
                found[name] = True
        elif all(isinstance(cell, str) and not _is_value(cell) for cell in cells):
            found[name] = False
    return found


def _is_value(cell: str) -> bool:
    if len(cell) > _LONGEST_TIME:
        return False
    return number(cell) is not None or _TIME.fullmatch(cell.strip()) is not None


def _metrics(row: Row, special: frozenset[str]) -> set[str]:
    return {
        name for name, cell in row.cells.items() if name not in special and number(cell) is not None
    }


def _attempts(rows: Sequence[Row], special: frozenset[str]) -> list[int]:
    lives = Lives()
    numbered = special | {n for row in rows for n in row.cells if plain_name(n) in _NUMBERED}
    return [lives.place(1, row.step, _metrics(row, numbered)) for row in rows]


def _by_stretch(values: Sequence[str], attempts: Sequence[int]) -> bool:
    inside: dict[int, set[str]] = defaultdict(set)
    for value, attempt in zip(values, attempts, strict=True):
        inside[attempt].add(value)
    constant = all(len(found) == 1 for found in inside.values())
    in_turn = [next(iter(found)) for _, found in sorted(inside.items())]
    changes = all(a != b for a, b in zip(in_turn, in_turn[1:], strict=False))
    return len(inside) > 1 and constant and changes


def _by_step(
    rows: Sequence[Row], values: Sequence[str], attempts: Sequence[int], special: frozenset[str]
) -> bool:
    """Whether most steps have several rows of the same metric, each with a value of its own."""
    at: dict[tuple[int, int], list[str]] = defaultdict(list)
    metrics: dict[tuple[int, int], list[set[str]]] = defaultdict(list)
    for row, value, attempt in zip(rows, values, attempts, strict=True):
        at[attempt, row.step].append(value)
        metrics[attempt, row.step].append(_metrics(row, special))
    apart = [
        place
        for place, found in at.items()
        if len(set(found)) == len(found) > 1 and set.intersection(*metrics[place])
    ]
    return len(apart) * 2 >= len(at)
