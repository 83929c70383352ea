"""Every workflow file: form, pins, rights, and nothing foreign in a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archive.repositories import git
from ci.runner import ROOT, read
from cli.test_compare import runpages

GITHUB = ["runpages.yml", "runpages-preview.yml", "runpages-comment.yml"]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A project with the workflows of both hosts, and our action."""
    folder = tmp_path_factory.mktemp("written")
    git(folder, "init", "-q")
    for host in ("github", "gitlab"):
        runpages("init", "--ci", host, cwd=folder)
    shutil.copy(ROOT / "action.yml", folder)
    return folder


def lint(name: str, *arguments: object, cwd: Path) -> None:
    """Run a linter without the network. Under CI one that is missing fails."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    program = shutil.which(name, path=places)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed; it is in the group `dev`")
        pytest.skip(f"{name} is not installed")
    env = {**os.environ, "PATH": places}
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", [f".github/workflows/{name}" for name in GITHUB]),
        ("github-actions", ["action.yml"]),
        ("gitlab-ci", [".gitlab-ci.yml", ".gitlab/runpages.yml"]),
    ],
)
def test_schema(written, schema, files):
    lint("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files, cwd=written)


def test_audit(written):
    lint("zizmor", "--offline", "--no-progress", ".", "action.yml", cwd=written)


def test_shell(written, tmp_path):
    for name, script in scripts(written).items():
        path = tmp_path / f"{name}.sh"
        path.write_text(f"#!/bin/bash\nset -eo pipefail\n{script}\n")
    lint("shellcheck", *sorted(tmp_path.iterdir()), cwd=tmp_path)


def scripts(written: Path) -> dict[str, str]:
    found = {}
    for path in [*(written / ".github/workflows").iterdir(), written / "action.yml"]:
        for number, step in enumerate(steps(read(path))):
            if "run" in step:
                found[f"{path.stem}-{number}"] = step["run"]
    for name, job in read(written / ".gitlab/runpages.yml").items():
        for key in ("before_script", "script"):
            if key in job:
                found[f"gitlab-{name.strip('.')}-{key}"] = "\n".join(job[key])
    return found


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    jobs = document.get("jobs", {"action": document.get("runs")})
    return [step for job in jobs.values() for step in job["steps"]]


def test_scripts_hold_no_expression(written):
    """What is foreign comes by the environment."""
    found = scripts(written)
    assert len(found) >= 12
    assert [name for name, script in found.items() if "${{" in script] == []


@pytest.mark.parametrize("name", [*GITHUB, "action.yml"])
def test_every_action_is_pinned_with_its_version(written, name):
    path = written / name if name == "action.yml" else written / ".github/workflows" / name
    lines = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.fullmatch(r" +(- )?uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_an_action_has_one_version(written):
    text = "".join(
        p.read_text() for p in [*written.rglob(".github/**/*.yml"), written / "action.yml"]
    )
    pins = set(re.findall(r"uses: (\S+)@(\w+) # (\S+)", text))
    assert len(pins) == len({action for action, _, _ in pins}) == 7


def test_rights_are_given_job_by_job(written):
    granted = {}
    for name in GITHUB:
        workflow = read(written / ".github/workflows" / name)
        assert workflow["permissions"] == {}
        assert "pull_request_target" not in workflow["on"]
        granted |= {job: one["permissions"] for job, one in workflow["jobs"].items()}
    assert granted == {
        "pull": {"contents": "write"},
        "build": {"contents": "read"},
        "deploy": {"pages": "write", "id-token": "write"},
        "preview": {"contents": "read"},
        "comment": {"actions": "read", "contents": "read", "pull-requests": "write"},
    }


def test_only_the_step_that_pulls_sees_keys_of_the_tracker(written):
    for name in GITHUB:
        for job, one in read(written / ".github/workflows" / name)["jobs"].items():
            holders = [s["name"] for s in one["steps"] if "secrets." in str(s)]
            assert holders == (["Pull finished runs into the archive"] if job == "pull" else [])
            assert "secrets." not in str(one.get("env", ""))


def test_one_publication_at_a_time_and_none_broken_off(written):
    workflow = read(written / ".github/workflows/runpages.yml")
    assert workflow["concurrency"] == {"group": "runpages", "cancel-in-progress": False}
    assert set(workflow["on"]) == {
        "push", "schedule", "workflow_dispatch", "repository_dispatch",
    }  # fmt: skip


def test_what_is_filled_in_is_filled_in(written):
    for path in [*written.rglob(".github/**/*.yml"), *written.rglob(".gitlab/*.yml")]:
        assert re.findall(r"@(version|branch|pages)@", path.read_text()) == []
