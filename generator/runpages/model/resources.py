"""Time, arithmetic, money and energy that a run took."""

from __future__ import annotations

from dataclasses import dataclass

from .quantity import Quantity

__all__ = [
    "CAUSES",
    "Accelerator",
    "AttemptCost",
    "Badput",
    "Cost",
    "Energy",
    "Goodput",
    "GridIntensity",
    "Price",
    "Timing",
    "Utilization",
]

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
    """`team price` (from runpages.toml) or `list price estimate`."""
    as_of: str = ""
    """ISO date on which the price was last seen to hold; empty = `valid_from`."""
    note: str = ""
    """Whose price it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridIntensity:
    """Carbon of a region's electricity, mean of one year."""

    region: str
    """ISO 3166-1 alpha-3, or empty where the team states the figure itself."""
    name: str
    g_per_kwh: float
    year: int | None
    source_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Electricity of a run, and what it emitted."""

    devices_kwh: Quantity
    """The accelerators' own, by `method`."""
    method: str
    """`counter`, `power`, `codecarbon`, `estimate`; empty = not known."""
    estimated: bool
    """Whether some or all of it was not measured."""
    host_kwh: Quantity
    """Hosts, network and storage, by the team's watts a device."""
    total_kwh: Quantity
    """(devices + host) x PUE."""
    carbon_kg: Quantity
    """CO2 equivalent."""
    pue: float
    pue_assumed: bool
    intensity: GridIntensity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    device_hours: Quantity
    lost_device_hours: Quantity
    """Device-hours of steps that were redone."""
    usd: Quantity
    price: Price | None
    price_age: str = ""
    """How old the price was at the run's end, where that is too old to be trusted: `stale` (over
    90 days) or `very stale` (over 365)."""
    energy: Energy
    attempts: tuple[AttemptCost, ...] = ()

    @property
    def energy_kwh(self) -> Quantity:
        """The accelerators' own."""
        return self.energy.devices_kwh
