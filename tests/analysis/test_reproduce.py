from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import analyze
from runpages.model import Code, Dataset, Hardware

STEPS = np.arange(9)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def redo(**facts):
    return analyze(make_run({1: {"loss": (STEPS, falling(STEPS))}}, **facts)).reproduction


def complete(**changes):
    facts = {
        "code": Code(commit=COMMIT, dirty=False, remote="https://git.example/team/lm.git"),
        "command": "torchrun --nproc 8 train.py --lr 3e-4",
        "config": {"lr": 3e-4},
        "seed": 1337,
        "datasets": (Dataset(name="fineweb", version="1.2", split="train"),),
        "environment": {"python": "3.11.9", "torch": "2.6.0"},
        "device": "NVIDIA H100 80GB HBM3",
        "devices": 8,
    }
    return redo(**{**facts, **changes})


def test_a_run_that_recorded_everything():
    found = complete()
    assert found.recorded == len(found.items) == 8
    assert found.commands.splitlines() == [
        "git clone -- https://git.example/team/lm.git run",
        "cd run",
        f"git checkout {COMMIT}",
        "# environment: python 3.11.9, torch 2.6.0",
        "# data: fineweb 1.2 train",
        "# seed: 1337",
        "# hardware: 8 × NVIDIA H100 80GB HBM3",
        "torchrun --nproc 8 train.py --lr 3e-4",
    ]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"code": Code(dirty=False)}, "commit"),
        ({"code": Code(commit=COMMIT, dirty=True)}, "clean tree"),
        ({"code": Code(commit=COMMIT)}, "clean tree"),
        ({"command": ""}, "command"),
        ({"config": {}}, "configuration"),
        ({"seed": None}, "seed"),
        ({"datasets": ()}, "data"),
        ({"datasets": (Dataset(name="fineweb"),)}, "data"),
        ({"environment": {}}, "environment"),
        ({"environment": {"python": "3.12.1", "wandb": "0.21.0"}}, "environment"),
        ({"device": ""}, "hardware"),
    ],
)
def test_each_part_is_missed(changes, name):
    found = complete(**changes)
    assert name in {item.name for item in found.items if item.why}
    assert found.recorded < 8


def test_a_name_without_version_is_shown_and_still_called_incomplete():
    (data,) = [i for i in complete(datasets=(Dataset(name="fineweb"),)).items if i.name == "data"]
    assert data.value == "fineweb"
    assert data.why == "neither version nor digest of all of it was recorded"


def test_the_seed_of_the_configuration_counts_if_there_is_one_only():
    def seed(config):
        return next(i for i in complete(seed=None, config=config).items if i.name == "seed").value

    assert seed({"train": {"seed": 7}}) == "7, by the configuration"
    assert seed({"train": {"seed": 7}, "data": {"seed": 8}}) == ""
    assert seed({"seed": True}) == ""


def test_nothing_recorded_gives_no_commands():
    assert redo().commands == ""


def test_what_is_missing_stands_in_the_commands_as_a_comment():
    lines = redo(command="python train.py").commands.splitlines()
    assert lines[:2] == ["# address of the repository: not logged", "# commit: not logged"]
    assert lines[-1] == "python train.py"
    assert all(line.startswith("# ") for line in lines[:-1])


@pytest.mark.parametrize(
    "bad",
    [
        "; touch owned",
        "$(touch owned)",
        "x\ntouch owned",
        "x\rtouch owned",
        "--upload-pack=touch owned",
    ],
)
def test_no_field_but_the_command_can_add_one(bad, tmp_path):
    found = redo(
        code=Code(commit=f"abcdef0{bad}", remote=f"https://h/{bad}", dirty=None, entry_point=bad),
        environment={"python": bad},
        datasets=(Dataset(name=bad, version=bad),),
        device=bad,
        command="true",
    )
    for line in found.commands.splitlines():
        assert line == "true" or line.startswith("# ")
    subprocess.run(["sh", "-c", found.commands], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_address_is_one_word_to_the_shell():
    remote = "https://h/a;touch${IFS}owned"
    line = redo(code=Code(commit=COMMIT, remote=remote), command="x").commands.splitlines()[0]
    assert shlex.split(line) == ["git", "clone", "--", remote, "run"]


def test_a_key_or_name_in_the_address_is_left_out():
    code = Code(commit=COMMIT, remote="https://[redacted]@git.example/lm.git")
    assert redo(code=code).commands.splitlines()[0] == "git clone -- https://git.example/lm.git run"


def test_the_name_of_a_host_alone_is_shown_and_is_no_hardware():
    run = make_run({1: {"loss": (STEPS, falling(STEPS))}})
    found = analyze(replace(run, hardware=Hardware(hosts=("f3bf117ab786",)))).reproduction
    (item,) = [item for item in found.items if item.name == "hardware"]
    assert (item.value, item.why) == (
        "on f3bf117ab786",
        "what machine that is was not recorded",
    )
