"""A large .wandb file in the real wire format, and what reading it costs.

usage: wandb_file.py write FILE MEGABYTES
       wandb_file.py ours FILE
       wandb_file.py compare FILE PYTHON   (PYTHON: an interpreter with wandb < 0.31)

`compare` prints the CPU seconds and the peak of resident memory of both readers, each the median
of three processes. The former reader's imports are measured apart, to be subtracted; ours count.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
BLOCK = 32768
METRICS = (
    "train/loss",
    "train/grad_norm",
    "train/lr",
    "train/tokens_per_second",
    "train/step_seconds",
    "train/tokens",
    "train/global_step",
    "val/loss",
    "optim/weight_norm",
    "optim/update_norm",
)
REPEATS = 3


class LogWriter:
    """Writes records as blocks of 32 KiB with a CRC each fragment, as W&B's own writer does."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = file.write(struct.pack("<4sHB", b":W&B", 0xBEE1, 0))
        self._seeds = [zlib.crc32(bytes([kind])) for kind in range(5)]

    def add(self, payload: bytes) -> None:
        first, at = True, 0
        while first or at < len(payload):
            room = BLOCK - self._at % BLOCK
            if room < 7:
                self._at += self._file.write(bytes(room))
                continue
            piece = payload[at : at + room - 7]
            last = at + len(piece) == len(payload)
            kind = (1 if last else 2) if first else (4 if last else 3)
            head = struct.pack("<IHB", zlib.crc32(piece, self._seeds[kind]), len(piece), kind)
            self._at += self._file.write(head + piece)
            at, first = at + len(piece), False

    @property
    def size(self) -> int:
        return self._at


def _values(step: int, chance: random.Random) -> dict[str, str]:
    """What one call of `log` leaves: ten metrics and the tracker's own three, in any order."""
    seconds = 0.37 * step
    loss = 2.0 + 9.0 / (1 + step / 50) + chance.gauss(0, 0.02)
    numbers = {name: chance.lognormvariate(0, 1) for name in METRICS}
    numbers |= {
        "train/loss": math.nan if step % 5000 == 4999 else loss,
        "train/lr": 3e-4 * min(1, (step + 1) / 2000),
        "train/tokens": step * 4_194_304,
        "train/global_step": step,
    }
    texts = {name: json.dumps(value) for name, value in numbers.items()}
    texts["_timestamp"] = f"{(1.7e9 + seconds) / 1e9!r}e+09"
    texts["_runtime"] = repr(round(seconds, 9))
    texts["_step"] = str(step)
    names = list(texts)
    chance.shuffle(names)
    return {name: texts[name] for name in names}


def write(path: Path, megabytes: float) -> None:
    """One run of as many calls of `log` as fill the file: 13 values each, and a summary of them."""
    from wandb.proto.wandb_internal_pb2 import Record

    chance = random.Random(7)
    with path.open("wb") as file:
        log = LogWriter(file)
        num = 0

        def add(record: Record) -> None:
            nonlocal num
            num += 1
            record.num = num
            log.add(record.SerializeToString())

        for record in _head(Record):
            add(record)
        step = 0
        while log.size < megabytes * 1e6:
            texts = _values(step, chance)
            history, summary, runtime = Record(), Record(), Record()
            for name, text in texts.items():
                history.history.item.add(nested_key=[name], value_json=text)
                summary.summary.update.add(nested_key=[name], value_json=text)
            history.history.step.num = step
            own = (["_wandb", "runtime"], ["_runtime"])
            for key in own:
                runtime.summary.update.add(nested_key=key, value_json=str(int(0.37 * step)))
            for record in (summary, history, runtime):
                add(record)
            for record in _now_and_then(Record, step):
                add(record)
            step += 1
        end = Record()
        end.exit.exit_code = 0
        end.exit.runtime = int(0.37 * step)
        add(end)


def _head(record_class: type) -> Iterator[object]:
    header, run = record_class(), record_class()
    header.header.version_info.producer = "0.31.0"
    run.run.run_id = "large"
    run.run.project = "benchmark"
    run.run.start_time.seconds = 1_700_000_000
    yield from (header, run)


def _now_and_then(record_class: type, step: int) -> Iterator[object]:
    seconds = 1_700_000_000 + int(0.37 * step)
    if step % 10 == 0:
        output = record_class()
        output.output_raw.timestamp.seconds = seconds
        output.output_raw.line = f"step {step}: fine\n"
        yield output
    if step % 40 == 0:
        stats = record_class()
        stats.stats.timestamp.seconds = seconds
        for device in range(8):
            for name in ("gpu", "memory", "temp", "powerWatts"):
                stats.stats.item.add(key=f"gpu.{device}.{name}", value_json=f"{step % 97}.5")
        yield stats


def ours(path: Path) -> None:
    """Everything of the run: found, read, and the rows of each series fetched once."""
    from runpages.sources.wandb_offline import WandbOffline

    source = WandbOffline(str(path))
    (ref,) = source.discover()
    run = source.read(ref)
    for name in run.series:
        assert len(run.series[name].recorded.step)


def _measured(command: list[str]) -> tuple[float, float]:
    """CPU seconds and MB of resident memory at the most, of one process."""
    code = (
        "import os, resource, sys\n"
        "done = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "assert done == 0, done\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, capture_output=True, text=True
    )
    seconds, megabytes = done.stdout.splitlines()[-1].split()
    return float(seconds), float(megabytes)


def compare(path: Path, former_python: str) -> dict[str, tuple[float, float]]:
    """Reader -> (CPU seconds, MB), medians of three processes that take turns."""
    former = [former_python, str(HERE / "former_wandb.py")]
    commands = {
        "former": [*former, str(path)],
        "former's imports": former,
        "ours": [sys.executable, str(HERE / "wandb_file.py"), "ours", str(path)],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            found[name].append(_measured(command))
    return {
        name: (statistics.median(s for s, _ in rows), statistics.median(m for _, m in rows))
        for name, rows in found.items()
    }


def main(verb: str, path: Path, *rest: str) -> None:
    if verb == "write":
        write(path, float(rest[0]))
    elif verb == "ours":
        ours(path)
    else:
        for name, (seconds, megabytes) in compare(path, rest[0]).items():
            print(f"{name}: {seconds:.2f} CPU s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
