"""Images, sounds, histograms, texts and hyper-parameters, each as its real writer writes it."""

from __future__ import annotations

import io
import json
import math
import wave
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.plugins.audio import metadata as audio_metadata
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import summary_v2 as hparams_v2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboardX import SummaryWriter

from runpages.model import Run
from runpages.sources import _tf_media, sniff
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import read_all

NOW = 1_790_000_000.0


def read(root: Path) -> Run:
    (run,) = read_all(TensorBoard(str(root)))
    return run


class Protos:
    """TensorBoard's own writer and summaries, without TensorFlow."""

    def __init__(self, folder: Path) -> None:
        self.writer = EventFileWriter(str(folder))

    def add(self, summary: Any, step: int, at: float = NOW) -> None:
        own = summary_pb2.Summary.FromString(summary.SerializeToString())
        self.writer.add_event(event_pb2.Event(wall_time=at, step=step, summary=own))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()


def png(shade: int, size: tuple[int, int] = (3, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


def wav(samples: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * samples))
    return out.getvalue()


def strings(parts: list[bytes], shape: list[int], metadata: Any, tag: str) -> summary_pb2.Summary:
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
    tensor = tensor_pb2.TensorProto(
        dtype=7,
        string_val=parts,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
    )
    own = summary_pb2.SummaryMetadata.FromString(metadata.SerializeToString())
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=own)
    return summary_pb2.Summary(value=[value])


# --- images and sounds --------------------------------------------------------------------------


def test_images_of_tensorboardx(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 0, walltime=NOW)
        for step in (0, 10):
            picture = np.full((3, 4, 5), step * 10, dtype=np.uint8)
            writer.add_image("picture", picture, step, walltime=NOW + step)
    run = read(tmp_path)
    assert [(s.kind, s.name, s.step, s.time) for s in run.samples] == [
        ("image", "picture", 0, NOW),
        ("image", "picture", 10, NOW + 10),
    ]
    for sample in run.samples:
        assert sample.media is not None
        assert sample.media.media_type == "image/png"
        image = Image.open(io.BytesIO(sample.media.read()))
        assert image.size == (5, 4)
        assert image.getpixel((0, 0)) == (sample.step * 10,) * 3
    assert not any("image" in sentence for sentence in run.provenance.lossy)


def test_several_images_of_one_tensor(tmp_path: Path) -> None:
    metadata = image_metadata.create_summary_metadata("", "")
    with Protos(tmp_path) as writer:
        parts = [b"3", b"2", *(png(shade) for shade in (1, 2, 3))]
        writer.add(strings(parts, [5], metadata, "pictures"), 7)
        # a later value may leave the metadata out
        bare = summary_pb2.SummaryMetadata()
        writer.add(strings([b"3", b"2", png(9)], [3], bare, "pictures"), 8)
    run = read(tmp_path)
    assert run.provenance.warnings == ()
    shades = [Image.open(io.BytesIO(s.media.read())).getpixel((0, 0))[0] for s in run.samples]
    assert shades == [1, 2, 3, 9]
    assert [s.step for s in run.samples] == [7, 7, 7, 8]


def test_sounds_of_tensors_and_of_the_old_message(tmp_path: Path) -> None:
    metadata = audio_metadata.create_summary_metadata("", "", 1)
    with Protos(tmp_path) as writer:
        parts = [wav(10), b"first *take*", wav(20), b"second"]
        writer.add(strings(parts, [2, 2], metadata, "new"), 4)
        bare = summary_pb2.SummaryMetadata()
        writer.add(strings([wav(50), b"third"], [1, 2], bare, "new"), 6)
        writer.add(strings([wav(40)], [1], metadata, "bare"), 5)
        old = summary_pb2.Summary.Audio(encoded_audio_string=wav(30), content_type="audio/wav")
        writer.add(summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="old", audio=old)]), 3)
    run = read(tmp_path)
    assert {(s.name, s.step, s.text, len(s.media.read())) for s in run.samples} == {
        ("old", 3, "", len(wav(30))),
        ("new", 4, "first *take*", len(wav(10))),
        ("new", 4, "second", len(wav(20))),
        ("new", 6, "third", len(wav(50))),
        ("bare", 5, "", len(wav(40))),
    }


def test_the_bytes_of_media_stay_in_the_file(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_image("picture", np.zeros((3, 4, 5), dtype=np.uint8), 1)
    run = read(tmp_path)
    (path,) = tmp_path.glob("*tfevents*")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="changed"):
        run.samples[0].media.read()
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        run.samples[0].media.read()


def test_an_image_that_is_none_is_said(tmp_path: Path) -> None:
    image = summary_pb2.Summary.Image(encoded_image_string=b"<svg onload=alert(1)>")
    with Protos(tmp_path) as writer:
        writer.add(summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="p", image=image)]), 3)
    run = read(tmp_path)
    assert run.samples == ()
    assert run.provenance.warnings == ("p (step 3): its bytes are no image of a known format",)


def test_many_samples_are_thinned_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tf_media, "KEPT", 5)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(42):
            writer.add_text("said", f"step {step}", step)
    run = read(tmp_path)
    assert [s.step for s in run.samples] == [0, 8, 16, 24, 32, 40, 41]
    assert run.provenance.warnings == (
        "said: 7 of its 42 text samples are kept, evenly spaced and the last",
    )


def test_what_samples_take_in_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tf_media, "KEPT", 5)
    monkeypatch.setattr(_tf_media, "TEXT_CHARACTERS", 1000)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(100):
            writer.add_text("said", "x" * 500, step)
        writer.add_text("said", "x" * 1001, 100)
        for step in range(10):
            writer.add_text(f"other{step}", "x" * 500, step)
    # at most twelve texts of one name are held, whatever there were, in the end eight
    monkeypatch.setattr(_tf_media, "HELD_BYTES", 14 * 1200)
    run = read(tmp_path)
    names = [sample.name for sample in run.samples]
    assert names.count("said") <= 12
    assert "said" in names
    assert names.count("other9") == 0
    (told,) = (w for w in run.provenance.warnings if "left out" in w)
    assert int(told.split()[0]) == 1 + sum(f"other{n}" not in names for n in range(10))


# --- histograms ---------------------------------------------------------------------------------


def test_histograms_of_tensorboardx_become_quantiles(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(3, 2, size=10_000)
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2):
            writer.add_histogram("weights", values * step, step, walltime=NOW + step)
    series = read(tmp_path).series
    assert list(series) == [f"weights/{n}" for n in ("min", "max", "mean", "p05", "p50", "p95")]
    for step in (1, 2):
        at = {name.rpartition("/")[2]: series[name].value[step - 1] for name in series}
        assert at["min"] == (values * step).min()
        assert at["max"] == (values * step).max()
        assert at["mean"] == pytest.approx((values * step).mean())
        for name, share in (("p05", 5), ("p50", 50), ("p95", 95)):
            # buckets of the default binning grow by a tenth
            expected = np.percentile(values * step, share)
            assert at[name] == pytest.approx(expected, rel=0.1, abs=0.1)
    assert series["weights/p50"].time.tolist() == [NOW + 1, NOW + 2]


def test_histograms_of_tensors(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 1, size=10_000)
    with Protos(tmp_path) as writer:
        writer.add(histogram_pb("weights", values, buckets=50), 1)
        writer.add(histogram_pb("same", np.full(5, 2.5)), 1)
        writer.add(histogram_pb("none", np.empty(0)), 1)
    series = read(tmp_path).series
    own = {n.split("/")[-1]: series[n].value[0] for n in series if n.startswith("weights")}
    assert own["min"] == pytest.approx(values.min())
    assert own["max"] == pytest.approx(values.max())
    assert own["p50"] == pytest.approx(np.median(values), abs=0.01)
    assert own["p95"] == pytest.approx(0.95, abs=0.01)
    same = [series[n].value[0] for n in series if n.startswith("same") and not n.endswith("/p05")]
    assert all(2.0 <= value <= 3.0 for value in same)
    assert not any(name.startswith("none") for name in series)


def test_the_outermost_buckets_end_at_min_and_max(tmp_path: Path) -> None:
    far = 1.7976931348623157e308
    histo = summary_pb2.HistogramProto(
        min=-5, max=7, num=4, sum=4, bucket_limit=[-1, 0, far], bucket=[1, 1, 2]
    )
    with Protos(tmp_path) as writer:
        writer.add(summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="w", histo=histo)]), 1)
    series = read(tmp_path).series
    assert {n: series[n].value[0] for n in series} == {
        "w/min": -5.0,
        "w/max": 7.0,
        "w/mean": 1.0,
        "w/p05": pytest.approx(-4.2),
        "w/p50": 0.0,
        "w/p95": pytest.approx(6.3),
    }


@pytest.mark.parametrize(
    "histo",
    [
        {"min": 0, "max": 1, "num": 2, "bucket_limit": [1, 2, 3], "bucket": [1]},
        {"min": 0, "max": 1, "num": 2, "bucket_limit": [1], "bucket": [-1]},
        {"min": 3, "max": 1, "num": 2, "bucket_limit": [1], "bucket": [1]},
        {"min": math.nan, "max": 1, "num": 2, "bucket_limit": [1], "bucket": [1]},
    ],
)
def test_a_histogram_that_is_none_is_counted(tmp_path: Path, histo: dict[str, Any]) -> None:
    value = summary_pb2.Summary.Value(tag="w", histo=summary_pb2.HistogramProto(**histo))
    with Protos(tmp_path) as writer:
        writer.add(summary_pb2.Summary(value=[value]), 1)
    run = read(tmp_path)
    assert list(run.series) == []
    assert "1 malformed histograms are not read." in run.provenance.lossy


def test_a_statistic_is_never_mixed_with_a_scalar_of_the_same_name(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_histogram("grad", np.arange(10.0), 1)
        writer.add_scalar("grad/max", 77.0, 1)
    run = read(tmp_path)
    assert run.series["grad/max"].value.tolist() == [77.0]
    assert run.series["grad/max (2)"].value.tolist() == [9.0]
    assert run.provenance.warnings == (
        "grad/max: two series have this name; one is kept as grad/max (2)",
    )


# --- what is counted only -----------------------------------------------------------------------


def test_curves_tensors_graphs_and_layouts_are_counted(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 1)
        writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.2, 0.8, 0.6]), 1)
        writer.add_mesh("mesh", np.zeros((1, 3, 3)), global_step=1)
        writer.add_custom_scalars({"all": {"loss": ["Multiline", ["loss"]]}})
    with Protos(tmp_path) as writer:
        tensor = tensor_pb2.TensorProto(dtype=1, float_val=[1, 2])
        tensor.tensor_shape.dim.add(size=2)
        value = summary_pb2.Summary.Value(tag="vector", tensor=tensor)
        writer.add(summary_pb2.Summary(value=[value]), 1)
        writer.writer.add_event(event_pb2.Event(graph_def=b"graph"))
    run = read(tmp_path)
    assert list(run.series) == ["loss"]
    lossy = run.provenance.lossy
    for sentence in ("1 PR curves", "1 tensors", "1 graphs", "1 layouts of custom scalars"):
        assert f"{sentence} are not read." in lossy
    assert any(s.endswith("meshes are not read.") for s in lossy)
    assert [a.number for a in run.attempts] == [1]


def test_a_folder_of_the_profiler_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    profile = tmp_path / "run" / "plugins" / "profile" / "2026_01_01"
    profile.mkdir(parents=True)
    (profile / "host.xplane.pb").write_bytes(b"\x0a\x00")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["run"]
    assert found.skipped == (
        (
            "run/plugins/profile/2026_01_01/host.xplane.pb",
            "is a profile of the program; profiles are not read",
        ),
    )


def test_a_file_with_only_a_graph_is_no_run(tmp_path: Path) -> None:
    with Protos(tmp_path) as writer:
        writer.writer.add_event(event_pb2.Event(graph_def=b"graph" * 100_000))
    source = TensorBoard(str(tmp_path))
    assert list(source.discover()) == []
    ((_, why),) = source.skipped
    assert "graph" in why


# --- text ---------------------------------------------------------------------------------------


def test_the_arguments_that_hugging_face_logs_become_config(tmp_path: Path) -> None:
    args = {"learning_rate": 5e-05, "output_dir": "out", "fp16": False, "nested": {"a": [1]}}
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("args", json.dumps(args, indent=2), 0)
        writer.add_text("model_config", json.dumps({"hidden_size": 768}), 0)
        writer.add_text("sample", json.dumps({"not": "config"}), 5)
    run = read(tmp_path)
    assert run.config == {"args": args, "model_config": {"hidden_size": 768}}
    assert [s.name for s in run.samples] == ["args", "model_config", "sample"]
    assert json.loads(run.samples[0].text) == args
    assert run.provenance.lossy[0] == "Event files do not tell how a run ended, code or hardware."


@pytest.mark.parametrize("text", ["no JSON", "[1]", "[" * 5000, '{"a":' * 100 + "1" + "}" * 100])
def test_arguments_that_are_no_object_stay_a_text(tmp_path: Path, text: str) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("args", text, 0)
    run = read(tmp_path)
    assert run.config == {}
    assert [s.text for s in run.samples] == [text]
    assert run.provenance.warnings == ("args: is no JSON object; kept as text only",)


def test_text_of_tensorboards_own_summary(tmp_path: Path) -> None:
    with Protos(tmp_path) as writer:
        writer.add(text_pb("said", "one"), 1)
        writer.add(text_pb("said", np.array(["two", "three"])), 2)
    assert [(s.name, s.text) for s in read(tmp_path).samples] == [
        ("said", "one"),
        ("said", "two\nthree"),
    ]


# --- hyper-parameters ---------------------------------------------------------------------------

HPARAMS = {"lr": 0.1, "layers": 12, "optimizer": "adam", "amp": True, "seed": 7}
STORED = {"lr": 0.1, "layers": 12.0, "optimizer": "adam", "amp": True, "seed": 7.0}


def test_hparams_of_tensorboardx_belong_to_the_run_above(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1.0, step, walltime=NOW + step)
        writer.add_hparams(HPARAMS, {"hparam/accuracy": 0.5})
    run = read(tmp_path)
    assert run.ref.run_id == "run"
    assert run.config == STORED
    assert run.seed == 7
    assert run.summary == {"hparam/accuracy": 0.5}
    assert list(run.series) == ["loss"]
    assert len(run.provenance.files) == 2
    assert run.provenance.records_read == 6 + 5


def test_hparams_beside_train_and_validation(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_hparams(HPARAMS, {"hparam/accuracy": 0.5})
    for name in ("train", "val"):
        with SummaryWriter(str(tmp_path / "run" / name)) as writer:
            writer.add_scalar("loss", 1.0, 1)
    run = read(tmp_path)
    assert (run.ref.run_id, run.config) == ("run", STORED)
    assert list(run.series) == ["train/loss", "val/loss"]


def test_a_success_that_was_told_before_the_training_is_no_end(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_hparams(HPARAMS, {})
        for step in range(5):
            writer.add_scalar("loss", 1.0, step)
    path = next((tmp_path / "run").glob("*tfevents*"))
    later(path, 100)
    assert read(tmp_path).state == "running"
    later(path, -1e6)
    run = read(tmp_path)
    assert run.config == STORED
    assert run.state == "finished"  # now it is the last thing that was logged


def test_a_run_that_died_right_after_its_settings_is_not_finished(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_text("args", "{}", 0)
        writer.add_hparams(HPARAMS, {})
    run = read(tmp_path)
    assert run.config == STORED | {"args": {}}
    assert run.state == "running"


def later(path: Path, seconds: float) -> None:
    """The same records, each of its events that much later."""
    from sources.test_tf_frames import framed, plain

    out = []
    for _, payload in plain(path.read_bytes())[0]:
        event = event_pb2.Event.FromString(payload)
        event.wall_time += seconds
        out.append(framed(event.SerializeToString()))
    path.write_bytes(b"".join(out))


def session_end(status: int) -> summary_pb2.Summary:
    """What the Keras callback writes at the end of the training."""
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=NOW)
    metadata = hparams_metadata.create_summary_metadata(
        plugin_data_pb2.HParamsPluginData(session_end_info=end)
    )
    value = summary_pb2.Summary.Value(
        tag=hparams_metadata.SESSION_END_INFO_TAG,
        tensor=hparams_metadata.NULL_TENSOR,
        metadata=metadata,
    )
    return summary_pb2.Summary(value=[value])


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (api_pb2.STATUS_SUCCESS, "finished"),
        (api_pb2.STATUS_FAILURE, "failed"),
        (api_pb2.STATUS_UNKNOWN, "ended"),
    ],
)
def test_keras_sessions(tmp_path: Path, status: int, state: str) -> None:
    folder = tmp_path / "trial-1"
    with Protos(tmp_path) as writer:
        writer.add(hparams_v2.hparams_config_pb([hparams_v2.HParam("lr")], []), 0)
    with Protos(folder) as writer:
        start = hparams_v2.hparams_pb({"lr": 0.25, "units": 16.0}, trial_id="pair")
        writer.add(start, 0, NOW - 9000)
        writer.add(session_end(status), 0, NOW - 8000)
    with SummaryWriter(str(folder / "train")) as writer:
        for step in range(3):
            writer.add_scalar("epoch_loss", 1.0, step, walltime=NOW - 8900 + step)
    source = TensorBoard(str(tmp_path))
    (run,) = read_all(source)
    assert (run.ref.run_id, run.group, run.state) == ("trial-1", "pair", state)
    assert run.config == {"lr": 0.25, "units": 16.0}
    assert list(run.series) == ["train/epoch_loss"]
    ((_, why),) = source.skipped
    assert why.startswith("holds hyper-parameters only")


def test_a_search_without_curves_has_a_run_a_session(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        for number in range(3):
            values = {"lr": 0.1 * number}
            writer.add_hparams(values, {"hparam/accuracy": number / 4}, name=f"trial{number}")
    source = TensorBoard(str(tmp_path))
    runs = read_all(source)
    assert [run.ref.run_id for run in runs] == ["trial0", "trial1", "trial2"]
    assert [run.config["lr"] for run in runs] == [0.0, 0.1, 0.2]
    assert [run.series["hparam/accuracy"].value.tolist() for run in runs] == [[0.0], [0.25], [0.5]]


def test_hparams_in_the_runs_own_folder(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1.0, step, walltime=NOW + step)
        writer.add_hparams({"lr": 1.0}, {"hparam/accuracy": 0.5}, name="first")
        writer.add_hparams({"lr": 2.0}, {"hparam/accuracy": 0.6}, name="second")
    for name in ("first", "second"):
        # as with name=".", but written within one second
        (path,) = (tmp_path / "run" / name).iterdir()
        path.rename(tmp_path / "run" / f"{path.name}.{name}")
    run = read(tmp_path)
    assert run.config == {"lr": 2.0}
    assert "2 sets of hyper-parameters were logged; the last value counts" in (
        run.provenance.warnings
    )
    assert run.summary == {"hparam/accuracy": pytest.approx(0.6)}
    assert run.series["loss"].step.tolist() == list(range(5))
    assert len(run.attempts) == 1


def test_damaged_hyper_parameters_are_a_warning(tmp_path: Path) -> None:
    value = summary_pb2.Summary.Value(tag="_hparams_/session_start_info")
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = b"\xff\xff"
    with Protos(tmp_path) as writer:
        writer.add(summary_pb2.Summary(value=[value]), 0)
        simple = summary_pb2.Summary.Value(tag="loss", simple_value=1.0)
        writer.add(summary_pb2.Summary(value=[simple]), 0)
    run = read(tmp_path)
    assert run.config == {}
    assert run.provenance.warnings == ("1 records of hyper-parameters cannot be decoded",)
