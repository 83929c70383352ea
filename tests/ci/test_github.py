"""GitHub's workflows, run step by step against a real bare repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive.repositories import bare, clone, git
from ci.runner import ROOT, GitHub, bash, environment, filled, outputs, read
from cli.test_compare import runpages
from review.hosts import TOKEN, serving
from runpages.archive.git import remote_of
from siblings import write_sibling

WORKFLOWS = ".github/workflows"


def commit(folder: Path, message: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git(folder, "add", "-A")
    git(folder, *who, "commit", "-qm", message)
    git(folder, "push", "-q", "origin", "HEAD")


def team_project(base: Path, *, host: str) -> Path:
    """A clone with what `init --ci` writes; its runs lie in `base/logs`."""
    project = clone(bare(base / "remote.git"), base / "project")
    runpages("init", "--logs", base / "logs", "--ci", host, cwd=project)
    settings = project / "runpages.toml"
    told = settings.read_text().replace("[site]\n", '[site]\nurl = "https://team.example/runs/"\n')
    settings.write_text(told)
    commit(project, "Run pages")
    return project


def slugs(site: Path) -> set[str]:
    return {re.sub(r"-[0-9a-f]{10}$", "", p.parent.name) for p in site.glob("runs/*-*/index.html")}


@pytest.fixture(scope="module")
def host():
    with serving("github") as found:
        yield found


@pytest.fixture(scope="module")
def team(tmp_path_factory, host) -> GitHub:
    """After two runs have finished and the workflow has run once."""
    base = tmp_path_factory.mktemp("github")
    for name, final in (("base", 2.0), ("new", 1.9)):
        write_sibling(base / "logs" / name, final=final)
    team_project(base, host="github")
    hosted = GitHub(
        base=base, remote=base / "remote.git", secrets={"WANDB_API_KEY": "k3y-" * 8}, api=host.env()
    )
    results = hosted.run(base / "project" / WORKFLOWS / "runpages.yml")
    assert results == {"pull": "success", "build": "success", "deploy": "success"}, hosted.said
    return hosted


def test_finished_runs_are_published_through_the_branch_of_the_archive(team):
    listed = git(team.remote, "ls-tree", "--name-only", "runpages-archive", "runs/").split()
    assert {re.sub(r"-[0-9a-f]{10}$", "", name) for name in listed} == {"runs/base", "runs/new"}
    assert {"base", "new"} <= slugs(team.published)
    assert "git+branch" in (team.base / "project/runpages.toml").read_text()
    assert not list((team.base / "run-1-build" / "work").glob("archive*"))


def test_jobs_that_end_at_once_are_published_though_the_tracker_is_down(team):
    """Two training jobs pull at the same time, each in its clone. Then the source is gone: the
    workflow's pull fails, and the site has all there is."""
    project = team.base / "project"
    places = {"third": project, "fourth": clone(team.remote, team.base / "another")}
    for name in places:
        write_sibling(team.base / "logs" / name, final=1.8)
    command = [sys.executable, "-m", "runpages", "pull", "--run"]
    env = environment(team.base)
    jobs = [subprocess.Popen([*command, name], cwd=p, env=env) for name, p in places.items()]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0]
    shutil.move(team.base / "logs", team.base / "away")
    try:
        results = team.run(project / WORKFLOWS / "runpages.yml")
    finally:
        shutil.move(team.base / "away", team.base / "logs")
    assert results == {"pull": "failure", "build": "success", "deploy": "success"}, team.said
    assert {"base", "new", "third", "fourth"} <= slugs(team.published)
    assert "2 pages written, 2 unchanged" in team.said  # the pages came with the cache


def review(team: GitHub, description: str) -> dict[str, str]:
    """The workflow of the comment after a preview of a pull request with this description."""
    workflows = team.base / "project" / WORKFLOWS
    step = read(workflows / "runpages-preview.yml")["jobs"]["preview"]["steps"][-2]
    work = team.base / "pull-request"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    words = {"github.event.pull_request.body": description}
    env = environment(team.base) | {k: filled(v, words) for k, v in step["env"].items()}
    assert bash(step["run"], cwd=work, env=env) == (0, "")
    shutil.rmtree(team.base / "artefacts/review", ignore_errors=True)
    shutil.copytree(work / "review", team.base / "artefacts/review")
    return comment(team)


def comment(team: GitHub) -> dict[str, str]:
    event = {"workflow_run": {"pull_requests": [{"number": 12}]}}
    return team.run(team.base / "project" / WORKFLOWS / "runpages-comment.yml", event=event)


def test_a_pull_request_is_previewed_without_a_secret_and_gets_one_comment(team, host):
    project = team.base / "project"
    git(project, "switch", "-qc", "words")
    (project / "docs/index.md").write_text("# Other words\n")
    commit(project, "Other words")
    git(project, "switch", "-q", "main")
    secrets, team.secrets = team.secrets, {}
    body = "Try a smaller rate.\r\n\r\nRun: new\r\nBaseline: base\r\n"
    event = {"pull_request": {"number": 12, "body": body}}
    path = project / WORKFLOWS / "runpages-preview.yml"
    assert team.run(path, event=event, ref="words") == {"preview": "success"}, team.said
    team.secrets = secrets
    assert "Other words" in (team.base / "artefacts/site/index.html").read_text()
    assert {"base", "new"} <= slugs(team.base / "artefacts/site")
    assert "Other words" not in (team.published / "index.html").read_text()
    host.bodies.clear()
    for _ in range(2):
        assert comment(team) == {"comment": "success"}, team.said
    (posted,) = host.bodies
    assert "`val/loss`" in posted["body"]
    assert "https://team.example/runs/runs/new-" in posted["body"]


@pytest.mark.parametrize(
    "description",
    [
        "No run is named here.",
        "Run: $(touch pwned)",
        "Run: `touch pwned`; touch pwned",
        "Run: --post=gitlab",
        "Run: new && touch pwned",
        "Run: " + "a" * 300 + "\nBaseline: base",
    ],
)
def test_a_description_is_data(team, host, description):
    host.bodies.clear()
    results = review(team, description)
    assert host.bodies == []
    assert not list(team.base.rglob("pwned"))
    # of a name too long, the beginning is no run
    assert results == {"comment": "failure" if "aaa" in description else "success"}


def test_an_artefact_cannot_point_at_a_file_of_the_runner(team, host):
    host.bodies.clear()
    (team.base / "artefacts/review").mkdir(parents=True, exist_ok=True)
    secret = team.base / "secret"
    secret.write_text("s3cret-name\n")
    link = team.base / "artefacts/review/Run"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    assert comment(team) == {"comment": "success"}
    assert host.bodies == []
    assert "s3cret-name" not in team.said


def test_no_secret_is_printed_or_published(team):
    for secret in (*team.secrets.values(), TOKEN):
        assert secret not in team.said
        assert not [
            path
            for folder in (team.published, team.base / "caches", team.base / "artefacts")
            for path in folder.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()
        ]


def test_only_the_install_step_was_replaced(team):
    shell = {name for name in team.ran if "Install" not in name}
    assert {"pull/Pull finished runs into the archive", "build/Build the site"} <= shell
    assert {name for name in team.ran if "Install" in name} >= {
        "pull/Install runpages",
        "build/Install runpages",
    }


def test_the_action_pulls_builds_and_comments(tmp_path, host):
    """Its shell steps; setup-python and the install are provided."""
    for name, final in (("base", 2.0), ("new", 1.9)):
        write_sibling(tmp_path / "site/logs" / name, final=final)
    runpages("init", cwd=tmp_path / "site")
    action = read(ROOT / "action.yml")
    given = {"pull": "true", "comment": "new", "baseline": "base", "pull-request": "12"}
    given |= {"working-directory": "site", "token": TOKEN}
    words = {f"inputs.{name}": str(one["default"]) for name, one in action["inputs"].items()}
    words |= {f"inputs.{name}": value for name, value in given.items()}
    files = {n: str(tmp_path / n) for n in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    api = host.env() | {"GITHUB_REF": "refs/heads/main"}
    del api["GITHUB_TOKEN"]
    host.bodies.clear()
    ran = []
    for step in action["runs"]["steps"]:
        if step.get("name", "Install runpages") == "Install runpages":
            continue
        left, sign, right = step["if"].split(" ")
        assert (words[left] == right.strip("'")) == (sign == "==")
        own = {name: filled(value, words) for name, value in step.get("env", {}).items()}
        code, said = bash(
            step["run"],
            cwd=tmp_path / filled(step["working-directory"], words),
            env=environment(tmp_path) | api | files | own,
        )
        assert code == 0, said
        ran.append(step["name"])
    assert ran == ["Pull finished runs into the archive", "Build the site", "Comment"]
    assert {"base", "new"} <= slugs(tmp_path / "site/site")
    assert len(host.bodies) == 1
    assert set(outputs(Path(files["GITHUB_OUTPUT"]))) >= {"page-url", "compare-url", "findings"}


def test_the_install_of_the_action_is_its_own_checkout_or_what_is_named(tmp_path):
    (step,) = [
        s for s in read(ROOT / "action.yml")["runs"]["steps"] if "Install" in s.get("name", "")
    ]
    env = environment(tmp_path) | {"GITHUB_ACTION_PATH": "/checkout"}
    (tmp_path / "bin/python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    for package, wanted in (("", "/checkout"), ("runpages==1.2.3", "runpages==1.2.3")):
        code, said = bash(step["run"], cwd=tmp_path, env=env | {"PACKAGE": package})
        assert (code, said.split()) == (0, ["-m", "pip", "install", wanted])


def test_the_credentials_that_checkout_leaves_reach_the_archive(tmp_path):
    """Since its version 6 they lie in a file outside, included for this clone's .git alone."""
    folder = clone(bare(tmp_path / "remote.git"), tmp_path / "work")
    kept = tmp_path / "credentials.config"
    key, value = "http.https://github.com/.extraheader", "AUTHORIZATION: basic dDprM3k="
    git(folder, "config", "--file", str(kept), key, value)
    git(folder, "config", f"includeIf.gitdir:{folder}/.git.path", str(kept))
    assert (key, value) in remote_of(folder).settings


def test_branch_and_section_are_those_of_the_settings(tmp_path):
    runpages("init", cwd=tmp_path)
    settings = tmp_path / "runpages.toml"
    told = settings.read_text().replace('"archive"', '"git+branch:kept@origin"')
    settings.write_text(told.replace("[site]\n", '[site]\nsection = "experiments"\n'))
    runpages("init", "--ci", "github", cwd=tmp_path)
    build = read(tmp_path / WORKFLOWS / "runpages.yml")["jobs"]["build"]["steps"]
    assert any('"refs/heads/kept"' in step.get("run", "") for step in build)
    (cached,) = [s["with"]["path"] for s in build if "actions/cache@" in s.get("uses", "")]
    assert cached.split() == [".cache/runpages", "docs/experiments"]


def test_json_names_what_was_written_and_existing_files_stay(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / WORKFLOWS).mkdir(parents=True)
    (tmp_path / WORKFLOWS / "runpages.yml").write_text("name: ours\n")
    written = json.loads(runpages("init", "--ci", "github", "--json", cwd=tmp_path).stdout)[
        "written"
    ]
    assert f"{WORKFLOWS}/runpages-comment.yml" in written
    assert f"{WORKFLOWS}/runpages.yml" not in written
    assert (tmp_path / WORKFLOWS / "runpages.yml").read_text() == "name: ours\n"


def test_below_the_top_of_a_repository_nothing_is_written(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "part").mkdir()
    done = runpages("init", "--ci", "github", cwd=tmp_path / "part", code=2)
    assert "at the top of the repository" in done.stderr
    assert list((tmp_path / "part").iterdir()) == []


def test_an_archive_in_a_folder_is_told_of(tmp_path):
    runpages("init", cwd=tmp_path)
    done = runpages("init", "--ci", "github", cwd=tmp_path)
    assert "git+branch:runpages-archive" in done.stderr
