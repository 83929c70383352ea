"""git's plumbing in a private bare repository: never the user's index, working tree or HEAD.

The repository's own settings that say how to reach a server (`http.*`, `credential.*`, `url.*`,
`core.sshCommand`: what CI checkouts leave there) are handed on through the environment, as are
addresses, so that no credential stands on a command line or in a file of ours.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runpages.errors import ArchiveError, UsageError

__all__ = ["Repository", "address_of"]

_HANDED_ON = r"^(http|credential|url|core\.sshcommand|protocol|ssh)(\.|$)"
_OWN = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
_SECONDS_MAX = 600.0
"""A single git command that takes longer hangs: a server that neither answers nor closes."""


def _environment() -> dict[str, str]:
    """Ours without what a hook or an editor may have set for another repository."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def address_of(project: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Where the repository around `project` pushes to, and its settings for getting there.

    Without a remote it is that repository itself. Raises UsageError if there is none.
    """

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(project), *arguments],  # noqa: S607 - git of the PATH
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )

    found = ask("rev-parse", "--absolute-git-dir")
    if found.returncode:
        raise UsageError(
            f"{project}: `git+branch:NAME` means a branch of the git repository that runpages.toml"
            " lies in, and there is none; `git init`, or write `git+branch:NAME@ADDRESS`"
        )
    remotes = ask("remote").stdout.split()
    remote = "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else ""
    if remotes and not remote:
        raise UsageError(
            f"{project}: none of the remotes {', '.join(remotes)} is named origin; write"
            " `git+branch:NAME@ADDRESS`"
        )
    address = ask("remote", "get-url", remote).stdout.strip() if remote else found.stdout.strip()
    listed = ask("config", "--local", "--includes", "-z", "--get-regexp", _HANDED_ON).stdout
    pairs = tuple(entry.partition("\n")[::2] for entry in listed.split("\0") if entry)
    return address, tuple((name, value) for name, value in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A bare repository that holds the tip of one branch of the repository at `address`."""

    folder: Path
    address: str = field(repr=False)
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @contextmanager
    def held(self) -> Iterator[int]:
        """Wait for, then hold, the repository's lock.

        Every git process inherits it: one that outlives its killed parent still holds it, so that
        lock files of git met here are left over and can go.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "runpages.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            for left in self.folder.rglob("*.lock"):
                if left.name != "runpages.lock":
                    left.unlink(missing_ok=True)
            if not (self.folder / "HEAD").is_file() or not (self.folder / "config").is_file():
                self.run("init", "--quiet", "--bare", lock=stream.fileno())
            yield stream.fileno()

    def run(
        self,
        *arguments: str,
        lock: int,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Git with `arguments`. Raises ArchiveError unless it ends well or `check` is False."""
        pairs = (
            *self.settings,
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("remote.origin.url", self.address),
        )
        told = {"GIT_CONFIG_COUNT": str(len(pairs)), "GIT_DIR": str(self.folder)}
        for number, (name, value) in enumerate(pairs):
            told |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        try:
            done = subprocess.run(
                ["git", *arguments],  # noqa: S607 - git of the PATH
                input=stdin,
                capture_output=True,
                check=False,
                env=_environment() | told | dict(environment or {}),
                pass_fds=(lock,),
                timeout=_SECONDS_MAX,
            )
        except FileNotFoundError as error:
            raise UsageError("an archive on a branch needs git on the PATH") from error
        except subprocess.TimeoutExpired as error:
            raise ArchiveError(
                "git", f"{arguments[0]} gave no answer in {_SECONDS_MAX:.0f} s", "try again"
            ) from error
        if check and done.returncode:
            raise self.trouble(arguments[0], done)
        return done

    def trouble(self, verb: str, done: subprocess.CompletedProcess[bytes]) -> ArchiveError:
        """What git said last, without the address: it may hold credentials."""
        said = done.stderr.decode(errors="replace").replace(self.address, "the remote")
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
        last = lines[0] if lines else (said.strip().splitlines() or ["no reason given"])[-1]
        return ArchiveError(f"git {verb}", last, "see that git itself can reach the branch")
