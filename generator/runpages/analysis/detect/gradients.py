"""Gradient norms: explosions, that come back or not, and gradients that vanish."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .spike import SpikeOptions, find_spikes
from .track import Candidate, Departure, Floats, Track, running_median, stretches, thinned

__all__ = [
    "GradExplosionOptions",
    "GradVanishingOptions",
    "find_grad_explosions",
    "find_grad_vanishing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradExplosionOptions:
    """Thresholds as factors over the level, on the logarithm of the norm, and shares of the run.

    Measured on generated runs (docs/reference/findings.md), where no other source is named.
    """

    excursion: SpikeOptions = field(
        default_factory=lambda: SpikeOptions(
            min_factor=4.0, clear_factor=5.0, clear_k=16.0, tail_points=8000
        )
    )
    """What comes back: at least four times the level and out of the norm's own tail, or five times
    and 16 sd: real norms have tails in which single spikes hide."""
    min_factor: float = 4.0
    """What does not come back: least factor at the end over the best level before."""
    least_k: float = 8.0
    """The same in robust sd of the noise of the norm's logarithm."""
    min_points: int = 24
    warm_up_share: float = 0.1
    """Share of the rows at the start that set no level: norms are small until the warm-up ends."""
    within_share: float = 0.25
    """Share of the rows within which the norm must rise by that factor: slower is drift. Gradient
    norms of healthy runs grow by a small factor over a whole run."""
    calm_factor: float = 1.25
    """It began where it left this factor over its level."""
    critical_factor: float = 100.0
    """An end this high is critical, else a warning: the loss tells whether the run is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradVanishingOptions:
    """Thresholds as shares of the level, and absolute."""

    min_points: int = 24
    warm_up_share: float = 0.05
    """Share of the rows at the start that set no level."""
    least_share: float = 0.01
    """Below this share of its own greatest level."""
    least_norm: float = 1e-7
    """Or below this, whatever it was (SageMaker Debugger's VanishingGradient)."""
    onset_factor: float = 1.5
    """It began to vanish where it left its level by this factor."""


def find_grad_explosions(
    track: Track, options: GradExplosionOptions = GradExplosionOptions()
) -> Iterator[Candidate]:
    """Excursions of at least 4 times the level, then at most one growth that stays to the end."""
    rows, y = _logarithm(track)
    if len(rows) < len(track.finite):
        # a norm of 0 is a skipped step; it has no logarithm
        track = replace(track, finite=rows, known={})
    wide = list(_departures(rows, y, options))
    growth = next((w for w in wide if not w.recovered), None)
    begin = growth.start if growth else len(track.values)
    del rows, y  # 160 MB in a run of ten million steps
    brief = [_named(found) for found in find_spikes(track, options.excursion)]
    brief = [b for b in brief if b.end < begin and _tall(track, b, options)]
    yield from (b for b in brief if not any(_overlap(b, w) for w in wide))
    for found in wide:
        # the excursion's own edges, where the norm's tail shows them, are sharper than a block's
        own = [b for b in brief if _overlap(b, found)]
        yield replace(
            found,
            start=min([found.start, *(b.start for b in own)]),
            end=max([found.end, *(b.end for b in own)]),
        )


def _named(found: Candidate) -> Candidate:
    return replace(found, kind="grad_explosion")


def _tall(track: Track, found: Candidate, options: GradExplosionOptions) -> bool:
    level = found.level or 0.0
    return level <= 0 or float(track.values[found.peak]) >= options.min_factor * level


def _overlap(one: Candidate, other: Candidate) -> bool:
    return one.start <= other.end and other.start <= one.end


def _departures(
    rows: NDArray[np.int64], y: Floats, options: GradExplosionOptions
) -> Iterator[Candidate]:
    """Stretches in which the norm's logarithm is above the best level before, by Departure."""
    if len(y) < options.min_points:
        return
    skipped = int(options.warm_up_share * len(y))
    thin, width = thinned(y[skipped:])
    gone = Departure.of(thin)
    floor = math.log(options.min_factor)
    needed = np.maximum(floor, options.least_k * gone.noise)
    reach = max(1, int(options.within_share * len(thin)))
    for first, last in stretches(gone.smooth - gone.reference > needed / 2):
        onset = max(1, first)
        # what had come back from a fall has only come back
        level = float(np.median(gone.smooth[:onset]))
        limit = float(needed[onset - 1])
        stays = last == len(thin) - 1
        own = thin[onset : last + 1]
        if len(own) < 3:
            continue
        end = own[-max(3, len(own) // 10) :] if stays else own
        tall = float(np.median(end)) if stays else float(np.sort(own)[-3])
        ahead = float(np.max(gone.smooth[onset : onset + reach], initial=-math.inf))
        if tall - level < limit or ahead - level < floor:
            continue
        calm = level + max(3 * float(gone.noise[onset - 1]), math.log(options.calm_factor))
        sharp = onset
        while onset > 1 and gone.smooth[onset - 1] > calm:
            onset -= 1
        clear = level + limit / 2 if onset == sharp else calm
        begin = skipped + (onset - 1) * width
        start = begin + int(np.argmax(y[begin:] > clear)) if width > 1 else skipped + onset
        stop = len(y) - 1 if stays else min(len(y) - 1, skipped + (last + 1) * width - 1)
        if not stays:
            stop = start + int(np.flatnonzero(y[start : stop + 1] > level + limit / 2)[-1])
        peak = start + int(np.argmax(y[start : stop + 1]))
        yield Candidate(
            kind="grad_explosion",
            start=int(rows[start]),
            end=int(rows[stop]),
            peak=int(rows[peak]),
            level=math.exp(level),
            threshold=math.exp(level + limit),
            recovered=not stays,
            severity=_severity(tall - level, stays=stays, options=options),
        )


def _severity(height: float, *, stays: bool, options: GradExplosionOptions) -> str:
    if stays:
        return "critical" if height >= math.log(options.critical_factor) else "warning"
    return "warning" if height >= math.log(options.excursion.warn_factor) else "info"


def _logarithm(track: Track) -> tuple[NDArray[np.int64], Floats]:
    """Rows with a norm above 0, and its logarithm."""
    values = track.values[track.finite]
    good = values > 0
    return track.finite[good], np.log(values[good])


def find_grad_vanishing(
    track: Track, options: GradVanishingOptions = GradVanishingOptions()
) -> Iterator[Candidate]:
    """At most one: the norm fell below 1 % of its own level, or to nothing, and stayed there."""
    values = track.values[track.finite]
    if len(values) < options.min_points or not np.any(values > options.least_norm):
        return
    y = np.log(np.maximum(values, 1e-30))
    skipped = int(options.warm_up_share * len(y))
    thin, width = thinned(y[skipped:])
    smooth = running_median(thin, 5)
    # an explosion shorter than a sixteenth of the run is no level that could be left
    level = np.maximum.accumulate(running_median(thin, max(5, len(thin) // 8) | 1))
    low = smooth < np.maximum(level + math.log(options.least_share), math.log(options.least_norm))
    # a norm that never was above the absolute floor has nothing to lose
    low &= level > math.log(options.least_norm)
    if not low[-1]:
        return
    calm = np.flatnonzero(~low)
    onset = int(calm[-1]) + 1 if len(calm) else 0
    usual = float(np.median(smooth[: max(onset, 1)]))
    while onset > 0 and smooth[onset - 1] < usual - math.log(options.onset_factor):
        onset -= 1
    end = float(np.median(smooth[-max(3, len(smooth) // 20) :]))
    gone = usual + math.log(options.least_share), math.log(options.least_norm)
    if onset == 0 or end >= max(gone):
        return
    start = skipped + onset * width
    peak = start + int(np.argmin(y[start:]))
    yield Candidate(
        kind="grad_vanishing",
        start=int(track.finite[start]),
        end=int(track.finite[-1]),
        peak=int(track.finite[peak]),
        level=math.exp(usual),
        threshold=max(math.exp(usual) * options.least_share, options.least_norm),
        recovered=False,
        severity="warning",
    )
