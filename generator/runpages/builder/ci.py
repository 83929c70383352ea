"""Workflows that pull, build and publish in a code host's CI, for a project to keep."""

from __future__ import annotations

from pathlib import Path

from runpages import __version__
from runpages.archive import BRANCH
from runpages.errors import UsageError
from runpages.pages.templating import template_folder

from .project import write_missing

__all__ = ["ARCHIVE_BRANCH", "CI_HOSTS", "add_ci", "check_top"]

ARCHIVE_BRANCH = f"{BRANCH}runpages-archive"
"""The archive of projects that CI publishes: its jobs share no folder."""

_FILES = {
    "github": {
        f".github/workflows/{name}.yml": f"{name}.yml"
        for name in ("runpages", "runpages-preview", "runpages-comment")
    },
    "gitlab": {".gitlab/runpages.yml": "gitlab.yml"},
}
CI_HOSTS = tuple(_FILES)

_INCLUDE = "include:\n  - local: .gitlab/runpages.yml\n"


def check_top(folder: Path) -> None:
    """Raises UsageError below the top of a git repository, where no host looks for workflows."""
    folder = folder.resolve()
    top = next((p for p in (folder, *folder.parents) if (p / ".git").exists()), folder)
    if top != folder:
        raise UsageError(
            f"--ci: hosts look for workflows at the top of the repository ({top}); put"
            " runpages.toml there, or use the action (action.yml) with its `working-directory`"
        )


def add_ci(folder: Path, *, host: str, pages: str, archive: str) -> list[Path]:
    """Write the workflows of `host` (of `CI_HOSTS`) into `folder`; returns what was written.

    `pages` is the folder that `runpages build` writes, `archive` the location of the archive.
    Files that exist are left alone.
    """
    branch = (archive if archive.startswith(BRANCH) else ARCHIVE_BRANCH).removeprefix(BRANCH)
    words = {"version": __version__, "pages": pages, "branch": branch.partition("@")[0]}
    wanted = {path: _filled(name, words) for path, name in _FILES[host].items()}
    if host == "gitlab":
        wanted[".gitlab-ci.yml"] = _INCLUDE
    return write_missing(folder, wanted)


def _filled(name: str, words: dict[str, str]) -> str:
    text = (template_folder() / "ci" / name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
