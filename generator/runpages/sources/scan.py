"""One walk over a folder: which files are logs of which source, and why the others are not read."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from runpages.errors import MissingExtraError, UsageError
from runpages.model import RunRef

from .contract import SETTLE_MINUTES, UNREADABLE, Claim, FileSource, Folder, is_pointer
from .table import SOURCES, load_source

__all__ = ["NOBODY_READS", "TELEMETRY", "Found", "find_logs", "sniff"]

NOBODY_READS = "no source reads"
"""How the reason begins for a file that is no log of any source."""

ONLY_A_POINTER = "only Git LFS' pointer to the file is here: fetch it with `git lfs pull`"
"""Why the log that a file's place or name promises cannot be read."""

TELEMETRY = "telemetry"
"""The kind of source whose logs belong to the runs beside them."""

_ELSEWHERE = "is a link to a folder elsewhere: name that folder as a source of its own"
_PASSED_OVER = frozenset({".git", ".venv", "__pycache__", "node_modules", ".cache"})


_FAMILIAR = {
    "prose": frozenset({".md", ".rst", ".html", ".pdf", ".tex"}),
    "source code": frozenset(
        {".py", ".ipynb", ".sh", ".c", ".cu", ".cpp", ".h", ".diff", ".patch"}
    ),
    "an image that no run names": frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"}),
    "weights or pickles: they are never opened": frozenset(
        {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors", ".npz", ".npy", ".h5"}
    ),
    "settings that stand beside no run": frozenset({".yaml", ".yml", ".toml", ".ini", ".cfg"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What `sniff` found below a path."""

    runs: tuple[RunRef, ...]
    skipped: tuple[tuple[str, str], ...]
    """(path below the root, one sentence) of everything that is not read."""


def _walk(path: Path, skipped: list[tuple[str, str]]) -> Iterator[Folder]:
    """Folders top-down in sorted order. Links to folders are not followed (they may be circles)."""
    if path.is_file():
        yield Folder(path.parent, (path.name,))
        return
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such file or folder")

    def unreadable(error: OSError) -> None:
        skipped.append((str(error.filename), f"{UNREADABLE}: {error.strerror}"))

    for current, folders, files in os.walk(path, onerror=unreadable):
        folders[:] = sorted(f for f in folders if f not in _PASSED_OVER)
        folder = Path(current)
        skipped += [(str(folder / f), _ELSEWHERE) for f in folders if _leads_out(folder / f, path)]
        names = []
        for name in sorted(files):
            reason = _not_a_file(folder / name)
            if reason:
                skipped.append((str(folder / name), reason))
            else:
                names.append(name)
        yield Folder(folder, tuple(names))


def _leads_out(folder: Path, root: Path) -> bool:
    """Whether a folder is a link to one that the walk will not meet."""
    return folder.is_symlink() and not folder.resolve().is_relative_to(root)


def _not_a_file(path: Path) -> str:
    """Why the entry of a folder is no file to read: opening a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to nothing"
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "is no regular file"


def _file_sources(
    path: Path, name: str, settle_minutes: float, options: Mapping[str, Mapping[str, object]]
) -> list[FileSource]:
    sources = []
    for kind in SOURCES:
        try:
            cls = load_source(kind)
        except MissingExtraError:
            continue  # `runpages sources` says which
        if issubclass(cls, FileSource):
            own = {"name": name, "settle_minutes": settle_minutes, **options.get(kind, {})}
            sources.append(cls(str(path), **own))  # type: ignore[arg-type]  # checked by the class
    return sources


def find_logs(source: FileSource) -> list[Path]:
    """The log files that `source` claims below its path."""
    logs = []
    for folder in _walk(source.path, source.skipped):
        logs += _logs(source.claim(folder), folder.path, source.skipped)
    return logs


def _logs(claim: Claim, folder: Path, skipped: list[tuple[str, str]]) -> list[Path]:
    paths = [folder / name for name in claim.logs]
    pointers = {path for path in paths if is_pointer(path)}
    skipped += [(str(path), ONLY_A_POINTER) for path in paths if path in pointers]
    return [path for path in paths if path not in pointers]


def sniff(
    path: str | Path,
    *,
    name: str = "",
    settle_minutes: float = SETTLE_MINUTES,
    options: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> Found:
    """Every run below `path`, whatever tracker wrote it, and why the other files are not read.

    A file is offered to each source in the order of the table; the first that claims it has it.
    `options` are further arguments of a source, by its kind.
    Raises UsageError if `path` does not exist.
    """
    root = Path(path).resolve()
    sources = _file_sources(root, name, settle_minutes, options)
    logs: dict[str, list[Path]] = {source.kind: [] for source in sources}
    skipped: list[tuple[str, str]] = []
    owned: list[Path] = []
    for folder in _walk(root, skipped):
        left = set(folder.files)
        below = any(folder.path == top or top in folder.path.parents for top in owned)
        for source in sources:
            if source.general and below:
                continue
            claim = source.claim(Folder(folder.path, tuple(sorted(left))))
            logs[source.kind] += _logs(claim, folder.path, skipped)
            left -= {*claim.logs, *claim.companions}
            if claim.whole_tree:
                owned.append(folder.path)
                below = True
        if below:
            continue
        skipped += [(str(folder.path / name), _unread(folder.path / name)) for name in sorted(left)]
    runs: list[RunRef] = []
    hardware = logs.pop(TELEMETRY, [])
    for source in sources:
        if source.kind != TELEMETRY:
            runs += source.gather(logs[source.kind])
            skipped += source.skipped
    runs, alone = _beside(runs, hardware)
    for source in sources:
        if source.kind == TELEMETRY:
            runs += source.gather(alone)
            skipped += source.skipped
    return Found(runs=tuple(runs), skipped=tuple((_below(root, p), why) for p, why in skipped))


def _beside(runs: Sequence[RunRef], hardware: Sequence[Path]) -> tuple[list[RunRef], list[Path]]:
    """Runs with the hardware logs in their folder or above it, and the logs that have no run."""
    alone = []
    found: dict[int, list[str]] = defaultdict(list)
    folders = [{_folder(Path(part)) for part in ref.parts or (ref.location,)} for ref in runs]
    for path in hardware:
        near = [
            number
            for number, own in enumerate(folders)
            if any(path.parent == folder or path.parent in folder.parents for folder in own)
        ]
        for number in near:
            found[number].append(str(path))
        if not near:
            alone.append(path)
    attached = [
        replace(ref, telemetry=tuple(found[number])) if number in found else ref
        for number, ref in enumerate(runs)
    ]
    return attached, alone


def _folder(part: Path) -> Path:
    return part if part.is_dir() else part.parent


def _unread(path: Path) -> str:
    """Why nobody claimed a file, as far as its name tells."""
    suffix = f".{path.name.rpartition('.')[2].lower()}"
    what = next((words for words, known in _FAMILIAR.items() if suffix in known), "this file")
    pointer = f": {ONLY_A_POINTER}" if is_pointer(path) else ""
    return f"{NOBODY_READS} {what}{pointer}"


def _below(root: Path, path: str) -> str:
    base = root.parent if root.is_file() else root
    try:
        return Path(path).relative_to(base).as_posix()
    except ValueError:
        return path
