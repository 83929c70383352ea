"""What was read, and what was not."""

from __future__ import annotations

from runpages import markup, units
from runpages.markup import Safe
from runpages.model import Provenance, Report

from .words import Fact, fact

__all__ = ["provenance_section"]


def provenance_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "provenance": _provenance(report),
        "sentences": _sentences(report),
        "metrics": _metrics(report),
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
        fact("Points", f"{units.count(points)} in {units.count(len(whole))} metrics"),
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
    out = []
    for info in report.run.series.whole:
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
                f"{units.number(summary.final)} ± {units.number(summary.final_mad, 2)}",
                _number(summary.smoothed),
                _number(summary.best),
                f"{units.number(summary.low)} to {units.number(summary.high)}",
                _number(summary.mean),
                _number(None if summary.slope is None else 1000 * summary.slope, 3),
            )
        )
    return out


def _number(value: float | None, digits: int = 4) -> str:
    return "n/a" if value is None else units.number(value, digits)


def _console(console: str) -> Safe | None:
    lines = console.rstrip().splitlines()[-80:]
    return markup.pre("\n".join(line[:400] for line in lines)) if lines else None
