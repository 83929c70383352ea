"""`runpages comment` as a user meets it: a real process over a real archive."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.test_compare import NEW, OLD, runpages
from review.hosts import TOKEN, serving
from runpages import units
from siblings import write_sibling


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("comment")
    for group, finals, lr in (("old", OLD, 0.1), ("new", NEW, 0.2)):
        for seed, final in enumerate(finals):
            write_sibling(
                folder / "logs" / f"{group}-{seed}",
                final=final, seed=seed, group=group, config={"lr": lr, "seed": seed},
            )  # fmt: skip
    runpages("init", cwd=folder)
    runpages("pull", cwd=folder)
    return folder


def _rows(text: str) -> dict[str, list[str]]:
    """Metric -> cells."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if match := re.match(r"`(.+)` [↓↑]?", cells[0]):
            found[match[1]] = cells[1:]
    return found


@pytest.mark.parametrize("base", ["old-0", "old"])
def test_the_numbers_are_those_of_compare(project, base):
    rows = _rows(runpages("comment", "new-1", "--baseline", base, cwd=project).stdout)
    document = json.loads(runpages("compare", base, "new-1", "--json", cwd=project).stdout)
    for metric in document["metrics"]:
        own, other, difference = rows[metric["name"]]
        values = metric["values"]
        assert own == units.number(values[metric["run"]]["value"])
        known = values[document["base"]]
        if known["n"] > 1:
            sd = units.number(known["sd"], 2)
            assert other.endswith(f"± {sd} (n = 3)")
            assert float(other.split()[0]) == pytest.approx(known["value"], abs=known["sd"] / 10)
        else:
            assert other == units.number(known["value"])
        if metric["delta"] == 0:
            assert difference.startswith("equal")
            continue
        sign = "▲" if metric["delta"] > 0 else "▼"
        assert difference.startswith(sign)
        assert float(difference.split()[1]) == pytest.approx(abs(metric["delta"]), rel=1e-3)
    assert document["verdicts"][document["metrics"][0]["run"]].split(":")[0] in (
        runpages("comment", "new-1", "--baseline", base, cwd=project).stdout
    )


def test_the_numbers_are_those_of_the_run_page(project):
    runpages("build", cwd=project)
    rows = _rows(runpages("comment", "new-1", cwd=project).stdout)
    document = json.loads(runpages("show", "new-1", "--json", cwd=project).stdout)
    page = next((project / "docs/runs").glob("new-1-*.md")).read_text()
    for metric in document["metrics"]:
        if metric["name"] in rows:
            assert rows[metric["name"]] == [units.number(metric["final"])]
            assert units.number(metric["final"]).replace(".", "&#46;") in page
    assert {"val/loss", "train/loss"} <= rows.keys()


def test_a_run_in_its_own_baseline_is_refused(project):
    done = runpages("comment", "new-1", "--baseline", "new", cwd=project, code=2)
    assert "part of its own baseline" in done.stderr


def test_json_holds_the_text(project):
    found = json.loads(runpages("comment", "new-1", "--json", cwd=project).stdout)
    assert found["schema"] == "runpages.comment/1"
    assert found["text"] == runpages("comment", "new-1", cwd=project).stdout
    assert found["run"].startswith("new-1-")


@pytest.mark.parametrize(("pattern", "linked"), [("new-*", True), ("old-*", False)])
def test_a_run_without_a_page_has_no_links(project, tmp_path, pattern, linked):
    settings = tmp_path / "some.toml"
    location = json.dumps(str(project / "archive"))
    settings.write_text(
        f'[site]\nurl = "https://runs.example/"\n[archive]\nlocation = {location}\n'
        f'[publish]\ninclude = ["{pattern}"]\n'
    )
    told = runpages("comment", "new-1", "-f", settings, cwd=project).stdout
    assert ("](<https://runs.example/runs/new-1-" in told) is linked


def test_the_pinned_baseline_is_the_default(project, tmp_path):
    slug = json.loads(runpages("show", "old-0", "--json", cwd=project).stdout)["slug"]
    settings = tmp_path / "pinned.toml"
    location = json.dumps(str(project / "archive"))
    settings.write_text(f'[archive]\nlocation = {location}\n[baseline]\ndefault = "{slug}"\n')
    told = runpages("comment", "new-1", "-f", settings, cwd=project).stdout
    assert "base `old-0`" in told
    assert "base" not in runpages("comment", "old-0", "-f", settings, cwd=project).stdout


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_it_is_posted_once_and_then_kept_up_to_date(project, kind):
    with serving(kind) as host:
        host.add("alice", "please look")
        asked = ("comment", "new-1", "--post", kind, "--json")
        first = runpages(*asked, cwd=project, env=host.env())
        second = runpages(*asked, "--baseline", "old", cwd=project, env=host.env())
    document = json.loads(second.stdout)
    assert json.loads(first.stdout)["posted"]["action"] == "created"
    assert document["posted"]["action"] == "updated"
    assert len(host.bodies) == 2
    assert host.bodies[1]["body"] == f"<!-- runpages:review -->\n{document['text']}"
    assert TOKEN not in first.stdout + first.stderr + second.stdout + second.stderr


def test_a_host_that_refuses_is_exit_code_6_and_one_sentence(project):
    with serving("github") as host:
        host.faults = [("GET", 403)]
        done = runpages("comment", "new-1", "--post", "github", cwd=project, code=6, env=host.env())
    assert "pull-requests: write" in done.stderr
    assert TOKEN not in done.stderr


def test_a_missing_token_is_told_before_anything_is_read(project):
    env = {"GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": ""}
    done = runpages("comment", "no-such-run", "--post", "github", "--pr", "1", cwd=project, code=2,
                    env=env)  # fmt: skip
    assert "GITHUB_TOKEN" in done.stderr


def test_a_step_has_summary_outputs_and_annotations(project, tmp_path):
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
           "GITHUB_OUTPUT": str(tmp_path / "output")}  # fmt: skip
    done = runpages("comment", "new-1", "--actions", cwd=project, env=env)
    assert (tmp_path / "summary").read_text() == done.stdout + "\n"
    output = (tmp_path / "output").read_text()
    assert re.search(r"^run<<(\S+)\nnew-1-[0-9a-f]{10}\n\1$", output, re.MULTILINE)
    assert not [line for line in done.stdout.splitlines() if line.startswith("::")]


def test_outside_of_a_step_actions_is_an_error(project):
    env = {"GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""}
    done = runpages("comment", "new-1", "--actions", cwd=project, code=2, env=env)
    assert "no step" in done.stderr
