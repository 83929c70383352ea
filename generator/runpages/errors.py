"""Every error that runpages raises on purpose, and the exit code each one ends in.

    RunpagesError                 1  base
    ├── UsageError                2  a wrong argument or verb
    │   └── UnknownNameError      2  lists the names that exist
    ├── ConfigError               2  runpages.toml: names file, line and key
    ├── MissingExtraError         2  an optional SDK is not installed
    ├── SourceError               3  a log that cannot be read; `place` says where
    │   ├── NotThisFormatError    3  the file is of another kind: sniffing goes on
    │   └── UnreachableError      6  a tracker that does not answer
    ├── StrictError               4  findings under --strict
    ├── DemoError                 1  a training process of the demo failed
    ├── LockedError               5  another runpages process works here
    ├── ArchiveError              3  a damaged record in the archive
    ├── ForeignFileError          2  a file that runpages did not write stands in the way
    ├── SiteSizeError             2  the pages would be more than `[site] max_mb` allows
    ├── PostError                 6  a code host refuses or does not answer
    │   └── PassingPostError      6  it may do later
    └── SearchError               1  Pagefind's program is missing or broke off

The sentence is built here from attributes: what was expected, what was found, where, what to do.
Only the entrances print errors; nothing below them catches `RunpagesError` to hide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "ArchiveError",
    "ConfigError",
    "DemoError",
    "ForeignFileError",
    "LockedError",
    "MissingExtraError",
    "NotThisFormatError",
    "PassingPostError",
    "PostError",
    "RunpagesError",
    "SearchError",
    "SiteSizeError",
    "SourceError",
    "StrictError",
    "UnknownNameError",
    "UnreachableError",
    "UsageError",
]


class RunpagesError(Exception):
    """Base of all errors that a user can do something about."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        # an error that a worker process raised must reach its parent: rebuilt from the sentence
        # and the attributes, as the arguments of each class differ
        return _rebuilt, (type(self), self.args, self.__dict__)


class UsageError(RunpagesError):
    """A wrong argument."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in a table; the sentence lists the table."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what = what
        self.name = name
        self.known = tuple(sorted(known))
        listed = ", ".join(self.known) if self.known else "none yet"
        super().__init__(f"no {what} named {name!r}; there are: {listed}")


class ConfigError(RunpagesError):
    """A mistake in runpages.toml."""

    exit_code = 2

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None) -> None:
        self.path = Path(path)
        self.problem = problem
        self.line = line
        where = f"{self.path}:{line}" if line else f"{self.path}"
        super().__init__(f"{where}: {problem}")


class MissingExtraError(RunpagesError):
    """An SDK that an extra would install is absent."""

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs: pip install 'runpages[{extra}]'")


class SourceError(RunpagesError):
    """A log that cannot be read.

    `path` is the file, `place` the record, line or byte, `remedy` what the user can do.
    """

    exit_code = 3

    def __init__(
        self, path: Path | str, problem: str, *, place: str = "", remedy: str = ""
    ) -> None:
        self.path = str(path)
        self.problem = problem
        self.place = place
        self.remedy = remedy
        sentence = f"{self.path}: {problem}"
        if place:
            sentence += f" ({place})"
        if remedy:
            sentence += f"; {remedy}"
        super().__init__(sentence)


class NotThisFormatError(SourceError):
    """The file is not of the kind that this source reads."""


class UnreachableError(SourceError):
    """A tracker's server that does not answer, or not to us. `path` is its address."""

    exit_code = 6


class StrictError(RunpagesError):
    """Something that --strict does not let pass."""

    exit_code = 4


class DemoError(RunpagesError):
    """A training process of the demo ended otherwise than it should."""


class LockedError(RunpagesError):
    """Another process holds the lock."""

    exit_code = 5

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        super().__init__(
            f"{self.path}: another runpages process is writing here; wait for it to end and run "
            "the command again"
        )


class ArchiveError(RunpagesError):
    """A record of the archive that cannot be read."""

    exit_code = 3

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        self.path = str(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.path}: {problem}; {remedy}")


class ForeignFileError(RunpagesError):
    """A file stands where a generated one belongs, and runpages did not write it."""

    exit_code = 2

    def __init__(self, path: Path | str, why: str) -> None:
        self.path = str(path)
        self.why = why
        super().__init__(f"{self.path}: {why}; move or delete it, then build again")


class SiteSizeError(RunpagesError):
    """More bytes than the site may have. `largest` are (slug, bytes), the largest run first."""

    exit_code = 2

    def __init__(
        self, section: Path | str, size: int, max_mb: int, largest: Sequence[tuple[str, int]]
    ) -> None:
        self.section = str(section)
        self.size = size
        self.max_mb = max_mb
        self.largest = tuple(largest)
        runs = ", ".join(f"{slug} ({run / 1e6:.2f} MB)" for slug, run in self.largest)
        super().__init__(
            f"{self.section}: pages and data would be {size / 1e6:.1f} MB, more than 90 % of "
            f"[site] max_mb = {max_mb}, and nothing was written; largest runs: {runs or 'none'}; "
            "lower [site] full_runs, publish fewer runs ([publish] include) or raise max_mb"
        )


class PostError(RunpagesError):
    """A code host that does not take a comment. `place` is the address of its API."""

    exit_code = 6

    def __init__(self, place: str, problem: str, *, remedy: str = "") -> None:
        self.place = place
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{place}: {problem}" + (f"; {remedy}" if remedy else ""))


class PassingPostError(PostError):
    """It may do later; `wait_seconds` is how long it asks to wait."""

    def __init__(self, place: str, problem: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(place, problem)
        self.wait_seconds = wait_seconds


class SearchError(RunpagesError):
    """The index of the site's search could not be made."""


def _rebuilt(
    cls: type[RunpagesError], args: tuple[object, ...], state: dict[str, object]
) -> RunpagesError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
