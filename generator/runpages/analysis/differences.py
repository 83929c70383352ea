"""What differs between runs: configuration, data, code, environment and hardware."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from runpages.model import Difference, Report, Run

from .summary import flatten

__all__ = [
    "OUTPUT_KEYS",
    "SEED_KEY",
    "alike",
    "differences",
    "facts_of",
    "is_seed",
    "same",
    "siblings",
    "without_seed",
]

SEED_KEY = re.compile(r"(.*[_\-])?seeds?|seed_everything|random_state", re.IGNORECASE)
OUTPUT_KEYS = frozenset(
    {"run_name", "run_id", "exp_name", "experiment_name", "wandb_run_name", "wandb_name",
     "wandb_run_id", "output_dir", "out_dir", "logging_dir", "log_dir", "save_dir",
     "checkpoint_dir", "ckpt_dir", "work_dir", "hostname", "master_port", "timestamp"}
)  # fmt: skip
"""Settings that name where a run is kept, not what it does: siblings differ in them."""


def is_seed(key: str) -> bool:
    """Whether a dotted configuration key holds a seed."""
    return SEED_KEY.fullmatch(key.rpartition(".")[2]) is not None


def _is_output(key: str) -> bool:
    return key.rpartition(".")[2].lower().replace("-", "_") in OUTPUT_KEYS


def alike(value: object) -> str:
    """Equal for values that mean the same: trackers keep 0.001 as a number or as its text."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float | str):
        try:
            return repr(float(value))
        except (ValueError, OverflowError):
            return str(value)
    return json.dumps(value, sort_keys=True, default=str)


def same(one: object, other: object) -> bool:
    """Whether two recorded values say the same, NaN and NaN too."""
    return alike(one) == alike(other)


def without_seed(run: Run) -> str:
    """The configuration but for seeds and names of outputs, as a text to compare; or empty."""
    flat = flatten(dict(run.config)) if run.config else {}
    kept = {k: alike(v) for k, v in flat.items() if not is_seed(k) and not _is_output(k)}
    return json.dumps(kept, sort_keys=True) if kept else ""


def siblings(run: Run, other: Run) -> bool:
    """Whether two runs of one project record the same configuration but for the seed."""
    own = without_seed(run)
    return bool(own) and run.ref.project == other.ref.project and own == without_seed(other)


def facts_of(run: Run) -> dict[str, object]:
    """Everything recorded that can make two runs differ; what is not recorded is absent."""
    facts = {f"config.{k}": v for k, v in (flatten(dict(run.config)) if run.config else {}).items()}
    if run.seed is not None and not any(is_seed(key) for key in facts):
        facts["config.seed"] = run.seed
    read: dict[str, object] = {
        "model.architecture": run.model.architecture,
        "model.parameters": run.model.parameters,
        "model.context": run.model.context,
        "code.commit": run.code.commit,
        "code.uncommitted changes": run.code.dirty,
        "code.remote": run.code.remote,
        "code.entry point": run.code.entry_point,
        "hardware.device": run.hardware.device,
        "hardware.devices": run.hardware.devices,
    }
    told = [(d.name, d.version, d.digest, d.split) for d in run.datasets]
    read["data"] = "; ".join(sorted(" ".join(part for part in each if part) for each in told))
    # some trackers write "CPython 3.11.7", others "3.11.7"
    environment = {k: v.removeprefix("CPython ") for k, v in run.environment.items()}
    read |= {f"environment.{key}": value for key, value in environment.items()}
    # a setting of None was recorded (no clipping); a fact of None was not
    return facts | {key: value for key, value in read.items() if value is not None and value != ""}


def differences(
    sides: Mapping[str, Sequence[Report]], *, but_seeds: bool = False
) -> tuple[Difference, ...]:
    """The facts that are not the same on all sides (slug -> reports of its runs), by key.

    `but_seeds` leaves out what siblings differ in by design: seeds and names of outputs.
    """
    facts = {slug: [facts_of(r.run) for r in reports] for slug, reports in sides.items()}
    out = []
    for key in sorted({key for each in facts.values() for one in each for key in one}):
        if but_seeds and (is_seed(key) or _is_output(key)):
            continue
        values = {slug: _distinct(each, key) for slug, each in facts.items()}
        told = {tuple(map(alike, each)) for each in values.values()}
        if len(told) > 1 or any(len(each) > 1 for each in values.values()):
            out.append(Difference(key=key, values=values))
    return tuple(out)


def _distinct(facts: Sequence[Mapping[str, object]], key: str) -> tuple[object, ...]:
    found = {alike(one[key]): one[key] for one in facts if key in one}
    return tuple(found[text] for text in sorted(found))
