"""What several people think of samples: mean, and how far they agree.

Agreement is Krippendorff's alpha with the *ordinal* difference: a scale of 1 to 5 says which of two
samples is better, not that the way from 1 to 2 is as long as that from 4 to 5. K. Krippendorff,
"Computing Krippendorff's Alpha-Reliability" (2011), section D and the table of metric differences:
alpha = 1 - observed / expected disagreement over the coincidences of values within samples that
two or more rated. 1 is full agreement, 0 what chance would give.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from runpages.model import Note, Quantity

__all__ = ["RatedSample", "Ratings", "krippendorff_alpha", "rate_samples", "summarize_ratings"]

LEVELS = ("nominal", "ordinal", "interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """All ratings of a run on one scale."""

    scale: str
    raters: tuple[str, ...]
    n: int
    samples: int
    """How many different ones were rated."""
    mean: float
    """Over all ratings."""
    alpha: Quantity
    """Agreement of the raters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedSample:
    """The ratings of one sample on one scale."""

    sample: str
    scale: str
    n: int
    mean: float


def _newest(notes: Iterable[Note]) -> dict[str, dict[str, dict[str, float]]]:
    """Scale -> sample -> rater -> value; who rates a sample again has changed his mind."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for note in notes:
        if note.kind == "rating" and note.value is not None:
            found[note.scale][note.sample][note.author] = note.value
    return found


def summarize_ratings(notes: Iterable[Note]) -> tuple[Ratings, ...]:
    """One summary a scale, in the order of first use. `notes` are oldest first."""
    out = []
    for scale, samples in _newest(notes).items():
        values = [value for by_rater in samples.values() for value in by_rater.values()]
        raters = dict.fromkeys(rater for by_rater in samples.values() for rater in by_rater)
        out.append(
            Ratings(
                scale=scale,
                raters=tuple(raters),
                n=len(values),
                samples=len(samples),
                mean=sum(values) / len(values),
                alpha=_agreement(samples, len(raters)),
            )
        )
    return tuple(out)


def rate_samples(notes: Iterable[Note]) -> tuple[RatedSample, ...]:
    """One row for each sample and scale."""
    return tuple(
        RatedSample(sample=sample, scale=scale, n=len(by), mean=sum(by.values()) / len(by))
        for scale, samples in _newest(notes).items()
        for sample, by in samples.items()
    )


def _agreement(samples: Mapping[str, Mapping[str, float]], raters: int) -> Quantity:
    if raters < 2:
        return Quantity.unknown("one rater: agreement needs two")
    units = [list(by_rater.values()) for by_rater in samples.values() if len(by_rater) > 1]
    if not units:
        return Quantity.unknown("no sample was rated by two")
    alpha = krippendorff_alpha(units)
    if alpha is None:
        return Quantity.unknown("all ratings are the same, so chance would agree as well")
    return Quantity(value=alpha, note=f"Krippendorff's alpha, ordinal, {len(units)} shared samples")


def krippendorff_alpha(units: Sequence[Sequence[float]], *, level: str = "ordinal") -> float | None:
    """Alpha over `units`: the values that each rated thing got, missing ones left out.

    Units with one value say nothing and are passed over. None where all values are equal. `level`
    is one of LEVELS.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    coincidences: dict[tuple[float, float], float] = defaultdict(float)
    for unit in pairable:
        for pair in permutations(unit, 2):
            coincidences[pair] += 1 / (len(unit) - 1)
    totals = Counter(value for unit in pairable for value in unit)
    difference = _difference(level, totals)
    observed = sum(weight * difference(a, b) for (a, b), weight in coincidences.items())
    expected = sum(totals[a] * totals[b] * difference(a, b) for a in totals for b in totals)
    if not expected:
        return None
    return 1 - (sum(totals.values()) - 1) * observed / expected


def _difference(level: str, totals: Mapping[float, int]) -> Callable[[float, float], float]:
    """Squared difference of two values at this level of measurement."""
    if level == "nominal":
        return lambda a, b: float(a != b)
    if level == "interval":
        return lambda a, b: (a - b) ** 2
    before = 0.0
    place: dict[float, float] = {}
    for value in sorted(totals):
        place[value] = before + totals[value] / 2
        before += totals[value]
    return lambda a, b: (place[a] - place[b]) ** 2
