"""Detectors: pure functions from the rows of one metric to events."""

from __future__ import annotations

from .find import (
    DETECTORS,
    SAMPLED,
    Detector,
    DetectorOptions,
    event_id,
    event_of,
    find_events,
)
from .track import Candidate, Floats, Track, running_median, segments, stretches
from .words import describe

__all__ = [
    "DETECTORS",
    "SAMPLED",
    "Candidate",
    "Detector",
    "DetectorOptions",
    "Floats",
    "Track",
    "describe",
    "event_id",
    "event_of",
    "find_events",
    "running_median",
    "segments",
    "stretches",
]
