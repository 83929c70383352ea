"""A gate: what a run must not have, cost or lose against its baseline.

A figure that is not known fails the rule that asks for it: a gate that cannot see is not green.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runpages import units
from runpages.model import (
    SEVERITIES,
    Comparison,
    Event,
    MetricRow,
    Quantity,
    Report,
    main_metric,
)

__all__ = ["FAIL_ON", "CheckOptions", "Checked", "check"]

FAIL_ON = (*SEVERITIES, "never")
_ROUNDING = 1e-9
"""Part of the values by which a difference of them may be off: 0.31 - 0.30 is more than 0.01."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The limits."""

    states: tuple[str, ...] = ("finished", "ended")
    """States that pass."""
    fail_on: str = "critical"
    """Least severity of a finding that fails; `never`."""
    max_regression: Mapping[str, float] = field(default_factory=dict)
    """Metric as logged or role -> how much worse than the baseline it may end, in its own unit."""
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One rule, applied."""

    rule: str
    """`state`, `fail_on`, `max_regression.<metric>` or `max_cost_usd`."""
    passed: bool
    limit: str | float
    value: str | Quantity
    event: str = ""
    """Id of the finding that fails."""
    message: str


def check(
    report: Report,
    options: CheckOptions,
    *,
    comparison: Comparison | None = None,
    is_baseline: bool = False,
) -> tuple[Checked, ...]:
    """Every rule that is set; of `fail_on` one entry for each finding that fails.

    `comparison` has the run as its only side beside the base. `is_baseline`: the run is the
    baseline itself, which is no worse than itself.
    """
    return (
        _state(report, options),
        *_findings(report, options),
        *(
            _regression(report, name, limit, comparison, is_baseline=is_baseline)
            for name, limit in options.max_regression.items()
        ),
        *_cost(report, options),
    )


def _state(report: Report, options: CheckOptions) -> Checked:
    state = report.run.state
    allowed = ", ".join(options.states) or "none"
    passed = state in options.states
    message = f"the run is {state}" + ("" if passed else f"; these pass: {allowed}")
    return Checked(rule="state", passed=passed, limit=allowed, value=state, message=message)


def _findings(report: Report, options: CheckOptions) -> Iterator[Checked]:
    level = options.fail_on
    if level == "never":
        return
    if not any(judgement.judged for judgement in report.judgements):
        why = "nothing of what was logged could be judged"
        unknown = Quantity.unknown(why)
        yield Checked(rule="fail_on", passed=False, limit=level, value=unknown, message=why)
        return
    grave = SEVERITIES[SEVERITIES.index(level) :]
    found = [event for event in report.events if event.severity in grave]
    yield from (_failing(event, level) for event in found)
    if not found:
        words = f"no finding is {level}" + (" or worse" if level != SEVERITIES[-1] else "")
        yield Checked(rule="fail_on", passed=True, limit=level, value="none", message=words)


def _failing(event: Event, level: str) -> Checked:
    return Checked(
        rule="fail_on",
        passed=False,
        limit=level,
        value=event.severity,
        event=event.id,
        message=event.message,
    )


def _regression(
    report: Report,
    name: str,
    limit: float,
    comparison: Comparison | None,
    *,
    is_baseline: bool,
) -> Checked:
    metric = name if name in report.metrics else main_metric(report.metrics, name) or name
    rows = comparison.metrics if comparison else ()
    row = next((row for row in rows if row.name == metric), None)
    worse = Quantity(value=0.0) if is_baseline else _worse(row, metric, comparison)
    allowed = f"{units.number(limit)} is allowed"
    if worse.value is None:
        passed, message = False, f"{metric}: {worse.why}, and {allowed}"
    else:
        known = row.known if row else ()
        passed = worse.value <= limit + _ROUNDING * max(map(abs, known), default=0.0)
        size = units.difference(abs(worse.value), known)
        words = "better" if worse.value < 0 else "worse"
        message = f"{metric} is {size} {words} than the baseline, {allowed}"
    return Checked(
        rule=f"max_regression.{name}", passed=passed, limit=limit, value=worse, message=message
    )


def _worse(row: MetricRow | None, metric: str, comparison: Comparison | None) -> Quantity:
    """By how much; negative where it is better."""
    if comparison is None:
        return Quantity.unknown("there is no baseline")
    if row is None:
        return Quantity.unknown("neither side has such a loss or evaluation")
    if row.delta.value is None:
        missing = [f"{side}: {v.value.why}" for side, v in row.values.items() if not v.value.known]
        return Quantity.unknown("; ".join(missing) or row.delta.why)
    if row.direction is None:
        return Quantity.unknown(f"it is not known which way {metric} is better")
    if row.void:
        return Quantity.unknown(f"not measured alike ({row.void})")
    sign = 1 if row.direction == "lower" else -1
    return Quantity(value=sign * row.delta.value, unit=row.delta.unit)


def _cost(report: Report, options: CheckOptions) -> Iterator[Checked]:
    limit = options.max_cost_usd
    if limit is None:
        return
    cost = report.cost.usd
    allowed = f"{limit:,.2f} USD are allowed"
    if cost.value is None:
        passed, message = False, f"cost is not known ({cost.why}), and {allowed}"
    else:
        passed = cost.value <= limit
        message = f"the run cost {cost.value:,.2f} USD, {allowed}"
    yield Checked(rule="max_cost_usd", passed=passed, limit=limit, value=cost, message=message)
