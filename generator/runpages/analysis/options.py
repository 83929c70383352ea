"""Everything that can be set for an analysis; `config` builds it from runpages.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runpages.model import Accelerator, Price, Target

from .detect import DetectorOptions
from .energy import EnergyOptions

__all__ = ["AnalysisOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisOptions:
    """Thresholds, names, prices."""

    detectors: DetectorOptions = field(default_factory=DetectorOptions)
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role -> names, before the built-in table."""
    parameters_key: str = ""
    """Dotted key of the configuration that holds the number of parameters."""
    prices: tuple[Price, ...] = ()
    """The team's price rows; the shipped ones come after them."""
    accelerators: tuple[Accelerator, ...] = ()
    """The team's devices; the shipped ones come after them."""
    energy: EnergyOptions = field(default_factory=EnergyOptions)
    loss_unit: str = ""
    """`nats` or `bits` of the losses; empty = not known."""
    bytes_per_token: str | float = ""
    """A number, or the dotted key of the configuration that holds it; empty = not known."""
    at_steps: tuple[int, ...] = ()
    """Steps whose values are told beside those of the checkpoints."""
    targets: tuple[Target, ...] = ()
    examples: Mapping[str, int] = field(default_factory=dict)
    """Evaluation metric -> number of its examples; such a metric is a proportion."""
