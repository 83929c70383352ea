"""What several sources use: media by their bytes, ranks' logs, histograms."""

from __future__ import annotations

import io
import math
from pathlib import PurePosixPath

import numpy as np
import pytest
import yaml
from PIL import Image

from runpages.model import Columns, Sample, SeriesSet, rank_key, statistic_key
from runpages.sources import Spool
from runpages.sources._artifacts import step_told
from runpages.sources._histogram import summarised
from runpages.sources._media import PER_NAME, Gallery, media_type_of
from runpages.sources._ranks import are_ranks, clock_skew, missing_ranks, rank_of, spool_ranks
from runpages.sources._tabular_config import _parse
from runpages.sources._textfiles import core_yaml, plain_yaml, seconds, whole


def png(shade: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 4), shade).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_images_are_known_by_their_bytes(kind):
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, kind)
    assert media_type_of(stream.getvalue()[:12]) == f"image/{kind.lower()}"


def test_what_is_no_image_or_sound_is_left_out_with_a_sentence(tmp_path):
    gallery = Gallery()
    (tmp_path / "fake.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "good.png").write_bytes(png())
    sample = Sample(kind="image", name="grid", step=1)
    gallery.add_file(sample, tmp_path / "fake.png")
    gallery.add_file(sample, tmp_path / "gone.png")
    gallery.add_file(sample, tmp_path / "good.png")
    samples, told = gallery.finish()
    assert [s.media.media_type for s in samples] == ["image/png"]
    assert samples[0].media.read() == png()
    assert told == (
        "grid (step 1): its bytes are no image of a known format",
        "grid (step 1): its file cannot be read: no such file",
    )


def test_of_too_many_samples_first_last_and_some_between_are_kept():
    gallery = Gallery()
    for step in range(100):
        gallery.add(Sample(kind="image", name="grid", step=step), lambda s=step: png(s))
    samples, told = gallery.finish()
    assert len(samples) == PER_NAME
    assert (samples[0].step, samples[-1].step) == (0, 99)
    assert told == (f"grid: {PER_NAME} of its 100 image samples are kept, evenly spaced",)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("logs/rank_3", (3, "logs")),
        ("logs/rank3", (3, "logs")),
        ("logs/rank=12", (12, "logs")),
        ("logs/metrics.rank0.jsonl", (0, "logs/metrics.jsonl")),
        ("logs/metrics_rank_7.csv", (7, "logs/metrics.csv")),
        ("logs/worker-2", (2, "logs")),
        ("logs/3", None),
        ("logs/ranking5", None),
        ("logs/frank3", None),
    ],
)
def test_a_rank_is_read_from_a_name(path, found):
    assert rank_of(PurePosixPath(path)) == found


@pytest.mark.parametrize(
    ("numbers", "true"),
    [({0, 1}, True), ({0, 7}, True), ({1, 2, 3}, True), ({8, 16}, False), ({1, 2}, False)],
)
def test_a_search_over_a_rank_is_no_set_of_processes(numbers, true):
    assert are_ranks(numbers) is true


def one_rank(values, steps=None, time=0.0) -> SeriesSet:
    steps = np.arange(len(values)) if steps is None else np.array(steps)
    rows = Columns(
        steps, time + steps.astype(float), np.array(values, float), np.ones(len(values), int)
    )
    return SeriesSet.of({"loss": rows})


def test_ranks_are_merged_step_by_step():
    ranks = {0: one_rank([1.0, 2.0, 3.0]), 2: one_rank([3.0, math.nan, 5.0], [0, 1, 3], time=0.5)}
    spool = Spool()
    spool_ranks(spool, ranks)
    series = spool.finish()
    assert series["loss"].step.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(series["loss"].value, [2.0, math.nan, 3.0, 5.0])
    np.testing.assert_array_equal(
        series[statistic_key("loss", "max")].value, [3.0, math.nan, 3.0, 5.0]
    )
    assert series["loss"].time.tolist() == [0.5, 1.5, 2.0, 3.5]
    assert series.ranks("loss") == {0: rank_key("loss", 0), 2: rank_key("loss", 2)}
    assert series[rank_key("loss", 2)].step.tolist() == [0, 1, 3]
    assert series.with_role("loss") == ("loss",)
    assert missing_ranks(ranks, None) == (1,)
    assert missing_ranks(ranks, 4) == (1, 3)
    assert clock_skew(ranks) == {0: 0.0, 2: 0.5}


def test_a_histogram_becomes_a_few_numbers():
    values = np.random.default_rng(0).normal(size=20_000)
    counts, edges = np.histogram(values, bins=200)
    found = summarised(edges, counts)
    assert found["mean"] == pytest.approx(values.mean(), abs=0.02)
    assert found["p05"] == pytest.approx(np.quantile(values, 0.05), abs=0.02)
    assert found["p95"] == pytest.approx(np.quantile(values, 0.95), abs=0.02)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert summarised([0, 1], [0]) == {}
    with pytest.raises(ValueError, match="do not enclose"):
        summarised([0, 1, 2], [1])


@pytest.mark.parametrize(
    ("metadata", "step"),
    [
        ({"step": 40, "iter": 3}, 40),
        ({"step": "40", "iteration": 3}, 3),
        ({"global_step": True}, None),
        ({"step": 10**400, "iter": 2}, 2),
        ({"loss": 1}, None),
    ],
)
def test_an_artifact_tells_its_step_by_a_whole_number(metadata, step):
    assert step_told(metadata) == step


def test_an_absurd_world_size_is_not_counted_to():
    assert missing_ranks({0: None, 2: None}, 10**15) == (1,)
    assert missing_ranks({0: None}, 4) == (1, 2, 3)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("9007199254740993", 2**53 + 1),
        ("-9007199254740993", -(2**53) - 1),
        (" 12 ", 12),
        ("1e3", 1000),
        ("3.0", 3),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 5000, None),
        ("1_000", None),
        ("1.5", None),
        (True, None),
        (2.5, None),
    ],
)
def test_a_whole_number_is_exact_also_as_text(value, found):
    assert whole(value) == found


def test_a_truth_value_is_no_time():
    assert seconds(True) is None
    assert seconds(1) == 1.0


@pytest.mark.parametrize("parse", [plain_yaml, core_yaml, _parse])
def test_yaml_has_no_number_that_cannot_be_written_again(parse):
    assert parse("a: 0xff\nb: 12\n") == {"a": 255, "b": 12}
    with pytest.raises(yaml.YAMLError, match="9,002 digits"):
        parse(f"a: 0x{'f' * 9000}\n")
