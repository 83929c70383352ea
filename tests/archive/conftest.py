"""Every kind of archive, to be held to one contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.object_store import keys_for, s3_server
from archive.repositories import bare, clone, open_branch
from runpages.archive import Archive, ObjectArchive


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of an S3-compatible server with the bucket `bucket`."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    with s3_server() as address:
        yield address


@pytest.fixture
def s3_keys(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address; s3:// means it."""
    for name, value in keys_for(s3).items():
        monkeypatch.setenv(name, value)
    return s3


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
