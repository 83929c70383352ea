"""Report: what analysis says about a run. Values only; nothing here is formatted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .event import Event, Judgement
from .note import Note
from .quantity import Quantity
from .reproduction import Reproduction
from .resources import Cost, Goodput, Timing, Utilization
from .run import Run
from .summary import MetricSummary, ModelFigures, TargetReached

__all__ = [
    "Report",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a run page says."""

    run: Run
    events: tuple[Event, ...]
    """Most severe first, the model's before the machine's, then by step."""
    metrics: Mapping[str, MetricSummary]
    timing: Timing
    goodput: Goodput
    utilization: Utilization
    cost: Cost
    judgements: tuple[Judgement, ...]
    steps: Quantity
    """Optimiser steps of the effective run."""
    planned_steps: Quantity
    """What settings or log say it was to make; in the unit of `steps`."""
    redone_steps: int = 0
    parameters: Quantity
    figures: ModelFigures
    targets: tuple[TargetReached, ...] = ()
    evaluations: tuple[str, ...] = ()
    """Names of the metrics that are evaluations (validation loss included)."""
    primary: str | None = None
    """The metric that the run is judged by first: validation loss, else training loss,
    else the reward of an agent, else an evaluation of which more is better."""
    baseline: Report | None = None
    reproduction: Reproduction
    notes: tuple[Note, ...] = ()
    """Oldest first."""
    unreadable_notes: tuple[str, ...] = ()
    """One sentence for each file of a note that a person has broken."""

    @property
    def missing(self) -> dict[str, str]:
        """What is needed to redo the run and is absent or in part -> what is missing."""
        return {item.name: item.why for item in self.reproduction.items if item.why}
