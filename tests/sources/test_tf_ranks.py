"""Folders of ranks are one run; restarts and clocks of the ranks are told apart."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from tensorboardX import SummaryWriter

from runpages.model import Run
from runpages.sources._tf_seats import seat_of
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import read_all

NOW = 1_790_000_000.0


def read(root: Path) -> Run:
    (run,) = read_all(TensorBoard(str(root)))
    return run


def write(folder: Path, values: dict[int, float], *, at: float = NOW, tag: str = "loss") -> None:
    with SummaryWriter(str(folder), filename_suffix=f".{at:.0f}") as writer:
        for step, value in values.items():
            writer.add_scalar(tag, value, step, walltime=at + step)


@pytest.mark.parametrize(
    ("folder", "seat"),
    [
        ("run", ("run", None, "")),
        ("run/train", ("run", None, "train/")),
        ("run/rank_3", ("run", 3, "")),
        ("logs/rank=3", ("logs", 3, "")),
        ("run/worker_2", ("run", 2, "")),
        ("logs/big_rank0", ("logs/big", 0, "")),
        ("run/rank0/val", ("run", 0, "val/")),
        ("run/val/rank0", ("run", 0, "val/")),
        ("run/rank0/rank1", ("run/rank0", 1, "")),
        ("train", (".", None, "train/")),
        ("rank_1", (".", 1, "")),
        (".", (".", None, "")),
        ("run/3", ("run/3", None, "")),
    ],
)
def test_the_place_of_a_folder_in_its_run(folder: str, seat: tuple[str, int, str]) -> None:
    found = seat_of(PurePosixPath(folder))
    assert (found.run.as_posix(), found.rank, found.prefix) == seat


def test_ranks_are_one_run_with_mean_least_greatest_and_their_own(tmp_path: Path) -> None:
    for rank in range(3):
        write(tmp_path / "run" / f"rank_{rank}", {s: 10.0 * rank + s for s in range(4)})
        with SummaryWriter(str(tmp_path / "run" / f"rank_{rank}")) as writer:
            writer.add_text("said", f"rank {rank}", 1)
    run = read(tmp_path)
    assert (run.ref.run_id, run.ref.name) == ("run", "run")
    assert run.provenance.ranks_seen == (0, 1, 2)
    assert run.incomplete == ()
    assert run.series["loss"].value.tolist() == [10.0, 11.0, 12.0, 13.0]
    assert run.series["loss [min of ranks]"].value.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert run.series["loss [max of ranks]"].value.tolist() == [20.0, 21.0, 22.0, 23.0]
    assert run.series["loss [rank 2]"].value.tolist() == [20.0, 21.0, 22.0, 23.0]
    assert run.series.info("loss").role == "loss"
    assert {s.name: s.text for s in run.samples} == {
        f"said [rank {rank}]": f"rank {rank}" for rank in range(3)
    }
    assert len(run.provenance.files) == 6
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 3)]


def test_a_restart_of_all_ranks_is_one_attempt(tmp_path: Path) -> None:
    for rank in (0, 1):
        folder = tmp_path / f"rank{rank}"
        write(folder, dict.fromkeys(range(6), 1.0))
        # rank 1 logs too rarely to show the rollback by its own steps
        steps = range(4, 9) if rank == 0 else range(6, 9)
        write(folder, dict.fromkeys(steps, 2.0), at=NOW + 100)
    run = read(tmp_path)
    assert run.ref.run_id == tmp_path.name
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 5), (2, 4, 8)]
    recorded = run.series["loss [rank 1]"].recorded
    assert recorded.attempt.tolist() == [1] * 6 + [2] * 3
    assert run.series["loss"].value.tolist() == [1.0] * 4 + [2.0] * 5


def test_missing_ranks_and_clocks_that_differ_are_said(tmp_path: Path) -> None:
    write(tmp_path / "rank_0", {1: 1.0, 2: 1.0})
    write(tmp_path / "rank_1", {1: 1.0, 2: 1.0}, at=NOW + 0.5)
    write(tmp_path / "rank_3", {1: 1.0, 2: 1.0}, at=NOW - 60)
    run = read(tmp_path)
    assert run.provenance.ranks_seen == (0, 1, 3)
    assert run.incomplete == ("there is no log of rank 2",)
    assert run.provenance.warnings == ("the clock of rank 3 is 60.0 s behind that of rank 0",)


def test_one_rank_alone_is_a_plain_run(tmp_path: Path) -> None:
    write(tmp_path / "run" / "rank_0", {1: 1.0})
    run = read(tmp_path)
    assert run.ref.run_id == "run"
    assert list(run.series) == ["loss"]
    assert run.provenance.ranks_seen == (0,)


def test_ranks_named_at_the_end_of_the_runs_name(tmp_path: Path) -> None:
    for rank in (0, 1):
        write(tmp_path / f"big_rank{rank}" / "train", {1: 1.0})
    run = read(tmp_path)
    assert run.ref.run_id == "big"
    assert "train/loss" in run.series
    assert [name for name, _ in run.provenance.files] == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*tfevents*")
    )


def test_a_folder_with_its_own_events_and_ranks_below_is_two_runs(tmp_path: Path) -> None:
    write(tmp_path / "run", {1: 5.0})
    for rank in (0, 1):
        write(tmp_path / "run" / f"worker_{rank}", {1: 1.0})
    runs = {run.ref.run_id: run for run in read_all(TensorBoard(str(tmp_path)))}
    assert set(runs) == {"run", "run/worker_0"}
    assert runs["run"].series["loss"].value.tolist() == [5.0]
    assert runs["run/worker_0"].provenance.ranks_seen == (0, 1)
    assert len({run.ref.slug for run in runs.values()}) == 2


@pytest.mark.parametrize(
    ("ranks", "runs"),
    [
        ((8, 16, 32), ["lora_rank_16", "lora_rank_32", "lora_rank_8"]),
        ((8,), ["lora_rank_8"]),
        ((1, 2), ["lora_rank_1", "lora_rank_2"]),
        ((1, 2, 3), ["lora"]),
        ((0, 8), ["lora"]),
    ],
)
def test_a_search_over_settings_is_no_set_of_ranks(
    tmp_path: Path, ranks: tuple[int, ...], runs: list[str]
) -> None:
    for rank in ranks:
        write(tmp_path / f"lora_rank_{rank}" / "train", {1: 1.0})
        write(tmp_path / f"lora_rank_{rank}" / "val", {1: 1.0})
    found = read_all(TensorBoard(str(tmp_path)))
    assert [run.ref.run_id for run in found] == runs
    for run in found:
        assert run.provenance.ranks_seen == (ranks if runs == ["lora"] else ())
        assert {"train/loss", "val/loss"} <= set(run.series)
