"""What tests share: where the real logs are, where Chromium is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.object_store import keys_for, s3_server

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real logs; tests that need it are skipped where it is absent."""
    folder = (ROOT / os.environ.get("RUNPAGES_SHARED", "../shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip("the folder of real logs (RUNPAGES_SHARED) is not here")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Under CI a missing browser fails."""
    names = (
        os.environ.get("RUNPAGES_CHROMIUM", ""),
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found; `make browser` installs one by apt")
        pytest.skip("no Chromium found; install one or set RUNPAGES_CHROMIUM")
    return found


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
