"""What a generated run is to a scorer: its rows and the events that were put into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runpages.model import Run

from .curves import Curve, Ints, Truth
from .noise import Floats

__all__ = ["Case"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One run, judged as such where `run` is there, else by its one series."""

    kind: str
    """Of its events, or "healthy"."""
    metric: str
    steps: Ints
    values: Floats
    truths: tuple[Truth, ...] = ()
    run: Run | None = None
    """With all metrics, where one series does not show it."""

    @classmethod
    def of(cls, curve: Curve, kind: str, truths: tuple[Truth, ...] = ()) -> Case:
        return cls(
            kind=kind,
            metric=curve.metric,
            steps=curve.steps,
            values=np.asarray(curve.values),
            truths=truths,
        )

    @property
    def span(self) -> int:
        return int(self.steps[-1] - self.steps[0])
