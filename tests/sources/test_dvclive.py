"""DVCLive: a table a metric, read as its writer wrote it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources._dvclive_tables import Lives
from runpages.sources.dvclive import NO_CLOCK, DvcLive
from sources.conformance import SourceConformance, read_all

dvclive = pytest.importorskip("dvclive")

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308]


@pytest.fixture(autouse=True, scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """DVCLive makes the Git repository around the working directory one of DVC."""
    with contextlib.chdir(tmp_path_factory.mktemp("outside")):
        yield


def live(folder: Path, *, resume: bool = False, **more: object) -> dvclive.Live:
    return dvclive.Live(
        str(folder), resume=resume, save_dvc_exp=False, dvcyaml=False, report=None, **more
    )


def read(folder: Path) -> Run:
    (run,) = read_all(DvcLive(str(folder)))
    return run


class TestDvcLive(SourceConformance):
    kind = "dvclive"
    log = "loss.tsv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        with live(root / "run") as logger:
            logger.log_params({"lr": 0.1})
            for value in VALUES:
                logger.log_metric("train/loss", value)
                logger.next_step()
        return {"train/loss": list(enumerate(VALUES))}


def test_identity_is_the_folder_above_plots(tmp_path: Path) -> None:
    for name in ("one/dvclive", "two"):
        with live(tmp_path / name) as logger:
            logger.log_metric("loss", 1.0)
    refs = list(DvcLive(str(tmp_path)).discover())
    assert [(ref.run_id, ref.name) for ref in refs] == [("one/dvclive", "one"), ("two", "two")]
    for inside in ("one/dvclive", "one/dvclive/plots", "one/dvclive/plots/metrics"):
        (alone,) = DvcLive(str(tmp_path / inside)).discover()
        assert alone.run_id == Path(inside).name


def test_names_config_and_summary(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_params({"seed": 3, "eps": 1e-08, "strategy": "no", "deep": {"a": [1, "on"]}})
        logger.log_metric("a.b/c d", 1.5)
        logger.log_metric("only in the summary", math.nan, plot=False)
        logger.summary["best"] = {"loss": 0.5}
        logger.next_step()
    run = read(tmp_path)
    assert list(run.series) == ["a.b/c d"]
    # as ruamel.yaml writes them: YAML 1.1 would make False of `no` and a text of `1e-08`
    assert run.config == {"seed": 3, "eps": 1e-08, "strategy": "no", "deep": {"a": [1, "on"]}}
    assert run.seed == 3
    assert run.summary == {
        "a.b": {"c d": 1.5},
        "only in the summary": "nan",
        "best": {"loss": 0.5},
        "step": 0,
    }
    assert run.state == "ended"
    assert NO_CLOCK in run.provenance.lossy


def test_times_where_they_were_asked_for(tmp_path: Path) -> None:
    before = time.time()
    with live(tmp_path) as logger:
        logger.log_metric("timed", 1.0, timestamp=True)
        logger.log_metric("mixed", 1.0)
        logger.log_metric("mixed", 2.0, timestamp=True)  # three cells under two columns
        logger.log_metric("mixed", 3.0)
        logger.log_metric("later", 1.0, timestamp=True)
        logger.log_metric("later", 2.0)  # two cells under three columns
    run = read(tmp_path)
    assert before - 0.002 <= run.series["timed"].time[0] <= time.time()
    assert run.series["mixed"].recorded.value.tolist() == [1, 2, 3]
    assert np.isnan(run.series["mixed"].recorded.time).tolist() == [True, False, True]
    assert np.isnan(run.series["later"].recorded.time).tolist() == [False, True]
    assert run.start is not None
    assert run.end is not None
    assert before - 0.002 <= run.start <= run.end
    assert run.state == "running"
    assert NO_CLOCK not in run.provenance.lossy
    assert run.provenance.records_damaged == 0


def test_what_the_system_monitor_samples_has_the_clock_for_its_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvclive.monitor_system.GPU_AVAILABLE", False)  # there may be none
    with live(tmp_path) as logger:
        logger.monitor_system(interval=0.005, num_samples=2)
        for _ in range(5):
            logger.log_metric("loss", 1.0)
            logger.next_step()
            time.sleep(0.05)
    run = read(tmp_path)
    name = "system/ram/usage (GB)"
    assert run.series.info(name).axis == "time"
    recorded = run.series[name].recorded
    assert len(recorded.step) > 1
    assert recorded.step.tolist() == list(range(len(recorded.step)))
    assert (np.diff(recorded.time) >= 0).all()
    assert run.series.info("loss").axis == "step"
    assert run.summary["system"]["cpu"]["count"] == os.cpu_count()  # type: ignore[index]


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    for resume in (False, True):
        with live(tmp_path, resume=resume) as logger:
            for _ in range(3):
                logger.log_metric("loss", float(resume))
                logger.next_step()
    run = read(tmp_path)
    assert run.series["loss"].value.tolist() == [0, 0, 0, 1, 1, 1]
    assert run.series["loss"].step.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(run.attempts) == 1


def test_steps_that_a_resumed_run_redid(tmp_path: Path) -> None:
    for attempt, steps in enumerate([range(6), range(3, 9)]):
        logger = live(tmp_path, resume=attempt > 0)
        for step in steps:
            logger.step = step
            logger.log_metric("loss", step + 100.0 * attempt)
            if step in {2, 4, 8}:
                logger.log_metric("eval", step + 100.0 * attempt)
            if step == 7:
                logger.log_metric("late", 1.0)
            logger.sync()
    run = read(tmp_path)
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 5), (2, 3, 8)]
    loss = run.series["loss"]
    assert loss.value.tolist() == [0, 1, 2, 103, 104, 105, 106, 107, 108]
    assert loss.superseded.value.tolist() == [3, 4, 5]
    # its own steps fall from 4 to 4: nothing shows which of both is the later attempt's
    assert run.series["eval"].value.tolist() == [2, 104, 108]
    assert run.series["eval"].recorded.attempt.tolist() == [1, 2, 2, 2]
    assert run.series["late"].recorded.attempt.tolist() == [2]


@pytest.mark.parametrize(
    ("falls", "steps", "attempts"),
    [
        ([], [1, 2, 3], [1, 1, 1]),
        ([[2]], [1, 2, 3, 2, 3], [1, 1, 1, 2, 2]),
        ([[2]], [1, 3], [1, 2]),
        ([[2], [3], []], [2, 5], [2, 2]),
        ([[2, 1]], [1, 2, 2, 1], [2, 2, 2, 3]),
        ([[5, 3]], [1, 4, 9], [1, 3, 3]),
        ([[9]], [3, 1, 2], [1, 2, 2]),
    ],
)
def test_attempts_of_tables_without_a_clock(
    falls: list[list[int]], steps: list[int], attempts: list[int]
) -> None:
    lives = Lives(falls)
    assert lives.attempts(steps) == attempts
    assert max(attempts) <= lives.count


def test_images(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        for step in range(11):
            logger.log_metric("loss", 1.0)
            logger.log_image(f"eval/{logger.step}.png", np.full((2, 2, 3), step, np.uint8))
            logger.next_step()
        logger.log_image("last.png", np.zeros((2, 2, 3), np.uint8))
    images = tmp_path / "plots" / "images"
    (images / "secret.png").symlink_to(images / "last.png")
    (images / "page.png").write_text("<svg/>")
    run = read(tmp_path)
    assert [(s.kind, s.name, s.step) for s in run.samples] == [
        *(("image", "eval", step) for step in range(11)),
        ("image", "last", None),
    ]
    media = run.samples[0].media
    assert media is not None
    assert media.read() == (images / "eval" / "0.png").read_bytes()
    assert run.provenance.warnings == (
        "page (step not logged): its bytes are no image of a known format",
    )


def test_other_plots_are_counted(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_metric("loss", 1.0)
        logger.log_plot("roc", [{"x": 1, "y": 2}], x="x", y="y")
    assert read(tmp_path).provenance.warnings == (
        "plots/custom: 1 plot of other kinds are not read",
    )


def test_artifacts_of_dvc_yaml(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_metric("loss", 1.0)
    (tmp_path / "dvc.yaml").write_text(
        "artifacts:\n  pile:\n    path: data/pile\n    type: dataset\n  net: {type: model}\n"
    )
    run = read(tmp_path)
    assert [d.name for d in run.datasets] == ["pile"]
    assert run.summary["artifacts"]["net"] == {"type": "model"}  # type: ignore[index]


def test_everything_of_the_folder_is_known(tmp_path: Path) -> None:
    with live(tmp_path / "a") as logger:
        logger.log_param("x", 1)
        logger.log_metric("loss", 1.0)
        logger.log_image("x.png", np.zeros((2, 2, 3), np.uint8))
        logger.log_plot("roc", [{"x": 1, "y": 2}], x="x", y="y")
    (tmp_path / "a" / "report.html").write_text("<script>")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "metrics.json").write_text("{}")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["a"]
    assert found.skipped == (("b/metrics.json", "no source reads this file"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x\t1.0\n", "no whole number under `step`"),
        ("1\n", "no whole number under `step`"),
        ("1\t2\t3\t4\n", "no whole number under `step`"),
        ('1\t"2\n', "not a row (unexpected end of data)"),
        ("1\t\xff\n", "not a row ('utf-8' codec can't decode byte 0xff in position 2"),
        ("\x00\x00\n", "no whole number under `step`"),
    ],
)
def test_a_bad_row_is_left_out_counted_and_named(tmp_path: Path, line: str, said: str) -> None:
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    text = f"step\tloss\n0\t1.0\n{line}2\t3.0\n"
    (folder / "loss.tsv").write_bytes(text.encode("latin-1"))
    run = read(tmp_path)
    assert run.series["loss"].step.tolist() == [0, 2]
    (warning,) = run.provenance.warnings
    assert warning.startswith(f"plots/metrics/loss.tsv:3: {said}")
    assert run.provenance.records_damaged == 1
    assert run.incomplete == ("plots/metrics/loss.tsv has 1 line that cannot be used",)


def test_a_text_is_no_value(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_metric("phase", "warm-up")
        logger.log_metric("loss", 1.0)
    run = read(tmp_path)
    assert list(run.series) == ["loss"]
    assert run.provenance.warnings == (
        "plots/metrics/phase.tsv:2: 'phase' is no number; left out (1 row)",
    )


def test_one_unreadable_table_does_not_hide_the_others(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_metric("loss", 1.0)
    folder = tmp_path / "plots" / "metrics"
    (folder / "empty.tsv").write_bytes(b"")
    (folder / "other.tsv").write_text("a\tb\n1\t2\n")
    os.mkfifo(folder / "pipe.tsv")
    found = sniff(tmp_path)
    assert len(found.runs) == 1
    assert found.skipped == (
        ("plots/metrics/pipe.tsv", "is no regular file"),
        ("plots/metrics/other.tsv", "no source reads this file"),
        ("plots/metrics/empty.tsv", "empty: no row was written"),
    )
    assert list(read(tmp_path).series) == ["loss"]


def test_a_header_alone_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    (folder / "loss.tsv").write_text("step\tloss\n")
    with pytest.raises(SourceError, match="no row of its metrics can be read"):
        read(tmp_path)


def test_parameters_of_no_use_are_a_sentence(tmp_path: Path) -> None:
    with live(tmp_path) as logger:
        logger.log_metric("loss", 1.0)
    (tmp_path / "params.yaml").write_text("a: &a [1]\nb: *a\n")
    (tmp_path / "metrics.json").write_text("{")
    run = read(tmp_path)
    assert (run.config, run.summary) == ({}, {})
    assert [w.partition(":")[0] for w in run.provenance.warnings] == ["params.yaml", "metrics.json"]


@pytest.mark.acceptance
def test_real_folders(shared: Path) -> None:
    runs = read_all(DvcLive(str(shared / "data/logs/dvclive")))
    assert [len(run.series) for run in runs] == [11, 3]
    for run in runs:
        assert run.provenance.records_damaged == 0
        assert run.provenance.warnings == ()
        assert run.config["adam_epsilon"] == 1e-08
        assert run.seed == 42
        # metrics.json holds the last value of each metric
        for name in ("loss", "epoch", "learning_rate"):
            assert run.series[name].value[-1] == run.summary[name]
    assert runs[0].config["evaluation_strategy"] == "steps"
    assert runs[1].config["evaluation_strategy"] == "no"
    assert json.dumps(runs[0].series["eval/loss"].value[:3].tolist()) == (
        "[2.8583109378814697, 2.3674356937408447, 2.0724403858184814]"
    )
