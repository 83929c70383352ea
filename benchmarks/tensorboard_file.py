"""One large TensorBoard file, read by runpages, by TensorBoard and by its data server.

usage: tensorboard_file.py [--megabytes N] [--encoding simple|tensor] [--repeats N] [--folder DIR]
                           [--readers ours,event_accumulator,data_server]

Each reading runs in a fresh process; the figures are CPU seconds and peak memory as the system
counts them, medians over the repeats. The file has ten metrics, one value an event.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

__all__ = ["Reading", "data_server", "event_accumulator", "measured", "ours", "write"]

METRICS = (
    "train/loss", "grad_norm", "lr", "tokens", "tokens/s",
    "val/loss", "val/accuracy", "step_time", "gpu/util", "gpu/memory",
)  # fmt: skip
_START = 1_700_000_000.0
_CHUNK = 16_384
_TAGS = 1 << 24


class Reading(NamedTuple):
    """What a reader found, so that two readers can be compared."""

    points: int
    total: float
    """Sum of all finite values."""


# --- writing ------------------------------------------------------------------------------------


def write(path: Path, megabytes: float, encoding: str = "simple") -> int:
    """Write an event file of about this size as the real writers do; how many points it has.

    `encoding`: `simple` as tensorboardX and PyTorch, `tensor` as TensorFlow 2 (Keras, JAX).
    """
    per_step = sum(len(_payload(name, encoding, 1 << 15)) + 16 for name in METRICS)
    steps = math.ceil(megabytes * 1e6 / per_step)
    generator = np.random.default_rng(0)
    with path.open("wb") as stream:
        header = b"\x09" + struct.pack("<d", _START) + b"\x1a\x0dbrain.Event:2"
        stream.write(_framed(header))
        for first, last in _spans(steps):
            values = generator.standard_normal((last - first, len(METRICS)), dtype=np.float32)
            stream.write(_records(first, last, values, encoding))
    return steps * len(METRICS)


def _spans(steps: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps from 1 whose numbers take equally many bytes."""
    edges = {1, steps + 1, *range(1, steps + 1, _CHUNK), *(1 << 7 * n for n in range(1, 5))}
    ordered = sorted(edge for edge in edges if edge <= steps + 1)
    yield from zip(ordered, ordered[1:], strict=False)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(key: int, content: bytes) -> bytes:
    return bytes([key]) + _varint(len(content)) + content


def _payload(name: str, encoding: str, step: int) -> bytes:
    """An event with zeros for its time and its value."""
    tag = _field(0x0A, name.encode())
    if encoding == "simple":
        value = tag + b"\x15" + bytes(4)
    else:
        tensor = b"\x08\x01\x12\x00\x22\x04" + bytes(4)
        metadata = _field(0x0A, _field(0x0A, b"scalars"))
        value = tag + _field(0x42, tensor) + _field(0x4A, metadata)
    summary = _field(0x2A, _field(0x0A, value))
    return b"\x09" + bytes(8) + b"\x10" + _varint(step) + summary


def _records(first: int, last: int, values: NDArray[np.float32], encoding: str) -> bytes:
    step = np.arange(first, last, dtype=np.int64)
    columns = []
    for number, name in enumerate(METRICS):
        payload = _payload(name, encoding, first)
        rows = np.empty((len(step), len(payload) + 16), dtype=np.uint8)
        length = struct.pack("<Q", len(payload))
        head = length + struct.pack("<I", _masked(crc32c(length)))
        rows[:, :12] = np.frombuffer(head, dtype=np.uint8)
        rows[:, 12:-4] = np.frombuffer(payload, dtype=np.uint8)
        wall = _START + step + number / 16
        rows[:, 13:21] = wall.astype("<f8").view(np.uint8).reshape(-1, 8)
        for byte in range(len(_varint(first))):
            more = 0x80 if byte + 1 < len(_varint(first)) else 0
            rows[:, 22 + byte] = step >> 7 * byte & 0x7F | more
        at = 12 + payload.index(name.encode()) + len(name) + (1 if encoding == "simple" else 8)
        rows[:, at : at + 4] = np.ascontiguousarray(values[:, number]).view(np.uint8).reshape(-1, 4)
        crc = np.array([_masked(crc32c(row.tobytes())) for row in rows[:, 12:-4]], dtype="<u4")
        rows[:, -4:] = crc.view(np.uint8).reshape(-1, 4)
        columns.append(rows)
    return np.hstack(columns).tobytes()


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    checks = (struct.pack("<I", _masked(crc32c(part))) for part in (length, payload))
    return length + next(checks) + payload + next(checks)


# --- reading ------------------------------------------------------------------------------------


def ours(path: Path) -> Reading:
    """Find the run and read it whole, both checksums of each record included."""
    from runpages.sources.tensorboard import TensorBoard

    source = TensorBoard(str(path))
    (ref,) = source.discover()
    run = source.read(ref)
    points = sum(info.points for info in run.series.infos)
    return Reading(points, sum(_total(run.series[name].recorded.value) for name in run.series))


def event_accumulator(path: Path) -> Reading:
    """TensorBoard's reader in Python; it checks both checksums as well."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "tensors": 0}
    accumulator = EventAccumulator(str(path), size_guidance=everything)
    accumulator.Reload()
    points, total = 0, 0.0
    for tag in accumulator.Tags()["scalars"]:
        values = np.array([event.value for event in accumulator.Scalars(tag)])
        points, total = points + len(values), total + _total(values)
    for tag in accumulator.Tags()["tensors"]:
        content = [event.tensor_proto.tensor_content for event in accumulator.Tensors(tag)]
        values = np.frombuffer(b"".join(content), dtype="<f4")
        points, total = points + len(values), total + _total(values)
    return Reading(points, total)


def data_server(path: Path) -> Reading:
    """TensorBoard's server in Rust, as TensorBoard starts it: without payload checksums."""
    import grpc
    import tensorboard_data_server
    from tensorboard.data.proto import data_provider_pb2 as pb
    from tensorboard.data.proto import data_provider_pb2_grpc as services

    with tempfile.TemporaryDirectory() as scratch:
        port_file = Path(scratch) / "port"
        command = [
            tensorboard_data_server.server_binary(), f"--logdir={path.parent}", "--reload=once",
            "--samples-per-plugin=scalars=all", "--port=0", f"--port-file={port_file}",
            "--die-after-stdin", "--verbose",
        ]  # fmt: skip
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert server.stdin
        assert server.stderr
        for line in server.stderr:
            if "Finished load cycle" in line:
                break
        options = [("grpc.max_receive_message_length", 1 << 28)]
        with grpc.insecure_channel(
            f"localhost:{int(port_file.read_text())}", options=options
        ) as channel:
            stub = services.TensorBoardDataProviderStub(channel)
            points, total = 0, 0.0
            for tag in METRICS:
                request = pb.ReadScalarsRequest(
                    plugin_filter=pb.PluginFilter(plugin_name="scalars"),
                    run_tag_filter=pb.RunTagFilter(tags=pb.TagFilter(names=[tag])),
                    downsample=pb.Downsample(num_points=_TAGS),
                )
                for run in stub.ReadScalars(request).runs:
                    for entry in run.tags:
                        values = np.array(entry.data.value)
                        points, total = points + len(values), total + _total(values)
        server.stdin.close()
        server.wait()
    return Reading(points, total)


def _total(values: NDArray[Any]) -> float:
    return float(values[np.isfinite(values)].sum(dtype=np.float64))


READERS: dict[str, Callable[[Path], Reading]] = {
    "ours": ours,
    "event_accumulator": event_accumulator,
    "data_server": data_server,
}


# --- measuring ----------------------------------------------------------------------------------


class Figures(NamedTuple):
    """Of one reading in a process of its own."""

    reading: Reading
    cpu_seconds: float
    """Of the process and its child, imports included."""
    child_cpu_seconds: float
    megabytes: float
    """Greatest resident memory: of the child where there is one."""


def measured(reader: str, path: Path) -> Figures:
    """Read `path` in a fresh process."""
    command = [sys.executable, __file__, "--once", reader, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    reading, *figures = json.loads(done.stdout)
    return Figures(Reading(*reading), *figures)


def _once(reader: str, path: Path) -> None:
    reading = READERS[reader](path)
    own, child = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    child_cpu = child.ru_utime + child.ru_stime
    cpu = own.ru_utime + own.ru_stime + child_cpu
    memory = (child if child_cpu else own).ru_maxrss / 1024
    print(json.dumps([reading, cpu, child_cpu, memory]))


def main() -> None:
    """Print one line a reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", nargs=2, metavar=("READER", "PATH"))
    parser.add_argument("--megabytes", type=float, default=121)
    parser.add_argument("--encoding", choices=("simple", "tensor"), default="simple")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--folder", type=Path, help="where the file is written (and kept)")
    options = parser.parse_args()
    if options.once:
        _once(options.once[0], Path(options.once[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "events.out.tfevents.1700000000.benchmark"
        points = write(path, options.megabytes, options.encoding)
        print(f"{path.stat().st_size / 1e6:.0f} MB, {points:,} points, {options.encoding}")
        for reader in options.readers.split(","):
            found = [measured(reader, path) for _ in range(options.repeats)]
            cpu, child, memory = (statistics.median(f[n] for f in found) for n in (1, 2, 3))
            print(
                f"{reader:18} {cpu:7.2f} CPU s (child {child:.2f}) {memory:7.0f} MB   "
                f"{found[0].reading.points:,} points, sum {found[0].reading.total:.6f}"
            )


if __name__ == "__main__":
    main()
