"""Sessions that the ClearML SDK wrote, and ways to damage them."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from runpages.model import Run
from runpages.sources.clearml_offline import ClearmlOffline
from sources.clearml_writer import write
from sources.conformance import read_all

__all__ = ["append", "damaged_member", "event", "once", "read", "zipped"]

_WRITTEN: dict[str, Path] = {}


def once(scenario: str, folder: Path) -> Path:
    """The session of a scenario, written by the first who asks."""
    if scenario not in _WRITTEN:
        _WRITTEN[scenario] = write(scenario, folder)
    return _WRITTEN[scenario]


def read(path: Path, **options: float) -> Run:
    (run,) = read_all(ClearmlOffline(str(path), **options))
    return run


def zipped(session: Path) -> Path:
    return session.with_name(f"{session.name}.zip")


def damaged_member(archive: Path, name: str, *, at: float = 0.9) -> Path:
    """One byte of the packed data of a member changed; the folder of the archive."""
    with zipfile.ZipFile(archive) as opened:
        entry = opened.getinfo(name)
    data = bytearray(archive.read_bytes())
    size, extra = struct.unpack("<HH", data[entry.header_offset + 26 : entry.header_offset + 30])
    start = entry.header_offset + 30 + size + extra
    data[start + int(at * entry.compress_size)] ^= 0x10
    archive.write_bytes(data)
    return archive.parent


def append(session: Path, line: bytes) -> None:
    with (session / "metrics.jsonl").open("ab") as log:
        log.write(line)


EVENT = (
    b'{"timestamp": 1795593399580, "type": "training_stats_scalar", "task": "%s", "iter": %d,'
    b' "metric": "train", "variant": "loss", "value": %s, "method": "get"}'
)


def event(session: Path, step: int, value: bytes = b"1.0") -> bytes:
    return EVENT % (session.name.encode(), step, value)
