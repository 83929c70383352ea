"""Which metrics share a chart, and in which order the charts matter."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runpages.analysis.detect.memory import capacity_of
from runpages.model import Report, Series, SeriesInfo

__all__ = ["Plan", "device_labels", "plans"]

_LOG_NORM = 30.0
_LOG = 50.0
"""Curves of positive values are drawn on a log scale from this ratio of largest to smallest on."""
_STRAIGHT = 1e-3
"""A metric is a counter if it leaves the straight line by less than this part of its range."""
_DEVICES = 64
_OTHER_ROLES = frozenset(
    {None, "mfu", "data_seconds", "compute_seconds", "eval_seconds", "checkpoint_seconds"}
)
_EPOCH = re.compile(r"(.*[/_.])?epochs?")
_HISTOGRAM = ("min", "p05", "p50", "p95", "max")
"""What a histogram comes as, beside its mean: sources/_histogram.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    id: str
    title: str
    names: tuple[str, ...]
    wide: bool = False
    log_from: float | None = None
    unit: str = ""
    """Where the name says more than the role."""
    histogram: bool = False
    """The names are those of a histogram's statistics, from the smallest to the largest."""
    indexed: bool = False
    """Not on the page, only in its index of further metrics."""


def plans(report: Report) -> Iterator[Plan]:
    """Loss, reward, gradient norm, learning rate, speed, evaluations, devices, then what has no
    role; last what the page does not show by itself."""
    taken: set[str] = set()
    for plan in (*_roled(report), *_plain(report)):
        if plan.names:
            taken.update(plan.names)
            yield plan
    rest = (i for i in report.run.series.whole if i.name not in taken and i.points)
    indexed = bool(taken)  # a page of a hardware log alone shows what there is
    for number, info in enumerate(rest, start=1):
        yield Plan(id=f"r-{number}", title=info.name, names=(info.name,), indexed=indexed)


def _roled(report: Report) -> Iterator[Plan]:
    series = report.run.series
    points = {info.name: info.points for info in series.infos}

    def by_role(role: str, *, most: int = 4) -> tuple[str, ...]:
        names = sorted(series.with_role(role), key=lambda n: -points[n])
        return tuple(names[:most])

    losses = by_role("loss", most=2) + by_role("val_loss", most=2)
    yield Plan(id="loss", title="Loss", names=losses, wide=True, log_from=_LOG)
    for number, name in enumerate(by_role("reward"), start=1):
        title = name if "reward" in name.lower() else f"Reward, {name}"
        yield Plan(id=f"reward-{number}", title=title, names=(name,), wide=not losses)
    norms = by_role("grad_norm")
    yield Plan(id="grad-norm", title="Gradient norm", names=norms, log_from=_LOG_NORM)
    for role, title in (
        ("lr", "Learning rate"),
        ("tokens_per_second", "Throughput"),
        ("tokens_per_second_per_device", "Throughput of one device"),
        ("step_seconds", "Step time"),
        ("step_milliseconds", "Step time"),
    ):
        yield Plan(id=role.replace("_", "-"), title=title, names=by_role(role))
    for role in ("eval", "eval_lower"):
        for number, name in enumerate(by_role(role), start=1):
            yield Plan(id=f"{role.replace('_', '-')}-{number}", title=name, names=(name,))
    for role, title in (("gpu_util", "Device use"), ("gpu_power", "Device power")):
        names = _in_order(by_role(role, most=_DEVICES))
        yield Plan(id=role.replace("_", "-"), title=title, names=names)
    memory = _in_order(by_role("gpu_memory", most=2 * _DEVICES))
    size = tuple(name for name in memory if "bytes" in name.lower())
    share = tuple(name for name in memory if name not in size)
    per_cent = "%" if all(capacity_of(name, None) for name in share) else ""
    yield Plan(id="gpu-memory", title="Device memory", names=share[:_DEVICES], unit=per_cent)
    yield Plan(id="gpu-memory-bytes", title="Device memory", names=size[:_DEVICES], unit="bytes")


def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Device 2 before device 10."""
    return tuple(
        sorted(names, key=lambda n: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", n)])
    )


def device_labels(names: Sequence[str]) -> tuple[str, ...]:
    """What tells the devices apart: `GPU 3`; the names themselves where that does not."""
    found = [re.search(r"gpu[._/]?(\d+)", name, re.IGNORECASE) for name in names]
    numbers = [match.group(1) for match in found if match]
    apart = len(names) > 1 and len(set(numbers)) == len(names)
    return tuple(f"GPU {number}" for number in numbers) if apart else tuple(names)


def _plain(report: Report) -> Iterator[Plan]:
    """What plays no role and has something to see, in the order of the source."""
    series = report.run.series
    others = [i for i in series.whole if i.role in _OTHER_ROLES and i.axis == "step"]
    whole = _histograms(others)
    inside = {name for parts in whole.values() for name in parts}
    number = 0
    for info in others:
        base = info.name.rpartition("/")[0]
        parts = whole.pop(base, None) if info.name in inside else None
        if parts is not None:
            number += 1
            yield Plan(id=f"m-{number}", title=base, names=parts, histogram=True)
        elif info.name not in inside and info.points > 1 and not _dull(one := series[info.name]):
            number += 1
            log_from = _LOG if _spread(one.value) > _LOG else None
            yield Plan(id=f"m-{number}", title=one.name, names=(one.name,), log_from=log_from)


def _histograms(infos: list[SeriesInfo]) -> dict[str, tuple[str, ...]]:
    """Name of a histogram -> the names of its statistics, where all of them are there."""
    found: dict[str, set[str]] = defaultdict(set)
    for info in infos:
        base, _, statistic = info.name.rpartition("/")
        if base:
            found[base].add(statistic)
    wanted = {*_HISTOGRAM, "mean"}
    return {
        base: tuple(f"{base}/{s}" for s in (*_HISTOGRAM, "mean"))
        for base, statistics in found.items()
        if wanted <= statistics
    }


def _dull(series: Series) -> bool:
    """A constant, or what only counts steps in its own way (an epoch, an iteration)."""
    if _EPOCH.fullmatch(series.name) and (np.diff(series.value) >= 0).all():
        return True  # rounded, it is no straight line
    step, value = series.step.astype(np.float64), series.value
    if len(step) < 4 or not np.isfinite(value).all():
        return False
    slope = (value[-1] - value[0]) / (step[-1] - step[0])
    away = np.abs(value - value[0] - slope * (step - step[0])).max()
    return bool(away <= _STRAIGHT * abs(value[-1] - value[0]))


def _spread(value: NDArray[np.float64]) -> float:
    """Ratio of the usually large to the usually small values; 1 where a value is not positive.

    One odd row (an accuracy of nearly 0 at the first step) does not call for a log scale.
    """
    finite = value[np.isfinite(value)]
    if not len(finite) or finite.min() <= 0:
        return 1.0
    low, high = np.quantile(finite, [0.05, 0.95])
    return float(high / low)
