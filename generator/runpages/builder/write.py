"""Writing the generated files: only what changed, and never over somebody else's file.

`<section>/.generated.json` lists every generated file with the digest of its bytes. Only a listed
file whose bytes are still those is replaced or deleted. Before anything is written the new list is
noted as `pending`, so that a build that was killed half-way can be repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runpages.archive import write_atomically
from runpages.errors import ForeignFileError

__all__ = ["GENERATED", "Generated", "Written", "read_generated", "write_section"]

GENERATED = ".generated.json"
SCHEMA = "runpages.generated/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The list of generated files: path below the section -> sha256."""

    files: Mapping[str, str]
    pending: Mapping[str, str]
    archive: str = ""
    """State of the archive that the files were made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    written: tuple[str, ...]
    deleted: tuple[str, ...]


def read_generated(section: Path) -> Generated:
    """The list in `section`; empty if there is none. Raises ForeignFileError if it is damaged."""
    path = section / GENERATED
    try:
        data = json.loads(path.read_bytes())
        return Generated(
            files=data["files"], pending=data.get("pending", {}), archive=data.get("archive", "")
        )
    except FileNotFoundError:
        return Generated(files={}, pending={})
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignFileError(
            path, f"this list of generated files is damaged ({error})"
        ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _ours(path: Path, *listed: str | None, wanted: str = "") -> None:
    """Raises ForeignFileError unless the file's bytes are listed, or those to be written."""
    if _digest(path.read_bytes()) not in {*listed, wanted}:
        raise ForeignFileError(
            path,
            "was changed by hand since runpages wrote it"
            if any(listed)
            else "stands where a generated file belongs",
        )


def write_section(
    section: Path, files: Mapping[str, bytes], unchanged: Mapping[str, str], *, archive: str
) -> Written:
    """Make the section hold exactly `files` (path -> bytes) and `unchanged` (path -> digest).

    Raises ForeignFileError before anything is written if a foreign file is in the way.
    """
    before = read_generated(section)
    digests = {path: _digest(data) for path, data in files.items()}
    after = dict(sorted({**unchanged, **digests}.items()))
    to_write = []
    for path, digest in digests.items():
        target = section / path
        if target.exists():
            if before.files.get(path) == digest and _digest(target.read_bytes()) == digest:
                continue
            _ours(target, before.files.get(path), before.pending.get(path), wanted=digest)
        to_write.append(path)
    gone = [path for path in {**before.files, **before.pending} if path not in after]
    to_delete = [path for path in gone if (section / path).exists()]
    for path in to_delete:
        _ours(section / path, before.files.get(path), before.pending.get(path))
    if to_write or to_delete:
        section.mkdir(parents=True, exist_ok=True)
        _save(section, before.files, pending=digests, archive=before.archive)
    for path in to_write:
        write_atomically(section / path, files[path], durable=False)
    for path in to_delete:
        _delete(section, path)
    if before.pending or before.files != after or before.archive != archive:
        section.mkdir(parents=True, exist_ok=True)
        _save(section, after, pending={}, archive=archive)
    return Written(written=tuple(sorted(to_write)), deleted=tuple(sorted(to_delete)))


def _save(
    section: Path, files: Mapping[str, str], *, pending: Mapping[str, str], archive: str
) -> None:
    data: dict[str, object] = {"schema": SCHEMA, "archive": archive, "files": files}
    if pending:
        data["pending"] = pending
    write_atomically(section / GENERATED, (json.dumps(data, indent=0) + "\n").encode())


def _delete(section: Path, path: str) -> None:
    target = section / path
    target.unlink()
    for folder in target.relative_to(section).parents:
        if folder == Path():
            break
        try:
            (section / folder).rmdir()
        except OSError:
            break  # not empty
