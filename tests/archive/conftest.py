"""Every kind of archive, to be held to one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive.repositories import bare, clone, open_branch
from runpages.archive import Archive


@pytest.fixture(params=["folder", "branch"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    """An empty archive."""
    if request.param == "folder":
        return Archive(tmp_path / "archive")
    bare(tmp_path / "remote.git")
    return open_branch(clone(tmp_path / "remote.git", tmp_path / "clone"))
