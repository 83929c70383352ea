"""Detectors: pure functions from the rows of one metric to events."""

from __future__ import annotations

from .find import DETECTORS, SAMPLED, DetectorOptions, event_id, find_events
from .words import describe

__all__ = ["DETECTORS", "SAMPLED", "DetectorOptions", "describe", "event_id", "find_events"]
