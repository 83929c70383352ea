"""What tests share: where the real logs are, where Chromium is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

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
