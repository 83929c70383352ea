"""How many steps the run was to make, by its own configuration or log."""

from __future__ import annotations

import math

from runpages.model import Quantity, Run

from .summary import flatten

__all__ = ["planned_steps"]

_WHOLE_KEYS = frozenset({"steps", "train.steps", "training.steps", "trainer.steps"})
"""Keys that plan steps by their whole name only (`training.steps`: pytorch/torchtitan
torchtitan/config/job_config.py): elsewhere `steps` is of a scheduler, an evaluation, a rollout."""
_UNIT_KEYS = {
    "": (
        "max_steps",  # Hugging Face Trainer, Lightning; -1: the epochs decide
        "max_train_steps",  # Hugging Face accelerate
        "num_train_steps",
        "total_train_steps",
        "num_training_steps",
        "train_steps",
        "training_steps",
        "total_steps",
        "train_iters",  # Megatron-LM megatron/training/arguments.py
        "max_iters",  # karpathy/nanoGPT train.py
        "num_iterations",  # KellerJordan/modded-nanogpt, karpathy/nanochat
    ),
    "epochs": ("num_train_epochs", "max_epochs", "num_epochs", "epochs"),
    "environment steps": ("total_timesteps", "n_timesteps"),
}
"""What the steps count -> keys of the configuration, alone or after the name of a section."""
_LOGGED = "planned_steps"
"""Key of the summary: what stood beside the step in the log, as in `step:10/500`."""
_LOG_CALLS = "_step"
"""Step source that counts calls of the logger."""


def planned_steps(run: Run, steps: Quantity) -> Quantity:
    """Planned steps in the unit of `steps`, from a list of keys; what the log printed comes first.

    Unknown where nothing tells it, where two keys contradict each other, and where the run went
    beyond it: then it was not the plan of all of it.
    """
    unit = run.provenance.step_unit
    named = unit or "steps"
    if steps.value is None or run.provenance.step_source == _LOG_CALLS:
        return Quantity.unknown("the optimiser's steps are not known", named)
    found = _logged(run) or _configured(run, unit)
    numbers = set(found.values())
    if not numbers:
        return Quantity.unknown("no planned number of steps in settings or log", named)
    if len(numbers) > 1:
        keys = ", ".join(found)
        return Quantity.unknown(f"{keys} name different numbers of steps", named)
    source, number = next(iter(found.items()))
    if steps.value > number:
        return Quantity.unknown(f"the run went beyond the {number:,.0f} of {source}", named)
    return Quantity(value=number, unit=named, note=source)


def _logged(run: Run) -> dict[str, float]:
    """Printed beside the step; the `end_step` that Megatron-LM's golden values give each metric."""
    number = _count(run.summary.get(_LOGGED))
    if number is not None:
        return {"the log": number}
    facts = [value for value in run.summary.values() if isinstance(value, dict)]
    ends = {end for fact in facts if (end := _count(fact.get("end_step"))) is not None}
    return {"end_step": max(ends)} if ends else {}


def _configured(run: Run, unit: str) -> dict[str, float]:
    wanted = _UNIT_KEYS.get(unit, ())
    flat = flatten(dict(run.config))
    named = [
        key for key in flat if key.rpartition(".")[2] in wanted or (not unit and key in _WHOLE_KEYS)
    ]
    found = {key: _count(flat[key]) for key in named}
    return {f"config.{key}": value for key, value in found.items() if value is not None}


def _count(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 and value == int(value) else None
