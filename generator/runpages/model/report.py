"""Report: what analysis says about a run. Values only; nothing here is formatted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .note import Note
from .run import Run

__all__ = [
    "CAUSES",
    "KINDS",
    "SEVERITIES",
    "Accelerator",
    "AttemptCost",
    "Badput",
    "Cost",
    "Event",
    "Goodput",
    "GroupMetric",
    "GroupReport",
    "Judgement",
    "MetricSummary",
    "Price",
    "Quantity",
    "Report",
    "Timing",
    "Utilization",
    "main_metric",
]

KINDS = (
    "nonfinite",
    "spike",
    "divergence",
    "level_shift",
    "plateau",
    "drop",
    "overfit",
    "grad_explosion",
    "grad_vanishing",
    "slowdown",
    "stall",
    "jitter",
    "data_bottleneck",
    "idle_device",
    "gpu_underuse",
    "memory_growth",
    "near_oom",
    "straggler",
    "restart",
    "lr_mismatch",
    "repeated_data",
    "seed_outlier",
    "missing_data",
)
SEVERITIES = ("info", "warning", "critical")
CAUSES = (
    "restart_gaps",
    "redone",
    "startup",
    "evaluation",
    "checkpoint",
    "periodic",
    "data_wait",
    "other",
)
"""Where time that was not productive went."""


_NEAR_END = 0.9
"""Part of the longest curve of a role that a curve must reach to stand for the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with its unit, or the reason why there is none."""

    value: float | None
    unit: str = ""
    why: str = ""
    """Why `value` is None; empty when it is known."""
    note: str = ""
    """How it came about, for the reader who doubts it."""

    @property
    def known(self) -> bool:
        return self.value is not None

    @classmethod
    def unknown(cls, why: str, unit: str = "") -> Quantity:
        return cls(value=None, unit=unit, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One finding, with its evidence."""

    id: str
    """`<kind>-<start_step>-<4 hex of metric, rank, attempt>`: an anchor that stays."""
    kind: str
    metric: str
    role: str | None = None
    rank: int | None = None
    attempt: int = 1
    start_step: int
    end_step: int
    start_time: float | None = None
    end_time: float | None = None
    peak_step: int | None = None
    peak_value: float | None = None
    baseline_value: float | None = None
    """Level just before the event."""
    threshold: float | None = None
    """Value that had to be crossed."""
    severity: str = "warning"
    recovered: bool | None = None
    lost_steps: int | None = None
    """Steps done and thrown away because of it (rolled back)."""
    lost_seconds: float | None = None
    lost_device_hours: float | None = None
    related: tuple[tuple[str, int], ...] = ()
    checkpoint_before: int | None = None
    checkpoint_after: int | None = None
    explained_by: str = ""
    message: str = ""
    evidence: tuple[tuple[int, float], ...] = ()
    """Raw (step, value) rows around it, at most 21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """Summary statistics of one effective curve."""

    name: str
    role: str | None
    direction: str | None
    """`lower`, `higher` or None where neither is better."""
    unit: str
    points: int
    superseded: int
    nonfinite: int
    first_step: int
    last_step: int
    first: float
    last: float
    final: float
    """Median of the last finite points; how many, see docs/reference/findings.md."""
    final_mad: float
    """Median absolute deviation of those points."""
    final_points: int
    low: float
    high: float
    best: float | None
    best_step: int | None


def main_metric(metrics: Mapping[str, MetricSummary], role: str) -> str | None:
    """The metric that stands for a role: of those that go (nearly) to the end, the densest.

    A loss that was logged for the first hundred steps only says nothing about the end.
    """
    names = [name for name, summary in metrics.items() if summary.role == role]
    end = max((metrics[name].last_step for name in names), default=0)
    whole = [name for name in names if metrics[name].last_step >= _NEAR_END * end] or names
    return max(whole, key=lambda name: metrics[name].points, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Step time and throughput; seconds a step, tokens a second."""

    step_seconds_p50: Quantity
    step_seconds_p95: Quantity
    step_seconds_p99: Quantity
    steps_per_second: Quantity
    tokens: Quantity
    tokens_per_second: Quantity
    tokens_per_second_per_device: Quantity
    elapsed_seconds: Quantity
    """From the first to the last record, downtime included."""
    active_seconds: Quantity
    """Sum over attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A kind of device, as published: dense peak (no sparsity) and power of one."""

    name: str
    names: tuple[str, ...]
    """What trackers call it."""
    bf16_tflops: float
    """TFLOP/s; the same in fp16 where the device has it."""
    fp8_tflops: float | None = None
    memory_gb: float | None = None
    watts: float | None = None
    """Maximum power; None where none is published."""
    source_url: str = ""
    as_of: str = ""
    """ISO date on which the source was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilization:
    """Part of the devices' peak that the model's arithmetic took."""

    mfu: Quantity
    hfu: Quantity
    """With what was recomputed."""
    logged: Quantity
    """The run's own figure, in its own unit."""
    dtype: str = ""
    formula: str = ""
    denominator: str = ""
    tokens: str = ""
    """Where the tokens a second come from."""
    accelerator: Accelerator | None = None
    doubt: str = ""
    """Why the figure cannot be right; empty if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Badput:
    """Elapsed time that did not bring the run forward, of one cause."""

    cause: str
    """One of CAUSES."""
    seconds: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """How much of the elapsed time brought the run forward."""

    percent: Quantity
    productive_seconds: Quantity
    step_seconds: Quantity
    """The usual step, undisturbed."""
    badput: tuple[Badput, ...]
    """All of CAUSES in their order; with the productive time they add up to the elapsed time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCost:
    number: int
    seconds: float | None
    devices: int | None
    device_hours: float | None
    redone_seconds: float | None = None
    """Of steps that a later attempt did again; None where no clock tells."""
    redone_device_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The dated price row that was applied."""

    accelerator: str
    usd_per_device_hour: float
    valid_from: str
    """ISO date."""
    source_url: str
    kind: str
    """`team` (from runpages.toml) or `list price estimate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    device_hours: Quantity
    lost_device_hours: Quantity
    """Device-hours of steps that were redone."""
    usd: Quantity
    price: Price | None
    energy_kwh: Quantity
    attempts: tuple[AttemptCost, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Which kinds were looked for in which metric, or why not."""

    kind: str
    judged: tuple[str, ...]
    """Names of the metrics it was looked for in."""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a run page says."""

    run: Run
    events: tuple[Event, ...]
    """Most severe first, then by step."""
    metrics: Mapping[str, MetricSummary]
    timing: Timing
    goodput: Goodput
    utilization: Utilization
    cost: Cost
    judgements: tuple[Judgement, ...]
    steps: Quantity
    """Optimiser steps of the effective run."""
    redone_steps: int = 0
    parameters: Quantity
    evaluations: tuple[str, ...] = ()
    """Names of the metrics that are evaluations (validation loss included)."""
    primary: str | None = None
    """The metric that the run is judged by first: validation loss, else training loss."""
    baseline: Report | None = None
    differences: tuple[tuple[str, object, object], ...] = ()
    """(config key, this run, baseline) where they differ; a missing side is None."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What is needed to redo the run and is absent -> why it matters."""
    notes: tuple[Note, ...] = ()
    """Oldest first."""
    unreadable_notes: tuple[str, ...] = ()
    """One sentence for each file of a note that a person has broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetric:
    name: str
    direction: str | None
    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None for n < 2."""
    values: Mapping[str, float]
    """slug -> final value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """Facts about siblings: shown on the group's page, never on a run's."""

    name: str
    slugs: tuple[str, ...]
    seeds: Mapping[str, int | None]
    seed_set: tuple[str, ...]
    """Slugs that differ in nothing but the seed."""
    metrics: tuple[GroupMetric, ...]
