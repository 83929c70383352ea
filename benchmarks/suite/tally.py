"""Precision, recall and false alarms out of matches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .matching import Match

__all__ = ["Tally"]

_SIZES = ((1.5, 3.0), (3.0, 6.0), (6.0, float("inf")))
_DURATIONS = ((1, 3), (4, 20), (21, 100), (101, 400), (401, float("inf")))


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts over a suite; fill it with `add`."""

    truths: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)
    """By the kind that was reported, in all runs."""
    bins: dict[tuple[str, str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    """(kind, "size" | "steps" | "rows", bin) -> [truths, found]."""
    healthy: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Length -> false alarms of each healthy run."""
    healthy_kinds: Counter[str] = field(default_factory=Counter)
    below: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Kind -> reports in each run whose events lie below its floor."""
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    extra: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind of the run's events or "healthy", kind that was reported beside them)."""
    onset_errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Kind -> share of the steps from the start of a truth to that reported."""

    def add(self, purpose: str, length: str, match: Match) -> None:
        if purpose == "below":
            self.below[match.case.kind].append(len(match.alarms) + _hits(match))
            return
        self.alarms.update(e.kind for e in match.alarms)
        self.extra.update((match.case.kind, e.kind) for e in match.alarms)
        if purpose == "healthy":
            self.healthy[length].append(len(match.alarms))
            self.healthy_kinds.update(e.kind for e in match.alarms)
            return
        told = {id(truth): event.kind for truth, event in match.confused}
        for truth, event in match.found:
            kind = truth.kind
            self.truths[kind] += 1
            self.found[kind] += event is not None
            bins = [("size", _bin(truth.size, _SIZES)), ("rows", length)]
            bins.append(("steps", _bin(truth.duration, _DURATIONS)))
            for axis, name in bins:
                if name:
                    cell = self.bins[kind, axis, name]
                    cell[0] += 1
                    cell[1] += event is not None
            named = event.kind if event else told.get(id(truth), "missed")
            self.confusion[kind, "misplaced" if not event and named == kind else named] += 1
            if event:
                error = (event.start_step - truth.start) / max(1, match.case.span)
                self.onset_errors[kind].append(error)

    def recall(self, kind: str) -> float | None:
        return _ratio(self.found[kind], self.truths[kind])

    def precision(self, kind: str) -> float | None:
        return _ratio(self.found[kind], self.found[kind] + self.alarms[kind])

    def false_alarms(self) -> tuple[int, int, int]:
        """(healthy runs, false alarms in them, runs with more than one)."""
        counts = [n for runs in self.healthy.values() for n in runs]
        return len(counts), sum(counts), sum(n > 1 for n in counts)

    def as_json(self) -> Mapping[str, Any]:
        """Everything as plain values."""
        runs, alarms, more = self.false_alarms()
        return {
            "kinds": {
                kind: {
                    "truths": self.truths[kind],
                    "recall": self.recall(kind),
                    "precision": self.precision(kind),
                    "bins": {
                        f"{axis} {name}": cell
                        for (k, axis, name), cell in self.bins.items()
                        if k == kind
                    },
                }
                for kind in self.truths
            },
            "healthy": {
                "runs": runs,
                "false_alarms": alarms,
                "more_than_one": more,
                "by_kind": dict(self.healthy_kinds),
                "by_length": {k: [len(v), sum(v)] for k, v in self.healthy.items()},
            },
            "below_floor": {k: [len(v), sum(v)] for k, v in self.below.items()},
            "false_alarms": {f"{b} in {a}": n for (a, b), n in sorted(self.extra.items())},
            "confusion": {f"{a} -> {b}": n for (a, b), n in sorted(self.confusion.items())},
        }


def _hits(match: Match) -> int:
    return sum(event is not None for _, event in match.found)


def _bin(value: float, bins: Iterable[tuple[float, float]]) -> str:
    """Name of the bin, the last that `value` reaches; empty where it has none."""
    reached = [(low, high) for low, high in bins if value >= low]
    if not reached:
        return ""
    low, high = reached[-1]
    return f">={low:g}" if high == float("inf") else f"{low:g}-{high:g}"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
