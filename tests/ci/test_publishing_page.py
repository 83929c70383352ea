"""What docs/publishing.md shows is well formed, and the last step of a training job does what it says."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from ci.runner import ROOT, environment, read
from cli.test_compare import runpages

PAGE = (ROOT / "docs/publishing.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_what_is_shown_can_be_read():
    for block in blocks("json"):
        assert json.loads(block) == {"event_type": "runpages"}
    for block in blocks("python"):
        compile(block, "publishing.md", "exec")
    for block in blocks("bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    assert len(blocks("bash")) >= 5


def test_the_inputs_shown_are_those_of_the_action():
    (block,) = blocks("yaml")
    (step,) = yaml.safe_load(block)
    assert step["with"].keys() <= read(ROOT / "action.yml")["inputs"].keys()


def test_the_call_is_one_that_the_workflow_listens_to():
    workflow = read(ROOT / "templates/ci/runpages.yml")
    assert workflow["on"]["repository_dispatch"]["types"] == ["runpages"]
    assert PAGE.count('{"event_type": "runpages"}') == 2


@pytest.mark.parametrize("ending", ["0", "7"])
@pytest.mark.parametrize("recipe", ["publish", "call"])
def test_the_last_step_comes_after_success_and_failure(tmp_path, recipe, ending):
    """The training's exit code stays; curl is a program that writes down its arguments."""
    (script,) = [block for block in blocks("bash") if f"trap {recipe} EXIT" in block]
    site = tmp_path / "site"
    runpages("init", site, "--logs", tmp_path / "logs", cwd=tmp_path)
    (tmp_path / "train.py").write_text(
        "import sys\nfrom runpages import log\n"
        "with log.start('logs/one') as run:\n"
        "    for step in range(20):\n"
        "        run.metrics(step, {'train/loss': 2 - step / 20})\n"
        f"sys.exit({ending})\n"
    )
    env = environment(tmp_path) | {"SITE": str(site), "DISPATCH_TOKEN": "t0ken"}
    curl = tmp_path / "bin/curl"
    curl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/called"\nexit 22\n')
    curl.chmod(0o755)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, check=False)
    assert done.returncode == int(ending)
    if recipe == "publish":
        assert [path.name[:-11] for path in (site / "archive/runs").iterdir()] == ["one"]
    else:
        said = (tmp_path / "called").read_text().splitlines()
        assert said[-1] == "https://api.github.com/repos/OWNER/REPOSITORY/dispatches"
        assert said[said.index("-d") + 1] == '{"event_type": "runpages"}'


def test_the_python_recipe_pulls_when_the_training_raises(tmp_path):
    (recipe,) = blocks("python")
    site = tmp_path / "site"
    runpages("init", site, "--logs", tmp_path / "logs", cwd=tmp_path)
    training = (
        f"{recipe}\nfrom runpages import log\n"
        "with log.start('logs/one') as run:\n"
        "    run.metrics(1, {'train/loss': 2.0})\n"
        "    raise RuntimeError('broken')\n"
    )
    env = environment(tmp_path) | {"SITE": str(site)}
    command = ["python", "-c", training]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert [path.name[:-11] for path in (site / "archive/runs").iterdir()] == ["one"], done.stderr
