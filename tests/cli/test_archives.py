"""Pull in one place, build in another: the archive between them is a branch, or in a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archive.repositories import bare, clone, git
from runs import write_rundir


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    told = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    told |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(cwd)}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=told | {"NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def runpages(*arguments: str, cwd: Path) -> str:
    done = run("runpages", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A repository of a site whose archive is a branch of it."""
    remote = bare(tmp_path / "remote.git")
    seed = clone(remote, tmp_path / "seed")
    runpages("init", cwd=seed)
    settings = (seed / "runpages.toml").read_text()
    assert 'location = "archive"' in settings
    (seed / "runpages.toml").write_text(settings.replace('"archive"', '"git+branch:archive"'))
    git(seed, "add", ".")
    git(seed, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "site")
    git(seed, "push", "--quiet", "origin", "main")
    return remote


def test_pulled_here_built_there(tmp_path, remote):
    trainer, builder = clone(remote, tmp_path / "trainer"), clone(remote, tmp_path / "builder")
    write_rundir(trainer / "logs/one", seed=1, spike=80)
    write_rundir(trainer / "logs/two", seed=2)
    assert "2 new or changed" in runpages("pull", cwd=trainer)
    assert "0 new or changed, 2 unchanged" in runpages("pull", cwd=trainer)
    assert "2 pages written" in runpages("build", cwd=builder)
    runpages("verdict", "one", "worked", "Good.", "--author", "Ana", cwd=trainer)
    assert "1 pages written" in runpages("build", cwd=builder)
    assert run("mkdocs", "build", "--quiet", "--strict", cwd=builder).returncode == 0
    rows = {row["name"]: row for row in json.loads(runpages("list", "--json", cwd=builder))["runs"]}
    assert sorted(rows) == ["one", "two"]
    page = (builder / "site/runs" / rows["one"]["slug"] / "index.html").read_text()
    assert "Good" in page
    assert [git(place, "status", "--porcelain") for place in (trainer, builder)] == ["?? logs/", ""]


def test_two_builds_at_once_in_one_folder(tmp_path, remote):
    project = clone(remote, tmp_path / "project")
    for seed in range(3):
        write_rundir(project / f"logs/{seed}", seed=seed)
    runpages("pull", cwd=project)
    command = [sys.executable, "-m", "runpages", "build"]
    both = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 5]), said
    assert "0 pages written" in runpages("build", cwd=project)


def test_a_remote_that_does_not_answer_is_one_sentence(tmp_path, remote):
    project = clone(remote, tmp_path / "project")
    git(project, "remote", "set-url", "origin", "http://ana:hunter2@127.0.0.1:9/none.git")
    done = run("runpages", "build", cwd=project)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "127.0.0.1" in done.stderr or "the remote" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_run_that_is_too_large_does_not_keep_others_out(tmp_path, remote):
    project = clone(remote, tmp_path / "project")
    write_rundir(project / "logs/small", steps=20)
    write_rundir(project / "logs/large", steps=4_000)
    settings = project / "runpages.toml"
    settings.write_text(settings.read_text().replace("[archive]", "[archive]\nmax_run_mb = 0.02"))
    done = run("runpages", "pull", cwd=project)
    assert done.returncode == 3
    assert "keep the archive in a folder or an object store" in done.stderr
    assert "1 new or changed" in done.stdout


def test_pulled_here_built_there_by_way_of_a_bucket(tmp_path, s3_keys):
    for name in ("trainer", "builder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "runpages.toml").write_text(
            f'[archive]\nlocation = "s3://bucket{tmp_path}"\n'
            '[[source]]\nkind = "auto"\nlocation = "logs"\n'
        )
    for seed in range(5):  # more than are read without worker processes
        write_rundir(tmp_path / f"trainer/logs/{seed}", seed=seed)
    assert "5 new or changed" in runpages("pull", cwd=tmp_path / "trainer")
    assert "0 new or changed, 5 unchanged" in runpages("pull", cwd=tmp_path / "trainer")
    (tmp_path / "builder/logs").mkdir()
    assert "5 pages written" in runpages("build", cwd=tmp_path / "builder")
    assert "0 pages written" in runpages("build", cwd=tmp_path / "builder")
