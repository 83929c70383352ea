"""Writing files so that a reader never meets half of one, and the lock of a folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from runpages.errors import LockedError

__all__ = ["locked", "scratch_file", "write_atomically"]


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Temporary file beside `path`, renamed over it; `durable` flushes it to disk before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def scratch_file(folder: Path) -> Iterator[tuple[Path, BufferedRandom]]:
    """A temporary file in `folder` to write and rename; gone afterwards if it was not renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    path = Path(name)
    path.chmod(0o644)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield path, stream
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of `folder`; unless it is to wait, raises LockedError at once if another
    process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LockedError(folder) from error
        yield
