"""`runpages doctor`: what a folder of logs holds and what is not read of it; what is installed."""

from __future__ import annotations

import platform
from collections import Counter
from pathlib import Path

import click

from runpages import __version__, builder
from runpages.errors import MissingExtraError
from runpages.sources import SOURCES, Found, load_source, sniff

from .shell import emit, json_option, say

__all__ = ["doctor"]


@click.command()
@click.argument("path", required=False, type=click.Path())
@json_option
def doctor(path: str | None, as_json: bool) -> None:
    """Explain a folder of logs, or this installation.

    With PATH: the runs found there by source, and every file that is not read with the reason.
    Nothing is written. Without: what is installed, and what is missing for which source.
    """
    if path is None:
        _machine(as_json=as_json)
    else:
        _folder(sniff(path), as_json=as_json)


def _folder(found: Found, *, as_json: bool) -> None:
    if as_json:
        runs = [
            {"slug": ref.slug, "source": ref.kind, "id": ref.run_id, "path": ref.location}
            for ref in found.runs
        ]
        skipped = [{"path": path, "reason": reason} for path, reason in found.skipped]
        emit("doctor", {"runs": runs, "skipped": skipped})
        return
    kinds = Counter(ref.kind for ref in found.runs)
    listed = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    say(f"{len(found.runs)} runs" + (f": {listed}" if listed else ""))
    for ref in found.runs:
        say(f"  {ref.kind:<12} {ref.run_id}")
    say(f"{len(found.skipped)} files that are not read")
    for path, reason in found.skipped:
        say(f"  {path}: {reason}")


def _machine(*, as_json: bool) -> None:
    missing = {}
    for name in SOURCES:
        for location in ("", "https://host")[: 2 if SOURCES[name].server else 1]:
            try:
                load_source(name, location)
            except MissingExtraError as error:
                missing[name] = str(error)
    bundle = builder.plotly_bundle()
    facts: dict[str, object] = {
        "runpages": __version__,
        "python": platform.python_version(),
        "plotly_bundle": {"file": bundle.name, "bytes": bundle.stat().st_size},
        "sources": {name: missing.get(name, "ready") for name in SOURCES},
    }
    if as_json:
        emit("doctor", facts)
        return
    say(f"runpages {__version__}, Python {platform.python_version()}, {_where()}")
    say(_words(bundle))
    for name in SOURCES:
        say(f"  {name:<12} {missing.get(name, 'ready')}")


def _where() -> str:
    return f"{platform.system()} {platform.machine()}"


def _words(bundle: Path) -> str:
    size = bundle.stat().st_size / 1e6
    if "basic" in bundle.name:
        return f"charts: the basic Plotly bundle, {size:.1f} MB a site"
    return (
        f"charts: the full Plotly bundle, {size:.1f} MB a site; `make vendor` in a checkout fetches"
        " the basic one, 1.2 MB"
    )
