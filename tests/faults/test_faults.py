"""Killed, and with a full disk, at the changes that pull, build and mkdocs make one after the other.

After each: the archive and the site can be read, and the same command again makes what it makes in
one go, byte for byte.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runpages import builder
from runpages.archive import Archive
from runs import write_rundir

FAULTY = Path(__file__).with_name("faulty.py")
COMMANDS = {
    "pull": ("runpages", "pull", "-q"),
    "build": ("runpages", "build", "-q"),
    "site": ("mkdocs", "build", "-q"),
}
PLACES = {"pull": "archive", "build": "docs", "site": "site"}
HALF = ".tmp-"
"""What a killed writer leaves in the archive: no reader looks at it, and a day later it is swept."""
FEW = 4
"""Faults of each kind in the usual run of the tests; all of them in `make acceptance`."""


def run(folder: Path, mode: str, number: int, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FAULTY), str(folder), mode, str(number), *COMMANDS[name]]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and not path.name.startswith(HALF)
    }


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> Callable[[str], Path]:
    """Name of a command -> a project in which it has its next work to do: a new run, a changed one
    and one that was withdrawn."""
    base = tmp_path_factory.mktemp("faults") / "project"
    for name in ("one", "two", "gone"):
        write_rundir(base / "logs" / name, group="g", project="p")
    builder.write_project(base, title="Team", locations=("logs",), settle_minutes=0)
    with (base / "runpages.toml").open("a") as settings:
        settings.write('\n[engine]\nkind = "serial"\n')
    made: dict[str, Path] = {}
    for name in COMMANDS:
        assert run(base, "count", 0, name).returncode == 0
    write_rundir(base / "logs" / "new", spike=80, group="g", project="p")
    shutil.rmtree(base / "logs/two")
    write_rundir(base / "logs/two", steps=160, group="g", project="p")
    archive = Archive(base / "archive")
    (gone,) = (slug for slug in archive.slugs() if archive.get(slug).name == "gone")
    archive.withdraw(gone, "by mistake")
    for name in COMMANDS:
        made[name] = shutil.copytree(base, base.with_name(name), symlinks=True)
        assert run(base, "count", 0, name).returncode == 0
    made["after"] = base
    return made.__getitem__


def copied(project: Path, target: Path) -> Path:
    """With its files' times, by which pull knows what it has read."""
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(project, target, symlinks=True)


def check(name: str, mode: str, number: int, before: Path, folder: Path, wanted: Path) -> None:
    """One fault, what it leaves, and the command again."""
    copied(before, folder)
    done = run(folder, mode, number, name)
    assert done.returncode in ({-signal.SIGKILL} if mode == "kill" else {0, 1, 3}), done.stderr
    assert "Traceback" not in done.stderr or name == "site", done.stderr  # MkDocs' own
    archive = Archive(folder / "archive")
    for slug in archive.slugs():
        assert archive.get(slug).series, f"{slug} cannot be read"
    place = PLACES[name]
    old, new = tree(before / place), tree(wanted / place)
    for path, data in tree(folder / place).items():
        if path.endswith(".generated.json"):  # names what is old and what is new meanwhile
            assert json.loads(data)
            continue
        whole = data in (old.get(path), new.get(path))
        assert whole, f"{path} is neither as it was nor as it will be"
    if name == "site":
        assert tree(folder / place) in (old, new)
    assert run(folder, "count", 0, name).returncode == 0
    assert tree(folder / place) == new


def points(name: str, stages, tmp_path: Path, few: int | None) -> list[int]:
    """Numbers of the changes at which to fail: all, or `few` of them, the first and last among these."""
    counted = run(copied(stages(name), tmp_path / "count"), "count", 0, name)
    assert counted.returncode == 0, counted.stderr
    whole = int(counted.stdout.splitlines()[-1])
    assert whole > FEW
    if few is None:
        return list(range(1, whole + 1))
    return sorted({1 + round(place * (whole - 1) / (few - 1)) for place in range(few)})


@pytest.mark.parametrize("mode", ["kill", "full"])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_what_a_fault_leaves_can_be_read_and_is_finished_by_the_next(name, mode, stages, tmp_path):
    for number in points(name, stages, tmp_path, FEW):
        check(name, mode, number, stages(name), tmp_path / "project", stages("after"))


@pytest.mark.acceptance
@pytest.mark.parametrize("mode", ["kill", "full"])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_at_every_change(name, mode, stages, tmp_path):
    numbers = points(name, stages, tmp_path, None)
    for number in numbers:
        check(name, mode, number, stages(name), tmp_path / "project", stages("after"))
    print(f"{name}, {mode}: {len(numbers)} faults")
