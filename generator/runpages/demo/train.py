"""The family of runs, and the loop that trains one of them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .corpus import ALPHABET, decode, encode, make_text
from .model import CONTEXT, AdamW, CharModel, Ints, clip
from .trackers import Tracker

__all__ = ["FAMILY", "KILLED", "Spec", "spec_of", "train"]

KILLED = 9
"""Exit code of a life that was cut off."""
PROMPTS = ("the model ", "12+30=")
CORPUS_SEED = 20261125
CHECKPOINT_EVERY = 80
EVALUATE_EVERY = 40
SAMPLE_EVERY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One run of the family."""

    name: str
    trackers: tuple[str, ...]
    seed: int = 0
    group: str = ""
    lr: float = 6e-3
    """Highest learning rate, reached after `warmup` steps."""
    warmup: int = 40
    steps: int = 800
    batch: int = 512
    """Characters predicted a step."""
    clip_norm: float | None = 1.0
    """Largest global norm of the gradient; None never clips."""
    bad_from: int | None = None
    """First step whose batch is read from a damaged stretch of the data."""
    bad_steps: int = 0
    killed_at: int | None = None
    """The process dies in this step, as if the machine had gone."""
    skip_bad_on_resume: bool = False
    """The second life reads other data in place of the damaged stretch."""


FAMILY = (
    Spec(name="baseline", trackers=("wandb", "tensorboard"), group="baseline-seeds"),
    Spec(name="baseline-seed1", trackers=("rundir",), seed=1, group="baseline-seeds"),
    Spec(name="baseline-seed2", trackers=("rundir",), seed=2, group="baseline-seeds"),
    Spec(name="baseline-seed3", trackers=("rundir",), seed=3, group="baseline-seeds"),
    Spec(name="high-lr", trackers=("wandb",), lr=1.0, warmup=780, clip_norm=None),
    Spec(name="bad-batch", trackers=("tensorboard",), bad_from=450, bad_steps=3),
    Spec(name="killed-and-resumed", trackers=("tensorboard",), killed_at=437),
    Spec(
        name="rolled-back",
        trackers=("rundir",),
        bad_from=490,
        bad_steps=40,
        killed_at=514,
        skip_bad_on_resume=True,
    ),
)


class _Data:
    """Batches by step number, so that a resumed run sees what it would have seen."""

    def __init__(self, spec: Spec, *, skip_bad: bool) -> None:
        numbers = encode(make_text(CORPUS_SEED))
        cut = len(numbers) * 9 // 10
        self.training, self.validation = numbers[:cut], numbers[cut:]
        # what a shard holds whose bytes were overwritten
        self.damaged = np.random.default_rng(CORPUS_SEED).integers(0, len(ALPHABET), cut)
        self.spec = spec
        self.skip_bad = skip_bad

    def batch(self, step: int) -> tuple[Ints, Ints]:
        spec = self.spec
        first = spec.bad_from
        bad = first is not None and first <= step < first + spec.bad_steps
        if bad and self.skip_bad:
            chance = np.random.default_rng([spec.seed, step, 1])
            return self._windows(self.training, chance, spec.batch)
        chance = np.random.default_rng([spec.seed, step])
        return self._windows(self.damaged if bad else self.training, chance, spec.batch)

    def held_out(self) -> tuple[Ints, Ints]:
        return self._windows(self.validation, np.random.default_rng(7), 2048)

    @staticmethod
    def _windows(numbers: Ints, chance: np.random.Generator, count: int) -> tuple[Ints, Ints]:
        starts = chance.integers(0, len(numbers) - CONTEXT - 1, count)
        windows = numbers[starts[:, None] + np.arange(CONTEXT + 1)]
        return windows[:, :-1], windows[:, -1]


def _schedule(spec: Spec, step: int) -> float:
    """Linear warm-up, then cosine to a tenth."""
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    share = (step - spec.warmup) / max(1, spec.steps - spec.warmup)
    return spec.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def train(spec: Spec, folder: Path, *, resumed: bool = False) -> None:
    """Train from the start, or from the newest checkpoint; what happens is written by trackers.

    Dies without a word after step `spec.killed_at` of a first life.
    """
    model = CharModel(spec.seed)
    optimiser = AdamW(model.weights)
    data = _Data(spec, skip_bad=resumed and spec.skip_bad_on_resume)
    checkpoints = folder / "checkpoints" / spec.name
    checkpoints.mkdir(parents=True, exist_ok=True)
    first = _restore(checkpoints, model, optimiser) if resumed else 0
    config = _config(spec, model)
    tracker = Tracker(
        spec.name, spec.trackers, folder, config, spec.seed, spec.group, resumed=resumed
    )
    if data.skip_bad and spec.bad_from is not None:
        last = spec.bad_from + spec.bad_steps - 1
        tracker.event("skip_data", first, f"other data for steps {spec.bad_from} to {last}")
    held_out = data.held_out()
    # a diverging run overflows; its log says so
    with np.errstate(all="ignore"):
        for step in range(first, spec.steps):
            loss, gradient = model.gradients(*data.batch(step))
            lr = _schedule(spec, step)
            values = {
                "train/loss": loss,
                "train/grad_norm": clip(gradient, spec.clip_norm),
                "train/lr": lr,
                "train/tokens": float((step + 1) * spec.batch),
            }
            if (step + 1) % EVALUATE_EVERY == 0 or step == 0:
                values["val/loss"] = model.loss(*held_out)
            tracker.metrics(step, values)
            optimiser.update(model.weights, gradient, lr)
            if (step + 1) % SAMPLE_EVERY == 0:
                _sample(model, step, tracker)
            if (step + 1) % CHECKPOINT_EVERY == 0:
                path = _save(checkpoints, step + 1, model, optimiser)
                tracker.checkpoint(step, path.relative_to(folder).as_posix(), path.stat().st_size)
            if step == spec.killed_at and not resumed:
                tracker.flush()
                os._exit(KILLED)
    tracker.finish()


def _config(spec: Spec, model: CharModel) -> dict[str, object]:
    return {
        "model": {"architecture": "char MLP", "n_params": model.parameters, "context": CONTEXT},
        "optimizer": {"name": "AdamW", "lr": spec.lr, "warmup": spec.warmup},
        "clip_norm": spec.clip_norm,
        "batch": spec.batch,
        "steps": spec.steps,
        "seed": spec.seed,
    }


def _sample(model: CharModel, step: int, tracker: Tracker) -> None:
    for number, prompt in enumerate(PROMPTS):
        text = model.write(encode(prompt), 60, temperature=0.5, seed=number)
        tracker.sample(step, prompt, decode(text)[len(prompt) :])


def _save(folder: Path, step: int, model: CharModel, optimiser: AdamW) -> Path:
    """Weights and optimiser state before `step`."""
    path = folder / f"step-{step:05d}.npz"
    arrays = {f"w.{n}": a for n, a in model.weights.items()}
    arrays |= {f"m.{n}": a for n, a in optimiser.first.items()}
    arrays |= {f"v.{n}": a for n, a in optimiser.second.items()}
    np.savez(path, allow_pickle=False, **arrays)
    return path


def _restore(folder: Path, model: CharModel, optimiser: AdamW) -> int:
    """Load the newest checkpoint; returns the step to go on with."""
    path = max(folder.glob("step-*.npz"))
    with np.load(path, allow_pickle=False) as arrays:
        for name in model.weights:
            model.weights[name] = arrays[f"w.{name}"]
            optimiser.first[name] = arrays[f"m.{name}"]
            optimiser.second[name] = arrays[f"v.{name}"]
    step = int(path.stem.partition("-")[2])
    optimiser.steps = step
    return step


def spec_of(name: str) -> Spec:
    """The member of the family with this name."""
    return next(spec for spec in FAMILY if spec.name == name)
