"""W&B offline: what the SDK writes is what is read, and damage costs only what it hit."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources.contract import Folder
from runpages.sources.wandb_offline import WandbOffline
from sources.conformance import SourceConformance
from sources.wandb_files import environment_of, records_of

WRITER = """
import math, os, sys, time
import wandb

start = dict(project="proj", dir=sys.argv[1], mode="offline")

def full():
    run = wandb.init(
        id="full", name="a/../'name' \\N{SNOWMAN}", group="seeds", job_type="train",
        tags=["x", "y"], notes="why", config={"lr": 1e-3, "seed": 3, "model": {"layers": 4}},
        settings=wandb.Settings(x_stats_sampling_interval=0.2), **start)
    run.define_metric("train/*", step_metric="iter")
    run.define_metric("acc", step_metric="epoch")
    for i, loss in enumerate([1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2]):
        run.log({"train/loss": loss, "iter": 10 * i, "deep": {"a": {"b": i}}, "flag": i > 2,
                 "word": "hi"})
    run.log({"acc": 0.5, "epoch": 1, "iter": 50})
    rows = [["p1", "c1", 0.1], ["p2", "<script>", math.nan]]
    run.log({"said": wandb.Table(columns=["prompt", "completion", "score"], data=rows),
             "page": wandb.Html("<b>x</b>")})
    run.log({"numbers": wandb.Table(columns=["a", "b"], data=[[i, None] for i in range(201)])})
    run.alert("Title", "text")
    artifact = wandb.Artifact("net", type="model", metadata={"step": 40, "loss": 0.5})
    with artifact.new_file("w.bin") as file:
        file.write("x" * 10)
    run.log_artifact(artifact)
    run.log_artifact(wandb.Artifact("notes", type="report"))
    run.summary["best"] = 0.125
    print("hello console")
    time.sleep(0.6)
    run.finish()

def resumed():
    for first in (0, 40):
        run = wandb.init(id="resumed", **start)
        for i in range(first, first + 50):
            run.log({"loss": 1.0 / (i + 1) + first}, step=i)
        run.finish()
        time.sleep(1.1)

def fallen():
    run = wandb.init(id="fallen", **start)
    for i in [0, 1, 2, 3, 2, 3, 4]:
        run.log({"loss": float(i), "train/global_step": i})
    run.finish()

def plain():
    run = wandb.init(id="plain", **start)
    for i in range(3):
        run.log({"loss": float(i)})
    run.finish(exit_code=1)

def long():
    run = wandb.init(id="long", settings=wandb.Settings(x_disable_stats=True), **start)
    for i in range(1500):
        run.log({"loss": 1.0 / (i + 1), "lr": i * 1e-4})
    run.finish()

def aborted():
    wandb.init(id="aborted", **start).finish()

def killed():
    run = wandb.init(id="killed", **start)
    for i in range(500):
        run.log({"loss": float(i)})
    time.sleep(1)
    os._exit(9)

for act in (full, resumed, fallen, plain, long, aborted, killed):
    act()
"""


class TestConformance(SourceConformance):
    kind = "wandb"
    log = "run-*.wandb"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        values = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, 1.5e308]
        code = (
            "import sys, wandb\n"
            "run = wandb.init(project='p', id='abc', mode='offline', dir=sys.argv[1],"
            " settings=wandb.Settings(x_disable_stats=True))\n"
            "for step, value in enumerate(map(float, sys.argv[2:])):\n"
            "    run.log({'train/loss': value, 'lr': 0.1 * step})\n"
            "run.finish()"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(root), *map(repr, values)],
            check=True, cwd=root.parent, env=environment_of(root.parent), timeout=120,
            capture_output=True,
        )  # fmt: skip
        return {
            "train/loss": list(enumerate(values)),
            "lr": [(step, 0.1 * step) for step in range(len(values))],
        }


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the real SDK wrote: several runs, one process that died without `finish`."""
    folder = tmp_path_factory.mktemp("wandb-runs")
    script = folder / "train.py"
    script.write_text(WRITER, encoding="utf-8")
    root = folder / "logs"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, str(script), str(root)],
        env=environment_of(folder),
        cwd=folder,
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 9, done.stderr.decode()
    return root


@pytest.fixture(scope="session")
def runs(written: Path) -> dict[str, Run]:
    source = WandbOffline(str(written))
    found = {ref.run_id: source.read(ref) for ref in source.discover()}
    assert source.skipped == []
    return found


def _file(root: Path, run_id: str) -> Path:
    return next(root.rglob(f"run-{run_id}.wandb"))


def _read(path: Path) -> Run:
    source = WandbOffline(str(path))
    (ref,) = source.discover()
    return source.read(ref)


def _copy(written: Path, tmp_path: Path, data: bytes, run_id: str = "long") -> Path:
    path = tmp_path / f"run-{run_id}.wandb"
    path.write_bytes(data)
    return path


def test_every_run_is_found_once_in_order(runs: dict[str, Run]) -> None:
    assert list(runs) == ["aborted", "fallen", "full", "killed", "long", "plain", "resumed"]


def test_identity_and_description(runs: dict[str, Run]) -> None:
    run = runs["full"]
    assert (run.ref.project, run.ref.run_id) == ("proj", "full")
    assert run.name == run.ref.name == "a/../'name' \N{SNOWMAN}"
    assert (run.group, run.job_type, run.tags) == ("seeds", "train", ("x", "y"))
    assert (run.description, run.seed) == ("why", 3)


def test_slug_is_the_same_after_moving(runs: dict[str, Run], written: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / written.name
    shutil.copytree(written, moved)
    assert [r.slug for r in WandbOffline(str(moved)).discover()] == [r.slug for r in runs.values()]


def test_config_is_nested_and_without_the_trackers_own_key(runs: dict[str, Run]) -> None:
    assert runs["full"].config == {"lr": 1e-3, "seed": 3, "model": {"layers": 4}}


def test_series_are_what_was_logged(runs: dict[str, Run]) -> None:
    series = runs["full"].series
    loss = series["train/loss"].recorded
    assert loss.step.tolist() == [0, 10, 20, 30, 40]
    assert math.isnan(loss.value[1])
    assert [loss.value[i] for i in (0, 2, 3, 4)] == [1.0, math.inf, -math.inf, 0.1 + 0.2]
    assert (loss.time[1:] >= loss.time[:-1]).all()
    assert runs["full"].start is not None
    assert loss.time[0] >= runs["full"].start
    assert series["deep.a.b"].value.tolist() == [0, 1, 2, 3, 4]
    assert series["flag"].value.tolist() == [0, 0, 0, 1, 1]


def test_history_holds_no_internal_media_or_text_series(runs: dict[str, Run]) -> None:
    run = runs["full"]
    on_steps = {info.name for info in run.series.infos if info.axis == "step"}
    assert on_steps == {"train/loss", "iter", "deep.a.b", "flag", "acc", "epoch"}
    assert "word is no number in 5 rows, which are not charted" in run.provenance.warnings


def test_declared_step_metric_places_all_metrics(runs: dict[str, Run]) -> None:
    run = runs["full"]
    assert run.provenance.step_source == "iter (define_metric)"
    assert run.series["deep.a.b"].step.tolist() == [0, 10, 20, 30, 40]


def test_epoch_counts_no_steps_and_the_page_is_told(runs: dict[str, Run]) -> None:
    run = runs["full"]
    assert run.series["acc"].step.tolist() == [50]
    assert any("acc by epoch" in warning for warning in run.provenance.warnings)


def test_without_a_step_column_log_calls_are_counted_and_said(runs: dict[str, Run]) -> None:
    run = runs["plain"]
    assert run.series["loss"].step.tolist() == [0, 1, 2]
    assert run.provenance.step_source == "_step counts log calls"


def test_system_readings_stand_on_the_clock(runs: dict[str, Run]) -> None:
    run = runs["full"]
    info = run.series.info("system/proc.cpu.threads")
    rows = run.series["system/proc.cpu.threads"]
    assert info.axis == "time"
    assert len(rows) >= 2
    assert (rows.value >= 1).all()
    assert (rows.time[1:] > rows.time[:-1]).all()


def test_text_table_gives_one_sample_a_row(runs: dict[str, Run]) -> None:
    said = [s for s in runs["full"].samples if s.name == "said"]
    assert [(s.kind, s.prompt, s.text, s.step) for s in said] == [
        ("text", "p1", "c1", 50),
        ("text", "p2", "<script>", 50),
    ]


def test_other_tables_are_capped_and_say_so(runs: dict[str, Run]) -> None:
    (table,) = (s for s in runs["full"].samples if s.name == "numbers")
    assert (table.kind, table.columns, len(table.rows)) == ("table", ("a", "b"), 200)
    assert table.rows[3] == ("3", "")
    assert "table numbers: 200 of its 201 rows are read" in runs["full"].provenance.warnings


def test_what_is_not_read_is_one_sentence_a_kind(runs: dict[str, Run]) -> None:
    assert runs["full"].provenance.lossy == (
        "html-file left out: page (1 logged)",
        "files of its artifacts lie outside the run's folder and are not read (1)",
    )
    assert runs["plain"].provenance.lossy == ()


def test_artifacts_and_alerts(runs: dict[str, Run]) -> None:
    run = runs["full"]
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (40, "net", 10)
    assert checkpoint.metrics == {"loss": 0.5}
    assert {(e.kind, e.text) for e in run.logged_events} == {
        ("alert", "Title: text"),
        ("artifact", "report notes"),
    }


def test_summary_console_and_command(runs: dict[str, Run]) -> None:
    run = runs["full"]
    assert run.summary["best"] == 0.125
    assert run.summary["iter"] == 50
    assert not any(name.startswith(("_", "said")) for name in run.summary)
    assert "hello console" in run.console
    assert run.code.entry_point.endswith("train.py")
    assert "train.py" in run.command
    assert run.environment["wandb"]
    assert run.hardware.cpu_count


def test_states(runs: dict[str, Run]) -> None:
    states = {run_id: run.state for run_id, run in runs.items()}
    assert states.pop("plain") == "failed"
    assert states.pop("killed") == "running"
    assert set(states.values()) == {"finished"}
    assert all(run.ref.state == run.state for run in runs.values())


def test_killed_run_has_ended_once_it_is_old(written: Path) -> None:
    source = WandbOffline(str(_file(written, "killed")), settle_minutes=0)
    (ref,) = source.discover()
    run = source.read(ref)
    assert (ref.state, run.state, run.attempts[0].state) == ("ended", "ended", "ended")


def test_killed_run_keeps_what_reached_the_disk(runs: dict[str, Run]) -> None:
    values = runs["killed"].series["loss"].value
    assert len(values) > 100
    assert values.tolist() == [float(i) for i in range(len(values))]


def test_aborted_run_is_a_run_without_series(runs: dict[str, Run]) -> None:
    run = runs["aborted"]
    assert [i for i in run.series.infos if i.axis == "step"] == []
    assert [(a.first_step, a.state) for a in run.attempts] == [(None, "finished")]


def test_folders_of_one_id_are_attempts(runs: dict[str, Run]) -> None:
    run = runs["resumed"]
    assert len(run.ref.parts) == 2
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [
        (1, 0, 49),
        (2, 40, 89),
    ]
    loss = run.series["loss"]
    assert loss.info.points == 100
    assert loss.superseded.step.tolist() == list(range(40, 50))
    assert loss.step.tolist() == list(range(90))
    assert loss.window(45, 45).value[0] == 1.0 / 46 + 40


def test_falling_steps_begin_an_attempt(runs: dict[str, Run]) -> None:
    run = runs["fallen"]
    assert run.provenance.step_source == "train/global_step (a column of the log)"
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 3), (2, 4)]
    assert run.series["loss"].step.tolist() == [0, 1, 2, 3, 4]


def test_a_copy_of_a_file_is_reported_and_read_once(written: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(_file(written, "plain"), tmp_path / name)
    source = WandbOffline(str(tmp_path))
    (ref,) = source.discover()
    assert len(ref.parts) == 1
    ((path, why),) = source.skipped
    assert path.endswith("b/run-plain.wandb")
    assert "a/run-plain.wandb" in why


def _inside_a_record(data: bytes, size: int) -> int:
    """The middle of the record fragment that `size` falls on: a cut between two loses none."""
    position = 7
    while True:
        room = 32768 - position % 32768
        if room < 7:
            position += room
        length = struct.unpack_from("<H", data, position + 4)[0]
        if position + 7 + length > size:
            return position + 7 + length // 2
        position += 7 + length


@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.77, 0.999])
def test_truncation_keeps_what_was_before(written: Path, tmp_path: Path, fraction: float) -> None:
    data = _file(written, "long").read_bytes()
    whole = _read(_copy(written, tmp_path, data)).series["loss"].value
    size = _inside_a_record(data, int(len(data) * fraction))
    run = _read(_copy(written, tmp_path, data[:size]))
    values = run.series["loss"].value if "loss" in run.series else whole[:0]
    assert values.tolist() == whole[: len(values)].tolist()
    assert abs(len(values) - fraction * 1500) < 150
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged > 0
    assert "ends inside a record" in run.incomplete[0]


def test_a_flipped_bit_costs_one_block_and_is_counted(written: Path, tmp_path: Path) -> None:
    data = bytearray(_file(written, "long").read_bytes())
    data[2 * 32768 + 5000] ^= 1
    run = _read(_copy(written, tmp_path, bytes(data)))
    whole = _read(_file(written, "long"))
    lost = whole.provenance.records_read - run.provenance.records_read
    assert run.provenance.records_damaged == lost
    assert 0 < run.provenance.bytes_damaged <= 2 * 32768
    assert run.state == "finished"
    assert run.incomplete
    assert run.series["loss"].value[-1] == whole.series["loss"].value[-1]
    assert 1000 < run.series["loss"].info.points < 1500


def test_a_tail_of_zeros_loses_nothing(written: Path, tmp_path: Path) -> None:
    run = _read(
        _copy(written, tmp_path, _file(written, "plain").read_bytes() + bytes(900), "plain")
    )
    assert run.series["loss"].value.tolist() == [0, 1, 2]
    assert run.state == "failed"


def test_empty_and_foreign_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "run-empty.wandb").touch()
    (tmp_path / "run-foreign.wandb").write_text("something else", encoding="utf-8")
    source = WandbOffline(str(tmp_path))
    assert list(source.discover()) == []
    assert [Path(path).name for path, _ in source.skipped] == [
        "run-empty.wandb",
        "run-foreign.wandb",
    ]
    assert all(why for _, why in source.skipped)


def test_header_alone_is_named_by_the_file_and_not_readable(written: Path, tmp_path: Path) -> None:
    path = _copy(written, tmp_path, _file(written, "long").read_bytes()[:7], "abc")
    source = WandbOffline(str(path))
    (ref,) = source.discover()
    assert (ref.run_id, ref.state) == ("abc", "ended")
    with pytest.raises(SourceError, match=r"no record in it is whole \(7 bytes\)"):
        source.read(ref)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"columns": ["a"], "data": [[1, 2]]}', "does not have the 1 cells"),
        ("[]", "holds no table"),
        (None, "is not in the run folder"),
    ],
)
def test_a_malformed_table_is_a_sentence(
    written: Path, tmp_path: Path, content: str | None, said: str
) -> None:
    root = tmp_path / "logs"
    shutil.copytree(_file(written, "full").parent, root / "offline-run-20260101_000000-full")
    (table,) = root.rglob("said_*.table.json")
    outside = tmp_path / "outside.json"
    outside.write_text('{"columns": ["text"], "data": [["stolen"]]}', encoding="utf-8")
    table.unlink()
    if content is None:
        table.symlink_to(outside)
    else:
        table.write_text(content, encoding="utf-8")
    run = _read(root)
    assert not [s for s in run.samples if s.name == "said"]
    assert any("table said" in w and said in w for w in run.provenance.warnings)


def test_metadata_file_fills_what_the_records_leave_open(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run-20240101_000000-plain"
    shutil.copytree(_file(written, "plain").parent, folder)
    metadata = {
        "gpu": "NVIDIA A100-SXM4-80GB",
        "gpu_count": 8,
        "cuda": "12.1",
        "git": {"commit": "abc", "remote": "https://example.org/r.git"},
    }
    (folder / "files" / "wandb-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    run = _read(tmp_path)
    assert (run.hardware.device, run.hardware.devices) == ("NVIDIA A100-SXM4-80GB", 8)
    assert (run.code.commit, run.environment["cuda"]) == ("abc", "12.1")
    assert run.attempts[0].devices == 8


@pytest.mark.parametrize("total", [math.inf, math.nan, -1.0, 1e300])
def test_absurd_figures_of_a_machine_are_not_taken_over(
    written: Path, tmp_path: Path, total: float
) -> None:
    folder = tmp_path / "run-20240101_000000-plain"
    shutil.copytree(_file(written, "plain").parent, folder)
    path = folder / "files" / "wandb-metadata.json"
    path.write_text(json.dumps({"gpu_count": 10**400, "memory": {"total": total}}))
    without = _read(_file(written, "plain")).hardware
    assert _read(tmp_path).hardware == without


def test_a_run_folder_is_claimed_whole_and_a_loose_file_alone(written: Path) -> None:
    folder = _file(written, "full").parent
    claim = WandbOffline.claim(Folder(folder, ("notes.txt", "run-full.wandb")))
    assert claim.logs == ("run-full.wandb",)
    assert claim.companions == ("notes.txt",)
    assert claim.whole_tree
    loose = WandbOffline.claim(Folder(written, ("events.out.tfevents.1", "run-full.wandb")))
    assert (loose.logs, loose.companions, loose.whole_tree) == (("run-full.wandb",), (), False)


def test_reading_does_not_import_the_sdk(written: Path) -> None:
    code = (
        "import sys; from runpages.sources.wandb_offline import WandbOffline as W\n"
        f"s = W({str(written)!r}); [s.read(r) for r in s.discover()]\n"
        "assert 'wandb' not in sys.modules"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


@pytest.mark.acceptance
def test_real_logs_have_the_points_that_the_sdks_classes_count(shared: Path) -> None:
    source = WandbOffline(str(shared / "data" / "logs" / "wandb"))
    refs = list(source.discover())
    assert len(refs) == 9
    for ref in refs:
        run = source.read(ref)
        expected: Counter[str] = Counter()
        for record in records_of(Path(ref.location)):
            for item in record.history.item:
                name = item.key or ".".join(item.nested_key)
                if not name.startswith("_") and type(json.loads(item.value_json)) in {int, float}:
                    expected[name] += 1
        points = {i.name: i.points for i in run.series.infos if i.axis == "step"}
        print(ref.run_id, run.state, len(run.attempts), sum(points.values()))
        assert points == dict(expected)
        assert run.provenance.records_damaged == 0
