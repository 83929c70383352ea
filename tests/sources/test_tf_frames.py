"""Framing by windows and chains finds what a plain walk over the whole file finds, damage too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runpages.sources import _tf_frames
from runpages.sources._tf_frames import windows
from runpages.sources._tfevents import Damage, masked_crc

BATTERY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


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


def end_at(data: bytes, at: int) -> int | None:
    if at + 12 > len(data):
        return None
    length, crc = struct.unpack_from("<QI", data, at)
    if crc != masked_crc(data[at : at + 8]) or at + 16 + length > len(data):
        return None
    return at + 16 + int(length)


def plain(data: bytes) -> tuple[list[tuple[int, bytes]], Damage]:
    """The rule itself, one byte after the other."""
    out, damage, at = [], Damage(), 0
    while at < len(data):
        end = end_at(data, at)
        if end is None:
            following = next((p for p in range(at + 1, len(data)) if end_at(data, p)), None)
            if following is None:
                if data[at:].strip(b"\0"):
                    damage.truncated = True
                    damage.note(at, len(data) - at)
                break
            damage.note(at, following - at)
            at = following
            continue
        payload = data[at + 12 : end - 4]
        if struct.pack("<I", masked_crc(payload)) == data[end - 4 : end]:
            out.append((at + 12, payload))
        else:
            damage.note(at, end - at)
        at = end
    return out, damage


def by_windows(path: Path, width: int) -> tuple[list[tuple[int, bytes]], Damage]:
    damage = Damage()
    out = []
    for window in windows(path, damage, width=width):
        for start, end in zip(window.start.tolist(), window.end.tolist(), strict=True):
            out.append((window.offset + start, window.data[start:end]))
    return out, damage


payloads = st.one_of(
    st.binary(max_size=60),
    st.integers(0, 700).map(lambda n: bytes(range(256)) * 3 if n > 690 else b"\x07" * n),
    st.integers(0, 300).map(bytes),  # zeros
    st.binary(max_size=40).map(lambda inner: b"in" + framed(inner) + b"side"),
)


@st.composite
def pieces(draw: st.DrawFn) -> bytes:
    """A record, whole or hurt, or something that is none."""
    record = framed(draw(payloads))
    kind = draw(st.sampled_from(["whole"] * 6 + ["flip", "cut", "garbage", "zeros", "long"]))
    if kind == "flip":
        at = draw(st.integers(0, len(record) - 1))
        flipped = bytearray(record)
        flipped[at] ^= 1 << draw(st.integers(0, 7))
        return bytes(flipped)
    if kind == "cut":
        return record[: draw(st.integers(0, len(record)))]
    if kind == "garbage":
        return draw(st.binary(max_size=90))
    if kind == "zeros":
        return bytes(draw(st.integers(1, 200)))
    if kind == "long":
        length = struct.pack("<Q", draw(st.sampled_from([1000, 70_000, 1 << 33])))
        return length + struct.pack("<I", masked_crc(length)) + record
    return record


@BATTERY
@given(parts=st.lists(pieces(), max_size=30), width=st.sampled_from([40, 64, 257, 1000, 1 << 16]))
def test_windows_find_what_a_plain_walk_finds(
    tmp_path: Path, parts: list[bytes], width: int
) -> None:
    data = b"".join(parts)
    path = tmp_path / "events"
    path.write_bytes(data)
    assert by_windows(path, width) == plain(data)


def log(count: int) -> list[bytes]:
    generator = np.random.default_rng(3)
    return [framed(generator.bytes(int(generator.integers(20, 60)))) for _ in range(count)]


def flips(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        hurt = bytearray(data)
        hurt[at] ^= 1 << at % 8
        yield bytes(hurt)


def test_every_flip_and_every_cut_of_a_small_file(tmp_path: Path) -> None:
    records = log(6)
    data = b"".join(records)
    path = tmp_path / "events"
    for hurt in flips(data):
        path.write_bytes(hurt)
        found, damage = by_windows(path, 128)
        assert (found, damage) == plain(hurt)
        assert damage.records == 1
        assert len(found) == 5
    for size in range(len(data)):
        path.write_bytes(data[:size])
        found, damage = by_windows(path, 128)
        assert (found, damage) == plain(data[:size])
        whole = [n for n in range(len(records) + 1) if len(b"".join(records[:n])) <= size][-1]
        assert len(found) == whole
        assert damage.bytes == size - len(b"".join(records[:whole]))


def test_reading_goes_on_right_behind_damage_in_a_long_chain(tmp_path: Path) -> None:
    records = log(5000)
    for number in (700, 701, 2500, 4999):
        records[number] = b"\xff" + records[number][1:]
    path = tmp_path / "events"
    path.write_bytes(b"".join(records))
    found, damage = by_windows(path, 1 << 14)
    assert len(found) == 4996
    assert damage.records == 3  # two of them touch
    assert damage.bytes == sum(len(records[n]) for n in (700, 701, 2500, 4999))


def test_a_record_that_is_too_large_to_be_decoded_is_checked_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tf_frames, "WHOLE_BYTES", 5000)
    large = framed(bytes(range(256)) * 40)
    hurt = bytearray(large)
    hurt[900] ^= 1
    path = tmp_path / "events"
    path.write_bytes(b"".join([*log(3), large, *log(3), bytes(hurt), *log(2)]))
    found, damage = by_windows(path, 1 << 12)
    assert len(found) == 8
    assert damage.oversized == 1
    assert (damage.records, damage.bytes) == (1, len(large))


def test_a_file_that_shrinks_while_it_is_read_ends_there(tmp_path: Path) -> None:
    records = log(2000)
    path = tmp_path / "events"
    path.write_bytes(b"".join(records))
    damage = Damage()
    count = 0
    for number, window in enumerate(windows(path, damage, width=1 << 12)):
        count += len(window.start)
        if number == 1:
            with path.open("r+b") as stream:
                stream.truncate(20_000)
    assert 0 < count < 2000
    assert damage.truncated
