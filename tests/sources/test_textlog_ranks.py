"""Text logs of several ranks: their lines in one file, or a file for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from runpages.sources import sniff
from sources.textlog_lines import TRACE, points, read, write


@pytest.mark.parametrize("form", ["[rank{}]: ", "[default{}]:", "{}: ", "[1,{}]<stdout>:"])
def test_lines_of_several_ranks_are_merged(tmp_path: Path, form: str) -> None:
    text = "".join(
        f"{form.format(rank)}step={step} loss={step + rank}\n"
        for step in (1, 2, 3)
        for rank in (0, 1)
    )
    run = read(write(tmp_path, text))
    assert points(run, "loss") == [(1, 1.5), (2, 2.5), (3, 3.5)]
    assert points(run, "loss [rank 1]") == [(1, 2.0), (2, 3.0), (3, 4.0)]
    assert points(run, "loss [max of ranks]") == [(1, 2.0), (2, 3.0), (3, 4.0)]
    assert run.provenance.ranks_seen == (0, 1)
    assert len(run.attempts) == 1


def test_ranks_that_restart_together_are_one_attempt(tmp_path: Path) -> None:
    text = "".join(
        f"[rank{rank}]: step={step} loss=1.0\n" for step in (1, 2, 3, 2, 3, 4) for rank in (0, 1)
    )
    run = read(write(tmp_path, text))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(1, 3), (2, 4)]
    assert {s.rank for s in run.series.infos} == {None, 0, 1}


def test_a_file_for_each_rank_is_one_run(tmp_path: Path) -> None:
    for rank in (0, 1, 3):
        steps = (1, 2, 3, 2, 3, 4)
        text = "".join(f"step={step} loss={step + rank}.0\n" for step in steps)
        write(tmp_path / "logs", text + (TRACE if rank == 3 else ""), f"train.rank{rank}.log")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["logs/train.log"]
    assert found.skipped == ()
    run = read(tmp_path)
    assert points(run, "loss [rank 3]") == [(s, s + 3.0) for s in (1, 2, 3, 2, 3, 4)]
    assert points(run, "loss [min of ranks]")[:2] == [(1, 1.0), (2, 2.0)]
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(1, 3), (2, 4)]
    assert run.provenance.ranks_seen == (0, 1, 3)
    assert run.incomplete == ("there is no log of rank 2",)
    assert [event.kind for event in run.logged_events] == ["error"]
    assert len(run.provenance.files) == 3


def test_a_log_of_all_beside_logs_of_ranks_is_another_run(tmp_path: Path) -> None:
    text = "".join(f"step={step} loss=1.0\n" for step in (1, 2, 3))
    for name in ("train.log", "train.rank0.log", "train.rank1.log"):
        write(tmp_path, text, name)
    assert len(sniff(tmp_path).runs) == 3
