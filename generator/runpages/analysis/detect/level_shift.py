"""Level shift: the curve jumps to a higher level and settles there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .track import Candidate, Floats, Track, running_median, segments

__all__ = ["LevelShiftOptions", "find_level_shifts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelShiftOptions:
    """Thresholds as shares of the level, robust standard deviations (sd), points and shares.

    Where no other source is named they were measured: docs/reference/findings.md.
    """

    min_points: int = 24
    min_relative: float = 0.02
    """Least rise over the level before, as a share of it."""
    least_k: float = 6.0
    """Least rise in sd of the differences between neighbouring windows, which hold the noise and
    the wander of the run; more where they are few: twice that at 24 points."""
    window_share: float = 1 / 32
    """Width of a window as a share of the points; 5 to 65 points (of a long curve: blocks)."""
    least_stay_share: float = 0.03
    """Least length of the new level at the end of a run; at least 8 points."""
    long_stay_share: float = 0.2
    """A level that is left again after this share of the run's steps was one; before it, the
    excursion is a spike."""
    sudden: float = 0.6
    """Share of the rise that two neighbouring windows must show: a slow drift is no shift."""
    most_relative: float = 0.5
    """Most rise at the end over the level before: beyond it the run diverged."""
    doubtful_relative: float = 0.1
    """From this rise on it is a shift only if the run goes on learning, as far as one can see."""
    still_learning: float = 0.25
    """Least fall at the new level, as a share of the one that the descent before promised."""
    still_rising: float = 0.5
    """Share of the rise by which the last third may lie above the first: beyond it, it has not
    settled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curve:
    """A track as windows see it: points (blocks of a long curve), their medians and differences."""

    y: Floats
    steps: Floats
    wide: Floats
    jump: Floats
    """Median of the window that begins at each point less that of the window before it, and less
    what the descent around makes of that."""
    window: int
    sd: float
    """Of `jump`."""
    block: int
    """Points of the track to one of `y`."""

    @classmethod
    def of(cls, track: Track, options: LevelShiftOptions) -> _Curve:
        y, block = track.thin
        window = int(np.clip(len(y) * options.window_share, 5, 65)) | 1
        half = window // 2
        wide = running_median(y, window)
        judged = wide[window + half : len(y) - half] - wide[half : len(y) - window - half]
        judged = judged - np.minimum(0, running_median(judged, 6 * window + 1))
        jump = np.zeros(len(y))
        jump[window : window + len(judged)] = judged
        return cls(
            y=y,
            steps=track.steps[track.finite[::block]][: len(y)].astype(np.float64),
            wide=wide,
            jump=jump,
            window=window,
            sd=1.4826 * float(np.median(np.abs(judged - np.median(judged)))),
            block=block,
        )

    def level_before(self, at: int) -> float:
        return float(self.wide[at - self.window // 2 - 1])

    def level_after(self, at: int) -> float:
        return float(self.wide[at + self.window // 2])


def find_level_shifts(
    track: Track, options: LevelShiftOptions = LevelShiftOptions()
) -> Iterator[Candidate]:
    """Sudden rises whose level stays to the end, or for a fifth of the run.

    Whether it stays is judged against the descent before it, continued on the logarithm of the
    step: a curve that is back at its old level only because it went on falling has not come back.
    The extent is the transition.
    """
    if len(track.finite) < options.min_points:
        return
    curve = _Curve.of(track, options)
    least = _least(curve, options)
    rises = [
        first + int(np.argmax(curve.jump[first : last + 1]))
        for first, last in segments(curve.jump > least)
    ]
    until = 0
    for at, following in itertools.pairwise([*rises, len(curve.y)]):
        if at < until or _only_back(curve, at):
            continue
        left = _left(curve, at)
        # a rise long after it is another event, whose windows begin one before it
        apart = at + 8 * curve.window < following < len(curve.y)
        end = following - curve.window if apart else len(curve.y)
        if _stays(curve, at, left, end, options):
            until = at + curve.window
            needed = float(least[at])
            yield _candidate(track, curve, at, needed=needed, recovered=left < len(curve.y))


def _least(curve: _Curve, options: LevelShiftOptions) -> Floats:
    """The least jump at each point; noise grows with the level."""
    before = np.abs(np.roll(curve.wide, curve.window // 2 + 1))
    k = options.least_k * (1 + 24 / len(curve.y))
    usual = max(float(np.median(np.abs(curve.wide))), 1e-300)
    return np.maximum(options.min_relative * before, k * curve.sd * np.maximum(1, before / usual))


def _only_back(curve: _Curve, at: int) -> bool:
    """Whether the curve only climbs out of a dip: it had suddenly fallen from there before."""
    height = float(curve.jump[at])
    above = curve.wide[: at - curve.window] >= curve.level_after(at) - height / 2
    if not above.any():
        return False
    fell = int(np.flatnonzero(above)[-1])
    near = curve.jump[fell : fell + 2 * curve.window]
    return bool(np.min(near) <= -height / 2)


def _expected(curve: _Curve, at: int) -> Floats:
    """The level from `at` on if the descent had gone on: straight on the logarithm of the step."""
    first = min(at // 2, max(0, at - 8 * curve.window))
    middle = (first + at - curve.window) // 2
    low, level = float(np.median(curve.y[first : middle + 1])), curve.level_before(at)
    clock = np.log1p(curve.steps - curve.steps[0])
    passed = clock[at] - float(np.median(clock[first : middle + 1]))
    slope = min(0.0, (level - low) / passed) if passed > 0 else 0.0
    return np.asarray(level + slope * (clock[at:] - clock[at]))


def _left(curve: _Curve, at: int) -> int:
    """Position at which the new level is left for good; the curve's length if it is not."""
    half = float(curve.jump[at]) / 2
    back = curve.wide[at:] - _expected(curve, at) < half
    back[: curve.window] = False
    for start, end in segments(back):
        if end - start + 1 >= curve.window or end == len(back) - 1:
            return at + start
    return len(curve.y)


def _stays(curve: _Curve, at: int, left: int, end: int, options: LevelShiftOptions) -> bool:
    """Whether the level that begins at `at`, judged up to `end`, is one to live at."""
    size = len(curve.y)
    stay = curve.wide[at + curve.window // 2 : min(left, end)]
    if len(stay) < max(8 // curve.block, 3):
        return False
    span = curve.steps[-1] - curve.steps[0]
    if left < size:
        long = curve.steps[left] - curve.steps[at] >= options.long_stay_share * span
    else:
        long = size - at >= max(8, options.least_stay_share * size)
    level, third = curve.level_before(at), max(1, len(stay) // 3)
    start, last = float(np.median(stay[:third])), float(np.median(stay[-third:]))
    rise = start - level
    if last - level >= options.doubtful_relative * abs(level):
        promised = _expected(curve, at)[[third // 2, len(stay) - third // 2 - 1]]
        gain = float(promised[0] - promised[1])
        seen = gain > 4 * curve.sd * np.sqrt(curve.window / third)
        if seen and start - last < options.still_learning * gain:
            return False
    return bool(
        long
        and float(curve.jump[at]) >= options.sudden * rise
        and last - start <= options.still_rising * rise
        and last - level <= options.most_relative * abs(level)
    )


def _candidate(
    track: Track, curve: _Curve, at: int, *, needed: float, recovered: bool
) -> Candidate:
    """The transition: from where high points follow low ones to the first at the new level."""
    level, height = curve.level_before(at), float(curve.jump[at])
    near = slice(max(0, at - curve.window) * curve.block, (at + curve.window) * curve.block)
    own = track.y[near]
    high = own > level + height / 2
    # highs before and lows after each place: the fewest where it rose
    wrong = np.cumsum(high) - high + np.sum(~high) - np.cumsum(~high) + ~high
    start = near.start + int(np.argmin(wrong))
    new = level + height
    rest = track.y[start : near.stop]
    peak = start + int(np.argmin(np.abs(rest - new)))
    return Candidate(
        kind="level_shift",
        start=int(track.finite[start]),
        end=int(track.finite[max(start, peak)]),
        peak=int(track.finite[peak]),
        level=track.sign * level,
        threshold=track.sign * (level + needed),
        recovered=recovered,
        severity="warning",
    )
