"""W&B: which folders are one run, where a run comes from, and what several processes leave."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from runpages.archive import Archive
from runpages.model import Dataset, Run
from runpages.sources.wandb_offline import WandbOffline
from sources.wandb_files import (
    copy_with,
    frames_of,
    record_class,
    records_of,
    run_of,
    run_sdk,
    write_records,
)

WRITER = """
import sys, time
import wandb

def train(steps, **options):
    settings = wandb.Settings(x_disable_stats="label" not in options,
                              x_label=options.pop("label", None), x_stats_sampling_interval=0.2)
    run = wandb.init(project="p", mode="offline", dir=sys.argv[1], settings=settings, **options)
    for step in steps:
        run.log({"loss": 1 / (step + 1)}, step=step)
    return run

train(range(20), id="again").finish()
time.sleep(1.1)
train(range(10, 30), id="again", resume="allow").finish()
train(range(100, 110), id="child", fork_from="mother?_step=99").finish()
train(range(8, 12), id="back", resume_from="back?_step=8").finish()
for rank in range(2):
    run = train(range(3), id=f"rank{rank}", group="world", job_type="train", label=f"rank_{rank}")
    time.sleep(0.6)
    run.finish()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_sdk(tmp_path_factory.mktemp("wandb-resume"), WRITER)


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "logs", symlinks=True))


def _folders(root: Path, run_id: str) -> list[Path]:
    return sorted(path.parent for path in root.rglob(f"run-{run_id}.wandb"))


def _cut(folder: Path, run_id: str, records: int) -> None:
    """As a process leaves its file that dies before it has written its run record."""
    path = folder / f"run-{run_id}.wandb"
    data = path.read_bytes()
    path.write_bytes(data[: frames_of(data)[records].start])


def _again(root: Path) -> Run:
    return run_of(root, run_id="again")


@pytest.mark.parametrize("records", [0, 1])
def test_a_folder_that_died_before_its_run_record_is_an_attempt(copied: Path, records: int) -> None:
    _cut(_folders(copied, "again")[1], "again", records)
    before = [ref.slug for ref in WandbOffline(str(copied)).discover()]
    run = _again(copied)
    assert run.ref.slug in before
    assert run.ref.project == "p"
    assert len(run.ref.parts) == 2
    assert [(a.first_step, a.last_step, a.start is None) for a in run.attempts] == [
        (0, 19, False),
        (None, None, True),
    ]
    assert run.series["loss"].step.tolist() == list(range(20))


def test_its_place_is_by_the_time_in_the_folders_name(copied: Path) -> None:
    first, second = (
        folder.rename(folder.with_name(f"offline-run-20260101_{time}-again"))
        for folder, time in zip(_folders(copied, "again"), ("000000", "000500"), strict=True)
    )
    between = first.with_name("offline-run-20260101_000200-again")
    shutil.copytree(first, between)
    _cut(between, "again", 1)
    run = _again(copied)
    assert [Path(part).parent.name for part in run.ref.parts] == [
        first.name,
        between.name,
        second.name,
    ]
    assert [a.first_step for a in run.attempts] == [0, None, 10]


def test_without_any_run_record_the_folders_name_is_the_id(copied: Path) -> None:
    (folder,) = _folders(copied, "child")
    _cut(folder, "child", 1)
    (folder / "run-child.wandb").rename(folder / "run-x.wandb")
    run = run_of(folder)
    assert (run.ref.run_id, run.ref.project, run.state) == ("child", "", "ended")


def test_of_two_projects_it_joins_the_one_beside_it(copied: Path, tmp_path: Path) -> None:
    first, second = _folders(copied, "again")
    _cut(second, "again", 1)
    other = copied / "other" / first.name

    def change(run: Any) -> None:
        run.project = "q"
        run.start_time.seconds += 5

    copy_with(first / "run-again.wandb", other / "run-again.wandb", change)
    source = WandbOffline(str(copied))
    parts = {ref.project: len(ref.parts) for ref in source.discover() if ref.run_id == "again"}
    assert parts == {"p": 2, "q": 1}
    assert source.skipped == []
    lone = copied / "third" / second.name
    shutil.move(second, lone)
    source = WandbOffline(str(copied))
    parts = {ref.project: len(ref.parts) for ref in source.discover() if ref.run_id == "again"}
    assert parts == {"p": 1, "q": 1}
    ((path, why),) = source.skipped
    assert path == str(lone / "run-again.wandb")
    assert why == "has no run record, and several projects have a run again"


def test_a_copy_without_its_run_record_is_no_attempt(copied: Path) -> None:
    first, _ = _folders(copied, "again")
    copy = copied / "backup" / first.name
    shutil.copytree(first, copy)
    _cut(copy, "again", 1)
    source = WandbOffline(str(copied))
    (ref,) = (ref for ref in source.discover() if ref.run_id == "again")
    assert len(ref.parts) == 2
    ((path, why),) = source.skipped
    assert path == str(copy / "run-again.wandb")
    assert "the same run with the same start" in why


def test_state_is_by_the_last_file_that_recorded_a_time(copied: Path) -> None:
    first, second = _folders(copied, "again")
    records = [r for r in records_of(first / "run-again.wandb") if not r.HasField("exit")]
    write_records(first / "run-again.wandb", records)
    _cut(second, "again", 1)
    run = _again(copied)
    assert (run.ref.state, run.state) == ("running", "running")
    source = WandbOffline(str(copied), settle_minutes=0)
    (ref,) = (ref for ref in source.discover() if ref.run_id == "again")
    assert (ref.state, source.read(ref).state) == ("ended", "ended")


def test_a_fork_names_its_parent(root: Path) -> None:
    run = run_of(root, run_id="child")
    assert run.parent == "mother"
    assert [(e.kind, e.text) for e in run.logged_events] == [
        ("fork", "forked from mother at _step 99")
    ]


def test_a_run_that_was_taken_back_has_no_other_parent(root: Path) -> None:
    run = run_of(root, run_id="back")
    assert run.parent == ""
    assert [(e.kind, e.text) for e in run.logged_events] == [("rewind", "taken back at _step 8")]


def test_ranks_with_a_group_are_runs_of_their_own(root: Path) -> None:
    refs = [r for r in WandbOffline(str(root)).discover() if r.run_id.startswith("rank")]
    assert [ref.run_id for ref in refs] == ["rank0", "rank1"]
    for rank, ref in enumerate(refs):
        run = run_of(root, run_id=ref.run_id)
        assert (run.group, run.job_type) == ("world", "train")
        assert len(run.series[f"system/proc.cpu.threads/l:rank_{rank}"]) >= 2


def test_a_sweep_is_the_group_of_a_run_without_one(root: Path, tmp_path: Path) -> None:
    for run_id, group in (("child", "sweep9"), ("rank0", "world")):
        (folder,) = _folders(root, run_id)
        path = folder / f"run-{run_id}.wandb"
        changed = copy_with(
            path, tmp_path / path.name, lambda run: setattr(run, "sweep_id", "sweep9")
        )
        assert run_of(changed).group == group


def test_artifacts_that_the_run_used(root: Path, tmp_path: Path) -> None:
    """The SDK records them online only: its record classes write them here."""
    (folder,) = _folders(root, "child")
    records = records_of(folder / "run-child.wandb")
    for kind, name in (("dataset", "corpus:v3"), ("dataset", "team/p/other"), ("model", "base:v1")):
        record = record_class()()
        record.use_artifact.type, record.use_artifact.name = kind, name
        records.append(record)
    run = run_of(write_records(tmp_path / "run-child.wandb", records))
    assert run.datasets == (Dataset(name="corpus", version="v3"), Dataset(name="team/p/other"))
    assert ("artifact", "uses model base:v1") in {(e.kind, e.text) for e in run.logged_events}


def _logged(first_step: int, steps: range) -> list[Any]:
    """Rows of a loss by the optimiser step, and of a thermometer twice a step by the log calls."""
    records = [record_class()()]
    records[0].run.run_id = "r"
    records[0].run.start_time.seconds = 1_700_000_000 + first_step
    defined = record_class()()
    defined.metric.name, defined.metric.step_metric = "loss", "global_step"
    records.append(defined)
    for number, step in enumerate(steps):
        for call, row in enumerate([{"global_step": step, "loss": 1}, {"heat": 40}, {"heat": 41}]):
            record = record_class()()
            record.history.step.num = first_step + 3 * number + call
            for key, value in row.items():
                record.history.item.add(key=key, value_json=str(value))
            records.append(record)
    return records


def test_a_restart_supersedes_what_stands_on_its_own_count_of_steps_only(tmp_path: Path) -> None:
    write_records(tmp_path / "run-1-r" / "run-r.wandb", _logged(0, range(100)))
    write_records(tmp_path / "run-2-r" / "run-r.wandb", _logged(300, range(90, 150)))
    run = run_of(tmp_path)
    assert run.series.info("heat").counter == "_step"
    assert run.series["loss"].step.tolist() == [*range(150)]
    assert run.series["loss"].superseded.step.tolist() == [*range(90, 100)]
    assert len(run.series["heat"]) == 2 * (100 + 60)  # the log calls went on: nothing was redone
    assert run.series.spans == {1: (0, 99), 2: (90, 149)}
    archive = Archive(tmp_path / "archive")
    archive.put(run)
    assert len(archive.get(run.slug).series["heat"]) == 2 * (100 + 60)
