"""An object store as fsspec shows it: listing, reading, and writing under a condition."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from runpages.errors import ArchiveError, MissingExtraError, UsageError

from .files import write_atomically
from .git import refuse_password

__all__ = ["Store"]

_TAGS = "tags.json"
_BATCH = 64
"""Files in memory at once."""
_CONDITIONAL = frozenset({"s3", "s3a"})
"""Whose PUT takes If-Match; of others only the first PUT of a name is under a condition."""


class Store:
    """What lies below `url`. Paths are relative to it; a *tag* changes with a file's content.

    Raises UsageError or MissingExtraError for a URL that cannot be, ArchiveError if the store
    refuses or gives no answer.
    """

    def __init__(self, url: str) -> None:
        refuse_password(url)
        self.url = url.rstrip("/")
        self.kind = url.partition("://")[0]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            options = {"use_listings_cache": False, "skip_instance_cache": True}
            return tuple(fsspec.core.url_to_fs(self.url, **options))
        except ImportError as error:
            if self.kind in _CONDITIONAL:
                raise MissingExtraError(f"an archive at {self.kind}://", "s3") from error
            raise UsageError(f"[archive] location: {error}") from error
        except ValueError as error:
            raise UsageError(f"[archive] location: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        # connections and their threads stay in the process that made them
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def listed(self, below: str) -> dict[str, str]:
        """Path -> tag of every file."""
        return {path: _tag(info) for path, info in self._infos(below).items()}

    def times(self, below: str) -> dict[str, datetime]:
        """Path -> when it was written, of the files of which the store says it."""
        told = {path: _written(info) for path, info in self._infos(below).items()}
        return {path: time for path, time in told.items() if time is not None}

    def _infos(self, below: str) -> dict[str, dict[str, Any]]:
        system, root = self._opened
        with self._explained():
            found = system.find(f"{root}/{below}", detail=True)
        return {path[len(root) + 1 :]: info for path, info in found.items()}

    def contents(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """The files in this order; one that is gone meanwhile is left out."""
        system, root = self._opened
        for start in range(0, len(paths), _BATCH):
            names = [f"{root}/{path}" for path in paths[start : start + _BATCH]]
            with self._explained():
                found = system.cat(names, on_error="return")
            if isinstance(found, bytes):
                found = {names[0]: found}
            for name in names:
                content = found[name]
                if isinstance(content, FileNotFoundError):
                    continue
                with self._explained():
                    if isinstance(content, BaseException):
                        raise content
                yield name[len(root) + 1 :], content

    def read(self, path: str) -> tuple[bytes | None, str]:
        """The content and its tag; None and no tag of what is not there."""
        system, root = self._opened
        try:
            with self._explained(missing=True):
                # the tag first: if the content is newer, the write under this tag is refused
                tag = _tag(system.info(f"{root}/{path}"))
                return system.cat_file(f"{root}/{path}"), tag
        except FileNotFoundError:
            return None, ""

    def write(self, path: str, content: bytes, *, tag: str) -> bool:
        """Write if the file still has this tag (empty: is not there); False if it has not."""
        system, root = self._opened
        condition: dict[str, str] = {"mode": "create"}
        if tag:
            condition = {"IfMatch": tag} if self.kind in _CONDITIONAL else {}
        try:
            with self._explained():
                system.pipe_file(f"{root}/{path}", content, **condition)
        except _OvertakenError:
            return False
        return True

    def upload(self, files: Mapping[str, Path], *, below: str) -> bool:
        """Write content-addressed files that are not there in their size; False if all are."""
        system, root = self._opened
        there = {path: info.get("size") for path, info in self._infos(below).items()}
        missing = {p: file for p, file in files.items() if there.get(p) != file.stat().st_size}
        for path, file in missing.items():
            with self._explained():
                system.put_file(str(file), f"{root}/{path}")
        return bool(missing)

    def delete(self, paths: Collection[str]) -> None:
        system, root = self._opened
        for path in sorted(paths):
            with self._explained():
                system.rm_file(f"{root}/{path}")

    def tags_of(self, mirror: Path) -> dict[str, str]:
        """What the mirror was made from."""
        try:
            known = json.loads((mirror / _TAGS).read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def keep_tags(self, mirror: Path, tags: Mapping[str, str]) -> None:
        write_atomically(mirror / _TAGS, json.dumps(tags).encode(), durable=False)

    @contextmanager
    def _explained(self, *, missing: bool = False) -> Iterator[None]:
        """Every failure as one sentence; `missing` lets FileNotFoundError through."""
        try:
            yield
        except _failures() as error:
            if missing and isinstance(error, FileNotFoundError):
                raise
            answer = getattr(error.__cause__, "response", None) or {}
            code = str(answer.get("Error", {}).get("Code", ""))
            if isinstance(error, FileExistsError) or code in _OVERTAKEN:
                raise _OvertakenError from error
            said = (str(error).splitlines() or [type(error).__name__])[0]
            remedy = "see that the store can be reached and written from here"
            raise ArchiveError(self.url, said, remedy) from error


_OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}
"""Somebody has written, is writing or has deleted the file."""


class _OvertakenError(Exception):
    """The condition of a write did not hold."""


def _tag(info: Mapping[str, Any]) -> str:
    if tag := info.get("ETag") or info.get("etag"):
        return str(tag)
    return f"{info.get('size')} {_written(info)}"


def _written(info: Mapping[str, Any]) -> datetime | None:
    """Fsspec leaves the name and the form to each store."""
    names = ("LastModified", "last_modified", "updated", "mtime", "created")
    time = next((info[name] for name in names if name in info), None)
    if isinstance(time, int | float):
        return datetime.fromtimestamp(time, UTC)
    if isinstance(time, str):
        try:
            return datetime.fromisoformat(time)
        except ValueError:
            return None
    return time if isinstance(time, datetime) else None


def _failures() -> tuple[type[Exception], ...]:
    """What fsspec raises: OSError, and what botocore has of its own."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError, ClientError)
