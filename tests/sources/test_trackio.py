"""Trackio: several runs in one database, whatever its version or state."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources._sqlite import opened
from runpages.sources.trackio import Trackio
from sources.conformance import SourceConformance, read_all

pytest.importorskip("trackio")

FIXTURES = Path(__file__).parents[1] / "fixtures"
VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308]

_START = """
import math, time
import numpy as np
import trackio
def start(name, **more):
    return trackio.init(project="my proj", name=name, auto_log_gpu=False, auto_log_cpu=False, **more)
"""


def logged(folder: Path, script: str) -> Path:
    """Run a script with Trackio's real client; it finds its folder by the environment only."""
    environment = os.environ | {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _START + script],
        check=True, env=environment, timeout=120, capture_output=True,
    )  # fmt: skip
    return folder


def read(folder: Path, name: str = "first") -> Run:
    (run,) = (run for run in read_all(Trackio(str(folder))) if run.name == name)
    return run


class TestTrackio(SourceConformance):
    kind = "trackio"
    log = "*.db"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        logged(
            root,
            f"""
start("first", config={{"lr": 0.1}})
for value in {VALUES!r}:
    trackio.log({{"train/loss": value, "lr": 0.1}})
trackio.finish()
""".replace("nan", "math.nan").replace("inf", "math.inf"),
        )
        rows = list(enumerate(VALUES))
        return {"train/loss": rows, "lr": [(step, 0.1) for step, _ in rows]}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return logged(
        tmp_path_factory.mktemp("trackio"),
        """
start("first", config={"lr": 0.1, "deep": {"a": [1]}, "seed": 3}, group="g")
for step in range(4):
    trackio.log({"loss": 1.0 + step, "say": f"hello {step}", "fast": step > 1, "many": [1, 2]})
trackio.log({
    "picture": trackio.Image(np.full((4, 4, 3), 7, np.uint8), caption="seven"),
    "beep": trackio.Audio(np.zeros(800, np.int16), sample_rate=8000),
    "weights": trackio.Histogram(np.arange(100.0), num_bins=10),
    "answers": trackio.Table(columns=["a", "b"], data=[[1.5, "x"], [2.5, None]]),
    "note": trackio.Markdown("# hi"),
    "page": trackio.Html("<b>x</b>"),
    "chat": trackio.Trace(messages=[{"role": "user", "content": "hi"}]),
}, step=10)
trackio.log_system({"gpu/0/utilization": 50.0, "word": "x"})
trackio.alert(title="Bad", text="loss up", level=trackio.AlertLevel.WARN)
data = trackio.Artifact(name="pile", type="dataset")
import os, pathlib
path = pathlib.Path(os.environ["TRACKIO_DIR"], "media", "myproj", "x.txt")
path.write_text("abc")
data.add_file(path)
trackio.log_artifact(data)
model = trackio.Artifact(name="net", type="model", metadata={"step": 4})
model.add_file(path)
trackio.log_artifact(model)
other = trackio.Artifact(name="plots", type="figures")
other.add_file(path)
trackio.log_artifact(other)
trackio.finish()
start("second")
trackio.log({"loss": 9})
trackio.finish()
""",
    )


@pytest.fixture
def damaged(rich: Path, tmp_path: Path) -> Path:
    """A copy of the rich folder, free to be damaged."""
    return shutil.copytree(rich, tmp_path / "copy")


def test_each_run_of_a_project(rich: Path) -> None:
    refs = list(Trackio(str(rich)).discover())
    assert {ref.name for ref in refs} == {"first", "second"}
    assert {ref.project for ref in refs} == {"myproj"}
    assert all(len(ref.run_id) == 32 for ref in refs)
    assert [ref.run_id for ref in refs] == sorted(ref.run_id for ref in refs)
    second = read(rich, "second")
    assert second.series["loss"].recorded.value.tolist() == [9]
    assert list(second.series) == ["loss"]


def test_config_group_times_and_state(rich: Path) -> None:
    run = read(rich)
    assert run.config == {"lr": 0.1, "deep": {"a": [1]}, "seed": 3}
    assert (run.group, run.seed) == ("g", 3)
    assert run.start is not None
    assert time.time() - 300 < run.start <= run.series["loss"].time[0] <= time.time()
    assert run.state == "running"
    source = Trackio(str(rich), settle_minutes=0)
    assert {source.read(ref).state for ref in source.discover()} == {"ended"}


def test_numbers_texts_and_histograms(rich: Path) -> None:
    run = read(rich)
    assert run.series["loss"].value.tolist() == [1, 2, 3, 4]
    assert run.series["fast"].value.tolist() == [0, 0, 1, 1]
    assert run.series["weights/mean"].recorded.step.tolist() == [10]
    assert run.series["weights/mean"].value.tolist() == [49.5]
    texts = [(s.name, s.step, s.text) for s in run.samples if s.kind == "text"]
    assert texts == [*(("say", step, f"hello {step}") for step in range(4)), ("note", 10, "# hi")]


def test_tables_and_media(rich: Path) -> None:
    run = read(rich)
    (table,) = (sample for sample in run.samples if sample.kind == "table")
    assert (table.name, table.columns, table.step) == ("answers", ("a", "b"), 10)
    assert table.rows == (("1.5", "x"), ("2.5", ""))
    (image,) = (sample for sample in run.samples if sample.kind == "image")
    assert (image.name, image.text, image.step) == ("picture", "seven", 10)
    assert image.media is not None
    assert image.media.media_type == "image/png"
    (sound,) = (sample for sample in run.samples if sample.kind == "audio")
    assert sound.media is not None
    assert sound.media.read().startswith(b"RIFF")


def test_system_metrics_alerts_and_artifacts(rich: Path) -> None:
    run = read(rich)
    assert run.series.info("gpu/0/utilization").axis == "time"
    assert run.series["gpu/0/utilization"].value.tolist() == [50]
    alert, *others = run.logged_events
    assert (alert.kind, alert.text, alert.step) == ("alert", "warn: Bad. loss up", 10)
    assert [event.text for event in others] == ["output figures plots:v0"]
    ((name, version, digest),) = [(d.name, d.version, d.digest) for d in run.datasets]
    assert (name, version) == ("pile", "v0")
    assert len(digest) >= 32
    assert [(c.step, c.path, c.size_bytes) for c in run.checkpoints] == [(4, "net:v0", 3)]


def test_what_is_not_read_is_told(rich: Path) -> None:
    assert set(read(rich).provenance.warnings) == {
        "many: 4 lists are not read",
        "page: 1 objects of type trackio.html are not read",
        "myproj.db system_metrics: 'word' is no number; left out (1 row)",
        "1 trace (messages, spans) are not read",
    }


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were resumed, whose steps fall, and that have two counts of steps."""
    return logged(
        tmp_path_factory.mktemp("lives"),
        """
for attempt in range(2):
    start("resumed", resume="allow", config={"lr": attempt})
    for _ in range(3):
        trackio.log({"loss": float(attempt)})
    trackio.finish()
    time.sleep(0.01)
start("fell")
for number, step in enumerate([0, 1, 2, 1, 2, 3]):
    trackio.log({"loss": number}, step=step)
trackio.finish()
start("two")
for step in range(6):
    trackio.log({"loss": 1}, step=step)
    trackio.log({"eval": 1}, step=step // 2)
trackio.finish()
""",
    )


def test_a_resumed_run_is_a_further_attempt(lives: Path) -> None:
    run = read(lives, "resumed")
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 2), (2, 3, 5)]
    assert run.series["loss"].value.tolist() == [0, 0, 0, 1, 1, 1]
    assert run.config == {"lr": 1}
    first, second = run.attempts
    assert first.end is not None
    assert second.start is not None
    assert first.end < second.start


def test_steps_that_fall_are_a_further_attempt(lives: Path) -> None:
    run = read(lives, "fell")
    assert run.series["loss"].recorded.attempt.tolist() == [1, 1, 1, 2, 2, 2]
    assert run.series["loss"].value.tolist() == [0, 3, 4, 5]


def test_a_metric_with_its_own_count_of_steps_begins_no_attempt(lives: Path) -> None:
    assert len(read(lives, "two").attempts) == 1


def test_databases_without_run_ids(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "trackio_0_20", tmp_path / "old")
    runs = read_all(Trackio(str(tmp_path)))
    assert [(run.ref.project, run.ref.run_id) for run in runs] == [
        ("old", "first"),
        ("old", "second"),
    ]
    np.testing.assert_array_equal(runs[0].series["train/loss"].value, [1.0, np.nan, np.inf, 2.0])
    assert runs[0].config == {"lr": 0.1}


def test_rows_that_are_still_in_the_write_ahead_log_are_read(damaged: Path) -> None:
    path = damaged / "myproj.db"
    writer = sqlite3.connect(path)  # what a client leaves that is killed while it logs
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE metrics SET metrics = replace(metrics, '9', '8') WHERE step = 0")
    writer.commit()
    before = {p.name: p.read_bytes() for p in damaged.iterdir() if p.is_file()}
    assert len(before["myproj.db-wal"]) > 0
    assert read(damaged, "second").series["loss"].value.tolist() == [8]
    assert {p.name: p.read_bytes() for p in damaged.iterdir() if p.is_file()} == before
    writer.close()


def test_only_its_own_files_are_claimed(damaged: Path) -> None:
    with sqlite3.connect(damaged / "other.db") as other:
        other.execute("CREATE TABLE metrics (key TEXT, value REAL)")
    other.close()
    (damaged / "fake.db").write_text("hello")
    found = sniff(damaged)
    assert len(found.runs) == 2
    assert {path for path, _ in found.skipped} == {"other.db", "fake.db"}
    assert any((damaged / "traces").rglob("*.jsonl"))


def test_a_copy_of_a_database_is_not_read_twice(damaged: Path) -> None:
    (damaged / "backup").mkdir()
    shutil.copy(damaged / "myproj.db", damaged / "backup")
    source = Trackio(str(damaged))
    assert len(list(source.discover())) == 2
    assert [why for _, why in source.skipped] == [
        "its run first is read from myproj.db",
        "its run second is read from myproj.db",
    ]


def execute(path: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql, values)
    connection.close()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{broken", "not a JSON object"),
        ("[1]", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        (3.5, "not a JSON object"),
    ],
)
def test_a_damaged_row_is_left_out_counted_and_named(
    damaged: Path, data: object, said: str
) -> None:
    execute(damaged / "myproj.db", "UPDATE metrics SET metrics = ? WHERE id = 2", data)
    run = read(damaged)
    assert run.series["loss"].step.tolist() == [0, 2, 3]
    assert run.provenance.records_damaged == 1
    assert f"myproj.db metrics:2: {said}; this row is left out" in run.provenance.warnings
    assert run.incomplete == ("myproj.db metrics has 1 row that cannot be used",)


def test_a_row_without_step_or_time(damaged: Path) -> None:
    path = damaged / "myproj.db"
    execute(path, "UPDATE metrics SET step = 'x' WHERE id = 2")
    execute(path, "UPDATE metrics SET timestamp = 'yesterday' WHERE id = 3")
    execute(path, "UPDATE system_metrics SET timestamp = ''")
    run = read(damaged)
    assert run.series["loss"].step.tolist() == [0, 2, 3]
    assert np.isnan(run.series["loss"].time).tolist() == [False, True, False]
    assert run.provenance.records_damaged == 2


def test_a_row_without_a_time_begins_no_attempt(damaged: Path) -> None:
    path = damaged / "myproj.db"
    execute(path, "UPDATE metrics SET timestamp = 'yesterday' WHERE id = 2")
    run = read(damaged)
    assert len(run.attempts) == 1
    assert run.series["loss"].recorded.attempt.tolist() == [1] * 4


def test_readings_of_the_system_are_no_rows_of_a_metric_of_their_name(damaged: Path) -> None:
    path = damaged / "myproj.db"
    execute(path, """UPDATE system_metrics SET metrics = '{"loss": 99}'""")
    run = read(damaged)
    assert 99 not in run.series["loss"].recorded.value
    assert set(run.series["loss (by the clock)"].value) == {99}
    assert run.series.info("loss").axis == "step"


def test_media_outside_of_its_folder_is_refused(damaged: Path) -> None:
    (damaged / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    (damaged / "media" / "link.png").symlink_to(damaged / "secret.png")
    for number, path in enumerate(["../secret.png", "/etc/passwd", "link.png", "a\x00b"]):
        value = {"_type": "trackio.image", "file_path": path}
        execute(
            damaged / "myproj.db",
            "UPDATE metrics SET metrics = ? WHERE id = ?",
            json.dumps({"evil": value}),
            number + 1,
        )
    run = read(damaged)
    assert [s.name for s in run.samples if s.kind == "image"] == ["picture"]
    assert "evil: 4 files outside of the media folder are not read" in run.provenance.warnings


def big(path: Path, rows: int) -> None:
    """More rows of the run `first`, over many pages."""
    with sqlite3.connect(path) as connection:
        ((run_id,),) = connection.execute("SELECT run_id FROM metrics WHERE id = 1")
        connection.executemany(
            "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)",
            (
                (run_id, "2026-01-01T00:00:00+00:00", "first", step, f'{{"big": {step}.5}}')
                for step in range(rows)
            ),
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_a_damaged_page_costs_its_rows_only(damaged: Path) -> None:
    path = damaged / "myproj.db"
    big(path, 2_000)
    data = bytearray(path.read_bytes())
    at = data.index(b'{"big": 1000.5}') // 4096 * 4096
    data[at : at + 100] = bytes(100)
    path.write_bytes(data)
    run = read(damaged)
    steps = run.series["big"].recorded.step
    assert 1_850 < len(steps) < 2_000
    assert (steps[0], steps[-1]) == (0, 1_999)
    assert 1_000 not in steps.tolist()
    assert run.series["big"].recorded.value.tolist() == (steps + 0.5).tolist()
    assert run.provenance.records_damaged >= 1
    assert run.incomplete


def test_a_database_that_was_cut_off_keeps_the_rows_before(damaged: Path) -> None:
    path = damaged / "myproj.db"
    big(path, 2_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    run = read(damaged)
    steps = run.series["big"].recorded.step.tolist()
    assert 100 < len(steps) < 2_000
    assert steps == list(range(len(steps)))
    assert run.incomplete[0].startswith("myproj.db lacks its end: ")
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged == len(data) - len(data) // 2


def flips(data: bytes, count: int) -> Iterator[bytes]:
    generator = np.random.default_rng(5)
    used = np.flatnonzero(np.frombuffer(data, np.uint8))  # most of the file is unused space
    for at in generator.choice(used, count):
        changed = bytearray(data)
        changed[at] ^= 1 << int(generator.integers(8))
        yield bytes(changed)


def test_flipped_bits_are_never_a_traceback(damaged: Path) -> None:
    path = damaged / "myproj.db"
    big(path, 300)
    read_runs = 0
    for data in flips(path.read_bytes(), 120):
        path.write_bytes(data)
        source = Trackio(str(damaged))
        for ref in source.discover():
            try:
                run = source.read(ref)
            except SourceError:
                continue
            read_runs += 1
            for name in run.series:
                assert len(run.series[name].recorded.step)
    assert read_runs > 100


def test_pages_that_point_at_themselves_end(damaged: Path) -> None:
    path = damaged / "myproj.db"
    big(path, 5_000)
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        start = page * 4096
        if data[start] == 5:  # an interior page of a table: let all its children be itself
            cells = int.from_bytes(data[start + 3 : start + 5], "big")
            for cell in range(cells):
                at = int.from_bytes(data[start + 12 + 2 * cell : start + 14 + 2 * cell], "big")
                data[start + at : start + at + 4] = (page + 1).to_bytes(4, "big")
    path.write_bytes(data)
    run = read(damaged)
    assert run.incomplete


_EXPORT = """
from pathlib import Path
from trackio.sqlite_storage import SQLiteStorage
SQLiteStorage._dataset_import_attempted = True
SQLiteStorage.export_to_parquet()
SQLiteStorage.export_for_static_space("my proj", Path({folder!r}))
"""


@pytest.fixture(scope="module")
def exported(rich: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `rich`, without its database, and `static` below."""
    folder = tmp_path_factory.mktemp("export")
    shutil.copytree(rich, folder / "tables")
    logged(folder / "tables", _EXPORT.format(folder=str(folder / "static")))
    (folder / "tables" / "myproj.db").unlink()
    shutil.copytree(rich / "media" / "myproj", folder / "static" / "media")
    return folder


@pytest.mark.parametrize("layout", ["tables", "static"])
def test_exports_to_parquet_hold_the_same_run(rich: Path, exported: Path, layout: str) -> None:
    whole, run = read(rich), read(exported / layout)
    assert run.ref.run_id == whole.ref.run_id
    assert run.ref.project == ("myproj" if layout == "tables" else "")
    assert list(run.series) == list(whole.series)
    for name in run.series:
        for one, other in zip(run.series[name].recorded, whole.series[name].recorded, strict=True):
            np.testing.assert_array_equal(one, other)
    assert (run.config, run.group, run.seed) == (whole.config, whole.group, whole.seed)
    assert run.samples == whole.samples
    assert run.attempts == whole.attempts
    assert (run.datasets, run.checkpoints) == (whole.datasets, whole.checkpoints)
    assert run.provenance.warnings == tuple(
        warning.replace("myproj.db", "myproj.parquet" if layout == "tables" else "metrics.parquet")
        for warning in whole.provenance.warnings
    )


@pytest.mark.parametrize("layout", ["tables", "static"])
def test_all_files_of_an_export_are_known(exported: Path, layout: str) -> None:
    found = sniff(exported / layout)
    assert len(found.runs) == 2
    assert found.skipped == ()


def test_a_database_is_read_and_not_its_export(damaged: Path, exported: Path) -> None:
    for path in (exported / "tables").glob("*.parquet"):
        shutil.copy(path, damaged)
    source = Trackio(str(damaged))
    assert [Path(ref.location).name for ref in source.discover()] == ["myproj.db"] * 2
    assert sniff(damaged).skipped == ()


def test_a_damaged_export_is_a_sentence(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported / "static", tmp_path / "static")
    path = tmp_path / "static" / "metrics.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    assert sniff(tmp_path).runs == ()
    for changed in flips(data, 60):
        path.write_bytes(changed)
        source = Trackio(str(tmp_path))
        for ref in source.discover():
            try:
                source.read(ref)
            except SourceError:
                continue


def test_an_empty_project_is_a_sentence(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "trackio_0_20", tmp_path / "old")
    for table in ("metrics", "configs"):
        execute(tmp_path / "old" / "old.db", f"DELETE FROM {table}")
    source = Trackio(str(tmp_path))
    assert list(source.discover()) == []
    assert [why for _, why in source.skipped] == ["empty: no run was logged"]


def test_the_rest_of_a_folder_of_links_and_pipes(damaged: Path) -> None:
    os.mkfifo(damaged / "pipe.db")
    (damaged / "gone.db").symlink_to(damaged / "nowhere")
    assert len(sniff(damaged).runs) == 2


def test_a_column_that_is_not_there_reads_as_nothing(damaged: Path) -> None:
    def never(rowid: int, problem: str) -> None:
        raise AssertionError((rowid, problem))

    with opened(damaged / "myproj.db") as database:
        rows = database.rows("metrics", ("step", "new"), where=("step", 10), damaged=never)
        assert [row[1:] for row in rows] == [(10, None)]
        assert list(database.rows("nothing", ("a",), where=("a", 1), damaged=never)) == []
