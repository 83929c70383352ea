"""Events: what detectors find, and what they looked for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "KINDS",
    "SEVERITIES",
    "Event",
    "Judgement",
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
class Judgement:
    """Which kinds were looked for in which metric, or why not."""

    kind: str
    judged: tuple[str, ...]
    """Names of the metrics it was looked for in."""
    why_not: str = ""
