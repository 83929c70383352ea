"""What somebody needs to redo the run: differences from the baseline first."""

from __future__ import annotations

from runpages.analysis.summary import flatten
from runpages.model import Report

from .words import Fact, fact

__all__ = ["reproduce_section"]


def reproduce_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print."""
    return {
        "differences": _differences(report),
        "config": _config(report),
        "command": report.run.command,
        "reproduce": _reproduce(report),
        "missing": tuple(report.missing.items()),
    }


def _shown(value: object) -> str:
    return "n/a" if value is None else str(value)[:300]


def _differences(report: Report) -> list[tuple[str, str, str]]:
    return [(key, _shown(own), _shown(other)) for key, own, other in report.differences[:200]]


def _config(report: Report) -> list[tuple[str, str]]:
    return [(key, _shown(value)) for key, value in flatten(dict(report.run.config)).items() if key][
        :1000
    ]


def _reproduce(report: Report) -> list[Fact]:
    run = report.run
    dirty = {True: "with changes that are not in it", False: "clean tree", None: ""}[run.code.dirty]
    data = ", ".join(
        " ".join(p for p in (d.name, d.version, d.digest[:16]) if p) for d in run.datasets
    )
    environment = ", ".join(f"{k} {v}" for k, v in run.environment.items())
    made_of = run.hardware
    many = f"{made_of.devices} × " if made_of.device and made_of.devices else ""
    hardware = ", ".join(
        part
        for part in (
            f"{many}{made_of.device}",
            made_of.cpu,
            f"{made_of.cpu_count} CPU cores" if made_of.cpu_count else "",
            f"on {', '.join(made_of.hosts[:4])}" if made_of.hosts else "",
        )
        if part
    )
    return [
        Fact(
            label="Commit",
            value=run.code.commit,
            note=dirty,
            why="" if run.code.commit else "not logged",
            mono=True,
        ),
        fact("Seed", "" if run.seed is None else str(run.seed)),
        fact("Data", data),
        fact("Environment", environment),
        fact("Hardware", hardware),
    ]
