"""`runpages check` as CI meets it: exit codes, JSON and annotations of a real process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.test_compare import runpages
from siblings import write_sibling


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    for name, final in (("base", 2.0), ("better", 1.9), ("worse", 2.2)):
        write_sibling(folder / "logs" / name, final=final, name=name)
    write_sibling(folder / "logs" / "dead", state="crashed", name="dead")
    runpages("init", cwd=folder)
    runpages("pull", cwd=folder)
    return folder


def settings(project: Path, text: str) -> Path:
    path = project / f"{abs(hash(text))}.toml"
    path.write_text(text)
    return path


REGRESSION = "[check]\nmax_regression = {val_loss = 0.05}\n"


def test_a_run_within_all_limits_passes(project):
    found = settings(project, REGRESSION)
    done = runpages("check", "better", "--baseline", "base", "-f", found, cwd=project)
    assert [line[:4] for line in done.stdout.splitlines()] == ["pass"] * 3


def test_a_failure_is_exit_code_4_and_stands_in_the_json(project):
    found = settings(project, REGRESSION)
    asked = ("check", "worse", "--baseline", "base", "-f", found)
    assert "FAIL  max_regression.val_loss" in runpages(*asked, cwd=project, code=4).stdout
    document = json.loads(runpages(*asked, "--json", cwd=project, code=4).stdout)
    assert document["schema"] == "runpages.check/1"
    assert document["passed"] is False
    (failure,) = document["failures"]
    assert set(failure) == {"rule", "limit", "value", "event", "message"}
    assert (failure["rule"], failure["limit"]) == ("max_regression.val_loss", 0.05)
    assert failure["event"] is None
    compared = json.loads(runpages("compare", "base", "worse", "--json", cwd=project).stdout)
    (row,) = [m for m in compared["metrics"] if m["name"] == "val/loss"]
    assert failure["value"] == row["delta"] == pytest.approx(0.2)


def test_what_is_not_known_fails_with_its_reason(project):
    found = settings(project, "[check]\nmax_cost_usd = 5\n")
    done = runpages("check", "better", "-f", found, "--json", cwd=project, code=4)
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["value"]["value"] is None
    assert failure["value"]["why"]


def test_a_run_that_crashed_fails_without_any_setting(project):
    assert (
        "FAIL  state: the run is crashed" in runpages("check", "dead", cwd=project, code=4).stdout
    )


def test_a_regression_needs_a_baseline(project):
    found = settings(project, REGRESSION)
    done = runpages("check", "better", "-f", found, cwd=project, code=2)
    assert "needs --baseline" in done.stderr


def test_the_level_of_the_command_goes_before_the_setting(project):
    found = settings(project, '[check]\nfail_on = "info"\n')
    asked = ("check", "better", "-f", found, "--json")
    document = json.loads(runpages(*asked, "--fail-on", "never", cwd=project).stdout)
    assert [rule["rule"] for rule in document["rules"]] == ["state"]


def test_failures_are_annotations_and_outputs(project, tmp_path):
    found = settings(project, REGRESSION)
    done = runpages("check", "worse", "--baseline", "base", "-f", found, "--actions", cwd=project,
                    code=4, env={"GITHUB_OUTPUT": str(tmp_path / "output"),
                         "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")})  # fmt: skip
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=max_regression.val_loss::val/loss is 0.2000 worse")
    assert "\nfalse\n" in (tmp_path / "output").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('fail_on = "sometimes"', "there are: info, warning, critical, never"),
        ('states = ["finished", "done"]', "'done' is not known; there are: finished"),
        ('max_regression = {val_loss = "a"}', "a table of numbers"),
        ("max_regression = {val_loss = -1}", "a table of numbers"),
        ("max_regression = 0.1", "a table of numbers"),
        ("max_cost_usd = -1.5", "0 or more"),
        ("max_costs = 1", "unknown key 'max_costs'"),
    ],
)
def test_a_wrong_limit_names_its_line(project, text, words):
    found = settings(project, f"[check]\n{text}\n")
    done = runpages("check", "better", "-f", found, cwd=project, code=2)
    assert f"{found.name}:2: " in done.stderr
    assert words in done.stderr
