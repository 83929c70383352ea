"""The one sentence on a comparison: never more than the runs allow."""

from __future__ import annotations

from runpages import units
from runpages.model import MetricRow

__all__ = ["verdict_sentence"]


def verdict_sentence(row: MetricRow | None, *, base: str, other: str, tests: int) -> str:
    """`row` is the metric that the sides are judged by; None where they share none.

    `tests` is how many tests the comparison holds: the p value is adjusted for them.
    """
    if row is None:
        return f"No verdict on {other}: no metric of quality is known for both it and {base}."
    change = _change(row, base)
    if row.void:
        return f"No verdict on {other}: {change}, but the two are not measured alike ({row.void})."
    if row.sampling95 is not None:
        low, high = (units.number(limit, 3) for limit in row.sampling95)
        change += f" (95 % interval by the evaluation's examples alone: {low} to {high})"
    if row.ci95 is None or row.p_holm.value is None:
        return f"No verdict on {other}: {change}; {row.p_holm.why}."
    low, high = (units.number(limit, 3) for limit in row.ci95)
    interval = f"95 % interval of the difference {low} to {high}"
    how = f"{_test(row)}, {_p(row.p_holm.value, tests)}"
    if row.effect.value is not None:
        how += f", g = {units.number(row.effect.value, 3)}"
    if row.verdict in {"better", "worse"}:
        return f"{other} is {row.verdict} than {base}: {change}, {interval} ({how})."
    return f"{other} cannot be told from {base}: {change}, {interval} ({how})."


def _change(row: MetricRow, base: str) -> str:
    delta = row.delta.value or 0.0
    if not delta:
        return f"{row.name} equals that of {base}"
    word = "higher" if delta > 0 else "lower"
    unit = f" {row.delta.unit}" if row.delta.unit else ""
    return f"{row.name} is {units.difference(abs(delta), row.known)}{unit} {word}"


def _test(row: MetricRow) -> str:
    if row.method == "paired":
        return f"paired t test over {next(iter(row.values.values())).n} seeds"
    counts = " and ".join(str(value.n) for value in row.values.values())
    return f"Welch t test of {counts} runs"


def _p(value: float, tests: int) -> str:
    told = "p < 0.0001" if value < 1e-4 else f"p = {units.number(value, 2)}"
    return told if tests < 2 else f"{told} adjusted for {tests} tests"
