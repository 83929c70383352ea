"""Five published rules for spikes of a loss, written from their definitions.

Each gives a mask (n,) of alarms; rows within 32 of each other are one event, which favours the
rules: as shipped most of them alarm at every row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from runpages.model import Event

from .case import Case
from .noise import Floats

__all__ = ["RULES", "events_of"]

Bools = NDArray[np.bool_]
_MERGE_ROWS = 32


def olmo_core(y: Floats) -> Bools:
    """More than 6 standard deviations over the mean of the last 128 values, once there are 128.

    allenai/OLMo-core src/olmo_core/train/callbacks/stability_monitor.py (Apache-2.0).
    """
    return _over_window(y, window=128, k=6.0)


def olmo_paper(y: Floats) -> Bools:
    """At least 7 standard deviations from the mean of the last 1,000 values; upwards.

    The spike score of the OLMo 2 report, arXiv 2501.00656.
    """
    return _over_window(y, window=1000, k=7.0)


def wandb_zscore(y: Floats) -> Bools:
    """More than 3 standard deviations from the mean of the last 30 values, either way.

    The defaults of MetricZScoreFilter, docs.wandb.ai/models/ref/python/automations.
    """
    return _over_window(y, window=30, k=3.0) | _over_window(-y, window=30, k=3.0)


def hampel(y: Floats) -> Bools:
    """More than 12 x 1.4826 median absolute deviations over the median of 129 values around.

    Hampel's identifier (Davies and Gather, JASA 1993); width and k of the project's reference.
    """
    half = 64
    if len(y) < 2 * half + 1:
        return np.zeros(len(y), dtype=bool)
    windows = np.lib.stride_tricks.sliding_window_view(y, 2 * half + 1)
    out = np.zeros(len(y), dtype=bool)
    for first in range(0, len(windows), 8192):
        part = windows[first : first + 8192]
        middle = np.median(part, axis=1)
        spread = 1.4826 * np.median(np.abs(part - middle[:, None]), axis=1)
        rows = slice(half + first, half + first + len(part))
        out[rows] = y[rows] - middle > 12 * spread
    return out


def llm_foundry(y: Floats) -> Bools:
    """At least twice the mean of the window before, five times in a row; window 5 % of the run.

    mosaicml/llm-foundry llmfoundry/callbacks/kill_loss_spike_callback.py (Apache-2.0).
    """
    window = max(100, len(y) // 20)
    mean, _ = _moments(y, window)
    high = np.zeros(len(y), dtype=bool)
    high[window:] = y[window:] >= 2 * mean
    run = np.zeros(len(y), dtype=bool)
    run[4:] = np.lib.stride_tricks.sliding_window_view(high, 5).all(axis=1)
    return run


RULES: Mapping[str, Callable[[Floats], Bools]] = MappingProxyType(
    {
        "OLMo-core 128/6": olmo_core,
        "OLMo 1000/7": olmo_paper,
        "W&B z 30/3": wandb_zscore,
        "Hampel 129/12": hampel,
        "llm-foundry 2x/5": llm_foundry,
    }
)


def events_of(case: Case, rule: Callable[[Floats], Bools]) -> tuple[Event, ...]:
    """What a rule reports of a case's series, as spikes."""
    at = np.flatnonzero(rule(case.values)) if len(case.values) else np.zeros(0, dtype=int)
    if not len(at):
        return ()
    cuts = np.flatnonzero(np.diff(at) > _MERGE_ROWS) + 1
    return tuple(
        Event(
            id="",
            kind="spike",
            metric=case.metric,
            start_step=int(case.steps[part[0]]),
            end_step=int(case.steps[part[-1]]),
        )
        for part in np.split(at, cuts)
    )


def _moments(y: Floats, window: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the `window` values before each row from `window` on."""
    if len(y) <= window:
        return np.zeros(0), np.zeros(0)
    centred = y - np.median(y)
    total = np.concatenate([[0.0], np.cumsum(centred)])
    square = np.concatenate([[0.0], np.cumsum(centred**2)])
    mean = (total[window:-1] - total[: -window - 1]) / window
    variance = (square[window:-1] - square[: -window - 1]) / window - mean**2
    return mean + np.median(y), np.sqrt(np.maximum(variance, 1e-20))


def _over_window(y: Floats, *, window: int, k: float) -> Bools:
    out = np.zeros(len(y), dtype=bool)
    mean, spread = _moments(y, window)
    out[window:] = y[window:] > mean + k * spread
    return out
