"""Detectors: pure functions from the rows of one metric to events."""

from __future__ import annotations

from .find import (
    DETECTORS,
    SAMPLED,
    DetectorOptions,
    event_id,
    event_of,
    find_beginnings,
    find_events,
)
from .memory import capacity_of
from .sentences import NAMES
from .throughput import is_mean_since_start
from .track import Candidate, Floats, Track, level_of, noise_of, running_median, segments, stretches
from .words import describe

__all__ = [
    "DETECTORS",
    "NAMES",
    "SAMPLED",
    "Candidate",
    "DetectorOptions",
    "Floats",
    "Track",
    "capacity_of",
    "describe",
    "event_id",
    "event_of",
    "find_beginnings",
    "find_events",
    "is_mean_since_start",
    "level_of",
    "noise_of",
    "running_median",
    "segments",
    "stretches",
]
