"""What numpy reads of a record is what protobuf reads of it, bit by bit, whatever is in it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.summary import Writer
from tensorboardX import SummaryWriter

from runpages.sources import _tf_rows
from runpages.sources._tf_frames import windows
from runpages.sources._tf_names import Names
from runpages.sources._tf_rows import Book, rows_of
from runpages.sources._tfevents import Damage
from sources.test_tf_frames import framed

BATTERY = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Everything = dict[str, Any]


def everything(path: Path, *, fast: bool, width: int) -> Everything:
    """All that a reading gives, in a form that can be compared."""
    book, damage = Book(), Damage()
    rows, others, sessions, events, graphs = [], [], [], 0, 0
    for window in windows(path, damage, width=width):
        found = rows_of(window, book, damage, fast=fast)
        sessions += [len(rows) + row for row in found.sessions]
        others += [
            other._replace(row=other.row + (len(rows) if other.row >= 0 else 0))
            for other in found.others
        ]
        columns = (found.step, found.time.view(np.int64), found.value.view(np.int64), found.scalar)
        names = [book.name(tag) for tag in found.tag.tolist()]
        rows += zip(names, *(column.tolist() for column in columns), strict=True)
        events += found.events
        graphs += found.graphs
    return {
        "rows": rows,
        "others": others,
        "sessions": sessions,
        "events": events,
        "graphs": graphs,
        "plugins": sorted(book.plugins.items()),
        "damage": damage,
    }


def same(path: Path, width: int = 1 << 16) -> Everything:
    slow = everything(path, fast=False, width=1 << 20)
    # a NaN in what is no row would be unequal to itself
    assert repr(everything(path, fast=True, width=width)) == repr(slow)
    return slow


def slowly_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Records that the fast path leaves to protobuf."""
    calls = []
    plain = _tf_rows.decoded

    def counted(payload: bytes, plugins: dict[str, str]) -> Any:
        calls.append(payload)
        return plain(payload, plugins)

    monkeypatch.setattr(_tf_rows, "decoded", counted)
    everything(path, fast=True, width=1 << 16)
    monkeypatch.undo()
    return len(calls)


floats = st.one_of(
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e-45]),
)
tags = st.one_of(
    st.sampled_from(["loss", "lr", "train/loss", "a" * 8, "a" * 9, "ü", "", "x" * 130, "y" * 140]),
    st.text(max_size=20),
)
plugins = st.sampled_from(["", "scalars", "text", "images", "pr_curves", "hparams", "histograms"])
shapes = st.sampled_from([None, (), (1,), (1, 1), (2,), (0,)])


@st.composite
def tensors(draw: st.DrawFn) -> tensor_pb2.TensorProto:
    number = draw(floats)
    out = tensor_pb2.TensorProto()
    shape = draw(shapes)
    if shape is not None:
        dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
        out.tensor_shape.CopyFrom(tensor_shape_pb2.TensorShapeProto(dim=dims))
    kind = draw(
        st.sampled_from(["float", "double", "content", "wide", "int", "half", "text", "no"])
    )
    if kind == "float":
        out.dtype = 1
        out.float_val.extend([number] * draw(st.sampled_from([1, 1, 1, 2])))
    elif kind == "double":
        out.dtype = 2
        out.double_val.append(number)
    elif kind == "content":
        out.dtype = draw(st.sampled_from([1, 1, 1, 3]))
        out.tensor_content = struct.pack("<f", number)
    elif kind == "wide":
        out.dtype = draw(st.sampled_from([2, 2, 9, 1]))
        out.tensor_content = struct.pack("<d", number)
    elif kind == "int":
        out.dtype = 9
        out.int64_val.append(draw(st.integers(-(2**60), 2**60)))
    elif kind == "half":
        out.dtype = 19
        out.half_val.append(draw(st.integers(0, 65_535)))
    elif kind == "text":
        out.dtype = 7
        out.string_val.append(draw(st.binary(max_size=5)))
    else:
        out.dtype = draw(st.sampled_from([0, 1, 2, 14]))
    return out


@st.composite
def values(draw: st.DrawFn) -> summary_pb2.Summary.Value:
    value = summary_pb2.Summary.Value(tag=draw(tags))
    kind = draw(st.sampled_from(["simple"] * 3 + ["tensor"] * 3 + ["none", "image", "histo"]))
    if kind == "simple":
        value.simple_value = draw(floats)
    elif kind == "tensor":
        value.tensor.CopyFrom(draw(tensors()))
    elif kind == "image":
        value.image.encoded_image_string = b"x"
    elif kind == "histo":
        value.histo.CopyFrom(
            summary_pb2.HistogramProto(
                num=1, sum=1, min=1, max=1, bucket_limit=[2, 3], bucket=[1, 0]
            )
        )
    plugin = draw(plugins)
    if plugin or draw(st.booleans()):
        value.metadata.plugin_data.plugin_name = plugin
        value.metadata.display_name = draw(st.sampled_from(["", "shown"]))
    if draw(st.integers(0, 9)) == 0:
        value.node_name = "node"
    return value


steps = st.one_of(
    st.integers(0, 300),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([127, 128, 16_383, 16_384, 2**55, 2**56, 2**56 - 1, 2**62]),
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """An event as it is written, or hurt within good checksums."""
    event = event_pb2.Event(step=draw(steps))
    if draw(st.integers(0, 9)):
        event.wall_time = draw(st.sampled_from([1.7e9, 1.7e9 + 0.5, 0.0, -1.0, 1e300]))
    kind = draw(st.sampled_from(["summary"] * 8 + ["session", "graph", "version"]))
    if kind == "summary":
        event.summary.value.extend(draw(st.lists(values(), max_size=3)))
    elif kind == "session":
        event.session_log.status = draw(st.sampled_from([1, 2]))
    elif kind == "graph":
        event.graph_def = b"graph"
    else:
        event.file_version = "brain.Event:2"
    out = bytearray(event.SerializeToString())
    if out and draw(st.integers(0, 4)) == 0:
        for _ in range(draw(st.integers(1, 2))):
            out[draw(st.integers(0, len(out) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 19)) == 0:
        del out[draw(st.integers(0, len(out))) :]
    return bytes(out)


@BATTERY
@given(events=st.lists(payloads(), max_size=25), width=st.sampled_from([300, 4096, 1 << 16]))
def test_both_ways_agree_on_any_mix(tmp_path: Path, events: list[bytes], width: int) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(framed(event) for event in events))
    same(path, width)


@BATTERY
@given(data=st.data())
def test_both_ways_agree_on_scalars_hurt_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    """Mostly regular records, so that the damage meets the fast path."""
    out = []
    for step in range(data.draw(st.integers(1, 12))):
        metadata = b"J\x0b\n\t\n\x07scalars" if step % 2 else b""
        value = b"\n\x04loss\x15" + struct.pack("<f", step)
        if data.draw(st.booleans()):
            value = b"\n\x04lossB\x0a\x08\x01\x12\x00\x22\x04" + struct.pack("<f", step)
        value += metadata
        summary = b"\n" + bytes([len(value)]) + value
        summary *= data.draw(st.integers(1, 3))
        event = bytearray(
            b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + bytes([step]) + b"*"
            + bytes([len(summary)]) + summary
        )  # fmt: skip
        if data.draw(st.booleans()):
            event[data.draw(st.integers(0, len(event) - 1))] = data.draw(st.integers(0, 255))
        out.append(framed(bytes(event)))
    path = tmp_path / "events"
    path.write_bytes(b"".join(out))
    same(path)


HEAD = b"\x09" + struct.pack("<d", 1.7e9) + b"\x10\x05"
FOUR = struct.pack("<f", 1.5)
SIMPLE = b"\n\x04loss\x15" + FOUR
TENSOR = b"\n\x04lossB\x0a\x08\x01\x12\x00\x22\x04" + FOUR
SCALARS = b"J\x0b\n\t\n\x07scalars"


def lengths(content: bytes, value: int, summary: int) -> bytes:
    """An event whose two lengths are wrong by so much."""
    inner = b"\n" + bytes([len(content) + value]) + content
    return HEAD + b"*" + bytes([len(inner) + summary]) + inner


CRAFTED = [
    # a number that ends behind its value, its summary, its record
    *(lengths(SIMPLE, -n, -n)[:-n] for n in range(1, 12)),
    *(lengths(SIMPLE, -n, 0) for n in range(1, 12)),
    *(lengths(SIMPLE, 0, -n) for n in range(1, 12)),
    *(lengths(SIMPLE, n, 0) for n in range(1, 5)),
    *(lengths(TENSOR + SCALARS, -n, -n)[:-n] for n in range(1, 30)),
    *(lengths(TENSOR, -n, -n)[:-n] for n in range(1, 17)),
    *(lengths(SIMPLE, 0, -n)[:-n] for n in range(1, 6)),
    *(lengths(SIMPLE + SCALARS, 0, -n)[:-n] for n in range(1, 6)),
    # lengths that are right but written with more bytes than they need
    HEAD + b"*\x8d\x00\n" + bytes([len(SIMPLE)]) + SIMPLE,
    HEAD + b"*\x0e\n\x8b\x00" + SIMPLE,
    HEAD[:-1] + b"\x85\x80\x80\x00" + lengths(SIMPLE, 0, 0)[len(HEAD) :],
    HEAD[:-1] + b"\x85\x80\x80\x80\x80\x80\x80\x80\x00" + lengths(SIMPLE, 0, 0)[len(HEAD) :],
    # something behind the summary: another step, a session, a second summary, what nobody knows
    lengths(SIMPLE, 0, 0) + b"\x10\x07",
    lengths(SIMPLE, 0, 0) + b":\x02\x08\x01",
    lengths(SIMPLE, 0, 0) * 2,
    lengths(SIMPLE, 0, 0) + b"\xf8\x07\x01",
    # two numbers, a tag behind the number, no tag, metadata that are none
    lengths(SIMPLE + SIMPLE[-5:], 0, 0),
    lengths(SIMPLE[-5:] + SIMPLE[:-5], 0, 0),
    lengths(SIMPLE[-5:], 0, 0),
    lengths(SIMPLE + b"J\x02\xff\xff", 0, 0),
    lengths(TENSOR + b"J\x02\xff\xff", 0, 0),
    lengths(SIMPLE + b"J\x00", 0, 0),
    lengths(SIMPLE + SCALARS * 2, 0, 0),
    lengths(SIMPLE.replace(b"loss", b"lo\xff\xff"), 0, 0),
    # tensors: more than one number, another type under the same bytes, none at all
    *(
        lengths(tensor + metadata, 0, 0)
        for metadata in (b"", SCALARS)
        for tensor in (
            TENSOR.replace(b"B\x0a\x08\x01", b"B\x0a\x08\x03"),
            TENSOR.replace(b"\x22\x04", b"\x32\x04"),
            TENSOR.replace(b"B\x0a", b"B\x10").replace(b"\x22\x04", b"\x2a\x04")
            + b"\x22\x04\x00\x00\x00\x40",
            b"\n\x04lossB\x02\x08\x01",
            b"\n\x04lossB\x04\x08\x02\x12\x00",
            b"\n\x04lossB\x02\x08\x07",
            b"\n\x04lossB\x03\x08\x01\x12",
            b"\n\x04lossB\x00",
        )
    ),
]


def test_both_ways_agree_on_crafted_records(tmp_path: Path) -> None:
    for number, payload in enumerate(CRAFTED):
        path = tmp_path / str(number)
        regular = framed(lengths(SIMPLE, 0, 0))
        # with more of the same behind it, as a number that ends too late would read it
        path.write_bytes(regular + framed(payload) + regular * 2)
        found = same(path)
        assert len(found["rows"]) >= 3
        assert found["events"] + found["damage"].records == 4


@pytest.mark.parametrize("plugin", ["pr_curves", "text", "histograms", "scalars", "other"])
@pytest.mark.parametrize("width", [64, 1 << 16])
def test_a_tag_keeps_the_plugin_that_its_first_value_told(
    tmp_path: Path, plugin: str, width: int
) -> None:
    name = b"J" + bytes([len(plugin) + 4]) + b"\n" + bytes([len(plugin) + 2])
    told = name + b"\n" + bytes([len(plugin)]) + plugin.encode()
    events = [TENSOR, TENSOR + told, TENSOR, TENSOR + SCALARS, TENSOR, SIMPLE]
    path = tmp_path / "events"
    path.write_bytes(b"".join(framed(lengths(content, 0, 0)) for content in events))
    found = same(path, width)
    assert dict(found["plugins"]) == {"loss": plugin}
    scalar = [row[-1] for row in found["rows"]]
    plain = plugin in {"scalars", "text", "other"}
    assert scalar == [True, plain, plain, True, plain, True]


def write_mixed(folder: Path) -> None:
    with SummaryWriter(str(folder)) as writer:
        for step in range(400):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
            writer.add_scalar("lr", step * 0.1, step, walltime=1.7e9 + step)
            if step % 50 == 0:
                writer.add_text("said", f"step {step}", step)
                writer.add_histogram("weights", np.arange(10.0) * step, step)
                writer.add_image("picture", np.zeros((3, 4, 4), dtype=np.uint8), step)
    again = Writer(str(folder / "tensors"))
    for step in range(400):
        again.add_scalar("acc", step / 7, step)
        again.add_scalar("acc/val", float("nan"), step)
    again.close()


def test_real_writers_files_and_how_little_of_them_is_left_to_protobuf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mixed(tmp_path)
    left = {}
    for path in tmp_path.rglob("*tfevents*"):
        found = same(path)
        left[len(found["rows"])] = slowly_read(path, monkeypatch)
    # of 824 rows: the file's header and the 24 that are no scalars
    assert left == {824: 25, 800: 1}


def test_events_of_a_great_many_values(tmp_path: Path) -> None:
    path = tmp_path / "events"
    out = []
    for step in range(3):
        event = event_pb2.Event(step=step, wall_time=1.7e9)
        for number in range(2000):
            event.summary.value.add(tag=f"m{number}", simple_value=number)
        out.append(framed(event.SerializeToString()))
    path.write_bytes(b"".join(out))
    rows = same(path, 1 << 20)["rows"]
    assert [row[0] for row in rows] == [f"m{number}" for number in range(2000)] * 3


def test_damaged_files_of_real_writers(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    (path,) = tmp_path.glob("*tfevents*")
    data = path.read_bytes()
    generator = np.random.default_rng(1)
    for _ in range(25):
        hurt = np.frombuffer(data, dtype=np.uint8).copy()
        for at in generator.integers(0, len(hurt), size=4).tolist():
            hurt[at] ^= 1 << generator.integers(0, 8)
        path.write_bytes(hurt.tobytes()[: generator.integers(len(hurt) // 2, len(hurt) + 1)])
        assert same(path, 3000)["damage"].records > 0


def test_a_tag_is_known_by_its_bytes_not_by_its_place_in_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runpages.sources._tf_names._SLOT_BITS", 2)
    names = [b"", b"a", b"a\0", b"ab", b"loss", b"loss\0", b"l" * 8, b"l" * 9, b"l" * 500]
    names += [f"metric/{n}".encode() for n in range(40)]
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, len(names), size=2000)
    data = b"".join(names[n] for n in chosen) + bytes(64)
    length = np.array([len(names[n]) for n in chosen])
    start = np.cumsum(length) - length
    book = Names(1000)
    numbers = book.numbers(data, start, length)
    assert [book.known[n] for n in numbers] == [names[n] for n in chosen]
    again = book.numbers(data, start, length)
    assert again.tolist() == numbers.tolist()


def test_more_tags_than_can_be_kept_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tf_rows, "MAX_TAGS", 3)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(4):
            for number in range(5):
                writer.add_scalar(f"m{number}", step, step)
    (path,) = tmp_path.glob("*tfevents*")
    for fast in (True, False):
        book = Book(tags=Names(3))
        rows = [rows_of(w, book, Damage(), fast=fast) for w in windows(path, Damage())]
        assert sum(len(r.tag) for r in rows) == 12
        assert book.excess == 8


@pytest.mark.acceptance
def test_both_ways_agree_on_the_real_logs(shared: Path) -> None:
    files = sorted((shared / "data" / "logs").rglob("*tfevents*"))
    assert len(files) >= 20
    rows = sum(len(same(path, 1 << 21)["rows"]) for path in files)
    print(rows)
    assert rows > 40_000
