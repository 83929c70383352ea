"""What users install: the wheel's contents, and an import that stays cheap."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import runpages

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_templates_and_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "templates").rglob("*"):
        if path.is_file():
            assert f"runpages/templates/{path.relative_to(ROOT / 'templates').as_posix()}" in names
    for path in (ROOT / "generator/runpages").rglob("*"):
        if path.suffix in {".py", ".toml"}:
            assert path.relative_to(ROOT / "generator").as_posix() in names
    assert not [n for n in names if n.startswith(("tests", "docs", "generator"))]


def test_the_wheel_finds_its_own_templates(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "from runpages.pages.templating import template_folder as t; print(t())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "runpages" / "templates")


def test_importing_pulls_no_sdk():
    code = "import sys, runpages; print(sorted(m for m in sys.modules if m in {'plotly','mkdocs','wandb','click','numpy','pyarrow'}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_load():
    assert list(runpages.__all__) == sorted(runpages.__all__)
    for name in runpages.__all__:
        assert getattr(runpages, name).__doc__


def test_the_lock_names_no_host():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--index")]
