"""How far an evaluation can be trusted: its standard error where the examples are counted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from runpages.model import MetricSummary, Run

from .roles import LOSSES

__all__ = ["with_standard_error"]

_PERCENT = 100.0


def with_standard_error(
    summary: MetricSummary, run: Run, examples: Mapping[str, int]
) -> MetricSummary:
    """The error that the run logged beside it (`<name>_stderr`), else by the number of examples.

    sqrt(p (1 - p) / n) for a proportion p, which a metric of `examples` (name -> n) is said to be;
    values above 1 are per cent. lm-evaluation-harness divides by n - 1 instead (lm_eval/api/
    metrics.py, mean_stderr): at n = 1,000 the same to 0.05 %.
    """
    logged = _logged(summary, run)
    if logged is not None:
        return logged
    count = examples.get(summary.name)
    if count is None or not math.isfinite(summary.final) or summary.role in LOSSES:
        return summary
    scale = _PERCENT if summary.high > 1 else 1.0
    share = summary.final / scale
    if not 0 <= share <= 1 or summary.low < 0:
        return summary
    error = scale * math.sqrt(share * (1 - share) / count)
    return replace(summary, standard_error=error, standard_error_from=f"{count:,} examples")


def _logged(summary: MetricSummary, run: Run) -> MetricSummary | None:
    for name in (f"{summary.name}_stderr", re.sub(r"(,[^,]+)$", r"_stderr\1", summary.name)):
        if name == summary.name or name not in run.series:
            continue
        rows = run.series[name]
        if not len(rows) or rows.step[-1] != summary.last_step:
            continue
        value = float(rows.value[-1])
        if np.isfinite(value) and value >= 0:
            return replace(summary, standard_error=value, standard_error_from=f"logged as {name}")
    return None
