"""The archive on a branch of a git repository: a commit for each change, pushed before it counts.

The commit is the commit record: a reader sees a run wholly or not. A push says which tip it was
built on and is refused if that is no longer the tip (compare and swap); the same change is then
made on the new tip. No history is read: the fetch is shallow, and only files that the mirror in
`.cache/runpages` lacks are transferred.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from runpages.errors import ArchiveError, UsageError
from runpages.model import Note, Run

from .files import write_atomically
from .folder import Archive
from .git import Repository, address_of
from .notes import NOTES, write_note

__all__ = ["BRANCH", "BranchArchive"]

BRANCH = "git+branch:"
_TIP = "refs/runpages/tip"
_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = (0.1, 3.0)
"""Longest first pause, longest pause: full jitter, doubled each time."""
_MOVED = ("stale info", "fetch first", "non-fast-forward", "lock ref", "update ref", "exists")
"""Why a push is refused when another one came first; anything else would be refused again."""
_FAILURES_MAX = 4

_Files = dict[str, str]
"""Path on the branch -> its blob."""


class BranchArchive(Archive):
    """Keeps runs on a branch: `git+branch:NAME` of the repository around `project`, or of
    `git+branch:NAME@ADDRESS`. `mirror` is this machine's copy; `refresh` brings it up to date.

    Every other method of `Archive` reads the mirror. Raises ArchiveError if git cannot reach the
    branch, UsageError if `location` names none.
    """

    def __init__(self, location: str, *, project: Path, mirror: Path, max_run_mb: float) -> None:
        super().__init__(mirror)
        name, _, address = location.removeprefix(BRANCH).partition("@")
        if not re.fullmatch(r"[A-Za-z0-9_][\w./-]*", name) or ".." in name or name[-1] in "./":
            raise UsageError(f"[archive] location: {name!r} is no name of a branch")
        settings: tuple[tuple[str, str], ...] = ()
        if not address:
            address, settings = address_of(project)
        self.branch = name
        self.max_run_mb = max_run_mb
        self._git = Repository(
            folder=mirror.with_name(f"{mirror.name}.git"), address=address, settings=settings
        )

    def refresh(self) -> None:
        """Make the mirror what the branch is now."""
        with self._git.held() as lock:
            self._mirror(self._fetch(lock), lock)

    def put(self, run: Run) -> bool:
        """As `Archive.put`; a run of more than `max_run_mb` is refused with ArchiveError."""
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            staged = Archive(name)
            staged.put(run)
            folder = Path(name) / "runs" / run.slug
            self._check_size(folder)

            def change(before: _Files, lock: int) -> _Files:
                notes = _below(before, f"runs/{run.slug}/{NOTES}/")
                rest = _without(before, f"runs/{run.slug}/")
                return rest | notes | self._written(Path(name), folder, lock)

            return self._commit(f"Run {run.slug}", change)

    def add_note(self, slug: str, note: Note) -> Path:
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            folder = Path(name) / "runs" / slug / NOTES
            path = write_note(folder, note)

            def change(before: _Files, lock: int) -> _Files:
                return before | self._written(Path(name), folder, lock)

            self._commit(f"{note.kind.capitalize()} on {slug}", change)
        return self._folder(slug) / NOTES / path.name

    def withdraw(self, slug: str, reason: str) -> None:
        """As `Archive.withdraw`; the branch's earlier commits still hold the run's data."""
        self._record(slug)
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            folder = Path(name) / "runs" / slug
            shutil.copytree(self._folder(slug), folder)
            Archive(name).withdraw(slug, reason)

            def change(before: _Files, lock: int) -> _Files:
                return _without(before, f"runs/{slug}/") | self._written(Path(name), folder, lock)

            self._commit(f"Withdraw {slug}", change)

    def discard(self, slug: str) -> None:
        self._commit(f"Discard {slug}", lambda before, _: _without(before, f"runs/{slug}/"))

    def _check_size(self, folder: Path) -> None:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        if size > self.max_run_mb:
            raise ArchiveError(
                f"{BRANCH}{self.branch}",
                f"{folder.name} is {size:.1f} MB, more than [archive] max_run_mb ="
                f" {self.max_run_mb:g} lets onto a git branch",
                "raise it, or keep the archive in a folder or an object store",
            )

    def _written(self, root: Path, folder: Path, lock: int) -> _Files:
        """The files of `folder` as blobs, by their path below `root`."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        told = "".join(f"{path}\n" for path in paths).encode()
        done = self._git.run(
            "hash-object", "-w", "--no-filters", "--stdin-paths", lock=lock, stdin=told
        )
        blobs = done.stdout.decode().split()
        names = [path.relative_to(root).as_posix() for path in paths]
        return dict(zip(names, blobs, strict=True))

    def _commit(self, message: str, change: Callable[[_Files, int], _Files]) -> bool:
        """Push `change` of the branch's files; False if it changes nothing."""
        end = time.monotonic() + _PATIENCE_SECONDS
        pause, longest = _PAUSE_SECONDS
        failures = 0
        while True:
            with self._git.held() as lock:
                tip = self._fetch(lock)
                before = self._files(tip, lock)
                after = change(before, lock)
                refused = ""
                if after != before:
                    refused = self._push(self._made(message, tip, after, lock), tip, lock)
                if not refused:
                    self._mirror(self._tip(lock), lock)
                    return after != before
            moved = any(word in refused for word in _MOVED)
            failures += not moved
            if time.monotonic() > end or failures > _FAILURES_MAX or "hook" in refused:
                raise ArchiveError(
                    f"{BRANCH}{self.branch}", f"the push was refused: {refused}", "pull again"
                )
            time.sleep(random.uniform(0, pause))  # noqa: S311 - not for secrets
            pause = min(2 * pause, longest)

    def _made(self, message: str, tip: str, files: Mapping[str, str], lock: int) -> str:
        """A commit on `tip` that holds `files`, through an index of its own."""
        with tempfile.TemporaryDirectory(prefix="runpages-") as name:
            index = {"GIT_INDEX_FILE": f"{name}/index"}
            listed = "".join(f"100644 {blob}\t{path}\0" for path, blob in files.items()).encode()
            self._git.run(
                "update-index", "-z", "--index-info", lock=lock, stdin=listed, environment=index
            )
            # the blobs of other runs are promised by the remote, and stay there
            tree = self._git.run("write-tree", "--missing-ok", lock=lock, environment=index)
        who = {
            f"GIT_{role}_{part}": "runpages"
            for role in ("AUTHOR", "COMMITTER")
            for part in ("NAME", "EMAIL")
        }
        parent = ("-p", tip) if tip else ()
        done = self._git.run(
            "commit-tree", tree.stdout.decode().strip(), *parent, "-m", message,
            lock=lock, environment=who,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def _push(self, commit: str, tip: str, lock: int) -> str:
        """Empty, or why it was refused. The lease is the compare of compare-and-swap."""
        ref = f"refs/heads/{self.branch}"
        done = self._git.run(
            "push", "--porcelain", "--no-verify", f"--force-with-lease={ref}:{tip}", "origin",
            f"{commit}:{ref}", lock=lock, check=False,
        )  # fmt: skip
        if not done.returncode:
            self._git.run("update-ref", _TIP, commit, lock=lock)
            return ""
        lines = done.stdout.decode(errors="replace").splitlines()
        told = [line.rpartition("\t")[2] for line in lines if line.startswith("!")]
        return told[0] if told else self._git.trouble("push", done).problem

    def _fetch(self, lock: int) -> str:
        """The branch's tip with its trees, fetched if it is not here; empty without a branch."""
        ref = f"refs/heads/{self.branch}"
        listed = self._git.run("ls-remote", "origin", ref, lock=lock).stdout.decode().split()
        if not listed:
            self._git.run("update-ref", "-d", _TIP, lock=lock)
            return ""
        if listed[0] != self._tip(lock):
            self._git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1",
                "--filter=blob:none", "origin", f"+{ref}:{_TIP}", lock=lock,
            )  # fmt: skip
        return self._tip(lock)

    def _tip(self, lock: int) -> str:
        found = self._git.run("rev-parse", "--quiet", "--verify", _TIP, lock=lock, check=False)
        return found.stdout.decode().strip()

    def _files(self, tip: str, lock: int) -> _Files:
        if not tip:
            return {}
        listed = self._git.run("ls-tree", "-r", "-z", tip, lock=lock).stdout.decode()
        rows = (entry.partition("\t")[::2] for entry in listed.split("\0") if entry)
        return {path: about.split()[2] for about, path in rows}

    def _mirror(self, tip: str, lock: int) -> None:
        """Write what the mirror lacks, a run's record after its files; delete what is gone."""
        files = _below(self._files(tip, lock), "runs/")
        wanted = {path: blob for path, blob in files.items() if self._lacks(path, blob)}
        ordered = sorted(wanted, key=lambda path: (path.endswith("/run.json"), path))
        self._transfer([wanted[path] for path in ordered], lock)
        for path in ordered:
            content = self._git.run("cat-file", "blob", wanted[path], lock=lock).stdout
            write_atomically(self.location / path, content, durable=False)
        for left in self.location.glob("runs/**/*"):
            if left.is_file() and left.relative_to(self.location).as_posix() not in files:
                left.unlink()

    def _lacks(self, path: str, blob: str) -> bool:
        try:
            content = (self.location / path).read_bytes()
        except FileNotFoundError:
            return True
        kind = hashlib.sha1 if len(blob) == 40 else hashlib.sha256
        return kind(b"blob %d\0" % len(content) + content).hexdigest() != blob

    def _transfer(self, blobs: list[str], lock: int) -> None:
        """All at once: git by itself would ask the remote for one blob after the other."""
        if blobs:
            told = "".join(f"{blob}\n" for blob in dict.fromkeys(blobs)).encode()
            self._git.run(
                "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags",
                "--no-write-fetch-head", "--filter=blob:none", "origin", "--stdin",
                lock=lock, stdin=told, check=False,
            )  # fmt: skip


def _below(files: _Files, prefix: str) -> _Files:
    return {path: blob for path, blob in files.items() if path.startswith(prefix)}


def _without(files: _Files, prefix: str) -> _Files:
    return {path: blob for path, blob in files.items() if not path.startswith(prefix)}
