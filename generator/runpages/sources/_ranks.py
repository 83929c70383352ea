"""Logs of the ranks of one run, merged step by step; each rank's own series stays."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from runpages.model import Columns, SeriesSet, rank_key, statistic_key

from .spool import Spool

__all__ = ["KEPT_RANKS", "are_ranks", "clock_skew", "missing_ranks", "rank_of", "spool_ranks"]

KEPT_RANKS = 64
"""Of more ranks than this only mean, smallest and greatest value are kept."""

_MOST_RANKS = 1_000_000
"""A world size beyond it is none; so many ranks a name can tell (`rank_of`)."""
_FROM_ONE = 3
"""Ranks without rank 0 that are taken as ranks, if none of them is missing."""
_RANK = re.compile(
    r"(?:^|[._-])(?:global[_-]?rank|rank|worker|proc|process)[_=.-]?(\d{1,6})(?=[._-]|$)",
    re.IGNORECASE,
)


def rank_of(path: PurePosixPath) -> tuple[int, str] | None:
    """(rank, the path with the rank taken out) if the last part of `path` names a rank.

    `logs/rank_3` and `logs/train.rank3.jsonl` do; `logs/3` does not.
    """
    found = _RANK.search(path.name)
    if found is None:
        return None
    rest = path.name[: found.start()] + path.name[found.end() :]
    return int(found[1]), str(path.with_name(rest) if rest.strip("._-") else path.parent)


def are_ranks(numbers: Collection[int]) -> bool:
    """Whether these are the ranks of one run.

    `lora_rank_8` beside `lora_rank_16` is a search over settings, not two processes: ranks begin
    with 0, or are complete from 1 on (the log of rank 0 is lost, or workers count from 1).
    """
    return 0 in numbers or (
        len(numbers) >= _FROM_ONE and set(numbers) == {*range(1, len(numbers) + 1)}
    )


def spool_ranks(spool: Spool, ranks: Mapping[int, SeriesSet]) -> None:
    """Put the series of all ranks into `spool`.

    At each step that any rank recorded, the curve is the mean of the ranks that did (of a rank
    that recorded a step twice in an attempt, the last; NaN of one rank makes it NaN) and its time
    the latest of theirs. Series sampled by the clock stay one a rank.
    """
    names = dict.fromkeys(name for series in ranks.values() for name in series)
    for name in names:
        own = {rank: s[name] for rank, s in sorted(ranks.items()) if name in s}
        time_axis = any(series.info.axis == "time" for series in own.values())
        if not time_axis:
            for attempt, columns in _merged({r: s.recorded for r, s in own.items()}):
                step, time, mean, least, most = columns
                spool.extend(name, step, time, mean, attempt=attempt)
                if len(own) > 1:
                    for statistic, values in (("min", least), ("max", most)):
                        key = statistic_key(name, statistic)
                        spool.extend(key, step, time, values, attempt=attempt, statistic=statistic)
        if len(ranks) > KEPT_RANKS:
            continue
        for rank, series in own.items():
            rows = series.recorded
            for attempt in np.unique(rows.attempt):
                mine = rows.take(rows.attempt == attempt)
                spool.extend(
                    rank_key(name, rank),
                    mine.step,
                    mine.time,
                    mine.value,
                    attempt=int(attempt),
                    time_axis=time_axis,
                    rank=rank,
                )


_Merged = tuple[
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]


def _merged(ranks: Mapping[int, Columns]) -> Iterator[tuple[int, _Merged]]:
    """(attempt, (step, time, mean, min, max)) of each attempt, ordered by step."""
    attempts = np.unique(np.concatenate([rows.attempt for rows in ranks.values()]))
    for attempt in attempts:
        parts = [_last_of_each_step(r.take(r.attempt == attempt)) for r in ranks.values()]
        step = np.unique(np.concatenate([part.step for part in parts]))
        total, count = np.zeros(len(step)), np.zeros(len(step))
        least, most = np.full(len(step), np.inf), np.full(len(step), -np.inf)
        time = np.full(len(step), np.nan)
        for part in parts:
            at = np.searchsorted(step, part.step)
            with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
                total[at] += part.value
            count[at] += 1
            least[at] = np.minimum(least[at], part.value)
            most[at] = np.maximum(most[at], part.value)
            time[at] = np.fmax(time[at], part.time)
        yield int(attempt), (step, time, total / count, least, most)


def _last_of_each_step(rows: Columns) -> Columns:
    order = np.argsort(rows.step, kind="stable")
    rows = rows.take(order)
    if not len(rows.step):
        return rows
    return rows.take(np.append(rows.step[1:] != rows.step[:-1], True))


def missing_ranks(seen: Mapping[int, object], expected: int | None) -> tuple[int, ...]:
    """Ranks below the world size (or below the greatest seen) of which there is no log."""
    believed = expected if expected is not None and expected <= _MOST_RANKS else 0
    size = max([*(rank + 1 for rank in seen), believed])
    return tuple(rank for rank in range(size) if rank not in seen)


def clock_skew(ranks: Mapping[int, SeriesSet]) -> dict[int, float]:
    """Seconds by which each rank's clock is ahead of the lowest rank's, on the steps they share.

    The median of the differences over the metric that both recorded most often; ranks without a
    shared step or without clocks are left out.
    """
    if not ranks:
        return {}
    first = min(ranks)
    skew = {first: 0.0}
    for rank, series in sorted(ranks.items()):
        if rank == first:
            continue
        shared = [n for n in series if n in ranks[first] and series.info(n).axis == "step"]
        shared.sort(key=lambda n, s=series: -s.info(n).points)  # type: ignore[misc]  # bound now
        if not shared:
            continue
        one, other = ranks[first][shared[0]], series[shared[0]]
        _, left, right = np.intersect1d(one.step, other.step, return_indices=True)
        gaps = other.time[right] - one.time[left]
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps):
            skew[rank] = float(np.median(gaps))
    return skew
