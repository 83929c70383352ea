"""W&B: reading in batches gives what reading record by record gives, and damage costs what it hits."""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import _wandb_history, _wandb_items, _wandb_part, _wandb_records, _wandb_walk
from runpages.sources._wandb_history import Store
from runpages.sources._wandb_records import RecordLog
from runpages.sources.wandb_offline import WandbOffline
from sources.wandb_files import (
    BENCHMARK,
    BLOCK,
    Frame,
    frames_of,
    record_class,
    run_of,
    run_sdk,
    same,
    write_records,
)

WRITER = """
import math, sys
import wandb

def start(name):
    return wandb.init(project="p", id=name, mode="offline", dir=sys.argv[1],
                      settings=wandb.Settings(x_disable_stats=True, console="off"))

run = start("tiny")
for step in range(3):
    run.log({"loss": 0.1 * step})
run.finish()
run = start("long")
run.define_metric("val/*", step_metric="train/global_step")
for step in range(1200):
    row = {"train/global_step": 2 * step, "loss": 1 / (step + 1), "big": 10**20 + step,
           "deep": {"a": {"b": -step}}, "odd": [math.nan, math.inf, -math.inf, 1e-320][step % 4]}
    if step % 3 == 0:
        row |= {"phase": "warm-up \\N{SNOWMAN}", "done": step > 5, "none": None}
    if step % 7 == 0:
        row |= {"list": [1, 2], "val": {"acc": step / 7, "word": "x"}}
    if step % 100 == 0:
        row |= {"weights": wandb.Histogram([1.0, 2.0, step]), "page": wandb.Html("x")}
    run.log(row)
run.finish()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_sdk(tmp_path_factory.mktemp("wandb-batches"), WRITER)


@pytest.fixture(scope="module")
def long(root: Path) -> Path:
    return next(root.glob("wandb/offline-run-*/run-long.wandb"))


@pytest.fixture(scope="module")
def tiny(root: Path) -> bytes:
    return next(root.glob("wandb/offline-run-*/run-tiny.wandb")).read_bytes()


def _one_by_one(path: Path) -> Run:
    """The run with every record given to the decoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_wandb_part, "walk", _wandb_walk.nothing)
        return run_of(path)


def _in_batches(path: Path, *, few: int) -> Run:
    """The run with every batch gone through, also where that is not worth while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_wandb_walk, "_LITTLE", 1)
        patch.setattr(_wandb_items, "_FEW", few)
        return run_of(path)


def _plain_share(path: Path) -> float:
    walked = [_wandb_walk.walk(batch).plain for batch in RecordLog(path).batches()]
    return float(np.concatenate(walked).mean())


@pytest.mark.parametrize("few", [1, 48, 10**9])
def test_what_the_sdk_wrote_is_read_the_same_both_ways(long: Path, few: int) -> None:
    assert _plain_share(long) > 0.85
    run = _in_batches(long, few=few)
    same(run, _one_by_one(long))
    assert len(run.series["loss"]) == 1200
    assert "phase is no number in 400 rows, which are not charted" in run.provenance.warnings


@pytest.mark.acceptance
def test_real_logs_are_read_the_same_both_ways(shared: Path) -> None:
    paths = sorted((shared / "data" / "logs" / "wandb").rglob("*.wandb"))
    assert len(paths) == 9
    for path in paths:
        same(_in_batches(path, few=1), _one_by_one(path))


NUMBERS = st.one_of(
    st.floats(width=64).map(json.dumps),
    st.floats(width=64, allow_nan=False, allow_infinity=False).map(lambda x: f"{x:.25g}"),
    st.floats(width=32).map(json.dumps),
    st.integers(-(10**40), 10**40).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "true", "false", "-0", "1e400", "-1e-400"]),
)
OTHERS = st.one_of(
    st.sampled_from(
        (
            *('"NaN"', '"-Infinity"', '"\\u004eaN"', "null", '"word"', '"\u00e9"', "[1, 2]", "{}"),
            *('{"q": 1, "z": {"y": NaN}}', '{"_type": "new", "a": 1}', "", "-", "1_0", "1.", "nul"),
            *("NaN(0)", "-NaN", "Infinity1", "trux", "+1", ".5", " 1", "1 ", "0x10", "[", '"'),
        )
    ),
    st.text(alphabet='0123456789.eE+-_aNfIinty "[]{}', max_size=12),
)
PATHS = st.sampled_from(
    (
        *(("loss",), ("a",), ("a", "b"), ("a.b",), ("a", "b", "c"), ("x", "_type"), ("_step",)),
        *(("_timestamp",), ("_own",), ("",), ("", "y"), ("long/" + "n" * 150,), ("\u00e9",)),
    )
)
ITEMS = st.lists(
    st.tuples(PATHS, st.one_of(NUMBERS, NUMBERS, NUMBERS, OTHERS), st.booleans()), max_size=8
)
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["history", "history", "summary", "remove", "output", "stats", "odd"]),
        ITEMS,
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=60,
)


def _record(kind: str, items: list[tuple[tuple[str, ...], str, bool]], step: int) -> Any:
    record = record_class()()
    if kind == "output":
        record.output_raw.line = f"{step}\n"
        record.output_raw.timestamp.seconds = step
    elif kind == "stats":
        record.stats.timestamp.seconds = step
        record.stats.item.add(key="gpu.0.temp", value_json=str(step))
    else:
        row = kind in {"history", "odd"}
        target = record.history.item if row else record.summary.update
        if kind == "remove":
            target = record.summary.remove
        for path, text, as_key in items:
            item = target.add(value_json=text)
            if as_key and len(path) == 1:
                item.key = path[0]
            else:
                item.nested_key.extend(path)
        if row:
            record.history.step.num = step
        else:
            record.summary.SetInParent()
        if kind == "odd":
            record.control.req_resp = True
    return record


@given(RECORDS, st.sampled_from([1, 3, 10**9]))
@settings(max_examples=80, deadline=None)
def test_any_records_are_read_the_same_both_ways(records: list[Any], few: int) -> None:
    first = record_class()()
    first.run.run_id, first.run.project = "r", "p"
    with tempfile.TemporaryDirectory() as folder:
        path = write_records(
            Path(folder) / "run-r.wandb", [first, *(_record(*each) for each in records)]
        )
        same(_in_batches(path, few=few), _one_by_one(path))


@given(st.lists(NUMBERS, min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_numbers_are_those_that_float_gives_to_the_last_bit(texts: list[str]) -> None:
    rows = [_record("history", [(("loss",), text, False)], 0) for text in texts]
    named = {"true": 1.0, "false": 0.0}
    expected = np.array([named[text] if text in named else float(text) for text in texts])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write_records(Path(folder) / "run-r.wandb", rows)
        patch.setattr(_wandb_walk, "_LITTLE", 1)
        assert _plain_share(path) == 1.0
        run = run_of(path)
    assert run.series["loss"].recorded.value.tobytes() == expected.tobytes()


@pytest.mark.parametrize("words", [[("w", '"x"'), ("w", "1")], [("w", '"x"'), ("w.a", "1")]])
def test_a_name_twice_in_a_row_with_words_is_one_value(
    tmp_path: Path, words: list[tuple[str, str]]
) -> None:
    """The later one, or the nested one, stands; whichever way it is read."""
    items = [(tuple(name.split(".")), text, False) for name, text in words]
    path = write_records(tmp_path / "run-r.wandb", [_record("history", items, 0)] * 60)
    run = _in_batches(path, few=1)
    same(run, _one_by_one(path))
    assert run.series[words[1][0]].info.points == 60


def test_small_chunks_that_spill_change_nothing(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_of(long)
    stores = []

    class Small(Store):
        def __init__(self) -> None:
            super().__init__(buffer_bytes=5000)
            stores.append(self)

    monkeypatch.setattr("runpages.sources.wandb_offline.Store", Small)
    monkeypatch.setattr(_wandb_history, "CHUNK_POINTS", 100)
    monkeypatch.setattr(RecordLog.__init__, "__kwdefaults__", {"from_block": 0, "window_blocks": 1})
    same(run_of(long), whole)
    (store,) = stores
    assert sum(isinstance(chunk, _wandb_history._Stored) for chunk in store._chunks) > 10


def _copied(folder: Path, data: bytes) -> Path:
    path = folder / "run-x.wandb"
    path.write_bytes(data)
    return path


def _records(frames: list[Frame]) -> int:
    """Records that begin and end among these fragments."""
    count, begun, block = 0, False, 0
    for frame in frames:
        begun &= frame.start // BLOCK - block <= 1
        block = frame.start // BLOCK
        begun = frame.kind in {1, 2} or (begun and frame.kind in {3, 4})
        count += begun and frame.kind in {1, 4}
    return count


def test_a_cut_at_any_byte_keeps_all_records_before_it(tiny: bytes, tmp_path: Path) -> None:
    frames = frames_of(tiny)
    losses = run_of(_copied(tmp_path, tiny)).series["loss"].value.tolist()
    rows = 0
    for size in range(7, len(tiny)):
        whole = [frame for frame in frames if frame.end <= size]
        path = _copied(tmp_path, tiny[:size])
        if not whole:
            with pytest.raises(SourceError, match="no record in it is whole"):
                run_of(path)
            continue
        run = run_of(path)
        inside = size > whole[-1].end
        assert run.provenance.records_read == len(whole)
        assert run.provenance.records_damaged == inside
        assert run.provenance.bytes_damaged == size - whole[-1].end
        assert bool(run.incomplete) == inside
        values = run.series["loss"].value.tolist() if "loss" in run.series else []
        assert values == losses[: len(values)]
        assert len(values) >= rows
        rows = len(values)
    assert rows == 3


def test_a_flipped_bit_in_any_byte_keeps_all_records_before_it(tiny: bytes, tmp_path: Path) -> None:
    frames = frames_of(tiny)
    for at in range(7, len(tiny)):
        data = bytearray(tiny)
        data[at] ^= 1 << at % 8
        before = sum(frame.end <= at for frame in frames)
        path = _copied(tmp_path, bytes(data))
        if not before:
            with pytest.raises(SourceError, match="no record in it is whole"):
                run_of(path)
            continue
        run = run_of(path)
        assert run.provenance.records_read == before
        assert run.provenance.records_damaged == 1
        assert run.provenance.bytes_damaged == len(tiny) - frames[before - 1].end
        assert run.incomplete


@pytest.mark.parametrize("at", range(7))
def test_a_flipped_bit_in_the_head_is_no_wandb_file(tiny: bytes, tmp_path: Path, at: int) -> None:
    data = bytearray(tiny)
    data[at] ^= 1
    source = WandbOffline(str(_copied(tmp_path, bytes(data))))
    assert list(source.discover()) == []
    assert [why for _, why in source.skipped] == ["does not begin as a .wandb file does"]


def _damaged(data: bytes, chance: random.Random) -> Iterator[tuple[bytes, set[int]]]:
    """(damaged bytes, numbers of the blocks that are hit)."""
    last = (len(data) - 1) // BLOCK
    for _ in range(12):
        hit = set(chance.sample(range(1, last + 1), chance.choice([1, 1, 2, 3])))
        out = bytearray(data)
        for block in hit:
            start, end = block * BLOCK, min((block + 1) * BLOCK, len(data))
            kind = chance.randrange(3)
            if kind == 0:
                out[chance.randrange(start + 7, end)] ^= 1 << chance.randrange(8)
            elif kind == 1:
                out[start:end] = bytes(end - start)
            else:
                out[start:end] = chance.randbytes(end - start)
        yield bytes(out), hit


@pytest.mark.parametrize("seed", range(4))
def test_damaged_blocks_cost_no_record_of_others(long: Path, tmp_path: Path, seed: int) -> None:
    data = long.read_bytes()
    frames = frames_of(data)
    total = _records(frames)
    whole = run_of(_copied(tmp_path, data)).series["loss"].recorded
    known = dict(zip(whole.step.tolist(), whole.value.tolist(), strict=True))
    for damaged, hit in _damaged(data, random.Random(seed)):
        path = _copied(tmp_path, damaged)
        run = run_of(path)
        same(run, _one_by_one(path))
        untouched = _records([frame for frame in frames if frame.start // BLOCK not in hit])
        assert untouched <= run.provenance.records_read < total
        assert run.provenance.records_damaged > 0
        if max(hit) < (len(data) - 1) // BLOCK:
            # a later record tells how many are missing
            assert run.provenance.records_read + run.provenance.records_damaged == total
        assert 0 < run.provenance.bytes_damaged <= BLOCK * (len(hit) + 1) * 2
        assert run.incomplete
        for step, value in zip(*run.series["loss"].recorded[0:3:2], strict=True):
            assert known[int(step)] == value


def test_bytes_of_any_kind_behind_the_head_are_no_traceback(tmp_path: Path) -> None:
    chance = random.Random(3)
    for size in (1, 6, 7, 8, 100, BLOCK - 7, BLOCK, 3 * BLOCK + 5):
        path = _copied(tmp_path, _wandb_records.HEADER + chance.randbytes(size))
        with pytest.raises(SourceError):
            run_of(path)


def test_a_record_that_is_too_large_is_lost_and_counted(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = record_class()()
    huge.output_raw.line = "x" * 200_000
    rows = [_record("history", [(("loss",), str(i), False)], i) for i in range(4)]
    path = write_records(tmp_path / "run-x.wandb", [*rows[:2], huge, *rows[2:]])
    assert run_of(path).provenance.records_damaged == 0
    monkeypatch.setattr(_wandb_records, "MAX_RECORD", 100_000)
    run = run_of(path)
    assert run.series["loss"].value.tolist() == [0, 1, 2, 3]
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged > 200_000


def test_a_record_that_is_no_protobuf_is_lost_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "run-x.wandb"
    row = _record("history", [(("loss",), "1", False)], 0)
    row.num = 1
    with path.open("wb") as file:
        log = BENCHMARK["LogWriter"](file)
        log.add(row.SerializeToString())
        for payload in (b"\x08\x02\x12\xff", b"\x08\x02\x12\x04\x0a\x02\x0a\x01\xff", b""):
            log.add(payload)
        row.num = 5
        log.add(row.SerializeToString())
    run = _in_batches(path, few=1)
    same(run, _one_by_one(path))
    assert run.series["loss"].info.points == 2
    assert run.provenance.records_damaged >= 2


def test_a_file_that_grows_is_read_as_long_as_it_was(long: Path, tmp_path: Path) -> None:
    data = long.read_bytes()
    path = _copied(tmp_path, data[: 3 * BLOCK + 100])
    batches = RecordLog(path, window_blocks=2).batches()
    first = next(batches)
    with path.open("ab") as file:
        file.write(data[3 * BLOCK + 100 :])
    sizes = [len(first.sizes), *(len(batch.sizes) for batch in batches)]
    cut = [frame for frame in frames_of(data) if frame.end <= 3 * BLOCK + 100]
    assert sum(sizes) == _records(cut)


def test_the_benchmarks_file_holds_what_its_writer_logged(tmp_path: Path) -> None:
    path = tmp_path / "run-large.wandb"
    BENCHMARK["write"](path, 0.5)
    BENCHMARK["ours"](path)
    assert 0.5 <= path.stat().st_size / 1e6 < 0.6
    assert _plain_share(path) > 0.9
    run = run_of(path)
    rows = run.series["train/loss"].recorded
    assert set(BENCHMARK["METRICS"]) == {i.name for i in run.series.infos if i.axis == "step"}
    assert rows.step.tolist() == list(range(len(rows.step)))
    assert run.state == "finished"
    assert math.isfinite(run.series["system/gpu.7.powerWatts"].value.max())
    same(run, _one_by_one(path))


@pytest.mark.parametrize("moment", [1e300, 1.79e12, 0.0, -5.0, math.inf, math.nan])
def test_what_can_be_no_time_is_none(tmp_path: Path, moment: float) -> None:
    """Both by the batch and one by one: milliseconds are not seconds of the year 58,000."""
    records = []
    for step in range(3000):
        record = record_class()()
        record.history.step.num = step
        values = {"loss": 1.0 / (step + 1), "_timestamp": moment if step % 2 else 1.7e9 + step}
        for key, value in values.items():
            record.history.item.add(key=key, value_json=json.dumps(value))
        records.append(record)
    path = write_records(tmp_path / "run-a.wandb", records)
    run = run_of(path)
    times = run.series["loss"].time
    assert np.isnan(times[1::2]).all()
    assert times[::2].tolist() == [1.7e9 + step for step in range(0, 3000, 2)]
    assert run.end == 1.7e9 + 2998
    assert run.state == "ended"
    same(run, _one_by_one(path))


def test_a_recorded_start_that_can_be_no_time_is_none(tmp_path: Path) -> None:
    record = record_class()()
    record.run.run_id = "a"
    record.run.start_time.seconds = 2**60
    run = run_of(write_records(tmp_path / "run-a.wandb", [record]))
    assert (run.start, run.state) == (None, "ended")
