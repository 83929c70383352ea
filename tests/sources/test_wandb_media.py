"""What W&B logs beside numbers: images, sounds, histograms, tables; files only of the run itself."""

from __future__ import annotations

import io
import json
import math
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runpages.model import Run, Sample
from runpages.sources._media import PER_NAME
from sources.wandb_files import record_class, run_of, run_sdk, write_records

WRITER = """
import io, sys, wave
import numpy as np
import wandb

def pixels(shade):
    return np.full((4, 4, 3), shade, dtype=np.uint8)

with wave.open("tone.wav", "wb") as tone:
    tone.setparams((1, 2, 8000, 0, "NONE", ""))
    tone.writeframes(bytes(800))

run = wandb.init(project="p", id="media", mode="offline", dir=sys.argv[1],
                 settings=wandb.Settings(x_disable_stats=True))
for step in range(30):
    run.log({"train/global_step": 10 * step, "shot": wandb.Image(pixels(step), caption=f"n {step}")})
run.log({"grid": [wandb.Image(pixels(k), caption=f"c{k}") for k in range(3)],
         "bare": [wandb.Image(pixels(k)) for k in range(2)],
         "val": {"deep": {"photo": wandb.Image(pixels(9), file_type="jpg")}}, "loss": 0.5,
         "masked": wandb.Image(pixels(7), masks={"m": {"mask_data": np.zeros((4, 4), int),
                                                       "class_labels": {0: "x"}}})})
run.log({"tone": wandb.Audio("tone.wav", caption="a hum")})
run.log({"weights": wandb.Histogram(np_histogram=([0, 2, 2, 0], [0.0, 1.0, 2.0, 3.0, 9.0])),
         "grads": {"first": wandb.Histogram([1.0, 2.0, 4.0])}, "array": np.arange(100.0)})
run.log({"page": wandb.Html("<script>alert(1)</script>"), "cloud": wandb.Object3D(np.ones((5, 3))),
         "pages": [wandb.Html("a"), wandb.Html("b")]})
run.log({"shown": wandb.Table(columns=["prompt", "picture"],
                              data=[["p", wandb.Image(pixels(1), caption="x")]])})
for step in range(PER_NAME + 6):
    run.log({"said": wandb.Table(columns=["prompt", "text"], data=[["p", f"t{step}"]])})
run.finish()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wandb-media")
    return run_sdk(folder, WRITER.replace("PER_NAME", str(PER_NAME)))


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    return run_of(root)


def _samples(run: Run, name: str) -> list[Sample]:
    return [sample for sample in run.samples if sample.name == name]


def _shade(sample: Sample) -> int:
    assert sample.media is not None
    with Image.open(io.BytesIO(sample.media.read())) as image:
        return int(np.asarray(image)[0, 0, 0])


def test_images_have_their_bytes_caption_and_step(run: Run) -> None:
    shots = _samples(run, "shot")
    assert len(shots) == PER_NAME
    assert {(s.kind, s.media.media_type) for s in shots if s.media} == {("image", "image/png")}
    assert [shots[0].step, shots[-1].step] == [0, 290]
    assert [s.text for s in shots] == [f"n {_shade(s)}" for s in shots]
    assert [s.step for s in shots] == [10 * _shade(s) for s in shots]
    assert all(s.time is not None for s in shots)
    assert any("shot: 24 of its 30 image samples" in w for w in run.provenance.warnings)


def test_lists_of_images_with_and_without_captions(run: Run) -> None:
    assert [(s.text, _shade(s), s.step) for s in _samples(run, "grid")] == [
        ("c0", 0, 290),
        ("c1", 1, 290),
        ("c2", 2, 290),
    ]
    assert [(s.text, _shade(s)) for s in _samples(run, "bare")] == [("", 0), ("", 1)]


def test_a_nested_image_has_a_dotted_name(run: Run) -> None:
    (photo,) = _samples(run, "val.deep.photo")
    assert photo.media is not None
    assert photo.media.media_type == "image/jpeg"


def test_sounds(run: Run) -> None:
    (tone,) = _samples(run, "tone")
    assert (tone.kind, tone.text, tone.step) == ("audio", "a hum", 290)
    assert tone.media is not None
    assert tone.media.media_type == "audio/wav"
    with wave.open(io.BytesIO(tone.media.read())) as sound:
        assert sound.getnframes() == 400


def test_histograms_are_series_of_their_quantiles(run: Run) -> None:
    found = {n: run.series[n].value.tolist() for n in run.series if n.startswith("weights/")}
    assert found == {
        "weights/min": [1.0],
        "weights/max": [3.0],
        "weights/mean": [2.0],
        "weights/p05": [1.1],
        "weights/p50": [2.0],
        "weights/p95": [2.9],
    }
    assert run.series["weights/p50"].step.tolist() == [290]
    assert run.series["grads.first/max"].value.tolist() == [4.0]
    assert run.series["array/mean"].value[0] == pytest.approx(49.5, abs=1)


def test_what_is_not_read_is_counted(run: Run) -> None:
    assert run.provenance.lossy == (
        "html left out: pages (1 logged)",
        "html-file left out: page (1 logged)",
        "masks and boxes of images left out: masked (1 logged)",
        "object3D-file left out: cloud (1 logged)",
        (
            "images and sounds in tables lie outside the run's folder and are not read: "
            "run-media-shown"
        ),
    )
    assert {s.name for s in run.samples} == {
        *("shot", "grid", "bare", "val.deep.photo", "masked", "tone", "shown", "said"),
    }


def test_a_media_cell_of_a_table_is_its_kind(run: Run) -> None:
    (table,) = _samples(run, "shown")
    assert (table.columns, table.rows) == (("prompt", "picture"), (("p", "Image"),))


def test_of_many_tables_evenly_spaced_ones_are_read(run: Run) -> None:
    said = [s.text for s in _samples(run, "said")]
    assert len(said) == PER_NAME
    assert (said[0], said[-1]) == ("t0", f"t{PER_NAME + 5}")
    assert "said: 24 of its 30 tables are read, evenly spaced" in run.provenance.warnings


def test_summary_and_series_hold_no_part_of_a_media_object(run: Run) -> None:
    assert set(run.summary) == {"train/global_step", "loss"}
    assert {n.partition("/")[0] for n in run.series} == {
        *("train", "loss", "weights", "grads.first", "array"),
    }


def test_no_file_outside_the_run_is_read(root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "logs"
    shutil.copytree(root, copied, symlinks=True)
    images = next(copied.rglob("images"))
    outside = tmp_path / "outside.png"
    Image.new("RGB", (2, 2), "red").save(outside)
    for number, path in enumerate(sorted(images.glob("grid_*.png"))):
        path.unlink()
        if number == 0:
            path.symlink_to(outside)
        elif number == 1:
            path.write_text("<svg onload=alert(1)>", encoding="utf-8")
    for path in images.glob("shot_*.png"):
        path.unlink()
    run = run_of(copied)
    assert _samples(run, "shot") == []
    assert _samples(run, "grid") == []
    assert "shot: 30 of its files are not in the run's folder" in run.provenance.warnings
    assert "grid: 2 of its files are not in the run's folder" in run.provenance.warnings
    assert any(
        w.startswith("grid (step 290): its bytes are no image") for w in run.provenance.warnings
    )


def _logged(tmp_path: Path, **values: object) -> Run:
    """A run that logged these JSON values once; nested ones flat, as the SDK does."""
    cls = record_class()
    first, row = cls(), cls()
    first.run.run_id = "crafted"
    first.run.project = "p"

    def add(path: list[str], value: object) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add([*path, key], inner)
        else:
            row.history.item.add(nested_key=path, value_json=json.dumps(value))

    for name, value in values.items():
        add([name], value)
    folder = tmp_path / "run-20260101_000000-crafted"
    return run_of(write_records(folder / "run-crafted.wandb", [first, row]))


def test_a_list_of_sounds(root: Path, tmp_path: Path) -> None:
    """As the SDK writes it where the package soundfile is installed."""
    audio = tmp_path / "run-20260101_000000-crafted" / "files" / "media" / "audio"
    audio.mkdir(parents=True)
    shutil.copy(root.parent / "tone.wav", audio / "a.wav")
    sounds = [
        {"_type": "audio-file", "path": "media/audio/a.wav", "caption": caption, "size": 844}
        for caption in ("one", "two")
    ]
    value = {"_type": "audio", "count": 2, "audio": sounds, "captions": ["one", "two"]}
    run = _logged(tmp_path, tones=value)
    assert [(s.kind, s.text) for s in run.samples] == [("audio", "one"), ("audio", "two")]


@pytest.mark.parametrize(
    "where",
    ["../outside.png", "/etc/passwd", "", "\0", "a/../../../outside.png", "x" * 5000, None, 3, []],
)
def test_a_path_to_elsewhere_is_a_missing_file(tmp_path: Path, where: object) -> None:
    (tmp_path / "run-20260101_000000-crafted" / "files").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "run-20260101_000000-crafted"):
        Image.new("RGB", (2, 2)).save(folder / "outside.png")
    run = _logged(
        tmp_path,
        one={"_type": "image-file", "path": where, "caption": {"a": 1}},
        many={"_type": "images/separated", "filenames": [where], "captions": 7},
        sounds={"_type": "audio", "audio": [{"path": where}, 3]},
    )
    assert run.samples == ()
    assert [w.partition(":")[0] for w in run.provenance.warnings] == ["one", "many", "sounds"]


def test_packed_bins_are_evenly_spaced(tmp_path: Path) -> None:
    packed = {"min": -1.0, "size": 0.5, "count": 4}
    run = _logged(tmp_path, h={"_type": "histogram", "packedBins": packed, "values": [0, 1, 1, 0]})
    assert run.series["h/min"].value.tolist() == [-0.5]
    assert run.series["h/p50"].value.tolist() == [0.0]
    assert run.series["h/max"].value.tolist() == [0.5]


@pytest.mark.parametrize(
    "value",
    [
        {"values": [1, 2], "bins": [0, 1]},
        {"values": [1], "bins": [0, math.nan]},
        {"values": [-1], "bins": [0, 1]},
        {"values": ["x"], "bins": [0, 1]},
        {"values": [[1], [2, 3]], "bins": [0, 1]},
        {"values": None, "bins": None},
        {"values": 3, "bins": 4},
        {"values": [1]},
        {"values": [1], "packedBins": {"min": 0, "count": 1}},
        {"values": [1], "packedBins": {"min": 0, "size": 1, "count": 10**400}},
        {"values": [1] * 20_000, "packedBins": {"min": 0, "size": 1, "count": 20_000}},
        {"values": [1e308], "bins": [-1.7e308, 1.7e308, 1.79e308]},
    ],
)
def test_a_histogram_without_sense_is_left_out(tmp_path: Path, value: dict[str, object]) -> None:
    run = _logged(tmp_path, h={"_type": "histogram", **value}, loss=1.0)
    assert list(run.series) == ["loss"]
    assert run.provenance.lossy == ("histogram left out: h (1 logged)",)


def test_a_histogram_of_the_largest_numbers_is_no_error(tmp_path: Path) -> None:
    value = {"_type": "histogram", "values": [1, 1], "bins": [-1.7e308, 1.7e308, 1.79e308]}
    assert _logged(tmp_path, h=value).series["h/max"].value.tolist() == [1.79e308]


def test_an_object_of_any_type_is_counted(tmp_path: Path) -> None:
    types = ("video-file", "plotly-file", "molecule-file", "bokeh-file", "\u202enew")
    run = _logged(tmp_path, **{f"n{i}": {"_type": kind} for i, kind in enumerate(types)})
    assert [s.partition(" left")[0] for s in run.provenance.lossy] == sorted(types)
