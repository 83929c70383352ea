"""TensorBoard: what the real writers write is what is read, and damage costs only what it hit."""

from __future__ import annotations

import math
import runpy
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary import Writer
from tensorboard.util.tensor_util import make_ndarray
from tensorboardX import SummaryWriter

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import FileSource
from runpages.sources._tfevents import masked_crc
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import SourceConformance, read_all

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 1e-45, -0.0, 3.4e38, 0.0]
ROWS = {
    "train/loss": list(enumerate(VALUES)),
    "lr": [(10 * i, 0.1 * i) for i in range(12)],
}
NOW = 1_790_000_000.0


class TestSimpleValues(SourceConformance):
    kind = "tensorboard"
    log = "events.out.tfevents.*"
    single = True

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        with SummaryWriter(str(root / "run")) as writer:
            for name, rows in ROWS.items():
                for step, value in rows:
                    writer.add_scalar(name, value, step)
        return ROWS


class TestTensors(SourceConformance):
    kind = "tensorboard"
    log = "events.out.tfevents.*"
    single = True

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        writer = Writer(str(root / "deep" / "run"))
        for name, rows in ROWS.items():
            for step, value in rows:
                writer.add_scalar(name, value, step)
        writer.close()
        return ROWS


def read(root: Path) -> Run:
    (run,) = read_all(TensorBoard(str(root)))
    return run


def write(folder: Path, steps: range, *, tag: str = "loss", at: float = NOW) -> Path:
    """One event file with the real writer; its name ends in the time of its first event."""
    with SummaryWriter(str(folder), filename_suffix=f".{at:.0f}") as writer:
        for step in steps:
            writer.add_scalar(tag, step + 0.5, step, walltime=at + step)
    (path,) = folder.glob(f"*.{at:.0f}")
    stamped(path, at)
    return path


def records(data: bytes) -> list[bytes]:
    out, position = [], 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        out.append(data[position : position + 16 + length])
        position += 16 + length
    return out


def framed(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(length)),
            payload,
            struct.pack("<I", masked_crc(payload)),
        )
    )


def stamped(path: Path, at: float) -> None:
    """Set the time of the file's own header record, which the writer takes from the clock."""
    head, *rest = records(path.read_bytes())
    event = event_pb2.Event.FromString(head[12:-4])
    event.wall_time = at
    path.write_bytes(b"".join([framed(event.SerializeToString()), *rest]))


def event(step: int, *values: summary_pb2.Summary.Value, at: float = NOW) -> bytes:
    summary = summary_pb2.Summary(value=values)
    return framed(event_pb2.Event(step=step, wall_time=at, summary=summary).SerializeToString())


def accumulated(folder: Path) -> dict[str, int]:
    """Points of each scalar as TensorBoard's own reader counts them."""
    own = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0},
                           purge_orphaned_data=False)  # fmt: skip
    own.Reload()
    counts = {tag: len(own.Scalars(tag)) for tag in own.Tags()["scalars"]}
    for tag in own.Tags()["tensors"]:
        plugin = own.SummaryMetadata(tag).plugin_data.plugin_name
        first = make_ndarray(own.Tensors(tag)[0].tensor_proto)
        if plugin in {"scalars", ""} and first.size == 1 and first.dtype.kind in "fi":
            counts[tag] = len(own.Tensors(tag))
    return counts


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(range(256)), b"\xff" * 33])
def test_checksums_agree_with_tensorboards_own(data: bytes) -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    assert masked_crc(data) == masked_crc32c(data)


def test_text_becomes_samples(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("said", "<b>ümlaut</b>", 7, walltime=NOW)
        writer.add_scalar("loss", 1.0, 7, walltime=NOW)
    run = read(tmp_path)
    (sample,) = run.samples
    assert (sample.kind, sample.name, sample.step, sample.time, sample.text) == (
        "text",
        "said",
        7,
        NOW,
        "<b>ümlaut</b>",
    )
    assert list(run.series) == ["loss"]


def test_times_are_the_events_own(tmp_path: Path) -> None:
    write(tmp_path / "run", range(5))
    run = read(tmp_path)
    assert run.series["loss"].time.tolist() == [NOW + i for i in range(5)]
    assert (run.start, run.end) == (NOW, NOW + 4)


@pytest.mark.parametrize("at", [math.nan, math.inf, 0.0, -5.0, 1e300])
def test_a_time_that_is_none_is_left_open(tmp_path: Path, at: float) -> None:
    value = summary_pb2.Summary.Value(tag="loss", simple_value=2.0)
    (tmp_path / "a.tfevents.1").write_bytes(event(1, value, at=at))
    run = read(tmp_path)
    assert np.isnan(run.series["loss"].time).all()
    assert (run.start, run.end, run.state) == (None, None, "ended")
    assert [(a.number, a.start, a.first_step) for a in run.attempts] == [(1, None, 1)]


def test_a_restart_in_a_second_file_is_an_attempt(tmp_path: Path) -> None:
    write(tmp_path / "run", range(10))
    write(tmp_path / "run", range(6, 14), at=NOW + 1000)
    run = read(tmp_path)
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 9), (2, 6, 13)]
    assert (run.attempts[0].end, run.attempts[1].start) == (NOW + 9, NOW + 1006)
    assert run.series["loss"].step.tolist() == list(range(14))
    assert run.series["loss"].superseded.step.tolist() == [6, 7, 8, 9]


def test_a_second_file_that_goes_on_is_the_same_attempt(tmp_path: Path) -> None:
    write(tmp_path / "run", range(5))
    write(tmp_path / "run", range(5, 9), at=NOW + 1000)
    write(tmp_path / "run", range(3), tag="other", at=NOW + 2000)
    run = read(tmp_path)
    assert len(run.attempts) == 1
    assert run.series["loss"].step.tolist() == list(range(9))


def test_files_are_ordered_by_their_time_not_their_name(tmp_path: Path) -> None:
    late = write(tmp_path / "run", range(6, 14), at=NOW + 1000)
    late.rename(late.with_name("a.tfevents.0"))
    write(tmp_path / "run", range(10))
    assert [a.first_step for a in read(tmp_path).attempts] == [0, 6]


def test_falling_and_negative_steps_in_one_file(tmp_path: Path) -> None:
    value = summary_pb2.Summary.Value(tag="loss", simple_value=2.0)
    data = b"".join(event(step, value) for step in (-7, -5, 0, 3, 1, 2))
    (tmp_path / "a.tfevents.1").write_bytes(data)
    recorded = read(tmp_path).series["loss"].recorded
    assert recorded.step.tolist() == [-7, -5, 0, 3, 1, 2]
    assert recorded.attempt.tolist() == [1, 1, 1, 1, 2, 2]


def test_a_session_start_in_a_later_file_is_an_attempt(tmp_path: Path) -> None:
    write(tmp_path / "run", range(5))
    path = write(tmp_path / "run", range(5, 9), at=NOW + 1000)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    marker = framed(
        event_pb2.Event(step=5, wall_time=NOW + 1000, session_log=start).SerializeToString()
    )
    head, *rest = records(path.read_bytes())
    path.write_bytes(b"".join([head, marker, *rest]))
    assert [a.first_step for a in read(tmp_path).attempts] == [0, 5]


def test_train_and_validation_below_one_folder_are_one_run(tmp_path: Path) -> None:
    write(tmp_path / "run" / "train", range(5))
    write(tmp_path / "run" / "validation", range(0, 5, 2))
    write(tmp_path / "other", range(2))
    runs = {run.ref.run_id: run for run in read_all(TensorBoard(str(tmp_path)))}
    assert set(runs) == {"run", "other"}
    points = {i.name: i.points for i in runs["run"].series.infos}
    assert points == {"train/loss": 5, "validation/loss": 3}


def test_folders_whose_series_have_the_same_name_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "run", range(3), tag="train/loss")
    write(tmp_path / "run" / "train", range(1))
    run = read(tmp_path)
    assert {i.name: i.points for i in run.series.infos} == {"train/loss": 3, "train/loss (2)": 1}


def test_points_equal_tensorboards_own_count(tmp_path: Path) -> None:
    write(tmp_path, range(50))
    writer = Writer(str(tmp_path))
    for step in range(30):
        writer.add_scalar("acc", float(step), step)
    writer.close()
    points = {i.name: i.points for i in read(tmp_path).series.infos}
    assert points == accumulated(tmp_path) == {"loss": 50, "acc": 30}


@pytest.mark.parametrize("encoding", ["simple", "tensor"])
def test_the_benchmarks_file_is_one_that_tensorboard_reads(tmp_path: Path, encoding: str) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "tensorboard_file.py"
    benchmark = runpy.run_path(str(script))
    path = tmp_path / "events.out.tfevents.1.host"
    points = benchmark["write"](path, 1, encoding)
    assert 0.8e6 < path.stat().st_size < 1.1e6
    found = benchmark["ours"](path)
    assert found.points == points == sum(accumulated(tmp_path).values())
    assert found.total == pytest.approx(benchmark["event_accumulator"](path).total, rel=1e-9)
    assert read(tmp_path).provenance.records_damaged == 0


def test_a_value_without_content_is_no_zero(tmp_path: Path) -> None:
    values = (
        summary_pb2.Summary.Value(tag="empty"),
        summary_pb2.Summary.Value(tag="zero", simple_value=0.0),
        summary_pb2.Summary.Value(tag="old", obsolete_old_style_histogram=b"x"),
    )
    (tmp_path / "a.tfevents.1").write_bytes(event(1, *values))
    run = read(tmp_path)
    assert {name: run.series[name].value.tolist() for name in run.series} == {"zero": [0.0]}
    assert "2 other values are not read." in run.provenance.lossy


def test_a_flipped_bit_costs_one_record(tmp_path: Path) -> None:
    path = write(tmp_path, range(20))
    parts = records(path.read_bytes())
    hit = bytearray(parts[8])
    hit[14] ^= 4
    path.write_bytes(b"".join([*parts[:8], bytes(hit), *parts[9:]]))
    run = read(tmp_path)
    assert run.series["loss"].step.tolist() == [s for s in range(20) if s != 7]
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged == len(hit)
    assert run.incomplete == (f"{path.name} has 1 damaged record, which is left out",)
    (warning,) = run.provenance.warnings
    assert f"the first at byte {sum(map(len, parts[:8]))}" in warning


@pytest.mark.parametrize("garbage", [b"\x00" * 40, b"\xff" * 41, bytes(range(256)) * 3])
def test_garbage_in_the_middle_is_stepped_over(tmp_path: Path, garbage: bytes) -> None:
    path = write(tmp_path, range(20))
    parts = records(path.read_bytes())
    path.write_bytes(b"".join([*parts[:8], garbage, *parts[8:]]))
    run = read(tmp_path)
    assert run.series["loss"].step.tolist() == list(range(20))
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged == len(garbage)


def test_a_flipped_length_costs_one_record(tmp_path: Path) -> None:
    path = write(tmp_path, range(20))
    parts = records(path.read_bytes())
    hit = b"\x01\x02" + parts[8][2:]
    path.write_bytes(b"".join([*parts[:8], hit, *parts[9:]]))
    assert read(tmp_path).series["loss"].step.tolist() == [s for s in range(20) if s != 7]


def test_a_record_whose_content_is_no_event_is_damage_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, range(3))
    data = path.read_bytes()
    path.write_bytes(data + framed(b"\xff\xff\xff"))
    run = read(tmp_path)
    assert run.series["loss"].step.tolist() == [0, 1, 2]
    assert run.provenance.records_damaged == 1
    assert f"the first at byte {len(data)}" in run.provenance.warnings[0]


def test_a_long_tail_of_zeros_costs_neither_rows_nor_time(tmp_path: Path) -> None:
    path = write(tmp_path, range(5))
    path.write_bytes(path.read_bytes() + bytes(20_000_000))
    began = time.process_time()
    run = read(tmp_path)
    assert time.process_time() - began < 5
    assert run.series["loss"].step.tolist() == list(range(5))
    assert run.provenance.records_damaged == 0
    assert run.incomplete == ()


def test_files_without_summaries_are_skipped_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.tfevents.1").write_bytes(b"")
    (tmp_path / "b.tfevents.1").write_bytes(b"nothing of the kind")
    with SummaryWriter(str(tmp_path), filename_suffix=".c"):
        pass
    source = TensorBoard(str(tmp_path))
    assert list(source.discover()) == []
    assert [why.partition(" ")[0].rstrip(":") for _, why in sorted(source.skipped)] == [
        "empty",
        "no",
        "holds",
    ]


def test_a_file_that_vanishes_is_an_error_of_the_source(tmp_path: Path) -> None:
    path = write(tmp_path, range(3))
    source: FileSource = TensorBoard(str(tmp_path))
    (ref,) = source.discover()
    path.unlink()
    with pytest.raises(SourceError, match=path.name):
        source.read(ref)


@pytest.mark.acceptance
def test_real_logs_have_the_points_that_tensorboard_counts(shared: Path) -> None:
    source = TensorBoard(str(shared / "data" / "logs"))
    refs = list(source.discover())
    assert len(refs) >= 10
    for ref in refs:
        run = source.read(ref)
        expected: dict[str, int] = {}
        for folder in sorted({Path(part).parent for part in ref.parts}):
            below = folder.relative_to(ref.location).as_posix()
            prefix = "" if below == "." else f"{below}/"
            expected |= {f"{prefix}{tag}": n for tag, n in accumulated(folder).items()}
        points = {info.name: info.points for info in run.series.infos}
        print(ref.run_id, len(run.attempts), sum(points.values()))
        assert points == expected
