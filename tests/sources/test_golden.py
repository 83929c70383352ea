"""Megatron-LM golden values: "nan" in quotes is absence, and a restart is a second life."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources.megatron_golden import MegatronGolden
from sources.conformance import SourceConformance, read_all
from sources.labelled import labelled

VALUES = [10.82891, math.nan, math.inf, -math.inf, 0.5, 0.25, 0.125]
Metrics = dict[str, dict[int, float | str]]


def write(path: Path, metrics: Metrics, *, step_interval: int = 1) -> Path:
    """As Megatron-LM's get_test_results_from_tensorboard_logs.py writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        name: {
            "start_step": min(values, default=1),
            "end_step": max(values, default=1),
            "step_interval": step_interval,
            "values": values,
        }
        for name, values in metrics.items()
    }
    with path.open("w") as stream:
        json.dump(document, stream, indent=4)
    return path


def read(folder: Path) -> Run:
    (run,) = read_all(MegatronGolden(str(folder)))
    return run


class TestGoldenValues(SourceConformance):
    kind = "golden"
    log = "golden_values_dev.json"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        loss = dict(enumerate(VALUES, start=1))
        metrics: Metrics = {
            "lm loss": {**loss, 8: "nan"},
            "iteration-time": {1: "nan", 2: 0.5},
            "num-zeros": {1: "nan"},
        }
        write(root / "gpt" / "case" / "golden_values_dev.json", metrics)
        return {"lm loss": list(loss.items()), "iteration-time": [(2, 0.5)]}


def test_identity_is_the_file(tmp_path: Path) -> None:
    write(tmp_path / "gpt" / "case" / "golden_values_dev_dgx_h100.json", {"lm loss": {1: 2.0}})
    write(tmp_path / "other name.json", {"lm loss": {1: 2.0}})
    refs = list(MegatronGolden(str(tmp_path)).discover())
    assert [(ref.run_id, ref.name) for ref in refs] == [
        ("gpt/case/golden_values_dev_dgx_h100.json", "case/golden_values_dev_dgx_h100"),
        ("other name.json", "other name"),
    ]


def test_nan_in_quotes_is_absence_and_the_bare_word_a_value(tmp_path: Path) -> None:
    write(tmp_path / "g.json", {"lm loss": {1: 3.0, 2: "nan", 3: math.nan, 4: "nan"}})
    run = read(tmp_path)
    assert run.series["lm loss"].step.tolist() == [1, 3]
    assert np.isnan(run.series["lm loss"].value).tolist() == [False, True]
    assert run.provenance.warnings == (
        'lm loss: not recorded at 2 of the steps between 2 and 4 (written as "nan")',
    )
    assert run.provenance.records_damaged == 0
    assert run.series.with_role("loss") == ("lm loss",)
    assert (run.state, run.start) == ("ended", None)


def test_metrics_that_lack_the_end_say_so_together(tmp_path: Path) -> None:
    rows = {1: 3.0, 2: 2.0, 3: "nan", 4: "nan"}
    write(tmp_path / "g.json", {"lm loss": rows, "num-zeros": rows})
    (told,) = read(tmp_path).provenance.warnings
    assert told.startswith(
        "lm loss, num-zeros: not recorded at 2 steps, the last ones, between 3 and 4"
    )


def test_the_restarted_half_is_a_second_attempt(tmp_path: Path) -> None:
    path = tmp_path / "golden_values_dev.json"
    write(path, {"lm loss": {step: float(step) for step in range(1, 101)}})
    second: Metrics = {
        "lm loss": {step: "nan" if step <= 50 else step + 0.5 for step in range(1, 101)}
    }
    write(tmp_path / "golden_values_dev_2nd.json", second)
    run = read(tmp_path)
    assert run.ref.run_id == "golden_values_dev.json"
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [
        (1, 1, 100),
        (2, 51, 100),
    ]
    loss = run.series["lm loss"]
    assert loss.value.tolist() == [*range(1, 51), *(step + 0.5 for step in range(51, 101))]
    assert loss.superseded.step.tolist() == list(range(51, 101))
    assert dict(run.provenance.files).keys() == {path.name, "golden_values_dev_2nd.json"}


def test_a_second_file_from_the_start_is_a_run_of_its_own(tmp_path: Path) -> None:
    for name in ("golden.json", "golden_2nd.json"):
        write(tmp_path / name, {"lm loss": {1: 3.0, 2: 2.0}})
    refs = list(MegatronGolden(str(tmp_path)).discover())
    assert [ref.run_id for ref in refs] == ["golden.json", "golden_2nd.json"]


def test_a_second_file_alone_is_a_run(tmp_path: Path) -> None:
    write(tmp_path / "golden_2nd.json", {"lm loss": {1: "nan", 51: 2.0}})
    run = read(tmp_path)
    assert [(a.number, a.first_step) for a in run.attempts] == [(1, 51)]


def test_the_model_configuration_beside(tmp_path: Path) -> None:
    write(tmp_path / "golden_values_dev.json", {"lm loss": {1: 3.0}}, step_interval=5)
    (tmp_path / "model_config.yaml").write_text("MODEL_ARGS:\n  --num-layers: 12\n  --bf16: true\n")
    run = read(tmp_path)
    assert run.config == {"MODEL_ARGS": {"--num-layers": 12, "--bf16": True}}
    assert run.summary == {"lm loss": {"start_step": 1, "end_step": 1, "step_interval": 5}}
    assert sniff(tmp_path).skipped == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"word"', "no number"),
        ("[1]", "no number"),
        ("null", "no number"),
        ("1.2.3", "not JSON (something else stands behind the value)"),
        ("1,5", "not JSON (something else stands behind the value)"),
    ],
)
def test_a_bad_value_costs_only_itself(tmp_path: Path, value: str, said: str) -> None:
    path = write(tmp_path / "g.json", {"lm loss": {1: 3.0, 2: 9.0, 3: 1.0}, "num-zeros": {1: 5.0}})
    path.write_text(path.read_text().replace("9.0", value))
    run = read(tmp_path)
    assert run.series["lm loss"].step.tolist() == [1, 3]
    assert run.series["num-zeros"].value.tolist() == [5]
    assert run.provenance.warnings == (f"g.json:8: {said}; this value is left out",)
    assert run.provenance.records_damaged == 1
    assert run.incomplete == ("g.json has 1 value that cannot be used",)


def test_steps_are_whole_numbers_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "g.json", {"lm loss": {3: 1.0, 1: 3.0, 2: 2.0}})
    path.write_text(path.read_text().replace('"2"', '"two"'))
    run = read(tmp_path)
    assert run.series["lm loss"].recorded.step.tolist() == [1, 3]
    assert run.series["lm loss"].recorded.value.tolist() == [3.0, 1.0]
    assert run.provenance.records_damaged == 1


def test_values_without_steps_are_a_sentence(tmp_path: Path) -> None:
    """The first golden values were plain lists: nothing says at which steps."""
    (tmp_path / "golden_values_old.json").write_text(
        '{"lm loss": {"start_step": 0, "end_step": 100, "step_interval": 5, "values": [1.5, 2.5]}}'
    )
    with pytest.raises(SourceError, match=r"no value of it can be read .*\{ expected"):
        read(tmp_path)


def test_other_json_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"lm loss": {"values": {"1": 2}}}')
    (tmp_path / "b.json").write_text("[]")
    os.mkfifo(tmp_path / "golden_values_x.json")
    assert list(MegatronGolden(str(tmp_path)).discover()) == []


def test_flipped_bits_are_never_a_traceback(tmp_path: Path) -> None:
    metrics: Metrics = {"lm loss": {s: 1 / s for s in range(1, 40)}, "num-zeros": {1: "nan", 2: 7}}
    path = write(tmp_path / "g.json", metrics)
    data = path.read_bytes()
    good = set(metrics["lm loss"].values())
    generator = np.random.default_rng(2)
    told = 0
    for at in generator.integers(0, len(data), 200):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(flipped)
        try:
            runs = read_all(MegatronGolden(str(tmp_path)))
        except SourceError:
            told += 1
            continue
        for run in runs:
            told += bool(run.incomplete)
            for name in run.series:
                if name == "lm loss":
                    assert len(set(run.series[name].recorded.value.tolist()) - good) <= 1
    assert told > 50


@pytest.mark.acceptance
def test_real_golden_values_give_the_labelled_series(shared: Path) -> None:
    found = list(labelled(shared, "megatron_golden/"))
    assert len(found) == 8
    for file, name, points in found:
        path = shared / "data/logs" / file
        restarted = "_2nd" in path.name
        run = read(path.parent)
        rows = run.series[name].attempt(2 if restarted else 1)
        finite = np.isfinite(rows.value)
        assert finite.all()
        assert rows.step.tolist() == [step for step, _ in points]
        assert rows.value.tolist() == pytest.approx([value for _, value in points], rel=1e-8)


@pytest.mark.acceptance
def test_real_golden_values(shared: Path) -> None:
    runs = read_all(MegatronGolden(str(shared / "data/logs/megatron_golden")))
    assert len(runs) == 5  # six files, one of them the restarted half of another
    assert sum(len(run.attempts) for run in runs) == 6
    for run in runs:
        assert run.provenance.records_damaged == 0
        assert not run.incomplete
    assert {len(run.series) for run in runs} == {5, 6}
    restarted = next(run for run in runs if len(run.attempts) == 2)
    loss = restarted.series["lm loss"]
    redone = loss.attempt(2).value - loss.attempt(1).value[50:]
    assert np.abs(redone).max() == pytest.approx(1.5e-4, abs=2e-5)
