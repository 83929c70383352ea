"""A MkDocs site that holds only the pages about many runs, made by the builder's own functions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from browse_data import entries, seed_sets
from runpages.builder.assets import shared_assets
from runpages.builder.listings import index_pages
from runpages.builder.project import write_project
from runpages.config import SiteSettings

__all__ = ["make_site"]


def make_site(folder: Path, runs: int | Sequence[dict[str, Any]]) -> Path:
    """The built site's folder of so many or of these runs; browse stands at `runs/browse/`."""
    write_project(folder, title="Ten thousand runs", locations=("logs",))
    rows = entries(runs) if isinstance(runs, int) else list(runs)
    files = {**index_pages(rows, seed_sets(rows), site=SiteSettings()), **shared_assets()}
    for path, data in files.items():
        target = folder / "docs/runs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    config = folder / "mkdocs.yml"
    text = config.read_text().replace("  - runpages\n", "")
    config.write_text(text)
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(folder / "site")]
    subprocess.run(command, cwd=folder, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)
    return folder / "site"


if __name__ == "__main__":
    print(make_site(Path(sys.argv[1]), int(sys.argv[2])))
