"""The files that all pages share: our style and script, and the Plotly bundle."""

from __future__ import annotations

import re
from importlib.resources import files as package_files
from pathlib import Path

from runpages.pages.templating import template_folder

__all__ = ["SCRIPT", "STYLE", "plotly_bundle", "shared_assets"]

FOLDER = "assets/rp"
STYLE = f"{FOLDER}/rp.css"
SCRIPT = f"{FOLDER}/rp.js"
_COMMENTS = re.compile(rb"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/[ \t]*|//[^\n]*)\n", re.MULTILINE)
"""Comments on lines of their own: a fifth of what a reader would load."""
BUNDLE = f"{FOLDER}/plotly.min.js"


def shared_assets() -> dict[str, bytes]:
    """Path below the section -> bytes."""
    folder = template_folder() / "assets"
    assets = {
        f"{FOLDER}/{p.name}": _COMMENTS.sub(b"", p.read_bytes())
        for p in sorted(folder.iterdir())
        if p.is_file()
    }
    assets[BUNDLE] = plotly_bundle().read_bytes()
    return assets


def plotly_bundle() -> Path:
    """The basic bundle if `make vendor` has fetched it (1.2 MB), else the one that the installed
    plotly package carries (4.8 MB)."""
    vendored = template_folder() / "vendor" / "plotly-basic.min.js"
    if vendored.is_file():
        return vendored
    return Path(str(package_files("plotly"))) / "package_data" / "plotly.min.js"
