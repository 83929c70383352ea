"""Detectors: pure functions from the rows of one metric to events."""

from __future__ import annotations

from .find import DETECTORS, DetectorOptions, event_id, find_events

__all__ = ["DETECTORS", "DetectorOptions", "event_id", "find_events"]
