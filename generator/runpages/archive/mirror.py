"""This machine's copy of an archive on a branch: a folder that `Archive` can read."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from .files import write_atomically
from .git import Repository
from .notes import NOTES

__all__ = ["Files", "below", "fetch_tip", "files_of", "mirror", "mirror_one", "without"]

Files = dict[str, str]
"""Path on the branch -> `<mode> blob <id>`, as `git ls-tree` writes it."""

_TIP = "refs/runpages/tip"
_MIRRORED = "refs/runpages/mirrored"


def below(files: Files, prefix: str) -> Files:
    return {path: about for path, about in files.items() if path.startswith(prefix)}


def without(files: Files, prefix: str) -> Files:
    return {path: about for path, about in files.items() if not path.startswith(prefix)}


def fetch_tip(git: Repository, branch: str) -> str:
    """The branch's tip with its trees, fetched if it is not here; empty without a branch."""
    ref = f"refs/heads/{branch}"
    listed = git.text("ls-remote", "origin", ref).split()
    if listed and listed[0] != _commit(git, _TIP):
        git.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1",
            "--filter=blob:none", "origin", f"+{ref}:{_TIP}",
        )  # fmt: skip
    return _commit(git, _TIP) if listed else ""


def _commit(git: Repository, ref: str) -> str:
    return git.text("rev-parse", "--quiet", "--verify", ref, check=False)


def files_of(git: Repository, tip: str) -> Files:
    """All files of a commit; none of an empty one."""
    if not tip:
        return {}
    listed = git.run("ls-tree", "-r", "-z", tip).stdout.decode(errors="surrogateescape")
    rows = (entry.partition("\t")[::2] for entry in listed.split("\0") if entry)
    return {path: about for about, path in rows}


def mirror(
    git: Repository, tip: str, folder: Path, *, whole: bool = False, suspect: str = ""
) -> None:
    """Write what the mirror lacks of `tip`, a run's record after its files; delete what is gone.

    Files that were the same at the last time are taken for the same, but for those below
    `suspect`. Unless `whole`, series and samples wait until `mirror_one`.
    """
    files = {path: about for path, about in files_of(git, tip).items() if _is_ours(path, about)}
    last = files_of(git, _commit(git, _MIRRORED))
    wanted = [
        path
        for path, about in sorted(files.items(), key=lambda f: (f[0].endswith("/run.json"), f[0]))
        if (whole or _comes_at_once(path))
        and _lacks(folder / path, about, unsure=last.get(path) != about or path.startswith(suspect))
    ]
    blobs = [files[path].split()[2] for path in wanted]
    _transfer(git, tip, blobs)
    for path, content in zip(wanted, git.blobs(blobs), strict=True):
        write_atomically(folder / path, content, durable=False)
    for left in folder.glob("runs/**/*"):
        if left.is_file() and left.relative_to(folder).as_posix() not in files:
            left.unlink()
    if tip:
        git.run("update-ref", _MIRRORED, tip)


def mirror_one(git: Repository, branch: str, folder: Path, path: Path) -> None:
    """Write one file that waited; left out if the branch has no such file."""
    name = path.relative_to(folder).as_posix()
    tip = _commit(git, _MIRRORED) or fetch_tip(git, branch)
    about = files_of(git, tip).get(name)
    if about:
        (content,) = git.blobs([about.split()[2]])
        write_atomically(path, content, durable=False)


def _comes_at_once(path: str) -> bool:
    name = PurePosixPath(path)
    return name.name == "run.json" or name.parent.name == NOTES or name.name.startswith("samples-")


def _is_ours(path: str, about: str) -> bool:
    """A plain file of a run: nothing that git itself would refuse to check out."""
    parts = path.split("/")
    return (
        about.startswith("100")
        and parts[0] == "runs"
        and len(parts) > 2
        and not any(part in {"", ".", ".."} or part.startswith(".tmp-") for part in parts)
    )


def _lacks(path: Path, about: str, *, unsure: bool) -> bool:
    if not unsure:
        return not path.is_file()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return True
    blob = about.split()[2]
    kind = hashlib.sha1 if len(blob) == 40 else hashlib.sha256
    return kind(b"blob %d\0" % len(content) + content).hexdigest() != blob


def _transfer(git: Repository, tip: str, blobs: list[str]) -> None:
    """All at once: git by itself would ask the remote for one blob after the other."""
    if not blobs:
        return
    listed = git.text("rev-list", "--objects", "--missing=print", tip).splitlines()
    missing = {line[1:] for line in listed if line.startswith("?")} & set(blobs)
    if missing:
        told = "".join(f"{blob}\n" for blob in sorted(missing)).encode()
        git.run(
            "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags",
            "--no-write-fetch-head", "--filter=blob:none", "origin", "--stdin", stdin=told,
        )  # fmt: skip
