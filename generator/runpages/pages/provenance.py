"""What was read, and what was not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from runpages import markup, units
from runpages.markup import Safe
from runpages.model import MetricSummary, Provenance, Report

from .words import Fact, fact

__all__ = ["provenance_section"]

_CORE = re.compile(r"(.*cpu)[._/]?\d+([._/].*)?")
"""A metric of one core, as W&B names it: `system/cpu.17.cpu_percent`."""
_METRICS = 60
"""Rows of the table of metrics, those with a role first."""
_CORES_TOLD = 8
"""More than these are one row."""


def provenance_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    metrics = _metrics(report)
    return {
        "provenance": _provenance(report),
        "sentences": _sentences(report),
        "metrics": metrics[:_METRICS],
        "metrics_words": _table_words(report, len(metrics)),
        "metrics_left": units.count(len(metrics) - _METRICS) if len(metrics) > _METRICS else "",
        "files": tuple((n, units.bytes_text(size)) for n, size in report.run.provenance.files),
        "console": _console(report.run.console),
    }


def _provenance(report: Report) -> list[Fact]:
    found = report.run.provenance
    expected = f" of {units.count(found.records_expected)}" if found.records_expected else ""
    damaged = "none"
    if found.records_damaged:
        damaged = f"{units.count(found.records_damaged)} ({units.bytes_text(found.bytes_damaged)})"
    redacted = (
        ", ".join(f"{n} by rule {rule}" for rule, n in found.redactions.items()) or "none found"
    )
    whole = report.run.series.whole
    points = sum(info.points for info in whole)
    return [
        fact("Reader", found.reader),
        fact("Records read", f"{units.count(found.records_read)}{expected}"),
        fact("Damaged records", damaged),
        fact("Points", f"{units.count(points)} in {_metrics_words(len(whole))}"),
        *([fact("Ranks", _ranks(found))] if found.ranks_seen else []),
        fact("Step", found.step_source),
        fact("Secrets redacted", redacted),
    ]


def _ranks(found: Provenance) -> str:
    seen = units.count(len(found.ranks_seen))
    if found.ranks_expected is None:
        logs = f"{seen} logs, one a rank" if len(found.ranks_seen) > 1 else "1 log"
        return f"{logs}; world size not stated"
    return f"{seen} of {units.count(found.ranks_expected)} wrote a log"


def _sentences(report: Report) -> list[str]:
    found = report.run.provenance
    return [*report.run.incomplete, *found.warnings, *found.lossy]


def _metrics(report: Report) -> list[tuple[str, ...]]:
    infos = sorted(report.run.series.whole, key=lambda info: info.role is None)
    family = {
        info.name: "".join(found.groups(""))
        for info in infos
        if (found := _CORE.fullmatch(info.name))
    }
    many = {name for name, n in Counter(family.values()).items() if n > _CORES_TOLD}
    out = []
    for info in infos:
        if family.get(info.name) in many:
            continue
        summary = report.metrics.get(info.name)
        if summary is None:
            out.append((info.name, info.role or "none", units.count(info.points), *["n/a"] * 9))
            continue
        out.append(
            (
                info.name,
                info.role or "none",
                units.count(info.points),
                units.count(summary.superseded),
                units.count(summary.nonfinite),
                units.number(summary.first),
                _final(summary),
                _number(summary.smoothed),
                _number(summary.best),
                f"{units.number(summary.low)} to {units.number(summary.high)}",
                _number(summary.mean),
                _number(None if summary.slope is None else 1000 * summary.slope, 3),
            )
        )
    folded = sorted(many)
    return [*out, *(_cores(report, [n for n in family if family[n] == one]) for one in folded)]


def _cores(report: Report, names: Sequence[str]) -> tuple[str, ...]:
    """One row for the same metric of each core: counts are of all, values over all of them."""
    found = [report.metrics[name] for name in names if name in report.metrics]
    label = f"{names[0]} and {units.count(len(names) - 1)} more of its kind"
    if not found:
        return (label, "none", *["n/a"] * 10)
    finals = [summary.final for summary in found]
    middle = median(finals)
    spread = median(abs(final - middle) for final in finals)
    low, high = min(s.low for s in found), max(s.high for s in found)
    return (
        label,
        found[0].role or "none",
        units.count(sum(s.points for s in found)),
        units.count(sum(s.superseded for s in found)),
        units.count(sum(s.nonfinite for s in found)),
        "n/a",
        f"{units.number(middle)} ± {units.number(spread, 2)}",
        *["n/a"] * 2,
        f"{units.number(low)} to {units.number(high)}",
        *["n/a"] * 2,
    )


def _final(summary: MetricSummary) -> str:
    value = units.number(summary.final)
    if summary.final_points < 2:
        return value
    return f"{value} ± {units.number(summary.final_mad, 2)}"


def _table_words(report: Report, rows: int) -> str:
    """`All 134 metrics, those of each core in one row`."""
    number = len(report.run.series.whole)
    if rows > _METRICS:
        return f"{units.count(_METRICS)} rows of metrics and {units.count(rows - _METRICS)} more"
    words = "The metric" if number == 1 else f"All {units.count(number)} metrics"
    return words if rows == number else f"{words}, those of many processor cores in one row"


def _number(value: float | None, digits: int = 4) -> str:
    return "n/a" if value is None else units.number(value, digits)


def _console(console: str) -> Safe | None:
    lines = console.rstrip().splitlines()[-80:]
    return markup.pre("\n".join(line[:400] for line in lines)) if lines else None


def _metrics_words(number: int) -> str:
    return f"{units.count(number)} {'metric' if number == 1 else 'metrics'}"
