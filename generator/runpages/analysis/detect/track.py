"""What a detector is given and what it gives back, and the level and noise they all start from."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Candidate",
    "Departure",
    "Floats",
    "Track",
    "block_medians",
    "excursions",
    "level_of",
    "level_reach",
    "noise_of",
    "running_median",
    "segments",
    "stretches",
    "thinned",
]

Floats = NDArray[np.float64]
T = TypeVar("T")

BLOCK = 32
THIN = 2048
WINDOWS = 8192
LEVEL_BLOCKS = 17
LONG = 4096
"""From this many points on the level is taken from medians of blocks: O(n), no wide windows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """The rows of one metric in one attempt, in the order of their steps."""

    name: str
    role: str | None
    sign: float
    """+1 where a rise is bad, -1 where a fall is bad."""
    steps: NDArray[np.int64]
    values: Floats
    finite: NDArray[np.int64]
    """Positions of the finite values."""
    times: Floats
    """UTC seconds of the rows; NaN where there is no clock."""
    known: dict[Hashable, Any] = field(default_factory=dict)
    """What detectors have worked out and others need again; see `once`."""

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, which is called only the first time for each `what`."""
        if what not in self.known:
            self.known[what] = make()
        found: T = self.known[what]
        return found

    @property
    def y(self) -> Floats:
        """The finite values, turned so that a rise is bad. Not to be written to."""
        return self.once("y", self._turned)

    def _turned(self) -> Floats:
        whole = len(self.finite) == len(self.values)
        values = self.values if whole else self.values[self.finite]
        return values if self.sign > 0 else -values

    @property
    def thin(self) -> tuple[Floats, int]:
        """`thinned(y)`."""
        return self.once("thin", lambda: thinned(self.y))

    @property
    def departure(self) -> Departure:
        """Of the thin curve."""
        return self.once("departure", lambda: Departure.of(self.thin[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A finding by positions into the track's rows (both ends included)."""

    kind: str
    start: int
    end: int
    peak: int
    level: float | None
    """Value just before, as logged."""
    threshold: float | None
    recovered: bool | None
    severity: str


def segments(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of each run of True."""
    inside = np.flatnonzero(mask)
    if not len(inside):
        return []
    gaps = np.flatnonzero(np.diff(inside) > 1)
    first, last = np.append(-1, gaps) + 1, np.append(gaps, len(inside) - 1)
    return [(int(a), int(b)) for a, b in zip(inside[first], inside[last], strict=True)]


def running_median(values: Floats, width: int) -> Floats:
    """Centred running median over an odd `width`; the edges continue the trend (odd reflection)."""
    size = len(values)
    if size < 3:
        return values.copy()
    half = min(width, (size - 1) // 2 * 2 + 1) // 2
    if half == 0:
        return values.copy()
    low = 2 * np.median(values[: half + 1]) - values[half:0:-1]
    high = 2 * np.median(values[-half - 1 :]) - values[-2 : -half - 2 : -1]
    padded = np.concatenate([low, values, high])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    out = np.empty(size)
    for start in range(0, size, WINDOWS):
        # a sort is several times faster than np.median; by parts, as it copies every window
        out[start : start + WINDOWS] = np.sort(windows[start : start + WINDOWS], axis=1)[:, half]
    return out


def block_medians(values: Floats, width: int = BLOCK) -> Floats:
    """Medians of whole blocks of `width` values; what is left at the end is left out.

    By sorting, which numpy does several times faster than np.median partitions. Wide blocks take
    the median of the medians of 32.
    """
    if width >= 2 * BLOCK:
        inner = width // BLOCK
        whole = len(values) // width
        rows = values[: whole * width].reshape(whole, width)[:, : inner * BLOCK]
        return block_medians(block_medians(rows.reshape(-1)), inner)
    blocks = len(values) // width
    rows = values[: blocks * width].reshape(blocks, width)
    out = np.empty(blocks)
    for start in range(0, blocks, WINDOWS):
        # by parts that stay in the cache
        ordered = np.sort(rows[start : start + WINDOWS], axis=1)
        middle = ordered[:, (width - 1) // 2] + ordered[:, width // 2]
        np.divide(middle, 2, out=out[start : start + WINDOWS])
    return out


def _spread(blocks: Floats, size: int) -> Floats:
    """The blocks' values at their centres, joined by straight lines; level before and after."""
    half = BLOCK // 2
    out = np.empty(size)
    out[:half], out[half:] = blocks[0], blocks[-1]
    share = (np.arange(BLOCK) + 0.5) / BLOCK
    between = out[half : half + BLOCK * (len(blocks) - 1)].reshape(-1, BLOCK)
    np.multiply(np.diff(blocks)[:, None], share, out=between)
    between += blocks[:-1, None]
    return out


def level_of(y: Floats) -> Floats:
    """The curve without its noise and without excursions shorter than half the window."""
    size = len(y)
    if size >= LONG:
        return _spread(running_median(block_medians(y), LEVEL_BLOCKS), size)
    return running_median(y, _level_width(size))


def _level_width(size: int) -> int:
    return int(np.clip(size // 8, 5, 65)) | 1


def level_reach(size: int) -> int:
    """Points at either end for which `level_of` has no window, only the trend continued."""
    return (LEVEL_BLOCKS * BLOCK if size >= LONG else _level_width(size)) // 2


def noise_of(residual: Floats) -> Floats:
    """Robust standard deviation around each point: 1.4826 times a wide running median of |r|.

    Not below 15 % of its own median, so that a quiet stretch does not make an alarm of nothing. In
    a short curve the level is the median of a few points and lies on many of them: of normal noise
    |r| shows .73 at 20 to 60 points and .96 at 300, differences of neighbours 1.01 to 1.05
    (measured). So 0.8 of what those say is the least.
    """
    size = len(residual)
    away = np.abs(residual)
    if size >= LONG:
        wide = 1.4826 * running_median(block_medians(away), 65)
        return _spread(np.maximum(wide, 0.15 * float(np.median(wide))), size)
    width = int(np.clip(size // 3, 31, 257)) | 1
    steps = np.abs(np.diff(residual, append=residual[-1:]))
    neighbours = 0.8 / math.sqrt(2) * running_median(steps, width)
    sigma = 1.4826 * np.maximum(running_median(away, width), neighbours)
    return np.maximum(sigma, 0.15 * float(np.median(sigma)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Departure:
    """How far a curve is above the best level it has had: the slow view of excursions.

    All three are one value a point. `smooth` is a median of five, in which one tall point is not
    seen; `reference` the running minimum of a wider running median; `noise` the robust sd (of first
    differences, over sqrt 2) around the place of that minimum: what has blown up is noisy itself,
    and its noise must not excuse it.
    """

    smooth: Floats
    reference: Floats
    noise: Floats

    @classmethod
    def of(cls, y: Floats) -> Departure:
        width = int(np.clip(len(y) // 32, 5, 65)) | 1
        wide = running_median(y, width)
        reference = np.minimum.accumulate(wide)
        best = np.maximum.accumulate(np.where(wide <= reference, np.arange(len(y)), 0))
        steps = np.abs(np.diff(y, append=y[-1:]))
        local = 1.4826 / np.sqrt(2) * running_median(steps, 4 * width + 1)
        return cls(smooth=running_median(y, 5), reference=reference, noise=local[best])

    def allowed(self, relative: float, sds: float) -> Floats:
        """The height above the reference that is still the level, at each point."""
        return np.maximum(relative * np.abs(self.reference), sds * self.noise)


def stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True, over short returns: one is over only after 3 points, or 1/20 of its length.

    The last one reaches the end if what follows it is too short to be a return.
    """
    out: list[tuple[int, int]] = []
    for start, end in segments(mask):
        if out and start - out[-1][1] - 1 < _return_points(out[-1]):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    last = len(mask) - 1
    if out and last - out[-1][1] < _return_points(out[-1]):
        out[-1] = (out[-1][0], last)
    return out


def _return_points(stretch: tuple[int, int]) -> int:
    return max(3, (stretch[1] - stretch[0] + 1) // 20)


def thinned(y: Floats) -> tuple[Floats, int]:
    """Medians of blocks, and the block's points: a long curve as 2,048 to 4,096 values."""
    width = max(1, len(y) // THIN)
    if width == 1:
        return y, 1
    return block_medians(y, width), width


def excursions(
    track: Track, *, relative: float = 0.10, sds: float = 8.0, least_points: int = 3
) -> list[tuple[int, int]]:
    """(first, last) of stretches above the best level before that end before the curve does.

    One begins where the curve leaves the level by half of max(`relative`, `sds` of the noise),
    must exceed the whole for `least_points`, and ends when it is back within half and stays
    there. The widths are
    those of a divergence: the same departure, but it came back.
    """
    (thin, width), gone = track.thin, track.departure
    height = gone.smooth - gone.reference
    limit = gone.allowed(relative, sds)
    out = []
    for start, end in stretches(height > limit / 2):
        if end < len(thin) - 1 and int(np.sum((height > limit)[start : end + 1])) >= least_points:
            out.append((start * width, (end + 1) * width - 1))
    return out
