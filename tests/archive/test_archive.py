from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpages.archive import Archive, locked
from runpages.archive.record import decode, encode
from runpages.errors import ArchiveError, LockedError, UnknownNameError
from runpages.model import (
    Attempt,
    Columns,
    Media,
    Run,
    RunRef,
    Sample,
    SeriesInfo,
    SeriesSet,
    rank_key,
    statistic_key,
)


def make_run(run_id: str = "a/b", **changes) -> Run:
    axis = Columns(
        np.array([0, 1, 2, 1, 2]),
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        np.array([1.0, np.nan, np.inf, -np.inf, 0.1]),
        np.array([1, 1, 1, 2, 2]),
    )
    ref = RunRef(source="logs", project="p", run_id=run_id, name="n", state="ended", location="x")
    run = Run(
        ref=ref,
        name="n",
        series=SeriesSet.of({"loss": axis, "lr": axis._replace(value=axis.value * 2)}),
        config={"lr": math.nan, "nested": [1, {"deep": None}], "text": "NaN"},
        attempts=(Attempt(number=1, start=1.0), Attempt(number=2, start=4.0)),
        samples=(Sample(kind="text", name="s", text="lone \ud800 surrogate"),),
        seed=3,
    )
    return replace(run, **changes)


def test_a_run_comes_back_as_it_was(archive):
    run = make_run()
    assert archive.put(run) is True
    back = archive.get(run.slug)
    assert back.attempts == run.attempts
    assert back.samples == run.samples
    assert back.ref == replace(run.ref, location="")
    assert math.isnan(back.config["lr"])
    assert back.config["text"] == "NaN"
    assert back.config["nested"] == [1, {"deep": None}]
    for name in run.series:
        for one, other in zip(run.series[name].recorded, back.series[name].recorded, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(back.series["loss"].superseded.step, [1, 2])
    assert back.series["loss"].role == "loss"


def test_the_same_run_twice_is_kept_once(archive):
    archive.put(make_run())
    assert archive.put(make_run()) is False
    assert archive.put(make_run(seed=4)) is True
    assert archive.slugs() == (make_run().slug,)
    assert archive.get(make_run().slug).seed == 4


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        Archive(tmp_path / name).put(make_run())
    files = [
        sorted(
            (p.relative_to(tmp_path / n).as_posix(), p.read_bytes())
            for p in (tmp_path / n).rglob("*")
            if p.is_file()
        )
        for n in ("one", "two")
    ]
    assert files[0] == files[1]


def test_series_with_one_axis_store_it_once(tmp_path):
    archive = Archive(tmp_path)
    archive.put(make_run())
    record = json.loads((tmp_path / "runs" / make_run().slug / "run.json").read_bytes())
    assert len({entry["axis_group"] for entry in record["series"]}) == 1


def test_a_damaged_series_file_is_one_sentence(tmp_path):
    archive = Archive(tmp_path)
    run = make_run()
    archive.put(run)
    path = next((tmp_path / "runs" / run.slug).glob("series-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"series-.*not those that were written; restore"):
        archive.get(run.slug).series["loss"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        '{"schema": "runpages.archive/1", "series": 5}',
        '{"schema": "runpages.archive/1", "run": []}',
        '{"schema": "runpages.archive/1", "run": {"ref": 3}}',
        '{"schema": "runpages.archive/1", "run": {"name": "no ref"}}',
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path, content):
    archive = Archive(tmp_path)
    run, other = make_run(), make_run("other")
    archive.put(run)
    archive.put(other)
    (tmp_path / "runs" / run.slug / "run.json").write_text(content)
    with pytest.raises(ArchiveError, match="not a run record"):
        archive.get(run.slug)
    assert set(archive.slugs()) == {run.slug, other.slug}
    assert archive.withdrawn() == {}
    assert archive.put(run)
    assert archive.get(run.slug).seed == run.seed


@pytest.mark.parametrize("pattern", ["series-*", "samples-*", "samples/*"])
@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_to_pull_a_damaged_run_again_mends_it(archive, pattern, damage):
    data = b"\x89PNG\r\n\x1a\n"
    picture = Sample(kind="image", name="grid", media=Media.of("image/png", data))
    run = make_run(samples=(*make_run().samples, picture))
    archive.put(run)
    first = archive.get(run.slug)
    assert first.samples[1].media.read() == data
    assert list(first.series["lr"].recorded.step)
    path = next((archive.location / "runs" / run.slug).glob(pattern))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[::-1])
    archive.put(run)
    back = archive.get(run.slug)
    assert back.samples == run.samples
    assert back.samples[1].media.read() == data
    assert len(back.series["loss"].recorded.step) == 5


def test_an_unknown_slug_lists_the_known(archive):
    archive.put(make_run())
    with pytest.raises(UnknownNameError, match=make_run().slug):
        archive.get("nothing")


def test_a_withdrawn_run_leaves_only_its_reason(archive):
    run = make_run()
    archive.put(run)
    archive.withdraw(run.slug, "wrong data")
    assert archive.slugs() == ()
    assert archive.withdrawn() == {run.slug: "wrong data"}
    assert [p.name for p in (archive.location / "runs" / run.slug).iterdir()] == ["run.json"]
    with pytest.raises(ArchiveError, match="wrong data"):
        archive.get(run.slug)


def test_a_run_without_series_is_kept(archive):
    run = make_run(series=SeriesSet.of({}), samples=())
    archive.put(run)
    assert len(archive.get(run.slug).series) == 0


def test_a_folder_can_be_locked_once(tmp_path):
    with locked(tmp_path), pytest.raises(LockedError, match="another runpages"), locked(tmp_path):
        pass


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), values))
def test_any_configuration_survives(config):
    def same(one, other):
        if isinstance(one, float) and isinstance(other, float):
            return one == other or (math.isnan(one) and math.isnan(other))
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        if isinstance(one, list):
            return len(one) == len(other) and all(map(same, one, other))
        return type(one) is type(other) and one == other

    assert same(config, decode(dict[str, object], json.loads(json.dumps(encode(config)))))


@pytest.mark.parametrize(
    "value", [{"$float": "x"}, {"$float": "nan"}, {"$$float": {"$float": math.inf}}, {"$float": 1}]
)
def test_a_setting_that_looks_like_our_own_mark_stays_a_setting(archive, value):
    for config in ({"deep": [value], **value}, value):
        run = make_run(config=config)
        archive.put(run)
        assert archive.get(run.slug).config == config


def test_media_come_back_as_they_were(archive):
    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    sample = Sample(kind="image", name="grid", step=3, media=Media.of("image/png", data))
    run = make_run(samples=(sample, replace(sample, step=4)))
    assert archive.put(run) is True
    assert archive.put(run) is False
    back = archive.get(run.slug)
    assert back.samples == run.samples
    assert [s.media.read() for s in back.samples] == [data, data]
    (kept,) = archive.location.glob("runs/*/samples/*")
    assert kept.name == f"{sample.media.sha256[:12]}.png"


def test_damaged_media_are_one_sentence(tmp_path):
    archive = Archive(tmp_path)
    sample = Sample(kind="image", name="grid", media=Media.of("image/png", b"\x89PNG\r\n\x1a\n"))
    run = make_run(samples=(sample,))
    archive.put(run)
    (kept,) = tmp_path.glob("runs/*/samples/*")
    kept.write_bytes(b"\x89PNG")
    with pytest.raises(ArchiveError, match="not those that were written"):
        archive.get(run.slug).samples[0].media.read()


def test_ranks_keep_their_identity(archive):
    rows = Columns(np.arange(3), np.full(3, np.nan), np.ones(3), np.ones(3, dtype=np.int64))
    infos = {
        "loss": SeriesInfo(name="loss", points=3),
        rank_key("loss", 1): SeriesInfo(name=rank_key("loss", 1), points=3, rank=1),
        statistic_key("loss", "max"): SeriesInfo(
            name=statistic_key("loss", "max"), points=3, statistic="max"
        ),
    }
    run = make_run(series=SeriesSet(infos, lambda _: rows, {1: (0, 2)}))
    archive.put(run)
    series = archive.get(run.slug).series
    assert series.ranks("loss") == {1: rank_key("loss", 1)}
    assert [info.statistic for info in series.infos] == ["", "", "max"]
    assert series.with_role("loss") == ("loss",)


def test_a_long_series_takes_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("runpages.archive.tables.GROUP_ROWS", 2)
    archive = Archive(tmp_path)
    run = make_run()
    archive.put(run)
    back = archive.get(run.slug)
    for name in run.series:
        for one, other in zip(run.series[name].recorded, back.series[name].recorded, strict=True):
            np.testing.assert_array_equal(one, other)
