"""git's plumbing in a private bare repository: never the user's index, working tree or HEAD.

The repository's own settings that say how to reach a server (`http.*`, `credential.*`, `url.*`,
`core.sshCommand`: what CI checkouts leave there) are handed on through the environment, as are
addresses, so that no credential stands on a command line or in a file of ours.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from runpages.errors import ArchiveError, UsageError

__all__ = ["Remote", "Repository", "held_repository", "remote_of"]

_HANDED_ON = r"^(http|credential|url|core\.sshcommand|protocol|ssh)(\.|$)"
_OF_OTHERS = frozenset(
    f"GIT_{name}"
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES", "COMMON_DIR", "CONFIG", "DIR", "GRAFT_FILE",
        "IMPLICIT_WORK_TREE", "INDEX_FILE", "NAMESPACE", "NO_REPLACE_OBJECTS", "OBJECT_DIRECTORY",
        "PREFIX", "REPLACE_REF_BASE", "SHALLOW_FILE", "WORK_TREE",
    )
)  # fmt: skip
"""What a hook or an editor sets for its own repository (`git rev-parse --local-env-vars`)."""
_USER = re.compile(r"://[^/@\s]+@")
_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_SECONDS_MAX = 3600.0
"""A git command that takes longer hangs: a server that neither answers nor closes."""
_PACKS_MAX = 64
_LOOSE_MAX = 24
"""In one of 256 folders: some 6,000 objects, where git itself would clean up (`gc.auto`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository that can be fetched from and pushed to, and git's settings for getting there."""

    address: str = field(repr=False)
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def remote_of(project: Path, name: str = "") -> Remote:
    """The remote `name` of the repository around `project`, or the one at the address `name`.

    Without a name it is `origin`, or the only remote; a repository without any is its own. Raises
    UsageError if there is no repository or no such remote.
    """
    if _PASSWORD.search(name):
        raise UsageError(
            "[archive] location: an address with a password would stand in the repository for ever;"
            " leave it to git (a credential helper, an SSH key) and write the address without"
        )
    found = _asked(project, "rev-parse", "--path-format=absolute", "--git-common-dir")
    if found.returncode and name:
        return Remote(address=name)
    if found.returncode:
        said = (found.stderr.strip().splitlines() or ["no reason given"])[0]
        raise UsageError(
            f"{project}: `git+branch:NAME` means a branch of the git repository that runpages.toml"
            f" lies in, and git says: {said}"
        )
    remotes = _asked(project, "remote").stdout.split()
    listed = _asked(project, "config", "--includes", "--local", "-z", "--get-regexp", _HANDED_ON)
    pairs = tuple(entry.partition("\n")[::2] for entry in listed.stdout.split("\0") if entry)
    settings = tuple((key, value) for key, value in pairs)
    if name and name not in remotes:
        return Remote(address=name, settings=settings)
    if not remotes:
        return Remote(address=found.stdout.strip())
    remote = name or ("origin" if "origin" in remotes else remotes[0])
    if remote not in {"origin", name} and len(remotes) > 1:
        raise UsageError(
            f"{project}: none of the remotes {', '.join(remotes)} is named origin; write"
            " `git+branch:NAME@REMOTE`"
        )
    address, push = (
        _from_top(project, _asked(project, "remote", "get-url", *kind, remote).stdout.strip())
        for kind in ((), ("--push",))
    )
    apart = (("remote.origin.pushurl", push),) if push != address else ()
    return Remote(address=address, settings=(*settings, *apart))


def _from_top(project: Path, address: str) -> str:
    """Git reads a relative path from the top of the working tree; we are elsewhere."""
    top = Path(_asked(project, "rev-parse", "--show-toplevel").stdout.strip() or project)
    return str((top / address).resolve()) if (top / address).exists() else address


def _asked(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(project), *arguments],  # noqa: S607 - git of the PATH
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
    except FileNotFoundError as error:
        raise UsageError("an archive on a branch needs git on the PATH") from error


def _environment(pairs: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    """Ours with the settings `pairs`, after those that somebody has set in the same way."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    given = kept.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isdecimal() else 0
    for number, (name, value) in enumerate(pairs, start=first):
        kept |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    kept["GIT_CONFIG_COUNT"] = str(first + len(pairs))
    return kept | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@contextmanager
def held_repository(folder: Path, remote: Remote) -> Iterator[Repository]:
    """Wait for the lock of `folder`, then lend the repository in it.

    It holds nothing that the remote has not. So after anything but a clean end (a killed process,
    whose git may live on and still write) it is left, and a new one begun beside it; likewise
    when so many objects have come together that git would clean up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = folder / "busy"
    with (folder / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        places = sorted(folder.glob("git-*"))
        if busy.exists() or len(places) != 1 or _is_full(places[0]):
            busy.touch()
            for place in places:
                shutil.rmtree(place, ignore_errors=True)
            places = [Path(tempfile.mkdtemp(prefix="git-", dir=folder))]
        busy.touch()
        repository = Repository(folder=places[0], remote=remote)
        if not (places[0] / "HEAD").is_file():
            repository.run("init", "--quiet", "--bare")
        yield repository
        busy.unlink()


def _is_full(place: Path) -> bool:
    packs = sum(1 for _ in place.glob("objects/pack/*.pack"))
    return packs > _PACKS_MAX or sum(1 for _ in place.glob("objects/17/*")) > _LOOSE_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A bare repository whose `origin` is `remote`."""

    folder: Path
    remote: Remote

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Git with `arguments`. Raises ArchiveError unless it ends well or `check` is False."""
        try:
            done = subprocess.run(
                ["git", *arguments],  # noqa: S607 - git of the PATH
                input=stdin,
                capture_output=True,
                check=False,
                env=self._environment() | dict(environment or {}),
                timeout=_SECONDS_MAX,
            )
        except FileNotFoundError as error:
            raise UsageError("an archive on a branch needs git on the PATH") from error
        except subprocess.TimeoutExpired as error:
            raise ArchiveError(
                f"git {arguments[0]}", f"no answer in {_SECONDS_MAX:.0f} s", "try again"
            ) from error
        if check and done.returncode:
            raise self.trouble(arguments[0], done)
        return done

    def text(self, *arguments: str, check: bool = True) -> str:
        """What git prints, without the end of line."""
        return self.run(*arguments, check=check).stdout.decode().strip()

    def blobs(self, names: Iterable[str]) -> Iterator[bytes]:
        """The contents of blobs, one after the other. Raises ArchiveError if one is lost."""
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as told:
            asked.write("".join(f"{name}\n" for name in names).encode())
            asked.seek(0)
            with subprocess.Popen(
                ["git", "cat-file", "--batch"],  # noqa: S607 - git of the PATH
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=told,
                env=self._environment(),
            ) as git:
                stdout = cast("IO[bytes]", git.stdout)
                while header := stdout.readline().split():
                    if len(header) != 3:
                        git.kill()
                        raise ArchiveError(
                            "git cat-file", "the remote has lost a file of a run", "pull it again"
                        )
                    yield stdout.read(int(header[2]))
                    stdout.read(1)
            if git.returncode:
                told.seek(0)
                raise self._trouble("cat-file", told.read())

    def trouble(self, verb: str, done: subprocess.CompletedProcess[bytes]) -> ArchiveError:
        """What git complained of, without addresses' user names and passwords."""
        return self._trouble(verb, done.stderr)

    def _trouble(self, verb: str, stderr: bytes) -> ArchiveError:
        said = stderr.decode(errors="replace").replace(self.remote.address, "the remote")
        said = _USER.sub("://", said)
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
        last = lines[0] if lines else (said.strip().splitlines() or ["no reason given"])[-1]
        return ArchiveError(f"git {verb}", last, "see that git itself can reach the branch")

    def _environment(self) -> dict[str, str]:
        own = (
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("remote.origin.url", self.remote.address),
        )
        return _environment((*self.remote.settings, *own)) | {"GIT_DIR": str(self.folder)}
