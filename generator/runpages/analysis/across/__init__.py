"""Detectors that need several series of a run: each says what it looked at, or why it could not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from runpages.model import Run

from .bottleneck import find_data_bottleneck
from .found import Found
from .learning_rate import find_lr_mismatch
from .records import find_missing_records
from .straggler import find_stragglers

__all__ = ["RUN_DETECTORS", "Found"]

RUN_DETECTORS: Mapping[str, Callable[[Run], Found]] = MappingProxyType(
    {
        "data_bottleneck": find_data_bottleneck,
        "straggler": find_stragglers,
        "lr_mismatch": find_lr_mismatch,
        "missing_data": find_missing_records,
    }
)
"""Kind -> its detector."""
