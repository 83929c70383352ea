"""Monitor files: episodes of many environments in the order of time, by the steps they took.

The logs under tests/fixtures/monitor are Stable-Baselines3's own (make_monitor.py).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runpages import analyze
from runpages.errors import SourceError
from runpages.model import Run, rank_key
from runpages.sources import sniff
from runpages.sources.rl_monitor import APPENDED, RlMonitor
from sources.conformance import SourceConformance, read_all

FIXTURES = Path(__file__).parents[1] / "fixtures" / "monitor"
LOGGED: dict[str, list[tuple[Any, int, float]]] = json.loads((FIXTURES / "logged.json").read_text())


def read(folder: Path) -> Run:
    (run,) = read_all(RlMonitor(str(folder)))
    return run


def write(path: Path, began: float, *rows: tuple[float, int, float]) -> None:
    """As Stable-Baselines3's ResultsWriter writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"t_start": began, "env_id": "CartPole-v1"})
    lines = [f"#{header}", "r,l,t", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


class TestMonitor(SourceConformance):
    kind = "monitor"
    log = "monitor.csv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        shutil.copytree(FIXTURES / "single", root / "single")
        episodes = LOGGED["single/monitor.csv"]
        steps = np.cumsum([length for _, length, _ in episodes]).tolist()
        return {
            "r": [(step, float(r)) for step, (r, _, _) in zip(steps, episodes, strict=True)],
            "l": [
                (step, float(length)) for step, (_, length, _) in zip(steps, episodes, strict=True)
            ],
            "level": [(step, float(number % 3)) for number, step in enumerate(steps)],
        }


def test_identity(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path / "logs")
    write(tmp_path / "logs" / "workers" / "eval.monitor.csv", 1.0e9, (1.0, 2, 3.0))
    refs = list(RlMonitor(str(tmp_path)).discover())
    assert [ref.run_id for ref in refs] == [
        "logs/resumed",
        "logs/single",
        "logs/workers",
        "logs/workers/eval.monitor.csv",
    ]
    shutil.copy(FIXTURES / "single" / "monitor.csv", tmp_path / "logs" / "workers")
    below = RlMonitor(str(tmp_path / "logs" / "workers"))
    assert [ref.run_id for ref in below.discover()] == [
        "eval.monitor.csv",
        "monitor.csv",
        "workers",
    ]


def test_environments_are_merged_in_the_order_of_time() -> None:
    run = read(FIXTURES / "workers")
    files = [f"workers/{worker}.monitor.csv" for worker in range(3)]
    headers = [(FIXTURES / file).read_text().partition("\n")[0] for file in files]
    starts = [json.loads(header.removeprefix("#"))["t_start"] for header in headers]
    episodes = [
        (starts[worker] + elapsed, worker, reward, length)
        for worker, file in enumerate(files)
        for reward, length, elapsed in LOGGED[file]
    ]
    episodes.sort()
    rewards = run.series["r"].recorded
    assert rewards.time.tolist() == [time for time, *_ in episodes]
    assert rewards.value.tolist() == [reward for _, _, reward, _ in episodes]
    assert rewards.step.tolist() == np.cumsum([length for *_, length in episodes]).tolist()
    assert run.provenance.ranks_seen == (0, 1, 2)
    for worker in range(3):
        own = run.series[rank_key("r", worker)].recorded
        assert own.value.tolist() == [reward for _, w, reward, _ in episodes if w == worker]
        assert set(own.step.tolist()) <= set(rewards.step.tolist())
        assert run.series.info(rank_key("r", worker)).rank == worker
    assert run.config == {"env_id": "Walk-v0"}
    assert run.start == min(starts)
    assert run.end == episodes[-1][0]


def test_a_process_that_appends_is_a_further_attempt_without_a_clock() -> None:
    run = read(FIXTURES / "resumed")
    assert run.series["r"].recorded.attempt.tolist() == [1] * 5 + [2] * 5
    assert np.isnan(run.series["r"].recorded.time).tolist() == [False] * 5 + [True] * 5
    assert (np.diff(run.series["r"].step) > 0).all()
    first, second = run.attempts
    assert first.start is not None
    assert (second.start, second.end, run.end) == (None, None, None)
    assert APPENDED in run.provenance.lossy
    assert run.state == "ended"


def test_attempts_of_several_environments(tmp_path: Path) -> None:
    write(tmp_path / "0.monitor.csv", 1e9, (1, 10, 5.0), (2, 10, 9.0), (3, 10, 4.0))
    write(tmp_path / "1.monitor.csv", 1e9 + 1, (4, 10, 5.0), (5, 10, 2.0))
    run = read(tmp_path)
    rewards = run.series["r"].recorded
    assert rewards.value.tolist() == [1, 4, 2, 5, 3]
    assert rewards.attempt.tolist() == [1, 1, 1, 2, 2]
    assert rewards.step.tolist() == [10, 20, 30, 40, 50]
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(10, 30), (40, 50)]


def test_missing_environments_are_told(tmp_path: Path) -> None:
    for worker in (0, 3):
        write(tmp_path / f"{worker}.monitor.csv", 1e9, (1, 10, 5.0))
    run = read(tmp_path)
    assert run.incomplete == ("the files of 2 environments are not there: 1, 2",)


def test_a_file_left_from_another_training_is_told(tmp_path: Path) -> None:
    write(tmp_path / "0.monitor.csv", 1e9, (1, 10, 5.0))
    write(tmp_path / "1.monitor.csv", 1e9 - 1000, (1, 10, 5.0))
    (warning,) = read(tmp_path).provenance.warnings
    assert warning.startswith("1.monitor.csv ends before the other environments begin")


def test_of_many_environments_the_merged_curve_is_kept(tmp_path: Path) -> None:
    for worker in range(70):
        write(tmp_path / f"{worker}.monitor.csv", 1e9, (worker, 10, 5.0 + worker))
    run = read(tmp_path)
    assert list(run.series) == ["r", "l"]
    assert run.series["r"].value.tolist() == list(range(70))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.0,x,3.0", "no length and time"),
        ("1.0,2", "no length and time"),
        ("1.0,2,nan", "no length and time"),
        ("1.0,2,1e300", "no length and time"),
        ("1.0,-2,3", "no length and time"),
        ("1.0,9223372036854775807,3", "no length and time"),
        ("1.0,2,3,4", "no length and time"),
        ('1.0,"2,3', "not CSV (unexpected end of data)"),
        ("\xff,2,3", "not CSV ('utf-8' codec"),
    ],
)
def test_a_bad_row_is_left_out_counted_and_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "monitor.csv"
    write(path, 1e9, (1, 10, 1.0), (2, 10, 2.0), (3, 10, 3.0))
    lines = path.read_text().splitlines()
    lines[3] = line
    path.write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
    run = read(tmp_path)
    assert run.series["r"].value.tolist() == [1, 3]
    assert run.series["r"].step.tolist() == [10, 20]
    (warning,) = run.provenance.warnings
    assert warning.startswith(f"monitor.csv:4: {said}")
    assert run.provenance.records_damaged == 1
    assert run.incomplete == ("monitor.csv has 1 line that cannot be used",)


def test_a_damaged_header_costs_the_time_only(tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    write(path, 1e9, (1, 10, 1.0), (2, 10, 2.0))
    path.write_text(path.read_text().replace('"t_start"', '"t_"start"'))
    run = read(tmp_path)
    assert run.series["r"].value.tolist() == [1, 2]
    assert np.isnan(run.series["r"].time).all()
    assert run.start is None
    assert "no `t_start`" in run.provenance.warnings[0]


def test_a_text_among_the_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "monitor.csv"
    write(path, 1e9, (1, 10, 1.0))
    path.write_text(
        path.read_text().replace("r,l,t", "r,l,t,map").replace("1,10,1.0", "1,10,1.0,e1m1")
    )
    run = read(tmp_path)
    assert list(run.series) == ["r", "l"]
    assert run.provenance.warnings == ("monitor.csv:3: 'map' is no number; left out (1 row)",)


def test_only_monitor_files_are_claimed(tmp_path: Path) -> None:
    write(tmp_path / "0.monitor.csv", 1e9, (1, 10, 1.0))
    (tmp_path / "monitor.csv").write_text("r,l,t\n1,2,3\n")  # appended to a file that was not there
    (tmp_path / "x.monitor.csv").write_bytes(b"")
    (tmp_path / "progress.csv").write_text("a,b\n1,2\n")
    os.mkfifo(tmp_path / "1.monitor.csv")
    found = sniff(tmp_path)
    assert len(found.runs) == 1
    assert dict(found.skipped) == {
        "1.monitor.csv": "is no regular file",
        "monitor.csv": "no source reads this file",
        "progress.csv": "no source reads this file",
        "x.monitor.csv": "empty: no episode was written",
    }


def test_a_file_without_an_episode_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "monitor.csv", 1e9)
    with pytest.raises(SourceError, match="no episode can be read"):
        read(tmp_path)


@pytest.mark.acceptance
def test_real_monitors(shared: Path) -> None:
    runs = read_all(RlMonitor(str(shared / "data/logs/rl")))
    assert [len(run.provenance.ranks_seen) for run in runs] == [16, 0, 8]
    # counted from the files by themselves
    assert [run.provenance.records_read for run in runs] == [19_930, 26_377, 7_576]
    assert [run.attempts[0].last_step for run in runs] == [41_307_889, 1_999_987, 40_498_527]
    for run in runs:
        assert len(run.attempts) == 1
        assert run.incomplete == run.provenance.warnings == ()
        assert (np.diff(run.series["r"].recorded.time) >= 0).all()
        assert run.series["l"].value.sum() == run.attempts[0].last_step


def test_the_episodes_return_is_the_reward_that_the_run_is_judged_by(tmp_path):
    shutil.copy(FIXTURES / "single" / "monitor.csv", tmp_path)
    (run,) = read_all(RlMonitor(str(tmp_path)))
    report = analyze(run)
    assert report.primary == "r"
    assert report.metrics["r"].direction == "higher"
