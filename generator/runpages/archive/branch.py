"""The archive on a branch of a git repository: a commit for each change, pushed before it counts.

The commit is the commit record: a reader sees a run wholly or not. A push says which tip it was
built on and is refused if that is no longer the tip (compare and swap); the same change is then
made on the new tip. No history is read: the fetch is shallow and without files, and only those
that the mirror in `.cache/runpages` lacks are transferred: records and notes at once, series and
samples when they are asked for.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from runpages.errors import ArchiveError, UsageError
from runpages.model import Note, Run

from .folder import Archive, is_intact, withdrawal
from .git import Remote, Repository, held_repository, remote_of
from .mirror import Files, below, fetch_tip, files_of, mirror, mirror_one, without
from .notes import NOTES, write_note

__all__ = ["BRANCH", "BranchArchive"]

BRANCH = "git+branch:"
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = (0.1, 3.0)
"""Longest first pause, longest pause: full jitter, doubled each time."""
_REFUSALS_MAX = 4
"""In a row without that another push came first: more of the same will not help."""

_Change = Callable[[Files, Repository], Files]


class BranchArchive(Archive):
    """Keeps runs on a branch: `git+branch:NAME` of the repository around `project`, at its remote
    `origin`; `git+branch:NAME@REMOTE` names another remote, or an address.

    `mirror` is this machine's copy; `refresh` brings it up to date, and every other method of
    `Archive` reads it. Raises UsageError if `location` names no branch; every method that writes
    or refreshes raises ArchiveError if git cannot reach it.
    """

    def __init__(self, location: str, *, project: Path, mirror: Path, max_run_mb: float) -> None:
        super().__init__(mirror)
        name, _, self._remote_name = location.removeprefix(BRANCH).partition("@")
        if not re.fullmatch(r"[A-Za-z0-9_][\w./-]*", name) or re.search(r"\.\.|//|[./]$", name):
            raise UsageError(f"[archive] location: {name!r} is no name of a branch")
        self.branch = name
        self.max_run_mb = max_run_mb
        self._project = project
        self._remote: Remote | None = None

    def refresh(self, *, whole: bool = False) -> None:
        """Make the mirror what the branch is now; `whole`: with all series and samples."""
        with self._held() as git:
            mirror(git, fetch_tip(git, self.branch), self.location, whole=whole)

    def put(self, run: Run) -> bool:
        """As `Archive.put`. Raises ArchiveError for a run of more than `max_run_mb`, and for one
        that was withdrawn meanwhile."""
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            staged = Archive(name)
            staged.put(run)
            folder = Path(name) / "runs" / run.slug
            self._check_size(folder)

            def change(before: Files, git: Repository) -> Files:
                own = self._written(Path(name), folder, git)
                _check_not_withdrawn(run.slug, before, own, git)
                notes = below(before, f"runs/{run.slug}/{NOTES}/")
                return without(before, f"runs/{run.slug}/") | notes | own

            return self._commit(f"Run {run.slug}", change, suspect=f"runs/{run.slug}/")

    def add_note(self, slug: str, note: Note) -> Path:
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            folder = Path(name) / "runs" / slug / NOTES
            path = write_note(folder, note)

            def change(before: Files, git: Repository) -> Files:
                own = self._written(Path(name), folder, git)
                if any(before.get(path, blob) != blob for path, blob in own.items()):
                    raise FileExistsError(path.name)
                return before | own

            self._commit(f"{note.kind.capitalize()} on {slug}", change)
        return self._folder(slug) / NOTES / path.name

    def withdraw(self, slug: str, reason: str) -> None:
        """As `Archive.withdraw`; the branch's earlier commits still hold the run's data."""
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            folder = Path(name) / "runs" / slug
            folder.mkdir(parents=True)
            shutil.copy(self._folder(slug) / "run.json", folder)
            Archive(name).withdraw(slug, reason)

            def change(before: Files, git: Repository) -> Files:
                return without(before, f"runs/{slug}/") | self._written(Path(name), folder, git)

            self._commit(f"Withdraw {slug}", change)

    def discard(self, slug: str) -> None:
        self._commit(f"Discard {slug}", lambda before, _: without(before, f"runs/{slug}/"))

    def _held(self) -> AbstractContextManager[Repository]:
        if self._remote is None:
            self._remote = remote_of(self._project, self._remote_name)
        return held_repository(self.location.with_name(f"{self.location.name}.git"), self._remote)

    def _fetched(self, path: Path) -> Path:
        if not is_intact(path):
            with self._held() as git:
                mirror_one(git, self.branch, self.location, path)
        return path

    def _check_size(self, folder: Path) -> None:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        if size > self.max_run_mb:
            raise ArchiveError(
                f"{BRANCH}{self.branch}",
                f"{folder.name} is {size:.1f} MB, more than [archive] max_run_mb ="
                f" {self.max_run_mb:g} lets onto a git branch",
                "raise it, or keep the archive in a folder or an object store",
            )

    def _written(self, root: Path, folder: Path, git: Repository) -> Files:
        """The files of `folder` as blobs, by their path below `root`."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        told = "".join(f"{path}\n" for path in paths).encode()
        done = git.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=told)
        blobs = done.stdout.decode().split()
        names = [path.relative_to(root).as_posix() for path in paths]
        return {name: f"100644 blob {blob}" for name, blob in zip(names, blobs, strict=True)}

    def _commit(self, message: str, change: _Change, *, suspect: str = "") -> bool:
        """Push `change` of the branch's files; False if it changes nothing. Files of the mirror
        below `suspect` are looked through."""
        end = time.monotonic() + _PATIENCE_SECONDS
        pause, longest = _PAUSE_SECONDS
        last: str | None = None
        refusals = 0
        while True:
            with self._held() as git:
                tip = fetch_tip(git, self.branch)
                before = files_of(git, tip)
                after = change(before, git)
                refused = ""
                if after != before:
                    commit = _made(git, message, tip, after)
                    refused = self._push(git, commit, tip)
                    tip = tip if refused else commit
                if not refused:
                    mirror(git, tip, self.location, suspect=suspect)
                    # what a push has brought although its answer was lost is there by now
                    return after != before or last is not None
            refusals = refusals + 1 if tip == last else 0
            last = tip
            if time.monotonic() > end or refusals >= _REFUSALS_MAX:
                problem = f"the push was refused: {refused}"
                raise ArchiveError(f"{BRANCH}{self.branch}", problem, "pull again")
            time.sleep(random.uniform(0, pause))  # noqa: S311 - not for secrets
            pause = min(2 * pause, longest)

    def _push(self, git: Repository, commit: str, tip: str) -> str:
        """Empty, or why it was refused. The lease is the compare of compare-and-swap."""
        ref = f"refs/heads/{self.branch}"
        done = git.run(
            "push", "--porcelain", "--no-verify", f"--force-with-lease={ref}:{tip}", "origin",
            f"{commit}:{ref}", check=False,
        )  # fmt: skip
        if not done.returncode:
            return ""
        lines = done.stdout.decode(errors="replace").splitlines()
        told = [line.rpartition("\t")[2] for line in lines if line.startswith("!")]
        return told[0] if told else git.trouble("push", done).problem


def _made(git: Repository, message: str, tip: str, files: Files) -> str:
    """A commit on `tip` that holds `files`, through an index of its own."""
    with tempfile.TemporaryDirectory(prefix="runpages-") as name:
        index = {"GIT_INDEX_FILE": f"{name}/index"}
        listed = "".join(f"{about}\t{path}\0" for path, about in files.items())
        told = listed.encode(errors="surrogateescape")
        git.run("update-index", "-z", "--index-info", stdin=told, environment=index)
        # the files of other runs are promised by the remote, and stay there
        tree = git.run("write-tree", "--missing-ok", environment=index).stdout.decode().strip()
    roles = ("AUTHOR", "COMMITTER")
    who = {f"GIT_{role}_NAME": "runpages" for role in roles}
    who |= {f"GIT_{role}_EMAIL": "runpages@localhost" for role in roles}
    parent = ("-p", tip) if tip else ()
    done = git.run("commit-tree", tree, *parent, "-m", message, environment=who)
    return done.stdout.decode().strip()


def _check_not_withdrawn(slug: str, before: Files, own: Files, git: Repository) -> None:
    """Another machine may have withdrawn the run since this one looked."""
    record = f"runs/{slug}/run.json"
    if before.get(record, own[record]) == own[record]:
        return
    (content,) = git.blobs([before[record].split()[2]])
    if reason := withdrawal(content):
        raise ArchiveError(slug, f"withdrawn: {reason}", "it is not kept again")
