"""ClearML offline sessions: what the real SDK writes is what is read, from the folder or its zip."""

from __future__ import annotations

import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runpages.redact import redact
from runpages.sources import UNREADABLE, _clearml_run, sniff
from runpages.sources.clearml_offline import ClearmlOffline
from sources.clearml_sessions import append, damaged_member, once, read, zipped
from sources.clearml_writer import VALUES, write
from sources.conformance import Logged, SourceConformance

LOGGED = {
    "train/loss": list(enumerate(VALUES)),
    "accuracy": [(step, 0.5 + step) for step in range(len(VALUES))],
}
ONE_INFINITY = "the SDK gives both infinities the one value that it was told: -inf cannot be kept"


class TestFolder(SourceConformance):
    kind = "clearml"
    log = "metrics.jsonl"
    lossy_nonfinite = ONE_INFINITY

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        session = once("rows", root.parent)
        shutil.copytree(session, root / session.name)
        return LOGGED


class TestZip(SourceConformance):
    kind = "clearml"
    log = "*.zip"
    lossy_nonfinite = ONE_INFINITY

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        session = once("rows", root.parent)
        shutil.copy(session.with_name(f"{session.name}.zip"), root)
        return LOGGED

    def test_a_cut_log_keeps_a_prefix_of_its_rows(self, logged: Logged, copied: Path) -> None:
        """A zip names its members at its end: cut, it is refused with a sentence."""
        assert [runs for _, runs in self.cuts(logged, copied)] == [[]] * 20
        source = self.open(copied)
        assert list(source.discover()) == []
        ((_, why),) = source.skipped
        assert why.startswith(f"{UNREADABLE}: the zip cannot be opened (")

    def test_a_log_cut_in_its_last_record_says_so(self, logged: Logged, copied: Path) -> None:
        """A damaged member takes the place of a cut one."""
        run = self.only(self.log_file(damaged_member(self.log_file(copied), "metrics.jsonl")))
        assert run.incomplete
        assert run.provenance.records_damaged >= 1


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("rich", tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("nothing_told", tmp_path_factory.mktemp("untold"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("rows", tmp_path_factory.mktemp("plain"))


@pytest.fixture
def session(plain: Path, tmp_path: Path) -> Path:
    """A session's folder, free to be damaged."""
    return Path(shutil.copytree(plain, tmp_path / "logs" / plain.name))


# what a run is


def test_identity_is_the_trackers(rich: Path) -> None:
    run = read(rich)
    assert (run.ref.project, run.ref.run_id, run.name) == ("team/llm", rich.name, "rich <b>")
    assert read(zipped(rich)).ref.run_id == rich.name


def test_a_session_and_its_zip_are_one_run(plain: Path) -> None:
    source = ClearmlOffline(str(plain.parent))
    (ref,) = source.discover()
    assert ref.location == str(zipped(plain))
    assert source.skipped == [(str(plain), f"the same task is read from {plain.name}.zip")]
    assert [r.slug for r in sniff(plain.parent).runs] == [ref.slug]


def test_of_a_session_and_a_zip_without_its_rows_the_session_is_read(session: Path) -> None:
    with zipfile.ZipFile(zipped(session), "w") as archive:
        for name in ("task.json", "log.jsonl"):
            archive.write(session / name, name)
    source = ClearmlOffline(str(session.parent))
    (ref,) = source.discover()
    assert ref.location == str(session)
    assert source.read(ref).state == "ended"


def test_folder_and_zip_give_the_same(rich: Path, tmp_path: Path) -> None:
    """Zipped again: the SDK's own zip can lack what was flushed last."""
    made = shutil.make_archive(str(tmp_path / rich.name), "zip", rich)
    one, other = read(rich), read(Path(made))
    assert repr(one.config) == repr(other.config)  # NaN is no equal of itself
    assert one.samples == other.samples
    assert one.provenance == other.provenance
    for name in one.series:
        np.testing.assert_array_equal(one.series[name].value, other.series[name].value)


def test_a_zip_made_by_hand_has_the_folder_in_it(session: Path, tmp_path: Path) -> None:
    made = shutil.make_archive(str(tmp_path / "by-hand"), "zip", session.parent)
    run = read(Path(made))
    assert run.ref.run_id == session.name
    assert list(run.series) == list(LOGGED)


def test_a_task_without_metrics_is_a_run(tmp_path: Path) -> None:
    run = read(write("silent", tmp_path))
    assert (len(run.series), run.name) == (0, "first try")


def test_a_killed_process_leaves_no_end(tmp_path: Path) -> None:
    session = write("killed", tmp_path, check=False)
    assert not zipped(session).exists()
    assert read(session).state == "running"
    assert read(session, settle_minutes=0).state == "ended"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("completed", "finished"),
        ("closed", "finished"),
        ("published", "finished"),
        ("failed", "failed"),
        ("stopped", "killed"),
        ("in_progress", "ended"),
        ("created", "ended"),
    ],
)
def test_state_is_the_tasks_status(session: Path, status: str, state: str) -> None:
    task = json.loads((session / "task.json").read_bytes())
    (session / "task.json").write_text(json.dumps({**task, "status": status}))
    assert read(session, settle_minutes=0).state == state


# values


def test_what_the_sdk_made_of_nan_is_said(untold: Path) -> None:
    run = read(untold)
    assert run.series["train/loss"].attempt(1).value.tolist() == [1.5, 0.0, 0.0, 0.0, 0.25]
    assert run.summary == {"best": 0.25, "worst": 0.0}
    assert "stores NaN and infinities as 0" in run.provenance.lossy[0]
    means = "exactly 0, which is also how ClearML stores NaN and infinities"
    assert run.provenance.warnings == (
        f"train/loss: 3 values are {means}",
        f"worst (single value): 1 value is {means}",
    )


def test_a_metric_that_goes_back_begins_an_attempt(untold: Path) -> None:
    run = read(untold)
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 4), (2, 3, 4)]
    series = run.series["train/loss"]
    assert series.step.tolist() == [0, 1, 2, 3, 4]
    assert series.value.tolist() == [1.5, 0.0, 0.0, 0.5, 0.125]
    assert series.superseded.value.tolist() == [0.0, 0.25]


def test_times_are_recorded_ones(plain: Path) -> None:
    run = read(plain)
    assert run.start is not None
    assert run.end is not None
    times = run.series["train/loss"].time
    assert ((times >= run.start) & (times <= run.end)).all()
    assert run.end - run.start < 120
    assert run.attempts[0].host == run.hardware.hosts[0] != ""


def test_names(rich: Path) -> None:
    """Title and series; one of them where they say the same; no two metrics under one name."""
    run = read(rich)
    assert {n: s.value.tolist() for n, s in run.series.items() if s.info.axis == "step"} == {
        "train/loss": [1.0],
        "a/b/c": [1.0],
        "a/b/c (2)": [2.0],
    }


def test_monitors_are_readings_by_the_clock(rich: Path) -> None:
    run = read(rich)
    found = {n: s.value.tolist() for n, s in run.series.items() if s.info.axis == "time"}
    assert found == {
        "system/gpu_0_utilization": [91.5, 12.25],
        "system/cpu_usage": [50.0],
        "system/cpu_usage/rank1": [40.0],
    }
    assert np.isfinite(run.series["system/cpu_usage"].time).all()
    assert run.series.with_role("gpu_util") == ("system/gpu_0_utilization",)


# facts


def test_configuration_has_types_and_sections(rich: Path) -> None:
    config = dict(read(rich).config)
    odd = config.pop("Odd")
    assert isinstance(odd, dict)
    assert math.isnan(odd.pop("nan"))
    assert odd == {"nothing": None, "word": "1"}
    assert config == {
        "Args": {"lr": 0.5},
        "Train": {"seed": 42, "opt": {"betas": [0.9, 0.95], "fused": True}},
        "configuration": {"data": {"shards": 3}, "model": "layers = 4\ndims = [1, 2]"},
    }
    assert read(rich).seed == 42


def test_facts_of_the_task(rich: Path) -> None:
    run = read(rich)
    assert sorted(run.tags) == ["a", "b"]
    assert run.description == "what this is for"
    assert run.parent == "0123456789abcdef0123456789abcdef"
    assert run.job_type == "training"
    assert run.code.entry_point.endswith("clearml_writer.py")
    assert run.environment["python"].count(".") == 2
    assert run.environment["clearml"]
    assert "red words" in run.console
    assert "said by the program" in run.console
    assert "\x1b" not in run.console


def test_the_script_is_not_kept(rich: Path, tmp_path: Path) -> None:
    """What a dirty repository or a script outside of one has there."""
    folder = shutil.copytree(rich, tmp_path / rich.name)
    task = json.loads((folder / "task.json").read_bytes())
    task["script"]["diff"] = "+def quite_private(): ..."
    (folder / "task.json").write_text(json.dumps(task))
    run = redact(read(folder))
    assert run.config
    assert "quite_private" not in repr(run)


def test_models_and_artifacts(rich: Path) -> None:
    run = read(rich)
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (5, "models/step-5.pt", 70)
    assert [(e.kind, e.text) for e in run.logged_events] == [("artifact", "dict tokens")]
    assert "not read: 1 event of models" in run.provenance.lossy
    assert "model/size" not in run.series


# samples


def test_images_belong_to_the_step_that_wrote_the_file(rich: Path) -> None:
    """The SDK keeps five files of this series: of eight images the last five are there."""
    for path in (rich, zipped(rich)):
        run = read(path)
        images = [s for s in run.samples if s.kind == "image"]
        assert [(s.name, s.step) for s in images] == [("grid/drawn", step) for step in range(3, 8)]
        for sample in images:
            assert sample.media is not None
            shade = np.asarray(Image.open(io.BytesIO(sample.media.read()))).mean()
            assert shade == pytest.approx(30 * (sample.step or 0), abs=2)
        assert any(line.startswith("3 debug samples overwritten") for line in run.provenance.lossy)


def test_an_image_that_several_steps_wrote_at_once_is_left_out(session: Path) -> None:
    """Seen with the SDK: files of one flush are written side by side, the earlier may stay."""
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    (session / "data").mkdir(exist_ok=True)
    (session / "data/a.png").write_bytes(picture.getvalue())
    lines = [(1, 2), (3,)]
    for count, steps in enumerate(lines):
        found = [
            {"type": "training_debug_image", "metric": "m", "iter": step, "key": "a.png"}
            for step in steps
        ]
        append(session, json.dumps(found).encode() + b"\n")
        run = read(session)
        raced = "1 debug sample left out: several steps wrote the file at once"
        assert any(line.startswith(raced) for line in run.provenance.lossy) == (count == 0)
        assert [s.step for s in run.samples] == [[], [3]][count]


def test_sounds(rich: Path) -> None:
    (sound,) = (s for s in read(rich).samples if s.kind == "audio")
    assert (sound.name, sound.step) == ("said/clip", 4)
    assert sound.media is not None
    assert sound.media.media_type == "audio/wav"
    assert sound.media.size_bytes == 844


def test_tables(rich: Path) -> None:
    tables = {s.name: s for s in read(rich).samples if s.kind == "table"}
    assert tables["samples/val"].columns == ("prompt", "output", "score")
    assert tables["samples/val"].rows == (("Hi", "<i>", "1.5"), ("Bye", "b", "2.0"))
    assert (tables["lists/raw"].step, tables["lists/raw"].rows) == (3, (("1", ""),))


def table(step: int, cell: str) -> bytes:
    trace = {"type": "table", "header": {"values": ["a"]}, "cells": {"values": [[cell]]}}
    plot = json.dumps({"data": [trace]})
    return json.dumps([{"type": "plot", "metric": "t", "iter": step, "plot_str": plot}]).encode()


def test_of_many_tables_the_last_are_kept(session: Path) -> None:
    for step in range(30):
        append(session, table(step, "x") + b"\n")
    run = read(session)
    assert [s.step for s in run.samples] == list(range(6, 30))
    assert "t: the last 24 of its 30 tables are kept" in run.provenance.warnings


def test_text_of_tables_is_limited(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clearml_run, "_TABLE_CHARS", 25)
    for step in range(4):
        append(session, table(step, "x" * 10) + b"\n")
    run = read(session)
    assert [s.step for s in run.samples] == [0, 1]
    assert "2 tables are too many; left out" in run.provenance.warnings


def test_what_is_not_read_is_counted(rich: Path) -> None:
    lossy = read(rich).provenance.lossy
    assert "not read: 2 plots other than tables" in lossy
    assert "not read: 1 debug sample neither image nor sound" in lossy


@pytest.mark.parametrize("key", ["../../outside.png", "/outside.png", "link/outside.png", "pipe"])
def test_no_file_outside_the_session_is_read(session: Path, tmp_path: Path, key: str) -> None:
    import os

    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    (tmp_path / "outside.png").write_bytes(picture.getvalue())
    (session / "data").mkdir(exist_ok=True)
    (session / "data/link").symlink_to(tmp_path)
    os.mkfifo(session / "data/pipe")
    event = {
        "timestamp": 1795593399580,
        "type": "training_debug_image",
        "task": session.name,
        "iter": 1,
        "metric": "m",
        "variant": "v",
        "key": key.replace("/outside", f"{tmp_path}/outside", 1) if key[0] == "/" else key,
    }
    with (session / "metrics.jsonl").open("a") as log:
        log.write(json.dumps([event]) + "\n")
    run = read(session)
    assert run.samples == ()
    assert "m/v (step 1): its file cannot be read: no such file in the session" in (
        run.provenance.warnings
    )
