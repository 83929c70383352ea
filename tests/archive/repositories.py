"""Real git repositories for tests, untouched by the settings of who runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runpages.archive import BranchArchive


def git(folder: Path, *arguments: str) -> str:
    told = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    told |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, env=told
    )
    return done.stdout.strip()


def bare(folder: Path, *, partial: bool = True) -> Path:
    """A bare repository with one commit on main, to be cloned; `partial`: without files too."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    git(folder, "config", "uploadpack.allowFilter", "true" if partial else "false")
    tree = git(folder, "mktree", "--missing")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git(folder, "update-ref", "refs/heads/main", git(folder, *who, "commit-tree", tree, "-m", "a"))
    return folder


def clone(remote: Path, folder: Path) -> Path:
    git(remote, "clone", "--quiet", f"file://{remote}", str(folder))
    return folder


def open_branch(project: Path, *, max_run_mb: float = 20.0, remote: str = "") -> BranchArchive:
    return BranchArchive(
        f"git+branch:archive{remote}",
        project=project,
        mirror=project / ".cache/runpages/archive",
        max_run_mb=max_run_mb,
    )
