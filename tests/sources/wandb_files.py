"""What the W&B tests share: the SDK's environment, records by its own classes, runs side by side."""

from __future__ import annotations

import os
import runpy
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from runpages.model import Run, Sample
from runpages.sources.wandb_offline import WandbOffline

BENCHMARK = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "benchmarks" / "wandb_file.py")
)
BLOCK = 32768


def environment_of(folder: Path) -> dict[str, str]:
    """For a process with the SDK: everything it writes stays below `folder`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return environment | {
        "WANDB_SILENT": "true",
        "WANDB_DATA_DIR": str(folder / "staging"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
    }


def run_sdk(folder: Path, script: str) -> Path:
    """The folder of logs that the script, given it as its argument, fills with the real SDK."""
    root = folder / "logs"
    root.mkdir()
    (folder / "train.py").write_text(script, encoding="utf-8")
    subprocess.run(
        [sys.executable, "train.py", str(root)],
        check=True, cwd=folder, env=environment_of(folder), timeout=120, capture_output=True,
    )  # fmt: skip
    return root


def record_class() -> Any:
    """The SDK's own class of records."""
    from wandb.proto.wandb_internal_pb2 import Record

    return Record


def write_records(path: Path, records: Iterable[Any]) -> Path:
    """A .wandb file of these records, numbered from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        log = BENCHMARK["LogWriter"](file)
        for num, record in enumerate(records, start=1):
            record.num = num
            log.add(record.SerializeToString())
    return path


def records_of(path: Path) -> list[Any]:
    from runpages.sources._wandb_records import RecordLog

    cls = record_class()
    batches = RecordLog(path).batches()
    return [cls.FromString(payload) for batch in batches for payload in batch.payloads()]


def copy_with(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """The file again with its run record changed."""
    records = records_of(source)
    for record in records:
        if record.HasField("run"):
            change(record.run)
    return write_records(target, records)


class Frame(NamedTuple):
    start: int
    """Position of its head, 7 bytes before the data."""
    end: int
    kind: int
    """1 whole, 2 first, 3 middle, 4 last."""


def frames_of(data: bytes) -> list[Frame]:
    """Fragments of an undamaged file."""
    frames, at = [], 7
    while at < len(data):
        room = BLOCK - at % BLOCK
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        frames.append(Frame(at, at + 7 + length, kind))
        at += 7 + length
    return frames


def run_of(path: Path, *, run_id: str = "") -> Run:
    """The one run below a path, or the one with that id."""
    source = WandbOffline(str(path))
    (ref,) = (ref for ref in source.discover() if not run_id or ref.run_id == run_id)
    return source.read(ref)


def same(one: Run, other: Run) -> None:
    """Equal to the last bit."""
    assert list(one.series) == list(other.series)
    for name in one.series:
        assert one.series.info(name) == other.series.info(name)
        left, right = one.series[name].recorded, other.series[name].recorded
        for a, b in zip(left, right, strict=True):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes(), name
    assert one.series.spans == other.series.spans
    # the loaders of media are functions, which are never equal; NaN is not equal to itself
    left, right = (replace(run, series=one.series, samples=_unloaded(run)) for run in (one, other))
    assert repr(left) == repr(right)


def _unloaded(run: Run) -> tuple[Sample, ...]:
    return tuple(
        replace(sample, media=replace(sample.media, load=None)) if sample.media else sample
        for sample in run.samples
    )
