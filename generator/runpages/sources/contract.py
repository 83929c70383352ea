"""What a source promises.

A source knows one tracker or format. It *discovers* runs cheaply and *reads* one run completely.

- `discover` yields every run once, in a stable order that does not depend on the listing order of
  the file system. What it meets and sets aside goes to `skipped` as (path, one sentence).
- `read` returns the run with every record that the format holds and this source claims to read.
  Damage never raises: records before and after it are kept, it is counted in
  `Provenance.records_damaged`, and `Run.incomplete` says so in one sentence. Only a log of which
  nothing at all can be used raises SourceError.
- Nothing is invented: no missing time, step, state or value is filled in. NaN and infinities are
  values. Nothing is redacted or escaped here.
- Within one attempt steps do not fall: a source that meets falling steps starts a new attempt.
- The same files give the same Run, whatever the path above the root, time zone or hash seed.
- A source writes nothing, unpickles nothing and asks no host but the tracker's own.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from runpages.errors import UsageError
from runpages.model import Run, RunRef

__all__ = [
    "RUN_SECONDS",
    "SETTLE_MINUTES",
    "UNREADABLE",
    "Claim",
    "FileSource",
    "Folder",
    "ServerSource",
    "Source",
    "is_file_host",
    "is_pointer",
    "settled_state",
]

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)

SETTLE_MINUTES = 30.0
RUN_SECONDS = 600.0
UNREADABLE = "cannot be opened"
"""How the reason begins for what is there but cannot be read."""
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER_BYTES = 1024
"""Git LFS writes no longer pointer (its specification)."""


class Folder(NamedTuple):
    """One folder as a walk meets it."""

    path: Path
    files: tuple[str, ...]
    """Names of the files in it, sorted."""


class Claim(NamedTuple):
    """What a source recognises in one folder."""

    logs: tuple[str, ...] = ()
    """File names that hold (part of) a run."""
    companions: tuple[str, ...] = ()
    """File names that belong to those logs: configuration, media, hidden state."""
    whole_tree: bool = False
    """Everything else in this folder and below it belongs to the run as well."""


class Source(ABC):
    """A tracker or a folder of logs. `name` is part of every run's identity."""

    kind: ClassVar[str]

    def __init__(
        self, location: str, *, name: str = "", settle_minutes: float = SETTLE_MINUTES
    ) -> None:
        self.location = location
        self.name = name
        self.settle_minutes = settle_minutes
        self.skipped: list[tuple[str, str]] = []

    @abstractmethod
    def discover(self) -> Iterator[RunRef]:
        """Every run that can be read here, each once."""

    @abstractmethod
    def read(self, ref: RunRef) -> Run:
        """The whole run. Raises SourceError if nothing of it can be used."""


class FileSource(Source):
    """A source of files below a root folder (or one file, whose folder is then the root).

    The default name is the root folder's own name, so that moving the folder keeps every URL.
    """

    general: ClassVar[bool] = False
    """Reads files of any program: `sniff` offers it nothing below a tree that another owns."""

    def __init__(
        self, location: str, *, name: str = "", settle_minutes: float = SETTLE_MINUTES
    ) -> None:
        path = Path(location).resolve()
        root = path.parent if path.is_file() else path
        super().__init__(location, name=name or root.name, settle_minutes=settle_minutes)
        self.path = path
        self.root = root

    @classmethod
    @abstractmethod
    def claim(cls, folder: Folder) -> Claim:
        """What of this folder is ours; looks at names and at most at the first bytes of files."""

    @abstractmethod
    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        """The runs that the claimed log files make, in the order of their ids."""

    def discover(self) -> Iterator[RunRef]:
        from .scan import find_logs

        yield from self.gather(find_logs(self))

    def relative(self, path: Path) -> str:
        """POSIX path below the root, for identities and messages."""
        return path.relative_to(self.root).as_posix()

    def identity(self, path: Path) -> str:
        """Identity of a run of plain files: the path of its first file or folder below the root.

        The root itself has its own name, so that a folder of that name in it has another one.
        """
        if path == self.root:
            return self.root.name
        below = self.relative(path)
        return f"./{below}" if below == self.root.name else below


class ServerSource(Source):
    """A tracker reached over HTTP. The default name is its host.

    `project` limits discovery to one project, in the tracker's own notation; `filter` is a search
    in the tracker's own language. A run that takes longer than `run_seconds` to read is given up:
    it raises SourceError, the others go on. `discover` gives each RunRef a `stamp`, and `latest`
    where the tracker's list tells it. Keys come from the tracker's own environment variables or
    files, and never stand in a RunRef, Run or error. Both methods raise UnreachableError where the
    server does not answer at all; one that has answered before is not unreachable.

    `file_hosts` are names of further hosts, `host` or `host:port`, that files of a run may be
    fetched from. They are asked without key or cookie. Sources whose tracker keeps files elsewhere
    set `reads_file_hosts`.
    """

    reads_file_hosts: ClassVar[bool] = False

    def __init__(
        self,
        location: str,
        *,
        name: str = "",
        settle_minutes: float = SETTLE_MINUTES,
        project: str = "",
        filter: str = "",  # noqa: A002 - the name of the setting
        run_seconds: float = RUN_SECONDS,
        file_hosts: Sequence[str] = (),
    ) -> None:
        parts = urlsplit(location)
        if parts.username or parts.password:
            raise UsageError(f"{self.kind}: leave the key out of `location`; set it by environment")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"{self.kind}: {location!r} is no address like https://host/")
        if file_hosts and not self.reads_file_hosts:
            raise UsageError(
                f"{self.kind}: `file_hosts` has no use here: the tracker hands out its files itself"
            )
        for host in file_hosts:
            if not _HOST.fullmatch(host):
                raise UsageError(
                    f"{self.kind}: `file_hosts` names {host!r}, which is no host name like"
                    " storage.googleapis.com (no scheme, path or pattern)"
                )
        # a query or fragment is the web page's, or a key that must not be kept
        location = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        super().__init__(location, name=name or parts.hostname, settle_minutes=settle_minutes)
        self.file_hosts = frozenset(host.lower() for host in file_hosts)
        self.project = project
        self.filter = filter
        self.run_seconds = run_seconds


def is_file_host(url: str, hosts: Collection[str], *, secure: bool) -> bool:
    """Whether a file may be fetched there: a host of `hosts`, by HTTPS if `secure`.

    Raises ValueError for what is no address.
    """
    parts = urlsplit(url)
    standard = {"https": 443} if secure else {"https": 443, "http": 80}
    if parts.scheme not in standard or parts.username or parts.password:
        return False
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = parts.port or standard[parts.scheme]
    return f"{host}:{port}" in hosts or (port == standard[parts.scheme] and host in hosts)


def settled_state(last_seconds: float | None, settle_minutes: float) -> str:
    """`ended` or `running` for a log without an end marker, by its last *recorded* time."""
    if last_seconds is None or not np.isfinite(last_seconds):
        return "ended"
    return "ended" if time.time() - last_seconds >= 60 * settle_minutes else "running"


def is_pointer(path: Path) -> bool:
    """Whether only Git LFS' pointer to the file lies there."""
    try:
        if not path.is_file() or not len(_POINTER) <= path.stat().st_size < _POINTER_BYTES:
            return False
        with path.open("rb") as stream:
            return stream.read(len(_POINTER)) == _POINTER
    except OSError:
        return False
