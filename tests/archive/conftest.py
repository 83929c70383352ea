"""Every kind of archive, to be held to one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive.repositories import bare, clone, open_branch
from runpages.archive import Archive, ObjectArchive


@pytest.fixture(params=["folder", "branch", "memory", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    """An empty archive."""
    match request.param:
        case "branch":
            bare(tmp_path / "remote.git")
            return open_branch(clone(tmp_path / "remote.git", tmp_path / "clone"))
        case "memory":
            return ObjectArchive(f"memory://{tmp_path}", mirror=tmp_path / "mirror")
        case "s3":
            request.getfixturevalue("s3_keys")
            return ObjectArchive(f"s3://bucket{tmp_path}", mirror=tmp_path / "mirror")
    return Archive(tmp_path / "archive")
