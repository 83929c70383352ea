"""The table of docs/sources/index.md: which source reads what, and which test proves it.

    python tests/sources/coverage.py

prints the table from coverage.toml, where a cell is the name of a test (`file.py::test`), `-`: the
format does not have it, or the words that say why it is not read.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

FEATURES = (
    "identity", "config", "series", "system", "text", "image", "audio", "table", "checkpoints",
    "datasets", "code", "environment", "resume", "ranks", "nonfinite",
)  # fmt: skip
HERE = Path(__file__).resolve().parent
HEADS = {"nonfinite": "NaN, Inf"}


def load() -> dict[str, dict[str, str]]:
    """Source -> feature -> cell."""
    return tomllib.loads((HERE / "coverage.toml").read_text(encoding="utf-8"))


def mark(cell: str) -> str:
    if "::" in cell:
        return "read"
    return "·" if cell == "-" else "not read"


def table() -> str:
    """Features down, sources across: a phone shows it too."""
    sources = load()
    lines = [
        "| | " + " | ".join(f"`{name}`" for name in sources) + " |",
        "|---|" + "---|" * len(sources),
    ]
    for feature in FEATURES:
        cells = (mark(found[feature]) for found in sources.values())
        lines.append(f"| {HEADS.get(feature, feature)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
