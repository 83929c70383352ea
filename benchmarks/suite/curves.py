"""Healthy curves of every kind of metric that a detector judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .noise import Floats, Noise, wander

__all__ = [
    "Curve",
    "Ints",
    "Truth",
    "accuracy",
    "grad_norm",
    "logged_steps",
    "loss",
    "memory",
    "step_seconds",
    "utilization",
    "val_loss",
]

Ints = NDArray[np.int64]
Random = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One event. Steps are those of logged rows, both ends included."""

    kind: str
    start: int
    end: int
    onset_until: int
    """Last step that is still its onset: where half of a slow rise is done; else `start`."""
    size: float
    """Multiple of the detector's documented floor; NaN for kinds that have none."""
    interval: int
    """Steps from row to row."""

    @property
    def duration(self) -> int:
        return self.end - self.start + self.interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A series with what it was made of; all arrays (n,)."""

    metric: str
    steps: Ints
    values: Floats
    level: Floats
    """The values without noise."""
    sigma: Floats
    """Robust standard deviation of the noise: of the logarithm where `logarithmic`."""
    noise: Noise
    logarithmic: bool = False
    free: NDArray[np.bool_] | None = None
    """Rows without periodic overhead; None where the metric has none."""

    @property
    def interval(self) -> int:
        """Steps from row to row in most of the log."""
        return max(1, int(np.median(np.diff(self.steps))))

    def truth(
        self, kind: str, first: int, last: int, *, size: float, half: int | None = None
    ) -> Truth:
        """The event in the rows `first` to `last`; its onset may be seen until row `half`."""
        return Truth(
            kind=kind,
            start=int(self.steps[first]),
            end=int(self.steps[last]),
            onset_until=int(self.steps[first if half is None else half]),
            size=size,
            interval=self.interval,
        )


def logged_steps(rng: Random, points: int) -> Ints:
    """Steps at which rows are logged: every 1, 10 or 100, denser at the start, or with gaps."""
    way = rng.choice(["every", "every", "dense start", "holes"])
    interval = int(rng.choice([1, 1, 1, 10, 10, 100]))
    if way == "dense start" and points >= 200:
        dense = min(100, points // 5)
        interval = max(10, interval)
        return np.concatenate([np.arange(dense), dense + interval * np.arange(points - dense)])
    if way == "holes" and points >= 200:
        kept = np.sort(rng.choice(int(1.03 * points), points, replace=False))
        return kept.astype(np.int64) * interval
    return np.arange(points, dtype=np.int64) * interval


def loss(rng: Random, points: int, *, most_noise: float = 0.025) -> Curve:
    """Power law, warm-up, and the extra fall that an annealed learning rate brings.

    Noise 0.3 to 2.5 % of the level, larger at the start, slowly changing, with a slow wander of a
    third of it.
    """
    steps = logged_steps(rng, points)
    end = float(steps[-1])
    floor, power = rng.uniform(1.4, 2.4), rng.uniform(0.25, 0.55)
    first, scale = rng.uniform(10.2, 12.0), rng.uniform(20, 200)
    level = floor + (first - floor) * (1 + steps / scale) ** -power
    level -= _annealed(rng, steps / end)
    relative = 10 ** rng.uniform(np.log10(0.003), np.log10(most_noise))
    swing = 1 + rng.uniform(0, 0.3) * np.sin(
        2 * np.pi * (steps / end * rng.uniform(1, 5) + rng.random())
    )
    sigma = relative * level * swing * (1 + np.exp(-steps / min(500, end / 20)))
    noise = Noise.drawn(rng)
    level = level + 0.3 * relative * level * wander(rng, points)
    values = level + sigma * noise.sample(rng, points)
    return Curve(
        metric="train/loss", steps=steps, values=values, level=level, sigma=sigma, noise=noise
    )


def _annealed(rng: Random, done: Floats) -> Floats:
    """What cosine, linear and warm-up-stable-decay schedules take off the loss."""
    way = rng.choice(["cosine", "linear", "wsd"])
    if way == "wsd":
        decay = rng.uniform(0.1, 0.25)
        late = np.clip((done - 1 + decay) / decay, 0, 1)
        return rng.uniform(0.05, 0.15) * late**0.7
    return rng.uniform(0.02, 0.08 if way == "cosine" else 0.1) * done**2


def val_loss(rng: Random, points: int) -> Curve:
    """A validation loss: the same fall, noise 0.1 to 0.6 %, an evaluation every so many steps."""
    steps = np.arange(1, points + 1, dtype=np.int64) * int(rng.choice([1, 50, 250, 1000]))
    floor, power = rng.uniform(1.5, 3.0), rng.uniform(0.3, 0.8)
    level = floor * (1 + rng.uniform(0.5, 2.0) * np.arange(1, points + 1) ** -power)
    level -= 0.03 * floor * np.arange(points) / points
    sigma = 10 ** rng.uniform(-3, np.log10(0.006)) * level
    noise = Noise(right=float(rng.choice([6.0, 12.0, 50.0])), left=12.0)
    values = level + sigma * noise.sample(rng, points)
    return Curve(
        metric="eval/loss", steps=steps, values=values, level=level, sigma=sigma, noise=noise
    )


def accuracy(rng: Random, points: int) -> Curve:
    """An accuracy that rises and saturates; noise of an evaluation set of 200 to 10,000 items."""
    steps = np.arange(1, points + 1, dtype=np.int64) * int(rng.choice([1, 50, 250, 1000]))
    low, high = rng.uniform(0.05, 0.3), rng.uniform(0.5, 0.9)
    level = high - (high - low) * np.exp(-np.arange(points) / rng.uniform(0.05, 0.3) / points)
    items = 10 ** rng.uniform(np.log10(200), 4)
    sigma = np.sqrt(level * (1 - level) / items) * rng.uniform(0.5, 1.0)
    noise = Noise(right=50.0, left=50.0)
    values = np.clip(level + sigma * noise.sample(rng, points), 0, 1)
    return Curve(
        metric="eval/accuracy", steps=steps, values=values, level=level, sigma=sigma, noise=noise
    )


def grad_norm(rng: Random, points: int) -> Curve:
    """High at the start, then nearly flat; multiplicative noise of 6 to 25 %."""
    steps = logged_steps(rng, points)
    end = float(steps[-1])
    fall = rng.uniform(3, 20) * np.exp(-steps / min(rng.uniform(200, 2000), end / 15))
    level = rng.uniform(0.15, 0.8) * (1 + fall) * (1 + rng.uniform(-0.3, 0.6) * steps / end)
    sigma = np.full(points, rng.uniform(0.06, 0.25))
    noise = Noise(right=float(rng.choice([4.0, 6.0, 10.0])), left=10.0)
    values = level * np.exp(sigma * noise.sample(rng, points))
    return Curve(
        metric="train/grad_norm",
        steps=steps,
        values=values,
        level=level,
        sigma=sigma,
        noise=noise,
        logarithmic=True,
    )


def step_seconds(rng: Random, points: int, *, rate: bool = False) -> Curve:
    """Time of a step, or tokens per second where `rate`, with evaluations and checkpoints.

    Jitter of 0.3 to 5 %, periodic overhead of 0.2 to 20 times the usual time, and a rare collection
    of garbage of up to 0.6 times.
    """
    steps = logged_steps(rng, points)
    usual = 10 ** rng.uniform(-0.7, 1.2)
    sigma = np.full(points, rng.uniform(0.003, 0.05))
    noise = Noise(right=float(rng.choice([4.0, 6.0, 12.0])), left=12.0)
    cost = usual * np.maximum(0.2, 1 + sigma * noise.sample(rng, points))
    free = np.ones(points, dtype=bool)
    interval = max(1, int(np.median(np.diff(steps))))
    periods = [p for p in (25, 50, 100, 250, 500, 1000, 5000) if 6 * p < points] or [10]
    for least, most in ((2.0, 20.0), (0.2, 8.0)):
        if rng.random() < 0.8:
            on = (steps % (int(rng.choice(periods)) * interval) == 0) & (steps > 0)
            # an evaluation and a checkpoint on one step take as long as both
            extra = usual * rng.uniform(least, most)
            cost[on] += extra * np.exp(0.1 * rng.standard_normal(int(on.sum())))
            free &= ~on
    pauses = rng.random(points) < 1e-4
    cost[pauses] += usual * rng.uniform(0.1, 0.6)
    level = np.full(points, usual)
    scale = 1e6 if rate else 1.0
    return Curve(
        metric="train/tokens_per_second" if rate else "train/step_time",
        steps=steps,
        values=scale / cost if rate else cost,
        level=scale / level if rate else level,
        sigma=sigma,
        noise=noise,
        logarithmic=True,
        free=free,
    )


def utilization(rng: Random, points: int) -> Curve:
    """Percent of the time that a GPU is busy, sampled by the clock; pauses now and then."""
    steps = np.arange(points, dtype=np.int64)
    usual = rng.uniform(88, 99)
    sigma = np.full(points, rng.uniform(0.3, 3.0))
    noise = Noise(right=12.0, left=6.0)
    values = usual + sigma * noise.sample(rng, points)
    if rng.random() < 0.7:  # evaluations and checkpoints
        period = int(rng.integers(12, max(13, points // 4)))
        values[period::period] *= rng.uniform(0.1, 0.8)
    values = np.clip(np.round(values), 0, 100)
    return Curve(
        metric="system/gpu.0.gpu",
        steps=steps,
        values=values,
        level=np.full(points, usual),
        sigma=sigma,
        noise=noise,
    )


def memory(rng: Random, points: int, *, most: float = 84.0, grows_once: float = 0.4) -> Curve:
    """Per cent of a GPU's memory: it fills in the first rows, then breathes a little, or not.

    With probability `grows_once` the allocator takes more at one moment, and keeps it.
    """
    steps = np.arange(points, dtype=np.int64)
    usual = rng.uniform(30, most)
    filled = 1 - rng.uniform(0.1, 0.9) * np.exp(-steps / (0.02 * points))
    level = usual * np.where(filled > 0.995, 1, filled)
    sigma = np.full(points, float(rng.choice([0.0, 0.05, 0.3])))
    noise = Noise(right=12.0, left=12.0)
    values = level + sigma * noise.sample(rng, points)
    if rng.random() < grows_once:
        values[int(rng.uniform(0.2, 0.8) * points) :] += rng.uniform(0.5, 6)
    if rng.random() < 0.4:  # an evaluation takes more
        period = int(rng.integers(12, max(13, points // 4)))
        values[period::period] += rng.uniform(0.5, 2)
    return Curve(
        metric="system/gpu.0.memoryAllocated",
        steps=steps,
        values=np.clip(values, 0, 100),
        level=level,
        sigma=sigma,
        noise=noise,
    )
