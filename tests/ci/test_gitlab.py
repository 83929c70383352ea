"""GitLab's jobs, their scripts run one after the other against a real bare repository.

The address that pushes go to names GitLab's server: here it is the repository's. The image and
`pip install` are the programs of these tests.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from archive.repositories import git
from ci.runner import INSTALL, bash, environment, read
from ci.test_github import slugs, team_project
from cli.test_compare import runpages
from review.hosts import TOKEN, serving
from runpages import __version__
from siblings import write_sibling

PUSH = "$CI_SERVER_PROTOCOL://runpages:$RUNPAGES_PUSH_TOKEN@$CI_SERVER_FQDN/$CI_PROJECT_PATH.git"


def job_of(project: Path, name: str) -> dict[str, Any]:
    """With what it extends; mappings are merged, as GitLab does."""
    jobs = read(project / ".gitlab/runpages.yml")
    job = jobs[name]
    while "extends" in job:
        base = jobs[job["extends"]]
        merged = {**base, **{k: v for k, v in job.items() if k != "extends"}}
        merged["variables"] = base.get("variables", {}) | job.get("variables", {})
        job = merged
        if "extends" not in base:
            break
    return job


@pytest.fixture(scope="module")
def team(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("gitlab")
    for name, final in (("base", 2.0), ("new", 1.9)):
        write_sibling(base / "logs" / name, final=final)
    team_project(base, host="gitlab")
    return base


def run(base: Path, name: str, **more: str) -> tuple[int, str, Path]:
    job = job_of(base / "project", name)
    work = base / f"job-{name}"
    if not work.exists():
        git(base, "clone", "-q", f"file://{base}/remote.git", str(work))
    variables = dict(job["variables"])
    assert job["before_script"] == [INSTALL]
    assert variables["RUNPAGES"] == f"runpages=={__version__}"
    assert variables.get("GIT_CONFIG_VALUE_0", PUSH) == PUSH
    if name == "runpages-pull":
        git(work, "config", "remote.origin.url", f"file://{base}/remote.git")
        variables["GIT_CONFIG_VALUE_0"] = f"{base}/remote.git"
    env = environment(base) | variables | more
    return *bash("\n".join(job["script"]), cwd=work, env=env), work


def test_two_runs_are_pulled_published_and_commented_on(team):
    code, said, _ = run(team, "runpages-pull")
    assert code == 0, said
    code, said, work = run(team, "pages")
    assert code == 0, said
    assert {"base", "new"} <= slugs(work / "public")
    with serving("gitlab") as host:
        api = {k: v for k, v in host.env().items() if k != "CI_MERGE_REQUEST_IID"}
        more = {"RUN": "new", "BASELINE": "base", "MERGE_REQUEST": "12"}
        code, said, _ = run(team, "runpages-comment", **api, **more)
        assert code == 0, said
        assert len(host.bodies) == 1
        assert TOKEN not in said


def test_the_scripts_of_the_previews_are_those_of_the_site(team):
    project = team / "project"
    for name in ("runpages-preview", "runpages-preview-pages"):
        assert job_of(project, name)["script"] == job_of(project, "pages")["script"]


def test_only_the_pull_knows_how_to_push(team):
    jobs = read(team / "project/.gitlab/runpages.yml")
    holders = [name for name, job in jobs.items() if "RUNPAGES_PUSH_TOKEN" in str(job)]
    assert holders == ["runpages-pull"]
    assert jobs["runpages-pull"]["environment"]["name"] == "runpages-pull"


def test_a_file_that_exists_is_kept_and_the_include_is_told(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitlab-ci.yml").write_text("test:\n  script: make test\n")
    done = runpages("init", "--ci", "gitlab", cwd=tmp_path)
    assert re.search(r"add \.gitlab/runpages\.yml to its `include:`", done.stderr)
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "test:\n  script: make test\n"
    assert (tmp_path / ".gitlab/runpages.yml").is_file()
