"""Which runs the suite has: kinds, lengths, and as many healthy runs as runs with events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from . import curves, device_events, loss_events, other_events, run_events
from .case import Case
from .curves import Curve

__all__ = ["LENGTHS", "PLAN", "Kind", "cases", "points_of"]

Random = np.random.Generator

LENGTHS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "40-400": (40, 400),
        "1k": (1000, 1000),
        "10k": (10_000, 10_000),
        "100k": (100_000, 100_000),
    }
)
_EVALUATED = ("40-400", "1k")
"""Nobody evaluates 10,000 times."""
_JUDGED_WHOLE = ("40-400", "1k", "10k")
_SHARE = MappingProxyType({"40-400": 1.0, "1k": 1.0, "10k": 0.5, "100k": 0.15})
"""Runs of a length as a share of the number asked for: long ones take their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How runs with events of one kind are made, and their healthy like."""

    make: Callable[..., Case]
    healthy: Callable[[Random, int], Curve | Case]
    lengths: tuple[str, ...] = tuple(LENGTHS)
    has_floor: bool = True
    least_points: int = 40
    """Rows from which on the kind is looked for."""


def _times(rng: Random, points: int) -> Curve:
    return curves.step_seconds(rng, points, rate=bool(rng.random() < 0.4))


def _of_run(
    make: Callable[..., Case],
    *,
    healthy: Callable[[Random, int], Case] = run_events.healthy_run,
    has_floor: bool = True,
) -> Kind:
    return Kind(make=make, healthy=healthy, lengths=_JUDGED_WHOLE, has_floor=has_floor)


PLAN: Mapping[str, Kind] = MappingProxyType(
    {
        "nonfinite": Kind(make=loss_events.nonfinite, healthy=curves.loss, has_floor=False),
        "spike": Kind(make=loss_events.spike, healthy=curves.loss),
        "divergence": Kind(make=loss_events.divergence, healthy=curves.loss),
        "level_shift": Kind(make=loss_events.level_shift, healthy=curves.loss),
        "plateau": Kind(make=loss_events.plateau, healthy=curves.loss, least_points=64),
        "drop": Kind(make=other_events.drop, healthy=curves.accuracy, lengths=_EVALUATED),
        "overfit": Kind(make=other_events.overfit, healthy=curves.val_loss, lengths=_EVALUATED),
        "grad_explosion": Kind(make=other_events.grad_explosion, healthy=curves.grad_norm),
        "grad_vanishing": Kind(make=other_events.grad_vanishing, healthy=curves.grad_norm),
        "slowdown": Kind(make=other_events.slowdown, healthy=_times),
        "stall": Kind(make=other_events.stall, healthy=_times),
        "jitter": Kind(make=other_events.jitter, healthy=_times, least_points=64),
        "idle_device": Kind(make=device_events.idle_device, healthy=curves.utilization),
        "gpu_underuse": Kind(make=device_events.gpu_underuse, healthy=curves.utilization),
        "memory_growth": Kind(make=device_events.memory_growth, healthy=curves.memory),
        "near_oom": Kind(make=device_events.near_oom, healthy=curves.memory),
        "repeated_data": Kind(
            make=device_events.repeated_data, healthy=curves.loss, least_points=200
        ),
        "missing_data": Kind(make=device_events.missing_data, healthy=curves.loss),
        "data_bottleneck": _of_run(run_events.data_bottleneck),
        "straggler": _of_run(run_events.straggler),
        "lr_mismatch": _of_run(run_events.lr_mismatch),
        "restart": _of_run(run_events.restart, has_floor=False),
        "spike+grad_norm": _of_run(run_events.spike_with_gradient, has_floor=False),
        "plateau+annealed": _of_run(
            run_events.restart, healthy=run_events.annealed, has_floor=False
        ),
    }
)


def points_of(rng: Random, length: str, *, least: int) -> int:
    """Number of rows, drawn where the length is a range."""
    low, high = LENGTHS[length]
    low = max(low, least)
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def cases(
    kind: str, *, seed: int, runs: int, lengths: tuple[str, ...] = tuple(LENGTHS)
) -> Iterator[tuple[str, str, Case]]:
    """(set, length, case) with set "events", "healthy" or "below".

    `runs` of each with the short lengths, fewer of the long ones.
    """
    row = PLAN[kind]
    for length in lengths:
        if length not in row.lengths:
            continue
        for number in range(max(1, round(runs * _SHARE[length]))):
            key = [seed, list(PLAN).index(kind), list(LENGTHS).index(length), number]
            rng = np.random.default_rng([*key, 0])
            yield "events", length, row.make(rng, points_of(rng, length, least=row.least_points))
            rng = np.random.default_rng([*key, 1])
            like = row.healthy(rng, points_of(rng, length, least=row.least_points))
            yield "healthy", length, like if isinstance(like, Case) else Case.of(like, "healthy")
            if row.has_floor and number % 2 == 0:
                rng = np.random.default_rng([*key, 2])
                below = row.make(rng, points_of(rng, length, least=row.least_points), below=True)
                yield "below", length, below
