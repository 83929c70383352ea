"""Events that several series of a run show together, and what explains one by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from runpages.model import Attempt, Run, RunRef
from runpages.model.series import rank_key
from runpages.sources import Spool

from . import curves, loss_events
from .case import Case
from .curves import Curve, Ints
from .noise import Floats
from .placing import ratio

__all__ = [
    "annealed",
    "data_bottleneck",
    "healthy_run",
    "lr_mismatch",
    "restart",
    "spike_with_gradient",
    "straggler",
]

Random = np.random.Generator
Rows = tuple[Ints, Floats]

_START = 1_780_000_000.0
_RATE = 3e-4


def _run(
    lives: Mapping[int, Mapping[str, Rows]],
    *,
    ranks: Mapping[int, Rows] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Run:
    """A run of attempts, two seconds a step; `ranks` hold each rank's computing time."""
    spool = Spool()
    attempts, clock = [], _START
    for number, metrics in lives.items():
        first = min(int(steps[0]) for steps, _ in metrics.values())
        last = max(int(steps[-1]) for steps, _ in metrics.values())
        for name, (steps, values) in metrics.items():
            spool.extend(name, steps, clock + 2.0 * (steps - first + 1), values, attempt=number)
        for rank, (steps, values) in (ranks or {}).items():
            key = rank_key("train/compute_time", rank)
            spool.extend(key, steps, clock + 2.0 * (steps - first + 1), values, rank=rank)
        end = clock + 2.0 * (last - first + 1)
        attempts.append(
            Attempt(number=number, start=clock, end=end, first_step=first, last_step=last)
        )
        clock = end + 100
    ref = RunRef(source="here", project="p", run_id="r", name="r", state="finished", location=".")
    return Run(
        ref=ref,
        name="r",
        start=_START,
        end=clock - 100,
        attempts=tuple(attempts),
        series=spool.finish(),
        config=dict(config or {}),
    )


def _rate(steps: Ints, way: str) -> Floats:
    """A learning rate with a warm-up over 2 % of the steps, at its peak at 1."""
    done = (steps - steps[0]) / max(1, int(steps[-1] - steps[0]))
    late = np.clip((done - 0.02) / 0.98, 0, 1)
    falls = {
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * late)),
        "linear": 1 - 0.99 * late,
        "wsd": np.minimum(1.0, (1.001 - late) / 0.2),
    }
    return np.asarray(_RATE * falls[way] * np.minimum(1, done / 0.02 + 1e-3))


def _parts(rng: Random, points: int) -> tuple[Curve, dict[str, Rows], dict[int, Rows]]:
    """(loss, all metrics, computing time of 2 to 8 ranks) of a healthy run."""
    loss = curves.loss(rng, points, most_noise=0.012)
    steps = loss.steps
    norm = curves.grad_norm(rng, points)
    seconds = 2 * np.exp(0.02 * rng.standard_normal(points))
    waiting = seconds * rng.uniform(0.002, 0.025) * np.exp(0.3 * rng.standard_normal(points))
    metrics = {
        loss.metric: (steps, loss.values),
        norm.metric: (steps, norm.values),
        "train/lr": (steps, _rate(steps, str(rng.choice(["cosine", "linear", "wsd"])))),
        "train/step_time": (steps, seconds),
        "train/data_time": (steps, waiting),
    }
    usual = 1.5 * np.exp(0.03 * rng.standard_normal(int(rng.integers(2, 9))))
    noise = np.exp(0.05 * rng.standard_normal((len(usual), points)))
    ranks = {rank: (steps, mean * noise[rank]) for rank, mean in enumerate(usual)}
    metrics["train/compute_time"] = (steps, np.mean([v for _, v in ranks.values()], axis=0))
    return loss, metrics, ranks


def _case(kind: str, loss: Curve, run: Run, *truths: Any) -> Case:
    return replace(Case.of(loss, kind, truths), run=run)


def healthy_run(rng: Random, points: int) -> Case:
    """Loss, gradient norm, learning rate, step, data and computing time, all in order."""
    loss, metrics, ranks = _parts(rng, points)
    return _case("healthy", loss, _run({1: metrics}, ranks=ranks, config={"lr": _RATE}))


def data_bottleneck(rng: Random, points: int, *, below: bool = False) -> Case:
    """Waiting for data, for a stretch. Floor: 5 % of the step, for a tenth of the rows."""
    loss, metrics, ranks = _parts(rng, points)
    size = min(ratio(rng, below=below), 10.0)
    rows = int(rng.uniform(0.15, 0.9) * points)
    start = int(rng.integers(0, points - rows + 1))
    steps, seconds = metrics["train/step_time"]
    waiting = metrics["train/data_time"][1].copy()
    own = slice(start, start + rows)
    waiting[own] = seconds[own] * 0.05 * size * np.exp(0.1 * rng.standard_normal(rows))
    metrics["train/data_time"] = (steps, waiting)
    truth = loss.truth("data_bottleneck", start, start + rows - 1, size=size)
    run = _run({1: metrics}, ranks=ranks, config={"lr": _RATE})
    return _case("data_bottleneck", loss, run, truth)


def straggler(rng: Random, points: int, *, below: bool = False) -> Case:
    """One rank computes for longer, for a stretch. Floor: the fastest takes 0.75 of its time."""
    loss, metrics, ranks = _parts(rng, points)
    size = min(ratio(rng, below=below), 6.0)
    fast = min(float(np.median(values)) for _, values in ranks.values())
    rows = int(rng.uniform(0.3, 0.9) * points)
    start = int(rng.integers(0, points - rows + 1))
    rank = int(rng.integers(len(ranks)))
    values = ranks[rank][1].copy()
    target = fast * (1 + (1 / 0.75 - 1) * size)
    values[start : start + rows] *= target / float(np.median(values))
    ranks[rank] = (ranks[rank][0], values)
    metrics["train/compute_time"] = (loss.steps, np.mean([v for _, v in ranks.values()], axis=0))
    truth = loss.truth("straggler", start, start + rows - 1, size=size)
    run = _run({1: metrics}, ranks=ranks, config={"lr": _RATE})
    return _case("straggler", loss, run, truth)


def lr_mismatch(rng: Random, points: int, *, below: bool = False) -> Case:
    """The rate's peak is not the configured one, or it jumps by a factor after the warm-up.

    Floors: 1 % or what the rate changes by in the two rows around its peak; a factor of 1.5.
    """
    loss, metrics, ranks = _parts(rng, points)
    size = ratio(rng, below=below)
    steps, rate = metrics["train/lr"]
    rate = rate.copy()
    if rng.random() < 0.5:
        peak = max(1, int(np.argmax(rate)))
        near = 2 * float(np.max(np.abs(np.diff(np.log(rate[peak - 1 : peak + 2])))))
        wrong = 0.01 * size if below else max(0.01, min(near, np.log(1.5))) * size
        rate *= np.exp(wrong * float(rng.choice([-1, 1])))
        first, last = 0, points - 1
    else:
        first = last = int(rng.uniform(0.25, 0.8) * points)
        rate[first:] *= 1.5**size if below else 1.5 ** (1 + 0.3 * size)
    metrics["train/lr"] = (steps, rate)
    truth = loss.truth("lr_mismatch", first, last, size=size)
    run = _run({1: metrics}, ranks=ranks, config={"lr": _RATE})
    return _case("lr_mismatch", loss, run, truth)


def restart(rng: Random, points: int) -> Case:
    """The run was killed and resumed from up to a tenth of its steps before."""
    loss, metrics, _ = _parts(rng, points)
    killed = int(rng.uniform(0.3, 0.8) * points)
    resumed = killed - int(rng.uniform(0.0, 0.1) * points)
    first = {name: (s[: killed + 1], v[: killed + 1]) for name, (s, v) in metrics.items()}
    # the redo sees other noise
    second = {
        name: (s[resumed:], v[resumed:] * np.exp(0.002 * rng.standard_normal(points - resumed)))
        for name, (s, v) in metrics.items()
        if name != "train/lr"
    }
    second["train/lr"] = (loss.steps[resumed:], metrics["train/lr"][1][resumed:])
    truth = loss.truth("restart", resumed, killed, size=float("nan"))
    return _case("restart", loss, _run({1: first, 2: second}, config={"lr": _RATE}), truth)


def spike_with_gradient(rng: Random, points: int) -> Case:
    """Each spike of the loss is led by an explosion of the gradient norm: one finding, not two."""
    _, metrics, _ = _parts(rng, points)
    spiked = loss_events.spike(rng, points)
    norm = metrics["train/grad_norm"][1].copy()
    for truth in spiked.truths:
        first = int(np.searchsorted(spiked.steps, truth.start))
        last = int(np.searchsorted(spiked.steps, truth.end))
        lead = int(rng.integers(0, 3))
        norm[max(0, first - lead) : last + 1] *= 12 * np.exp(rng.uniform(0, 1.5))
    steps = spiked.steps
    own = {name: (steps, values) for name, (_, values) in metrics.items()}
    own["train/loss"] = (steps, spiked.values)
    own["train/grad_norm"] = (steps, norm)
    return replace(spiked, run=_run({1: own}, config={"lr": _RATE}))


def annealed(rng: Random, points: int) -> Case:
    """The loss stops falling because the schedule has ended: healthy."""
    loss, metrics, ranks = _parts(rng, points)
    ends = int(rng.uniform(0.4, 0.65) * points)
    values = loss.values.copy()
    values[ends:] += loss.level[ends] - loss.level[ends:]
    rate = _rate(loss.steps[: ends + 1], "linear")
    held = np.concatenate([rate, np.full(points - ends - 1, rate[-1])])
    metrics["train/loss"] = (loss.steps, values)
    metrics["train/lr"] = (loss.steps, held)
    run = _run({1: metrics}, ranks=ranks, config={"lr": _RATE})
    return replace(_case("healthy", loss, run), values=values)
