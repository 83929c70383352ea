"""Saved states of the model and what they are good for."""

from __future__ import annotations

from runpages import units
from runpages.model import Report

__all__ = ["checkpoints_section"]


def checkpoints_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "checkpoints": _checkpoints(report),
        "primary": report.primary,
    }


def _checkpoints(report: Report) -> list[dict[str, str]]:
    warned = [e.start_step for e in report.events if e.severity != "info"]
    steps = [c.step for c in report.run.checkpoints]
    last_good = {max((s for s in steps if s < at), default=None) for at in warned}
    primary = report.metrics.get(report.primary or "")
    told = {at.step: at.value for at in primary.at} if primary else {}
    out = []
    for checkpoint in report.run.checkpoints[-60:]:
        metrics = ", ".join(f"{k} {units.number(v)}" for k, v in checkpoint.metrics.items())
        size = checkpoint.size_bytes
        out.append(
            {
                "step": units.count(checkpoint.step),
                "attempt": str(checkpoint.attempt),
                "value": units.number(told[checkpoint.step]) if checkpoint.step in told else "n/a",
                "metrics": metrics or "n/a",
                "size": units.bytes_text(size) if size is not None else "n/a",
                "path": checkpoint.path or "n/a",
                "mark": "last before a finding" if checkpoint.step in last_good else "",
            }
        )
    return out
