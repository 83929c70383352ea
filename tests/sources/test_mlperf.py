"""MLPerf logs: written by MLPerf's own logger (`tests/fixtures/make_mlperf.py`)."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import math
import shutil
from pathlib import Path

import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources.mlperf import MLPerf
from sources.conformance import SourceConformance, read_all

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
_SPEC = importlib.util.spec_from_file_location("make_mlperf", FIXTURES / "make_mlperf.py")
assert _SPEC is not None
assert _SPEC.loader is not None
WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(WRITER)


class TestMLPerf(SourceConformance):
    kind = "mlperf"
    log = "result_0.txt"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        folder = root / "gpus-8" / "lora"
        folder.mkdir(parents=True)
        shutil.copy(FIXTURES / "mlperf" / "result_0.txt", folder)
        return {
            "train_loss": [(10 * i, v) for i, v in enumerate(WRITER.LOSSES, start=1)],
            "eval_accuracy": [(40, 0.9375), (80, 0.925)],
            "throughput": [(40, 6.0), (80, 12.0)],
        }


def event(key: str, value: object, kind: str = "POINT_IN_TIME", **metadata: object) -> str:
    """A line as `mlperf_logging.mllog.mllog._encode_log` makes it."""
    record = {
        "namespace": "", "time_ms": 1_772_359_200_000, "event_type": kind, "key": key,
        "value": value, "metadata": {"file": "train.py", "lineno": 3, **metadata},
    }  # fmt: skip
    return f":::MLLOG {json.dumps(record)}\n"


def read(folder: Path, *lines: str) -> Run:
    folder.mkdir(exist_ok=True)
    (folder / "result_0.txt").write_text("".join(lines))
    (run,) = read_all(MLPerf(str(folder)))
    return run


def points(run: Run, name: str) -> list[tuple[int, float]]:
    rows = run.series[name].recorded
    return list(zip(rows.step.tolist(), rows.value.tolist(), strict=True))


def test_settings_seed_status_and_group(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "mlperf", tmp_path / "gpus-8" / "lora")
    one, two = read_all(MLPerf(str(tmp_path)))
    assert (one.state, two.state) == ("finished", "failed")
    assert (one.seed, two.seed) == (7, 8)
    assert one.group == two.group == "gpus-8/lora"
    assert (one.ref.run_id, one.name) == ("gpus-8/lora/result_0.txt", "lora/result_0")
    assert one.config == {
        "submission_benchmark": "llama2_70b_lora",
        "submission_org": "An organisation",
        "submission_poc_email": "a@b.example",
        "global_batch_size": 8,
        "seed": 7,
        "opt_betas": [0.9, 0.95],
        "train_samples": 3901,
    }
    assert one.tags == ("benchmark: llama2_70b_lora", "org: An organisation")
    assert one.provenance.step_source == "samples_count / global_batch_size"
    assert one.provenance.lossy == (
        "eval_accuracy is the benchmark's quality, here a loss: lower is better",
    )


def test_times_are_those_of_the_events(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "mlperf", tmp_path / "lora")
    run = read_all(MLPerf(str(tmp_path)))[0]
    assert run.start == WRITER.START_MS / 1000
    assert run.end is not None
    assert run.end - run.start == 39.0  # a setting that is logged after run_stop counts not
    assert run.series["train_loss"].time.tolist()[:2] == [run.start + 23, run.start + 24]


@pytest.mark.parametrize(
    ("lines", "steps", "source"),
    [
        ([event("train_loss", 1.0, step_num=5), event("train_loss", 1.0, step_num=6)],
         [5, 6], "step_num"),
        ([event("train_loss", 1.0, samples_count=9), event("train_loss", 2.0, samples_count=20)],
         [9, 20], "samples_count"),
        ([event("global_batch_size", 8), event("train_loss", 1.0, samples_count=9)],
         [9], "samples_count"),
        ([event("eval_accuracy", 1.0, epoch_num=50331648)], [50331648], "epoch_num"),
        ([event("submission_benchmark", "gpt3"), event("eval_accuracy", 1.0, epoch_num=50331648)],
         [50331648], "epoch_num"),
        ([event("eval_accuracy", 0.7, epoch_num=1.5), event("eval_accuracy", 0.8, epoch_num=2.5)],
         [0, 1], "number of the record, from 0: epoch_num has fractions"),
        ([event("eval_accuracy", 0.7), event("eval_accuracy", 0.8)],
         [0, 1], "number of the record, from 0: the log counts nothing"),
    ],
)  # fmt: skip
def test_the_step_is_what_the_log_counts(
    tmp_path: Path, lines: list[str], steps: list[int], source: str
) -> None:
    run = read(tmp_path / "r", *lines)
    (name,) = run.series
    assert [step for step, _ in points(run, name)] == steps
    assert run.provenance.step_source == source
    assert (run.provenance.step_unit == "tokens") == ("gpt3" in lines[0])


def test_figures_that_count_otherwise_are_left_out_and_told(tmp_path: Path) -> None:
    lines = [event("eval_accuracy", 0.5, samples_count=n) for n in (64, 128)]
    run = read(tmp_path / "r", *lines, event("tracked_stats", {"lr": 0.1}, step_num=3))
    assert list(run.series) == ["eval_accuracy"]
    assert run.provenance.warnings == (
        "result_0.txt: 1 figures are left out: they count by step_num, others do not",
    )


@pytest.mark.parametrize(
    ("benchmark", "metadata", "name", "role"),
    [
        ("bert", {}, "eval_accuracy", "eval"),
        ("gpt3", {}, "eval_accuracy", "val_loss"),
        ("llama2_70b_lora", {}, "eval_accuracy", "val_loss"),
        ("stable_diffusion", {"metric": "FID"}, "eval_accuracy/FID", "eval_lower"),
    ],
)
def test_a_quality_that_is_a_loss_is_not_judged_as_an_accuracy(
    tmp_path: Path, benchmark: str, metadata: dict[str, object], name: str, role: str
) -> None:
    lines = [
        event("submission_benchmark", benchmark),
        event("eval_accuracy", 2.5, epoch_num=1, **metadata),
    ]
    run = read(tmp_path / "r", *lines)
    assert [(info.name, info.role) for info in run.series.infos] == [(name, role)]


def test_what_stands_before_an_event_does_not_matter(tmp_path: Path) -> None:
    one, two = (event("eval_accuracy", v, samples_count=n).strip() for v, n in ((0.5, 1), (0.6, 2)))
    run = read(tmp_path / "r", f" 0: [1,0]<stdout>:{one}{two}\n", "noise\r\n", f"{one}\n")
    assert points(run, "eval_accuracy") == [(1, 0.5), (2, 0.6), (1, 0.5)]
    assert [a.number for a in run.attempts] == [1, 2]


def test_the_same_figure_of_every_rank_is_one_row(tmp_path: Path) -> None:
    line = event("eval_accuracy", 0.5, samples_count=64)
    run = read(tmp_path / "r", *[f"{rank}: {line}" for rank in range(8)])
    assert points(run, "eval_accuracy") == [(64, 0.5)]


def test_damage_costs_its_line(tmp_path: Path) -> None:
    good = event("eval_accuracy", 0.5, samples_count=64)
    bad = [":::MLLOG {broken\n", ":::MLLOG [1]\n", ":::MLLOG " + "[" * 9000 + "\n"]
    odd = [event("eval_accuracy", "word", samples_count=65), event("x", 10**400, samples_count=66)]
    run = read(tmp_path / "r", good, *bad, *odd, event("eval_accuracy", math.nan, samples_count=70))
    assert [step for step, _ in points(run, "eval_accuracy")] == [64, 70]
    assert run.provenance.records_damaged == 3
    assert run.provenance.bytes_damaged == sum(len(line) - 1 for line in bad)
    assert run.incomplete == ("result_0.txt has 3 events that cannot be read",)


def test_an_event_behind_a_broken_one_is_kept(tmp_path: Path) -> None:
    whole = event("eval_accuracy", 0.5, samples_count=64)
    broken = "+ echo ':::MLLOG {' and :::MLLOG \n" + whole[:30] + whole
    run = read(tmp_path / "r", broken, event("eval_accuracy", 0.6, samples_count=128))
    assert points(run, "eval_accuracy") == [(64, 0.5), (128, 0.6)]
    assert run.provenance.records_damaged == 3


def test_a_setting_that_was_logged_later_makes_the_run_no_longer(tmp_path: Path) -> None:
    late = event("seed", 3).replace('"time_ms": 1772359200000', '"time_ms": 1772445600000')
    run = read(tmp_path / "r", event("eval_accuracy", 0.5, samples_count=64), late)
    assert (run.start, run.end) == (1_772_359_200.0, 1_772_359_200.0)
    only = read(tmp_path / "s", late, event("seed", 4))
    assert (only.start, only.end) == (1_772_359_200.0, 1_772_445_600.0)


def test_the_lines_of_old_rules_are_told(tmp_path: Path) -> None:
    """As mlperf/training compliance/mlperf_compliance/mlperf_log.py _mlperf_print writes them."""
    old = ':::MLPv0.6.0 ssd 1557942967.1 (train.py:200) eval_accuracy: {"value": 0.1, "epoch": 1}\n'
    (tmp_path / "result_0.txt").write_text(old * 5)
    found = sniff(tmp_path)
    assert found.runs == ()
    assert found.skipped[0][1].startswith("is of MLPerf v0.5 or v0.6")


def test_a_state_without_run_stop_is_by_the_last_time(tmp_path: Path) -> None:
    assert read(tmp_path / "r", event("eval_accuracy", 0.5, samples_count=64)).state == "ended"


def test_only_broken_events_are_a_sentence(tmp_path: Path) -> None:
    source = MLPerf(str(tmp_path))
    (tmp_path / "result_0.txt").write_text(event("eval_accuracy", 0.5))
    (ref,) = source.discover()
    (tmp_path / "result_0.txt").write_text(":::MLLOG {broken\n")
    with pytest.raises(SourceError, match="none of its :::MLLOG lines can be read"):
        source.read(ref)


@pytest.mark.parametrize("name", ["logger.py", "README.md"])
def test_programs_and_documents_are_no_logs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(event("eval_accuracy", 0.5) * 5)
    assert sniff(tmp_path).runs == ()


@pytest.mark.acceptance
def test_labelled_series_are_read_as_labelled(shared: Path) -> None:
    labels = json.loads((shared / "data/labelled/labels.json").read_text())["series"]
    wanted = {s["id"]: s for s in labels if s["file"].startswith("mlperf/")}
    rows: dict[str, list[float]] = {name: [] for name in wanted}
    with gzip.open(shared / "data/labelled/series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if row["series"] in rows and row["value"]:
                rows[row["series"]].append(float(row["value"]))
    assert len(wanted) == 3
    for name, label in wanted.items():
        (run,) = read_all(MLPerf(str(shared / "data/logs" / label["file"])))
        found = points(run, label["metric"])
        # the labels have nine digits
        assert [float(f"{value:.9g}") for _, value in found] == rows[name]
        print(f"{name}: {len(found)} points are equal")


@pytest.mark.acceptance
def test_every_event_of_real_logs_is_read(shared: Path) -> None:
    runs = read_all(MLPerf(str(shared / "data/logs/mlperf")))
    assert len(runs) == 16
    for run in runs:
        data = Path(run.ref.location).read_bytes()
        assert run.provenance.records_read == data.count(b":::MLLOG ")
        assert data.count(b'"eval_accuracy"') == sum(
            len(run.series[name]) for name in run.series if name.startswith("eval_accuracy")
        )
        assert (run.state, run.provenance.warnings) == ("finished", ())
    assert len({run.group for run in runs}) == 3
