"""Attempts by columns, batch after batch, are what one row after the other gives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboardX import SummaryWriter

from runpages.sources import _tf_run
from runpages.sources._tf_attempts import FileLives, joined, numbered
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import read_all

NOW = 1_790_000_000.0
Row = tuple[int, int]
Files = list[tuple[list[Row], frozenset[int]]]


def row_by_row(files: Files) -> list[list[int]]:
    """The rule: a further attempt begins with a file in which a tag goes back, with a session that
    starts, and where a tag's steps fall within a file."""
    attempt = 1
    newest: dict[int, int] = {}
    out = []
    for rows, sessions in files:
        firsts = dict(reversed(rows))
        back = any(step <= newest.get(tag, step - 1) for tag, step in firsts.items())
        if back:
            attempt += 1
            newest = {}
        numbers = []
        for position, (tag, step) in enumerate(rows):
            session = position in sessions and bool(newest) and not (back and position == 0)
            if session or newest.get(tag, step) > step:
                attempt += 1
                newest = {}
            newest[tag] = step
            numbers.append(attempt)
        out.append(numbers)
    return out


def by_columns(files: Files, batch: int) -> list[list[int]]:
    lives, rows = [], []
    for own, sessions in files:
        file = FileLives()
        found: list[int] = []
        for low in range(0, len(own), batch):
            part = own[low : low + batch]
            tag = np.array([row[0] for row in part])
            step = np.array([row[1] for row in part])
            time = np.arange(low, low + len(part), dtype=np.float64)
            begun = [s - low for s in sorted(sessions) if low <= s < low + len(part)]
            found += file.place(tag, step, time, begun)[0].tolist()
        for life, span in enumerate(file.spans):
            at = [n for n, number in enumerate(found) if number == life]
            assert (span.first, span.last) == (at[0], at[-1])
        lives.append(file)
        rows.append(found)
    attempts = joined(lives)
    return [[own[life] for life in row] for own, row in zip(attempts, rows, strict=True)]


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=25)
rising = rows.map(lambda found: sorted(found, key=lambda row: row[1]))
files = st.lists(
    st.tuples(st.one_of(rows, rising), st.frozensets(st.integers(0, 24), max_size=2)), max_size=5
)


@settings(max_examples=500, deadline=None)
@given(found=files, batch=st.sampled_from([1, 2, 3, 7, 100]))
def test_columns_give_what_rows_give(found: Files, batch: int) -> None:
    assert by_columns(found, batch) == row_by_row(found)


def write(folder: Path, steps: list[int], *, at: float, tag: str = "loss") -> None:
    with SummaryWriter(str(folder), filename_suffix=f".{at:.0f}") as writer:
        for number, step in enumerate(steps):
            writer.add_scalar(tag, float(step), step, walltime=at + number)


def test_small_batches_give_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [*range(50), *range(30, 80), *range(10, 20)]
    write(tmp_path, steps, at=NOW)
    write(tmp_path, list(range(15, 90)), at=NOW + 1000)
    (whole,) = read_all(TensorBoard(str(tmp_path)))
    monkeypatch.setattr(_tf_run, "_BATCH_ROWS", 1)
    monkeypatch.setattr("runpages.sources._tf_run.windows", _narrow)
    (again,) = read_all(TensorBoard(str(tmp_path)))
    assert again.attempts == whole.attempts
    for left, right in zip(
        again.series["loss"].recorded, whole.series["loss"].recorded, strict=True
    ):
        assert left.tolist() == right.tolist()
    assert [(a.number, a.first_step, a.last_step) for a in whole.attempts] == [
        (1, 0, 49),
        (2, 30, 79),
        (3, 10, 19),
        (4, 15, 89),
    ]


def _narrow(path: Path, damage: object) -> object:
    from runpages.sources._tf_frames import windows

    return windows(path, damage, width=500)  # type: ignore[arg-type]


def test_a_restart_within_what_another_folder_wrote_in_one_go(tmp_path: Path) -> None:
    write(tmp_path / "run" / "train", [0, 1, 2, 3], at=NOW)
    write(tmp_path / "run" / "train", [2, 3, 4, 5], at=NOW + 100)
    # validation shows no restart by itself: its steps only rise
    write(tmp_path / "run" / "val", [1], at=NOW + 1)
    with SummaryWriter(str(tmp_path / "run" / "val"), filename_suffix=".x") as writer:
        writer.add_scalar("loss", 1.0, 3, walltime=NOW + 3)
        writer.add_scalar("loss", 1.0, 5, walltime=NOW + 103)
        writer.add_text("said", "first", 1, walltime=NOW + 2)
        writer.add_text("said", "second", 2, walltime=NOW + 104)
    (run,) = read_all(TensorBoard(str(tmp_path)))
    assert run.series["val/loss"].recorded.attempt.tolist() == [1, 1, 2]
    assert run.series["train/loss"].recorded.attempt.tolist() == [1] * 4 + [2] * 4
    assert [(s.text, s.attempt) for s in run.samples] == [("first", 1), ("second", 2)]
    assert [(a.number, a.start, a.end) for a in run.attempts] == [
        (1, NOW, NOW + 3),
        (2, NOW + 100, NOW + 104),
    ]


def test_a_session_start_at_the_end_of_a_window_counts_for_the_next_row() -> None:
    file = FileLives()
    one = np.array([0])
    file.place(one, np.array([1]), np.array([NOW]))
    life, _ = file.place(one, np.array([2]), np.array([math.nan]), [0])
    assert life.tolist() == [1]
    assert file.spans[1].timeless
    assert numbered([]) == []
