"""Attempts where neither a file nor a label tells them apart: rollbacks, evaluations, folders."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from tensorboardX import SummaryWriter

from runpages import log
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources._tf_attempts import Place, aligned, numbered
from runpages.sources.rundir import RunDirectory
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import read_all

NOW = 1_790_000_000.0


def rundir(folder: Path) -> Run:
    (run,) = read_all(RunDirectory(str(folder)))
    return run


def board(folder: Path) -> Run:
    (run,) = read_all(TensorBoard(str(folder)))
    return run


def write_events(folder: Path, steps: range, at: float) -> None:
    with SummaryWriter(str(folder), filename_suffix=f".{at:.0f}") as writer:
        for step in steps:
            writer.add_scalar("loss", 1.0, step, walltime=at + step)


def numbers_of(run: Run, name: str) -> list[int]:
    return run.series[name].recorded.attempt.tolist()


def test_a_rollback_inside_one_process_is_an_attempt_and_the_next_start_another(
    tmp_path: Path,
) -> None:
    with log.start(tmp_path, devices=4) as run:
        for step in range(10):
            run.metrics(step, loss=1.0)
        time.sleep(0.01)  # the writer's clock counts milliseconds
        run.event("rollback", "back to step 4", step=4)
        for step in range(5, 12):
            run.metrics(step, loss=2.0)
        run.checkpoint(11, "eleven")
    with log.start(tmp_path, devices=2) as run:
        for step in range(12, 14):
            run.metrics(step, loss=3.0)
    found = rundir(tmp_path)
    assert [(a.number, a.first_step, a.last_step, a.devices) for a in found.attempts] == [
        (1, 0, 9, 4),
        (2, 5, 11, 4),
        (3, 12, 13, 2),
    ]
    assert found.series["loss"].superseded.step.tolist() == [5, 6, 7, 8, 9]
    assert [(c.step, c.attempt) for c in found.checkpoints] == [(11, 2)]
    assert [(e.kind, e.step, e.text) for e in found.logged_events] == [
        ("rollback", 4, "back to step 4")
    ]


def test_an_evaluation_that_ends_late_is_no_restart(tmp_path: Path) -> None:
    with log.start(tmp_path) as run:
        for step in range(10):
            run.metrics(step, loss=1.0)
        run.metrics(5, {"eval/acc": 0.5})
        run.metrics(10, loss=1.0)
    found = rundir(tmp_path)
    assert [a.number for a in found.attempts] == [1]
    assert found.series["eval/acc"].step.tolist() == [5]


def test_the_state_of_a_run_is_that_of_its_last_attempt(tmp_path: Path) -> None:
    with log.start(tmp_path) as run:
        run.metrics(1, loss=1.0)
    log.start(tmp_path).metrics(2, loss=1.0)
    found = rundir(tmp_path)
    assert found.state == "running"
    assert [a.state for a in found.attempts] == ["finished", "running"]


def test_folders_of_one_run_share_one_count_of_restarts(tmp_path: Path) -> None:
    write_events(tmp_path / "run" / "train", range(10), NOW)
    write_events(tmp_path / "run" / "train", range(5, 8), NOW + 100)
    write_events(tmp_path / "run" / "train", range(5, 20), NOW + 200)
    write_events(tmp_path / "run" / "validation", range(0, 10, 3), NOW)
    # the second life died before it came to an evaluation
    write_events(tmp_path / "run" / "validation", range(6, 20, 3), NOW + 200)
    run = board(tmp_path)
    assert numbers_of(run, "validation/loss") == [1] * 4 + [3] * 5
    assert numbers_of(run, "train/loss") == [1] * 10 + [2] * 3 + [3] * 15
    assert [(a.number, a.start, a.end) for a in run.attempts] == [
        (1, NOW, NOW + 9),
        (2, NOW + 105, NOW + 107),
        (3, NOW + 205, NOW + 219),
    ]


@pytest.mark.parametrize(
    ("times", "attempts", "expected"),
    [
        ([[1, 2, 5, 6], [2, 6]], [[1, 1, 2, 2], [1, 2]], [[1, 1, 2, 2], [1, 2]]),
        ([[1, 9], [2, 4]], [[1, 2], [1, 1]], [[1, 2], [1, 1]]),
        ([[1, 2, 5], [4, 8]], [[1, 1, 2], [1, 2]], [[1, 1, 2], [1, 2]]),
        ([[1, 2, 5], [6, 8]], [[1, 1, 2], [1, 2]], [[1, 1, 2], [2, 3]]),
        ([[1, 2, math.nan], [4]], [[1, 1, 2], [1]], None),
        ([[1, 5, 3], [4]], [[1, 1, 2], [1]], None),
    ],
)
def test_restarts_of_streams_are_the_same_where_their_spans_overlap(
    times: list[list[float]], attempts: list[list[int]], expected: list[list[int]] | None
) -> None:
    assert aligned(times, attempts) == expected


def test_a_file_that_goes_back_is_one_attempt_from_its_first_row() -> None:
    first = [Place("loss", step, NOW) for step in range(5)] + [Place("eval", 4, NOW)]
    second = [Place("loss", 5, NOW), Place("eval", 4, NOW), Place("loss", 6, NOW)]
    assert numbered([(first, frozenset()), (second, frozenset())]) == [[1] * 6, [2] * 3]


def test_a_rotated_file_and_a_profile_belong_to_the_attempt_before() -> None:
    files = [
        [Place("loss", step, NOW) for step in range(5)],
        [Place("loss", step, NOW) for step in range(5, 9)],
        [Place("profile", 0, NOW)],
    ]
    assert numbered([(rows, frozenset()) for rows in files]) == [[1] * 5, [1] * 4, [1]]


def test_a_session_start_counts_once() -> None:
    first = [Place("loss", step, NOW) for step in range(5)]
    again = [Place("loss", step, NOW) for step in range(3, 6)]
    later = [Place("loss", step, NOW) for step in range(6, 8)]
    assert numbered(
        [(first, frozenset({0})), (again, frozenset({0})), (later, frozenset({0}))]
    ) == [[1] * 5, [2] * 3, [3] * 2]


class _Reversed:
    """A folder listing from its end."""

    def __init__(self, entries: Iterator[os.DirEntry[str]]) -> None:
        self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self._entries

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_the_order_of_a_folders_listing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b", "a", "c"):
        log.start(tmp_path / name / "plain").metrics(1, loss=1.0)
        write_events(tmp_path / name / "board" / "train", range(5), NOW)
        write_events(tmp_path / name / "board" / "train", range(3, 6), NOW + 100)
        write_events(tmp_path / name / "board" / "test", range(5), NOW)
    (tmp_path / "z.bin").touch()
    (tmp_path / "b" / "y.bin").touch()
    plain = sniff(tmp_path)
    scan = os.scandir
    seen = []

    def backwards(path: str) -> _Reversed:
        seen.append(path)
        with scan(path) as entries:
            return _Reversed(entries)

    monkeypatch.setattr(os, "scandir", backwards)
    assert sniff(tmp_path) == plain
    assert seen
    assert len(plain.runs) == 6


def test_tags_by_epoch_do_not_tell_where_a_restart_began(tmp_path: Path) -> None:
    for at, steps in ((NOW, range(1000)), (NOW + 5000, range(900, 1500))):
        with SummaryWriter(str(tmp_path), filename_suffix=f".{at:.0f}") as writer:
            for step in steps:
                writer.add_scalar("train/loss", 1.0, step, walltime=at + step)
                if step % 100 == 99:
                    writer.add_scalar("epoch/acc", 0.5, step // 100, walltime=at + step)
    run = board(tmp_path)
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 999), (900, 1499)]
    assert run.series["train/loss"].step.tolist() == [*range(1500)]
    assert run.series["epoch/acc"].superseded.step.tolist() == [9]
