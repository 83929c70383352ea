"""The source of docs/sources/your-own.md, installed as a distribution of its own and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources" / "your-own.md"
MAX_LINES = 60


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder that holds the built and installed example."""
    text = PAGE.read_text()
    project = tmp_path_factory.mktemp("tickreader")
    for language in ("python", "toml"):
        (block,) = re.findall(rf"```{language}\n# (\S+)\n(.*?)```", text, re.DOTALL)
        (project / block[0]).write_text(block[1])
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", str(target), str(project)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return target


def runpages(installed, *arguments, cwd, code=0):
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "runpages", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_the_example_is_listed(installed, tmp_path):
    rows = json.loads(runpages(installed, "sources", "--json", cwd=tmp_path).stdout)["sources"]
    assert {"name": "tick", "reads": "from tickreader", "missing": ""} in rows


def test_its_runs_are_found_read_and_shown(installed, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = ["seed=7", *(f"{step} {1.7e9 + step} {5 / (1 + step)}" for step in range(50)), "50 x"]
    (logs / "run.tick").write_text("\n".join(lines))
    (logs / "other.txt").write_text("nothing")
    # a line is damaged: exit code 3, and it is said
    done = runpages(installed, "preview", "logs", "-o", "out", "--json", cwd=tmp_path, code=3)
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["source"], run["points"]) == ("tick", 50)
    assert "1 lines are no rows" in done.stderr
    assert (tmp_path / "out" / "site" / "runs" / run["slug"] / "index.html").is_file()


def test_it_is_as_short_as_promised():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= MAX_LINES
