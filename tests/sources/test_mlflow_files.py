"""MLflow's file store and SQLite store, written by MLflow, read without it."""

from __future__ import annotations

import math
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources.mlflow_files import MlflowFiles
from sources.conformance import SourceConformance, read_all
from sources.mlflow_writer import (
    BEGIN,
    client_at,
    experiment_in,
    log_rows,
    rich_run,
    sqlite_store,
)

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, 2.0, 1e300]
ROWS = [*enumerate(VALUES), *((step, 1 / step) for step in range(8, 300))]


def file_client(root: Path) -> Any:
    return client_at((root / "mlruns").as_uri())


class TestFileStore(SourceConformance):
    kind = "mlflow"
    log = "train_loss"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        client = file_client(root)
        run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
        log_rows(client, run_id, "train_loss", ROWS)
        client.log_param(run_id, "lr", "0.1")
        client.set_terminated(run_id, end_time=BEGIN + 400_000)
        return {"train_loss": ROWS}

    def test_an_empty_log_is_a_sentence(self, copied: Path) -> None:
        """The run's other files are still read."""
        self.log_file(copied).write_bytes(b"")
        run = self.only(copied)
        assert list(run.series) == []
        assert run.config == {"lr": "0.1"}
        assert "metrics/train_loss: empty, no row was written" in run.provenance.warnings

    def test_arbitrary_bytes_are_never_a_traceback(self, copied: Path) -> None:
        """Nor do they hide the run's other files."""
        path = self.log_file(copied)
        size = path.stat().st_size
        for seed in range(5):
            path.write_bytes(np.random.default_rng(seed).bytes(size))
            run = self.only(copied)
            assert run.config == {"lr": "0.1"}
            assert run.provenance.records_damaged > 0
            assert run.incomplete


class TestSqlite(SourceConformance):
    kind = "mlflow"
    log = "mlflow.db"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        client = sqlite_store(root / "mlflow.db")
        run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
        val = [(step, step / 7) for step in range(0, 2000, 2)]
        log_rows(client, run_id, "train_loss", ROWS)
        log_rows(client, run_id, "val_loss", val)
        client.set_terminated(run_id, end_time=BEGIN + 400_000)
        return {"train_loss": ROWS, "val_loss": val}

    def check_prefix(self, run: Run, whole: Any, size: int) -> None:
        """Pages do not lie in the order of rows: what is kept are rows, in their order."""
        for name in run.series:
            kept, full = run.series[name].recorded, whole[name].recorded
            at = np.searchsorted(full.step, kept.step)
            for left, right in zip(kept, full.take(at), strict=True):
                np.testing.assert_array_equal(left, right, err_msg=f"{size} {name}")
            if len(kept.step) < len(full.step):
                assert run.incomplete


STORES = ("file", "sqlite")


def client_in(store: str, root: Path) -> Any:
    root.mkdir(parents=True, exist_ok=True)
    return file_client(root) if store == "file" else sqlite_store(root / "mlflow.db")


def read(root: Path, **options: Any) -> Run:
    (run,) = read_all(MlflowFiles(str(root), **options))
    return run


def steps_and_attempts(run: Run, name: str) -> list[tuple[int, int]]:
    recorded = run.series[name].recorded
    return list(zip(recorded.step.tolist(), recorded.attempt.tolist(), strict=True))


@pytest.fixture(scope="module", params=STORES)
def rich(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run that has everything. Free to be read, not to be changed."""
    root = tmp_path_factory.mktemp(request.param) / "lm"
    client = client_in(request.param, root)
    artifacts = None if request.param == "file" else root / "store"
    rich_run(client, experiment_in(client, "pre/train ü", artifacts))
    return root


def test_identity_and_state(rich: Path) -> None:
    run = read(rich)
    assert (run.ref.source, run.ref.project, run.name) == ("lm", "pre/train ü", "first light")
    assert len(run.ref.run_id) == 32
    assert (run.state, run.ref.state) == ("finished", "finished")
    assert (run.start, run.end) == ((BEGIN - 5000) / 1000, (BEGIN + 20_000) / 1000)
    assert [(a.number, a.first_step, a.last_step, a.state) for a in run.attempts] == [
        (1, 0, 9, "finished")
    ]
    assert run.incomplete == ()
    assert run.provenance.warnings[1:] == ()


def test_what_stands_beside_the_rows(rich: Path) -> None:
    run = read(rich)
    assert run.config == {"lr": "0.1", "model/layers": "4", "note": "a\nb ü"}
    assert (run.author, run.description, run.parent) == ("ada", "why it was run", "f" * 32)
    assert run.tags == ("flag", "team=nlp")
    assert (run.code.commit, run.code.remote) == ("0123abc", "https://git.example/lm.git")
    assert (run.code.entry_point, run.code.dirty) == ("train.py", True)
    assert run.environment == {"git branch": "wide", "docker image": "lm:1"}
    (dataset,) = run.datasets
    assert (dataset.name, dataset.digest, dataset.split) == ("wiki", "2981c147", "training")


def test_models_and_versions(rich: Path) -> None:
    run = read(rich)
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.metrics) == (4, {"val/loss": 0.5})
    assert checkpoint.path.startswith("models:/m-")
    model, version = run.logged_events
    assert (model.kind, model.step) == ("model", None)
    assert model.text.startswith("unstepped (models:/m-")
    assert (version.kind, version.text) == ("model_version", "registered as lm version 1")
    assert [(x.label, x.url) for x in run.links] == [
        ("lm version 1", "https://models.example/lm/1")
    ]


def test_stored_files_are_samples(rich: Path) -> None:
    run = read(rich)
    samples = {sample.name: sample for sample in run.samples}
    assert set(samples) == {
        "dogs/a",
        "plain.png",
        "audio/tone.wav",
        "samples/said.txt",
        "table.json",
    }
    image = samples["dogs/a"]
    assert (image.kind, image.step, image.time) == ("image", 3, (BEGIN + 3000) / 1000)
    assert image.media is not None
    assert image.media.load is not None
    assert image.media.load().startswith(b"\x89PNG")
    assert samples["plain.png"].step is None
    sound = samples["audio/tone.wav"]
    assert sound.media is not None
    assert sound.media.media_type == "audio/wav"
    assert samples["samples/said.txt"].text == "once upon"
    table = samples["table.json"]
    assert (table.columns, table.rows) == (("in", "out"), (("a", "1"), ("null", "2")))
    lossy = run.provenance.lossy
    assert any("1 stored file of another kind is not read: 1 .json" in note for note in lossy)
    assert any("fake.png" in note and "no image" in note for note in lossy)
    assert any("traces" in note for note in lossy)


def test_values_that_are_no_finite_numbers(rich: Path) -> None:
    run = read(rich)
    assert [str(v) for v in run.series["odd"].value] == ["1.0", "nan", "inf", "-inf", "5e-324"]
    told = [note for note in run.provenance.lossy if "1.797e308" in note]
    assert len(told) == (rich / "mlflow.db").is_file()


def test_of_rows_at_one_moment_the_greatest_is_the_last(rich: Path) -> None:
    run = read(rich)
    assert run.series["tied"].recorded.value.tolist() == [2.0, 3.0, 4.0, 9.0]
    assert run.series["tied"].value.tolist() == [2.0, 9.0]
    assert any("no order" in note for note in run.provenance.lossy)


def test_system_metrics_are_sampled_by_the_clock(rich: Path) -> None:
    series = read(rich).series["system/gpu_0_utilization_percentage"]
    assert series.info.axis == "time"
    assert series.time.tolist() == [BEGIN / 1000, BEGIN / 1000 + 1]
    assert series.value.tolist() == [90.0, 95.0]


def test_nothing_of_a_store_is_reported_as_unread(rich: Path) -> None:
    assert sniff(rich).skipped == ()


@pytest.mark.parametrize("store", STORES)
def test_a_resumed_run_has_two_attempts(tmp_path: Path, store: str) -> None:
    client = client_in(store, tmp_path)
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    log_rows(client, run_id, "loss", ((s, 1.0) for s in range(10)))
    log_rows(client, run_id, "val", [(0, 1.0), (8, 1.0)], begin=BEGIN + 100)
    again = BEGIN + 60_000
    log_rows(client, run_id, "loss", ((s, 2.0) for s in range(6, 12)), begin=again)
    log_rows(client, run_id, "val", [(6, 2.0), (10, 2.0)], begin=again + 100)
    log_rows(client, run_id, "new", [(7, 3.0)], begin=again + 200)
    client.set_terminated(run_id, "FAILED")
    run = read(tmp_path)
    assert [(a.number, a.first_step, a.last_step, a.state) for a in run.attempts] == [
        (1, 0, 9, "ended"),
        (2, 6, 11, "failed"),
    ]
    assert run.attempts[1].start == again / 1000
    assert run.series["loss"].value.tolist() == [1.0] * 6 + [2.0] * 6
    assert len(run.series["loss"].superseded.step) == 4
    assert steps_and_attempts(run, "val") == [(0, 1), (8, 1), (6, 2), (10, 2)]
    assert steps_and_attempts(run, "new") == [(7, 2)]


def metric_run(root: Path, **metrics: list[tuple[int, float]]) -> Run:
    client = client_in("file", root)
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    for name, rows in metrics.items():
        log_rows(client, run_id, name, rows)
    return read(root)


def test_a_last_row_without_a_step_is_no_restart(tmp_path: Path) -> None:
    run = metric_run(tmp_path, loss=[*((s, float(s)) for s in range(5)), (0, 0.25)])
    assert run.series["loss"].value.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(run.attempts) == 1
    (told,) = run.provenance.warnings
    assert told.startswith("loss: 1 row at step 0 after step 4, as MLflow writes where no step")
    assert told.endswith("0.25")


def test_a_restart_at_step_0_that_another_metric_shows_is_one(tmp_path: Path) -> None:
    client = client_in("file", tmp_path)
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    log_rows(client, run_id, "loss", [(0, 1.0), (5, 1.0), (0, 2.0), (5, 2.0)])
    log_rows(client, run_id, "val", [(0, 1.0), (5, 1.0), (0, 2.0)])
    run = read(tmp_path)
    assert steps_and_attempts(run, "val") == [(0, 1), (5, 1), (0, 2)]
    assert run.provenance.warnings == ()


def test_rows_that_all_lack_a_step_are_a_series_in_time(tmp_path: Path) -> None:
    run = metric_run(tmp_path, loss=[(0, 3.0), (0, 2.0), (0, 1.0)], once=[(0, 1.0)])
    assert run.series["loss"].info.axis == "time"
    assert run.series["loss"].value.tolist() == [3.0, 2.0, 1.0]
    assert run.series["once"].info.axis == "step"
    (told,) = run.provenance.warnings
    assert told == "loss: logged without steps; its rows are read as samples in time"


def test_several_processes_in_one_run_are_no_restarts(tmp_path: Path) -> None:
    both = [(step, float(rank)) for step in range(1, 51) for rank in (0, 1)]
    mixed = [(s + 2 * (n % 2), v) for n, (s, v) in enumerate(both)]
    run = metric_run(tmp_path, loss=mixed)
    assert len(run.attempts) == 1
    assert run.series["loss"].recorded.step.tolist() == sorted(step for step, _ in mixed)
    assert "several processes" in run.provenance.warnings[0]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("status", "minutes_ago", "state"),
    [
        ("FAILED", 0, "failed"),
        ("KILLED", 0, "killed"),
        ("RUNNING", 0, "running"),
        ("RUNNING", 60, "ended"),
        ("SCHEDULED", 60, "ended"),
    ],
)
def test_states(tmp_path: Path, store: str, status: str, minutes_ago: int, state: str) -> None:
    client = client_in(store, tmp_path)
    moment = int(1000 * (time.time() - 60 * minutes_ago))
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    log_rows(client, run_id, "loss", [(0, 1.0)], begin=moment)
    client.update_run(run_id, status=status)
    assert read(tmp_path).state == state


@pytest.mark.parametrize("store", STORES)
def test_deleted_runs_and_experiments_are_left_out(tmp_path: Path, store: str) -> None:
    client = client_in(store, tmp_path)
    kept, gone = experiment_in(client, "kept"), experiment_in(client, "gone")
    run_id = client.create_run(kept, run_name="stays").info.run_id
    client.delete_run(client.create_run(kept).info.run_id)
    client.create_run(gone)
    client.delete_experiment(gone)
    source = MlflowFiles(str(tmp_path))
    assert [ref.run_id for ref in source.discover()] == [run_id]
    assert len(source.skipped) == 2
    assert all("experiment is deleted" in why for _, why in source.skipped)


def test_a_run_in_both_stores_is_one(tmp_path: Path) -> None:
    client = client_in("sqlite", tmp_path)
    run_id = client.create_run(experiment_in(client, "lm")).info.run_id
    folder = tmp_path / "mlruns" / "1" / run_id
    (folder / "metrics").mkdir(parents=True)
    (folder.parent / "meta.yaml").write_text(
        "artifact_location: x\nexperiment_id: '1'\nlifecycle_stage: active\nname: lm\n"
    )
    (folder / "meta.yaml").write_text(
        f"artifact_uri: x\nexperiment_id: '1'\nrun_id: {run_id}\nstatus: 3\n"
    )
    source = MlflowFiles(str(tmp_path))
    (ref,) = source.discover()
    assert ref.location.endswith("mlflow.db")
    assert source.skipped == [(str(folder), f"run {run_id!r} is read from mlflow.db")]


# --- the file store ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run with one metric, free to be damaged."""
    client = client_in("file", tmp_path)
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    log_rows(client, run_id, "loss", [(0, 1.0), (1, 2.0)])
    client.log_param(run_id, "lr", "0.1")
    client.set_tag(run_id, "team", "nlp")
    (found,) = tmp_path.glob(f"mlruns/*/{run_id}")
    return Path(found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"1700000000000 0.5 x\n", "is no row of a metric"),
        (b"soon 0.5 2\n", "is no row of a metric"),
        (b"1700000000000 1_0 2\n", "is no row of a metric"),
        (b"1700000000000\n", "is no row of a metric"),
        (b"1700000000000 0.5 9223372036854775808\n", "is no row of a metric"),
        (b"\x00\xff\xfe\n", "is no row of a metric"),
        (b"1" * 10_000 + b"\n", "is too long for a row"),
        (b"1700000000000 0.5 " + b"9" * 10_000, "is too long for a row"),
        (b"1700009000000 0.123 9", "cut off before the end of the line"),
    ],
)
def test_a_bad_line_is_left_out_counted_and_named(folder: Path, line: bytes, said: str) -> None:
    path = folder / "metrics" / "loss"
    path.write_bytes(path.read_bytes() + line)
    run = read(folder)
    assert run.series["loss"].step.tolist() == [0, 1]
    assert run.provenance.warnings == (f"metrics/loss:3: {said}; left out",)
    assert (run.provenance.records_damaged, run.provenance.bytes_damaged) == (1, len(line))
    assert run.incomplete == ("metrics/loss has 1 record that cannot be used",)


def test_rows_of_old_and_new_versions(folder: Path) -> None:
    (folder / "metrics" / "old").write_text("1700000000000 0.5\n")
    (folder / "metrics" / "new").write_text("1700000000000 0.5 7 my data 2981c147\n")
    run = read(folder)
    assert steps_and_attempts(run, "old") == [(0, 1)]
    assert steps_and_attempts(run, "new") == [(7, 1)]


def test_a_row_without_a_time_has_none(folder: Path) -> None:
    (folder / "metrics" / "loss").write_text("0 0.5 7\n-1 0.25 8\n1700000000000 0.5 9\n")
    loss = read(folder).series["loss"]
    assert loss.step.tolist() == [7, 8, 9]
    assert np.isnan(loss.time[:2]).all()
    assert loss.time[2] == BEGIN / 1000


def test_a_run_without_meta_is_read_by_its_folders_name(folder: Path) -> None:
    (folder / "meta.yaml").unlink()
    run = read(folder.parents[1])
    assert (run.ref.run_id, run.ref.project, run.state) == (folder.name, "lm", "ended")
    assert run.series["loss"].step.tolist() == [0, 1]
    assert run.incomplete == ("the run has no meta.yaml: its state and times are lost",)


@pytest.mark.parametrize("content", [b"", b"- 1", b"a: [1", b"\xff\xfe", b"a: &a [*a]"])
def test_a_damaged_meta_costs_only_itself(folder: Path, content: bytes) -> None:
    (folder / "meta.yaml").write_bytes(content)
    run = read(folder.parents[1])
    assert run.ref.run_id == folder.name
    assert run.config == {"lr": "0.1"}
    assert run.incomplete


def test_an_experiment_without_meta_lends_its_folders_name(folder: Path) -> None:
    (folder.parent / "meta.yaml").unlink()
    assert read(folder).ref.project == folder.parent.name


def test_what_lies_above_the_root_tells_nothing(folder: Path, tmp_path: Path) -> None:
    (alone,) = MlflowFiles(str(folder)).discover()
    moved = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, moved)
    (ref,) = MlflowFiles(str(moved)).discover()
    assert ref.slug == alone.slug
    assert ref.project == folder.parent.name
    (named,) = MlflowFiles(str(folder.parents[1])).discover()
    assert named.project not in {"", folder.parent.name}


def test_what_is_no_file_is_named_and_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "metrics" / "pipe")
    (folder / "params" / "nowhere").symlink_to("/nonexistent")
    (folder / "tags" / "out").symlink_to("/etc/hostname")
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "artifacts" / "out.txt").symlink_to("/etc/hostname")
    (folder / "artifacts" / "round").symlink_to(folder)
    run = read(folder)
    assert run.series["loss"].step.tolist() == [0, 1]
    assert set(run.provenance.warnings) == {
        f"{name}: is no regular file; left out"
        for name in ("metrics/pipe", "params/nowhere", "tags/out")
    }
    assert run.samples == ()


def test_values_of_absurd_size_or_no_text(folder: Path) -> None:
    (folder / "params" / "big").write_bytes(b"x" * 1_000_001)
    (folder / "tags" / "bytes").write_bytes(b"\xff\xfe")
    run = read(folder)
    assert run.config == {"lr": "0.1"}
    assert run.tags == ("team=nlp",)
    assert run.provenance.warnings == (
        "params/big: 1,000,001 bytes are too many for one value; left out",
        "tags/bytes: cannot be read (is no UTF-8 text); left out",
    )


def test_line_ends_are_part_of_a_value(folder: Path) -> None:
    (folder / "params" / "text").write_bytes(b"a\r\nb\n")
    assert read(folder).config["text"] == "a\r\nb\n"


def test_an_input_that_points_out_of_the_store_is_not_followed(folder: Path) -> None:
    (folder / "inputs" / "x").mkdir(parents=True)
    (folder / "inputs" / "x" / "meta.yaml").write_text(
        "source_id: ../../../secret\nsource_type: DATASET\n"
    )
    secret = folder.parents[2] / "secret"
    secret.mkdir()
    (secret / "meta.yaml").write_text("digest: d\nname: n\nsource: s\n")
    assert read(folder).datasets == ()


def test_models_listed_in_the_tag_of_older_versions(folder: Path) -> None:
    (folder / "tags" / "mlflow.log-model.history").write_text(
        '[{"run_id": "r", "artifact_path": "model", "utc_time_created":'
        ' "2023-11-14 22:13:20.500000", "flavors": {"pytorch": {}}}, 7]'
    )
    (event,) = read(folder).logged_events
    assert (event.kind, event.text, event.time) == ("model", "model (pytorch)", BEGIN / 1000 + 0.5)


def test_artifacts_elsewhere_are_told(folder: Path) -> None:
    shutil.rmtree(folder / "artifacts")
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    meta["artifact_uri"] = "s3://bucket/secret-path/artifacts"
    (folder / "meta.yaml").write_text(yaml.safe_dump(meta))
    lossy = read(folder).provenance.lossy
    assert "its artifacts lie at another place (s3) and are not read" in lossy
    assert "secret-path" not in str(lossy)


@pytest.mark.parametrize("depth", range(4))
def test_any_folder_above_a_run_finds_it(folder: Path, depth: int) -> None:
    where = [folder, *folder.parents][depth]
    assert [ref.run_id for ref in MlflowFiles(str(where)).discover()] == [folder.name]


def test_anothers_meta_yaml_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "meta.yaml").write_text("package:\n  name: x\nsource:\n  git: y\n")
    ((path, why),) = sniff(tmp_path).skipped
    assert path == "meta.yaml"
    assert why.startswith("no source reads")


# --- the SQLite store -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with one run of one metric."""
    root = tmp_path_factory.mktemp("store")
    client = client_in("sqlite", root)
    run_id = client.create_run(experiment_in(client, "lm"), start_time=BEGIN).info.run_id
    for first in range(0, 5000, 1000):
        rows = ((s, s / 3) for s in range(first, first + 1000))
        log_rows(client, run_id, "loss", rows, begin=BEGIN + 1000 * first)
    client.log_param(run_id, "lr", "0.1")
    client.set_terminated(run_id, end_time=BEGIN + 6_000_000)
    return root / "mlflow.db"


@pytest.fixture
def store(whole_store: Path, tmp_path: Path) -> Path:
    """The same store, free to be damaged."""
    (tmp_path / "lm").mkdir()
    return Path(shutil.copy(whole_store, tmp_path / "lm"))


def changed(store: Path, *statements: str) -> None:
    connection = sqlite3.connect(store)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def listing(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_store_of_an_old_version(store: Path) -> None:
    changed(
        store,
        "CREATE TABLE older (key, value, timestamp, run_uuid)",
        "INSERT INTO older SELECT key, value, timestamp, run_uuid FROM metrics WHERE step = 7",
        "DROP TABLE metrics",
        "ALTER TABLE older RENAME TO metrics",
        "ALTER TABLE runs DROP COLUMN deleted_time",
        *(f"DROP TABLE {t}" for t in ("latest_metrics", "inputs", "input_tags", "datasets")),
        *(f"DROP TABLE {t}" for t in ("logged_models", "logged_model_metrics", "model_versions")),
    )
    run = read(store)
    assert (run.state, run.config, run.incomplete) == ("finished", {"lr": "0.1"}, ())
    assert steps_and_attempts(run, "loss") == [(0, 1)]


def test_rows_that_still_lie_in_the_write_ahead_log(store: Path) -> None:
    writer = sqlite3.connect(store)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE params SET value = 'new'")
    writer.execute("DELETE FROM metrics WHERE step > 10")
    writer.commit()
    before = listing(store.parent)
    assert before["mlflow.db-wal"] > 0
    run = read(store.parent)
    assert listing(store.parent) == before
    assert run.config == {"lr": "new"}
    assert run.series["loss"].step.tolist() == list(range(11))
    assert sniff(store.parent).skipped == ()
    writer.close()
    before = listing(store.parent)
    assert set(before) == {"mlflow.db"}
    assert read(store).config == {"lr": "new"}
    assert listing(store.parent) == before


def test_a_transaction_that_was_cut_off_is_not_read(store: Path) -> None:
    copy = store.with_name("copy.db")
    writer = sqlite3.connect(store)
    writer.execute("PRAGMA cache_size = 5")
    writer.execute("UPDATE metrics SET value = value + 1000, timestamp = timestamp + 1")
    writer.execute("UPDATE params SET value = 'new'")
    for path in (store, store.with_name("mlflow.db-journal")):  # as a crash leaves them behind
        shutil.copyfile(path, copy.with_name(path.name.replace("mlflow", "copy")))
    writer.rollback()
    writer.close()
    before = listing(store.parent)
    assert before["copy.db-journal"] > 0
    run = read(copy)
    assert listing(store.parent) == before
    assert run.config == {"lr": "0.1"}
    assert run.series["loss"].value[:3].tolist() == [0.0, 1 / 3, 2 / 3]


def test_a_writer_at_work_is_no_obstacle(store: Path) -> None:
    writer = sqlite3.connect(store)
    writer.execute("UPDATE params SET value = 'new'")
    assert store.with_name("mlflow.db-journal").stat().st_size > 0
    assert read(store).config == {"lr": "0.1"}
    writer.commit()
    writer.close()
    assert read(store).config == {"lr": "new"}


def test_a_locked_store_is_a_sentence(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runpages.sources._mlflow_sqlite._LOCK_SECONDS", 0.05)
    source = MlflowFiles(str(store))
    (ref,) = source.discover()
    writer = sqlite3.connect(store, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceError, match="locked; another program writes it"):
        source.read(ref)
    assert list(MlflowFiles(str(store)).discover()) == []
    writer.close()


def test_a_damaged_page_costs_its_rows(store: Path) -> None:
    data = bytearray(store.read_bytes())
    page = _page_with(data, 2500)
    data[page : page + 4096] = np.random.default_rng(0).bytes(4096)
    store.write_bytes(data)
    run = read(store)
    step = run.series["loss"].step
    assert (step[0], step[-1]) == (0, 4999)
    assert 4500 < len(step) < 5000
    np.testing.assert_array_equal(run.series["loss"].value, step / 3)
    assert run.provenance.records_damaged >= 1
    assert run.incomplete[0].startswith("mlflow.db has 1 record that cannot be used")
    assert run.config == {"lr": "0.1"}


def _page_with(data: bytes, step: int) -> int:
    """Offset of a page of the table that holds the row of `step`."""
    moment = (BEGIN + 1000 * step).to_bytes(6, "big")
    value = struct.pack(">d", step / 3)
    at = next(
        m.start()
        for m in re.finditer(re.escape(value), data)
        if moment in data[m.end() : m.end() + 8]
    )
    return at // 4096 * 4096


def test_cells_of_the_wrong_type_cost_only_their_row(store: Path) -> None:
    changed(
        store,
        "UPDATE metrics SET value = 'word' WHERE step = 1",
        "UPDATE metrics SET timestamp = x'00ff' WHERE step = 2",
        "UPDATE metrics SET step = 'three' WHERE step = 3",
    )
    run = read(store)
    assert run.series["loss"].step[:3].tolist() == [0, 4, 5]
    assert run.provenance.records_damaged == 3
    assert run.provenance.records_read == 4997
    assert run.incomplete == ("mlflow.db has 3 records that cannot be used",)


def test_a_metric_whose_rows_are_gone_is_missed(store: Path) -> None:
    changed(store, "DELETE FROM metrics")
    assert read(store).incomplete == ("the store names metrics of which it holds no row: loss",)


def test_a_store_by_any_name_and_others_files(store: Path) -> None:
    store.rename(store.with_name("team.sqlite"))
    other = sqlite3.connect(store.with_name("cache.db"))
    other.execute("CREATE TABLE runs (x)")
    other.commit()
    other.close()
    found = sniff(store.parent)
    assert [ref.project for ref in found.runs] == ["lm"]
    assert [path for path, _ in found.skipped] == ["cache.db"]


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    client_in("sqlite", tmp_path)
    source = MlflowFiles(str(tmp_path))
    assert list(source.discover()) == []
    assert source.skipped == [(str(tmp_path / "mlflow.db"), "holds no run that can be read")]


def test_artifacts_are_found_again_where_the_store_was_moved(tmp_path: Path) -> None:
    client = client_in("sqlite", tmp_path / "old")
    experiment = experiment_in(client, "lm", tmp_path / "old" / "files")
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "said", "a.txt")
    (tmp_path / "old").rename(tmp_path / "new")
    assert [s.text for s in read(tmp_path / "new").samples] == ["said"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket/secret/artifacts", "(s3)"),
        ("/etc/artifacts", "(a folder)"),
        ("file:///../../outside/artifacts", "(file)"),
        ("../outside/artifacts", "(a folder)"),
    ],
)
def test_artifacts_outside_the_folder_of_the_store_are_not_opened(
    store: Path, uri: str, said: str
) -> None:
    outside = store.parents[1] / "outside" / "artifacts"
    outside.mkdir(parents=True)
    (outside / "a.txt").write_text("secret")
    (store.parent / "outside").symlink_to(outside.parent)
    changed(store, f"UPDATE runs SET artifact_uri = '{uri}'")
    run = read(store)
    assert run.samples == ()
    (told,) = (note for note in run.provenance.lossy if "beside the store" in note)
    assert said in told
    assert "secret" not in told


def test_reading_takes_no_module_of_mlflow(store: Path) -> None:
    script = (
        "import sys; from runpages.sources import open_source;"
        f"s = open_source('mlflow', {str(store)!r}); runs = [s.read(r) for r in s.discover()];"
        "assert len(runs) == 1; assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ})


@pytest.mark.acceptance
def test_a_real_file_store_of_2022(shared: Path) -> None:
    """Written on Windows: its artifacts are said to lie on a drive `E:`."""
    found = sniff(shared / "data" / "logs" / "mlflow_tb")
    (ref,) = (ref for ref in found.runs if ref.kind == "mlflow")
    run = MlflowFiles(str(shared / "data" / "logs" / "mlflow_tb")).read(ref)
    assert (ref.project, run.author, run.config["IMAGE_SIZE"]) == (
        "Default",
        "Administrator",
        "[224, 224, 3]",
    )
    assert run.series["loss"].value.tolist() == [3.2727866172790527]
    assert run.state == "ended"
