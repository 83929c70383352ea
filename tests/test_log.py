"""`runpages.log`: what a training loop writes is what a run directory holds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runpages import log


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_carry_step_time_attempt_and_values(tmp_path: Path) -> None:
    with log.start(tmp_path / "run") as run:
        run.metrics(3, {"loss": 0.1 + 0.2, "n": 7})
    (row,) = lines(tmp_path / "run" / "metrics.jsonl")
    assert isinstance(row.pop("time"), float)
    assert row == {"step": 3, "attempt": 1, "loss": 0.1 + 0.2, "n": 7}


def test_every_row_is_on_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    run = log.start(tmp_path)
    for step in range(3):
        run.metrics(step, {"loss": 1.0})
        assert len(lines(tmp_path / "metrics.jsonl")) == step + 1


def test_numbers_of_other_libraries_and_non_finite_ones(tmp_path: Path) -> None:
    with log.start(tmp_path, seed=np.int64(2**60 + 1), config={"lr": np.float32(0.5)}) as run:
        run.metrics(
            np.int64(5),
            {"a": np.float32(0.1), "b": math.nan, "c": math.inf, "d": -math.inf, "e": np.array(2)},
        )
    (row,) = lines(tmp_path / "metrics.jsonl")
    assert row["step"] == 5
    assert isinstance(row["step"], int)
    assert [row[key] for key in "abcde"] == [
        float(np.float32(0.1)),
        "NaN",
        "Infinity",
        "-Infinity",
        2,
    ]
    assert lines(tmp_path / "events.jsonl")[0]["seed"] == 2**60 + 1
    assert json.loads((tmp_path / "config.json").read_text()) == {"lr": 0.5}


def test_an_array_is_written_as_text_and_stops_nothing(tmp_path: Path) -> None:
    with log.start(tmp_path) as run:
        run.metrics(1, {"loss": 1.0, "weights": np.ones(2)})
    (row,) = lines(tmp_path / "metrics.jsonl")
    assert (row["loss"], row["weights"]) == (1.0, "[1. 1.]")


@pytest.mark.parametrize("name", ["step", "time", "attempt"])
def test_a_metric_named_like_a_column_does_not_replace_it(tmp_path: Path, name: str) -> None:
    run = log.start(tmp_path)
    with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
        run.metrics(7, {name: 1.0, "loss": 2.0})
    assert lines(tmp_path / "events.jsonl")[-1]["event"] == "start"
    assert not (tmp_path / "metrics.jsonl").exists()


def test_starting_again_is_the_next_attempt(tmp_path: Path) -> None:
    for attempt in (1, 2, 3):
        with log.start(tmp_path) as run:
            assert run.attempt == attempt
            run.sample(1, "text", prompt="p")
    assert [row["attempt"] for row in lines(tmp_path / "samples.jsonl")] == [1, 2, 3]


def test_starts_are_counted_however_another_program_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(
        '{"event":"start","text":"naïve"}\n{"event":"note","text":"\\"event\\": \\"start\\""}\nno\n',
        encoding="utf-8",
    )
    assert log.start(tmp_path).attempt == 2


def test_a_line_that_was_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    log.start(tmp_path).metrics(1, {"loss": 1.0})
    for name in ("metrics.jsonl", "events.jsonl"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes() + b'{"step": 2, "lo')
    with log.start(tmp_path) as run:
        run.metrics(2, {"loss": 2.0})
    written = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert written[1] == '{"step": 2, "lo'
    assert json.loads(written[2])["loss"] == 2.0
    starts = [
        line for line in (tmp_path / "events.jsonl").read_text().splitlines() if "start" in line
    ]
    assert [json.loads(line)["attempt"] for line in starts] == [1, 2]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (RuntimeError("hot"), "failed"),
        (KeyboardInterrupt(), "killed"),
        (SystemExit(3), "failed"),
        (SystemExit(0), "finished"),
    ],
)
def test_how_the_block_is_left_is_the_state(
    tmp_path: Path, error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)), log.start(tmp_path):
        raise error
    assert lines(tmp_path / "events.jsonl")[-1]["state"] == state


def test_the_first_end_counts(tmp_path: Path) -> None:
    with log.start(tmp_path) as run:
        run.finish("killed")
    ends = [row["state"] for row in lines(tmp_path / "events.jsonl") if row["event"] == "end"]
    assert ends == ["killed"]


def test_the_start_says_where_and_how(tmp_path: Path) -> None:
    log.start(tmp_path, name="first", tags=["a"], devices=2)
    (start,) = lines(tmp_path / "events.jsonl")
    assert start["event"] == "start"
    assert (start["name"], start["tags"], start["devices"]) == ("first", ["a"], 2)
    assert all(start[key] for key in ("host", "python", "os", "command", "cpus", "time"))


def test_nothing_but_the_standard_library_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from runpages import log; log.start(sys.argv[1]).metrics(1, {'a': 1.0})\n"
        "print([m for m in ('numpy', 'yaml', 'click', 'google.protobuf') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
