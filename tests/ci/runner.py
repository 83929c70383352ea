"""What a code host does with our workflows, here: their shell steps run with bash, in order, in a
clone of a real bare repository. What needs the network is provided:

- actions/checkout is a clone, that can push only if the job may write contents,
- actions/setup-python and `pip install` are the programs of these tests,
- caches and artefacts are folders, and deploy-pages copies what upload-pages-artifact took.

An expression, a condition or an action that is not known here is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from archive.repositories import git
from runpages import __version__

ROOT = Path(__file__).resolve().parents[2]
INSTALL = 'python -m pip install "$RUNPAGES"'


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text())
    if True in document:  # YAML 1.1 reads `on` as a truth value
        document["on"] = document.pop(True)
    return document


def programs(folder: Path) -> Path:
    """A folder with `python`, `runpages` and `mkdocs` of these tests."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in (("python", ""), ("runpages", "-m runpages"), ("mkdocs", "-m mkdocs")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        path.chmod(0o755)
    return folder


def environment(base: Path) -> dict[str, str]:
    """Nothing of who runs the tests: no home, no settings of git, no keys."""
    home = base / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{programs(base / 'bin')}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "generator"),
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "CI": "true",
        "NO_PROXY": "*",
    }


@dataclass
class GitHub:
    """A repository on GitHub, as far as a workflow sees it."""

    base: Path
    remote: Path
    secrets: dict[str, str] = field(default_factory=dict)
    api: dict[str, str] = field(default_factory=dict)
    """GITHUB_* of its API."""
    said: str = ""
    """All that steps have printed."""
    ran: list[str] = field(default_factory=list)
    """Shell steps, `job/name`."""
    results: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    @property
    def published(self) -> Path:
        return self.base / "published"

    def run(
        self, path: Path, *, event: dict[str, Any] | None = None, ref: str = "main"
    ) -> dict[str, str]:
        """Run a workflow; returns the result of each job."""
        workflow = read(path)
        self.runs += 1
        self.results = {}
        for name, job in workflow["jobs"].items():
            self.results[name] = self._job(workflow, name, job, event or {}, ref)
        return self.results

    def _job(self, workflow: Any, name: str, job: Any, event: dict[str, Any], ref: str) -> str:
        place = self.base / f"run-{self.runs}-{name}"
        words = self._words(event, place)
        if not self._wanted(job):
            return "skipped"
        place.mkdir(parents=True)
        files = {n: place / n.lower() for n in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        (place / "event.json").write_text(json.dumps(event))
        context = environment(self.base) | self.api | {n: str(p) for n, p in files.items()}
        context |= {"GITHUB_EVENT_PATH": str(place / "event.json"), "GITHUB_REF": "refs/heads/main"}
        may_push = job["permissions"].get("contents") == "write"
        afterwards: list[Any] = []
        for step in job["steps"]:
            given = {k: filled(v, words) for k, v in step.get("with", {}).items()}
            if "uses" in step:
                after = self._provide(step["uses"], given, place, ref=ref, may_push=may_push)
                afterwards += [after] if after else []
                continue
            env = {**workflow["env"], **step.get("env", {})}
            own = {k: filled(v, words) for k, v in env.items()}
            done = self._shell(f"{name}/{step['name']}", step["run"], place, context | own)
            if done:
                return "failure"
            for key, value in outputs(files["GITHUB_OUTPUT"]).items():
                words[f"steps.{step.get('id')}.outputs.{key}"] = value
        for after in afterwards:
            after()
        return "success"

    def _wanted(self, job: Any) -> bool:
        needed = [self.results[n] for n in ([job["needs"]] if "needs" in job else [])]
        condition = " ".join(str(job.get("if", "success()")).split())
        return {
            "success()": all(result == "success" for result in needed),
            "${{ !cancelled() }}": True,
            "${{ !cancelled() && needs.build.result == 'success' }}": needed == ["success"],
            "github.event.workflow_run.event == 'pull_request'"
            " && github.event.workflow_run.conclusion == 'success'"
            " && github.event.workflow_run.pull_requests[0] != null": True,
        }[condition]

    def _words(self, event: dict[str, Any], place: Path) -> dict[str, str]:
        words = {f"secrets.{name}": value for name, value in self.secrets.items()}
        for name in ("MLFLOW_TRACKING_TOKEN", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"):
            words.setdefault(f"secrets.{name}", "")
        words |= {"github.run_id": str(self.runs), "runner.temp": str(place / "temp")}
        words |= {"github.token": self.api.get("GITHUB_TOKEN", "t")}
        words["github.sha"] = git(self.remote, "rev-parse", "main")
        words["github.event.pull_request.body"] = event.get("pull_request", {}).get("body", "")
        words["github.event.workflow_run.id"] = "1"
        return words

    def _shell(self, name: str, script: str, place: Path, env: dict[str, str]) -> int:
        self.ran.append(name)
        if script == INSTALL:
            assert env["RUNPAGES"] == f"runpages=={__version__}"
            return 0
        code, said = bash(script, cwd=place / "work", env=env)
        self.said += said
        return code

    def _provide(
        self, uses: str, given: dict[str, str], place: Path, *, ref: str, may_push: bool
    ) -> Any:
        action = uses.partition("@")[0].removeprefix("actions/")
        work, kept = place / "work", self.base / "artefacts"
        if action == "checkout":
            git(self.base, "clone", "-q", "-b", ref, f"file://{self.remote}", str(work))
            if not may_push:
                git(work, "config", "remote.origin.pushurl", str(self.base / "no-right-to-push"))
        elif action == "cache":
            return self._cache(given, work)
        elif action in {"upload-artifact", "upload-pages-artifact"}:
            name = given.get("name", "github-pages")
            shutil.rmtree(kept / name, ignore_errors=True)
            shutil.copytree(work / given["path"], kept / name, symlinks=True)
        elif action == "download-artifact":
            shutil.copytree(kept / given["name"], given["path"], symlinks=True)
        elif action == "deploy-pages":
            shutil.rmtree(self.published, ignore_errors=True)
            shutil.copytree(kept / "github-pages", self.published)
        else:
            assert action == "setup-python"
        return None

    def _cache(self, given: dict[str, str], work: Path) -> Any:
        """Restore; returns what saves."""
        store = self.base / "caches"
        prefixes = [given["key"], *given["restore-keys"].split()]
        found = [p for x in prefixes for p in sorted(store.glob(f"{x}*"), key=_age, reverse=True)]
        if found:
            shutil.copytree(found[0], work, dirs_exist_ok=True)

        def save() -> None:
            for path in given["path"].split():
                target = store / given["key"] / path
                if (work / path).exists() and not target.exists():
                    shutil.copytree(work / path, target)

        return save


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


def bash(script: str, *, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """As GitHub runs `shell: bash`; what was printed is returned."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def filled(text: Any, words: dict[str, str]) -> str:
    """With the expressions in `text` replaced. Raises KeyError for one that is not known."""
    return re.sub(r"\$\{\{\s*(.+?)\s*\}\}", lambda found: words[found[1]], str(text))


def outputs(path: Path) -> dict[str, str]:
    """Both forms: `name=value`, and a value up to a line of its own."""
    found, lines = {}, iter(path.read_text().splitlines() if path.exists() else [])
    for line in lines:
        if match := re.fullmatch(r"([\w-]+)<<(\S+)", line):
            found[match[1]] = "\n".join(iter(lambda: next(lines), match[2]))
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found
