"""The files of a ClearML offline session: a folder, or the zip that the SDK makes of it.

Nothing is unpacked to disk. A zip is untrusted: sizes, counts and names in it are judged before
anything is read, and its members are streamed.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Protocol, cast

__all__ = [
    "LOG",
    "METRICS",
    "READ_ERRORS",
    "TASK",
    "FolderFiles",
    "SessionFiles",
    "ZipFiles",
    "reason_of",
]

TASK, METRICS, LOG = "task.json", "metrics.jsonl", "log.jsonl"

READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a file or a member of a damaged zip may raise."""

_PIECE_BYTES = 16 << 10
_MAX_DIRECTORY_BYTES = 16 << 20
_MAX_ENTRIES = 50_000
_MAX_RATIO = 500
"""Deflate reaches 1032; logs that repeat one line stay below 300."""
_RATIO_FROM_BYTES = 16 << 20
_MAX_LOG_BYTES = 8 << 30
"""Of the three logs together, uncompressed: what would be read."""
_MAX_TOTAL_BYTES = 4 << 40
"""Of all entries: a session's zip holds the weights of its models as well."""


def reason_of(error: BaseException) -> str:
    """A reason without the machine's paths."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)[:120] or "damaged"


class SessionFiles(Protocol):
    """Files of one session by their POSIX path in it."""

    label: str
    """What to call the session in messages."""

    def size(self, name: str) -> int | None:
        """Bytes, None if there is no such file."""

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The file to read from; it and its reads may raise any of READ_ERRORS."""

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """All of a small file. Raises OSError or ValueError."""


def _read(files: SessionFiles, name: str, max_bytes: int) -> bytes:
    size = files.size(name)
    if size is None:
        raise FileNotFoundError(2, "no such file in the session")
    if size > max_bytes:
        raise ValueError(f"{size:,} bytes, more than the {max_bytes:,} that are read")
    try:
        with files.open(name) as stream:
            data = stream.read(max_bytes)
            if stream.read(1):  # a checksum that does not fit shows only here
                raise ValueError(f"more than the {size:,} bytes it should have")
            return data
    except OSError:
        raise
    except READ_ERRORS as error:
        raise ValueError(reason_of(error)) from error


class FolderFiles:
    """A session's folder; a link out of it is no file of the session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.label = folder.name

    def _path(self, name: str) -> Path | None:
        try:
            path = (self.folder / name).resolve()
            inside = path.is_relative_to(self.folder.resolve()) and path.is_file()
        except (OSError, ValueError, RuntimeError):
            return None
        return path if inside else None

    def size(self, name: str) -> int | None:
        path = self._path(name)
        return None if path is None else path.stat().st_size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self._path(name)
        if path is None:
            raise FileNotFoundError(2, "no such file in the session")
        with path.open("rb") as stream:
            yield stream

    def read(self, name: str, *, max_bytes: int) -> bytes:
        return _read(self, name, max_bytes)


class _Bounded(io.FileIO):
    """A file of which no single read is large: the zip's directory is read by one."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its table of contents has {size:,} bytes")
        return super().read(-1 if size is None else size) or b""


class _Checked:
    """A member of a zip of which everything is given before it is told that it is damaged.

    zipfile raises with the last piece of a member whose checksum does not fit, and the piece is
    lost. Here the error comes with the read after it.
    """

    def __init__(self, stream: IO[bytes], expected_crc: int) -> None:
        self._stream = cast("zipfile.ZipExtFile", stream)
        self._stream._expected_crc = None  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        self._expected = expected_crc
        self._crc = 0
        self._error: Exception | None = None

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing > 0 and self._error is None:
            try:
                piece = self._stream.read1(min(missing, _PIECE_BYTES))
            except READ_ERRORS as error:
                self._error = error
                break
            if not piece:
                if self._crc != self._expected:
                    self._error = zipfile.BadZipFile("its checksum does not fit")
                break
            self._crc = zlib.crc32(piece, self._crc)
            pieces.append(piece)
            missing -= len(piece)
        if not pieces and self._error is not None:
            raise self._error
        return b"".join(pieces)


class ZipFiles:
    """A session's zip. Raises ValueError with a reason if it is none or is not safe to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = path.name
        try:
            with _Bounded(path) as raw, zipfile.ZipFile(cast("BinaryIO", raw)) as archive:
                entries = archive.infolist()
        except OSError:
            raise
        except READ_ERRORS as error:
            raise ValueError(f"the zip cannot be opened ({reason_of(error)})") from error
        reason = _refused(entries)
        if reason:
            raise ValueError(reason)
        self._prefix = _prefix(entries)
        # is_dir() of an entry without a name raises IndexError
        files = (entry for entry in entries if not entry.filename.endswith("/"))
        self._entries = {entry.filename: entry for entry in files}
        logs = sum(self.size(name) or 0 for name in (TASK, METRICS, LOG))
        if logs > _MAX_LOG_BYTES:
            raise ValueError(f"its logs would unpack to {logs:,} bytes; refused")

    @property
    def is_session(self) -> bool:
        return self._prefix is not None

    def size(self, name: str) -> int | None:
        entry = self._entries.get(f"{self._prefix or ''}{name}")
        return None if entry is None else entry.file_size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        entry = self._entries.get(f"{self._prefix or ''}{name}")
        if entry is None:
            raise FileNotFoundError(2, "no such file in the session")
        with (
            _Bounded(self.path) as raw,
            zipfile.ZipFile(cast("BinaryIO", raw)) as archive,
            archive.open(entry) as stream,
        ):
            yield cast("BinaryIO", _Checked(stream, entry.CRC))

    def read(self, name: str, *, max_bytes: int) -> bytes:
        return _read(self, name, max_bytes)


def _prefix(entries: list[zipfile.ZipInfo]) -> str | None:
    """The folder of the session inside the zip: none (the SDK), or one (zipped by hand)."""
    names = {entry.filename for entry in entries}
    folders = {str(PurePosixPath(name).parent) for name in names if name.endswith(TASK)}
    prefixes = ["" if folder == "." else f"{folder}/" for folder in sorted(folders)]
    found = [p for p in prefixes if p + TASK in names and {p + METRICS, p + LOG} & names]
    return found[0] if found and found[0].count("/") <= 1 else None


def _refused(entries: list[zipfile.ZipInfo]) -> str:
    """Why nothing of the zip is read; empty if it is as the SDK makes them."""
    if len(entries) > _MAX_ENTRIES:
        return f"the zip has {len(entries):,} entries, more than {_MAX_ENTRIES:,}; refused"
    names: set[str] = set()
    for entry in entries:
        reason = _refused_entry(entry)
        if reason:
            return f"entry {entry.filename[:80]!r} {reason}; the zip is refused"
        if entry.filename in names:
            return f"the zip has two entries {entry.filename[:80]!r}; refused"
        names.add(entry.filename)
    total = sum(entry.file_size for entry in entries)
    if total > _MAX_TOTAL_BYTES:
        return f"the zip would unpack to {total:,} bytes; refused"
    return ""


def _refused_entry(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if name.startswith(("/", "\\")) or name[1:2] == ":" or "\x00" in name:
        return "has an absolute path"
    if ".." in name.replace("\\", "/").split("/"):
        return "leads out of the folder"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "is packed in a way the SDK does not use"
    packed = max(1, entry.compress_size)
    if entry.file_size > _RATIO_FROM_BYTES and entry.file_size > _MAX_RATIO * packed:
        return f"would grow {entry.file_size // packed:,} times when unpacked"
    return ""
