"""Hugging Face Trainer: one run however many checkpoints tell it, and nobody's pickle is opened.

The logs under tests/fixtures/hf_trainer are the real Trainer's (make_hf_trainer.py).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources.hf_trainer import HuggingFaceTrainer
from sources.conformance import SourceConformance, read_all
from sources.labelled import labelled

FIXTURES = Path(__file__).parents[1] / "fixtures" / "hf_trainer"
LOGGED: dict[str, list[list[tuple[int, dict[str, Any]]]]] = json.loads(
    (FIXTURES / "logged.json").read_text()
)


def logged(rows: list[tuple[int, dict[str, Any]]]) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) of what the callback saw, but for the records that end training."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, row in rows:
        if "train_runtime" not in row:
            for name, value in row.items():
                found.setdefault(name, []).append((step, float(value)))
    return found


class TestTrainerState(SourceConformance):
    kind = "trainer"
    log = "trainer_state.json"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        (root / "out").mkdir()
        for name in ("trainer_state.json", "config.json", "all_results.json"):
            shutil.copy(FIXTURES / "whole" / name, root / "out")
        return logged(LOGGED["whole"][0])


def copied(name: str, folder: Path) -> Path:
    shutil.copytree(FIXTURES / name, folder / name)
    return folder / name


def read(folder: Path) -> Run:
    (run,) = read_all(HuggingFaceTrainer(str(folder)))
    return run


def changed(path: Path, **facts: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | facts, indent=2, sort_keys=True))


def test_identity_is_the_output_folder(tmp_path: Path) -> None:
    copied("whole", tmp_path / "runs")
    (ref,) = HuggingFaceTrainer(str(tmp_path)).discover()
    assert (ref.run_id, ref.name, ref.project) == ("runs/whole", "whole", "")
    (alone,) = HuggingFaceTrainer(str(tmp_path / "runs" / "whole")).discover()
    assert alone.run_id == "whole"
    checkpoint = HuggingFaceTrainer(str(tmp_path / "runs" / "whole" / "checkpoint-10"))
    assert [ref.run_id for ref in checkpoint.discover()] == ["checkpoint-10"]


def test_checkpoints_that_repeat_the_history_are_one_run(tmp_path: Path) -> None:
    run = read(copied("whole", tmp_path))
    assert run.series["loss"].recorded.step.tolist() == list(range(1, 21))
    assert run.provenance.records_read == len(LOGGED["whole"][0])
    assert run.provenance.warnings == ()
    assert [(a.number, a.first_step, a.last_step, a.state) for a in run.attempts] == [
        (1, 1, 20, "finished")
    ]


def test_the_longest_history_is_read_where_the_run_died(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    (folder / "trainer_state.json").unlink()
    changed(folder / "checkpoint-20" / "trainer_state.json", max_steps=99)
    run = read(tmp_path)
    assert run.ref.run_id == "whole"
    assert run.series["loss"].step.tolist() == list(range(1, 21))
    assert run.state == "ended"
    assert run.logged_events == ()


def test_a_nan_stays_in_all_later_rows_and_infinities_are_values(tmp_path: Path) -> None:
    run = read(copied("whole", tmp_path))
    assert np.isnan(run.series["loss"].value).tolist() == [False] * 6 + [True] * 14
    assert set(run.series["eval_margin"].value) == {-np.inf}
    assert run.series["probe"].value.tolist() == [np.inf]
    assert np.isnan(run.series["loss"].time).all()
    assert (run.start, run.end) == (None, None)


def test_rows_that_a_resumed_process_redid_are_an_earlier_attempt(tmp_path: Path) -> None:
    run = read(copied("resumed", tmp_path))
    first, second = LOGGED["resumed"]
    assert [(a.number, a.first_step, a.last_step, a.state) for a in run.attempts] == [
        (1, 1, 10, "ended"),
        (2, 6, 20, "finished"),
    ]
    loss = run.series["loss"]
    # the first process died at 13; what it logged after its last checkpoint was never saved
    assert loss.attempt(1).value.tolist() == [v for s, v in logged(first)["loss"] if s <= 10]
    assert loss.attempt(2).value.tolist() == [v for _, v in logged(second)["loss"]]
    assert loss.superseded.step.tolist() == [6, 7, 8, 9, 10]
    assert loss.step.tolist() == list(range(1, 21))
    assert [(c.step, c.path, c.attempt) for c in run.checkpoints] == [
        (5, "checkpoint-5", 1),
        (10, "checkpoint-10", 1),
    ]
    (warning,) = run.provenance.warnings
    assert warning.startswith("checkpoint-10/trainer_state.json: its history differs")


def test_several_checkpoints_of_the_redone_process_are_one_attempt(tmp_path: Path) -> None:
    folder = copied("resumed", tmp_path)
    shutil.copytree(folder / "checkpoint-10", folder / "checkpoint-8")
    state = folder / "checkpoint-8" / "trainer_state.json"
    rows = json.loads(state.read_text())["log_history"]
    changed(state, log_history=[row for row in rows if row["step"] <= 8], global_step=8)
    run = read(tmp_path)
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(1, 10), (6, 20)]
    assert run.series["loss"].info.points == 25
    assert [(c.step, c.attempt) for c in run.checkpoints] == [(5, 1), (8, 1), (10, 1)]


def test_training_that_goes_on_behind_its_end_is_a_further_attempt(tmp_path: Path) -> None:
    run = read(copied("continued", tmp_path))
    assert [(a.first_step, a.last_step, a.state) for a in run.attempts] == [
        (1, 5, "finished"),
        (6, 10, "finished"),
    ]
    assert [(e.kind, e.step, e.attempt) for e in run.logged_events] == [
        ("train_end", 5, 1),
        ("train_end", 10, 2),
    ]
    assert "train_loss 3.6" in run.logged_events[0].text
    # an evaluation behind the end belongs to the process that ended
    assert run.series["probe"].recorded.attempt.tolist() == [1, 2]
    assert run.series["loss"].superseded.step.tolist() == []


def test_the_record_of_the_end_is_summary_and_no_series(tmp_path: Path) -> None:
    run = read(copied("resumed", tmp_path))
    assert not {"train_loss", "train_runtime", "total_flos"} & set(run.series)
    results = json.loads((FIXTURES / "resumed" / "all_results.json").read_text())
    assert results.items() <= run.summary.items()
    assert run.summary["best_metric"] == pytest.approx(3.6795, abs=1e-4)
    assert run.summary["global_step"] == 20
    assert run.state == "finished"


def test_config_model_and_checkpoints(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    (folder / "config.json").unlink()  # then the last checkpoint's is read
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "checkpoint-20" / "model.safetensors").write_bytes(bytes(1000))
    (folder / "checkpoint-20" / "deep").mkdir()
    (folder / "checkpoint-20" / "deep" / "link").symlink_to("/dev/zero")
    (folder / "checkpoint-30").symlink_to(folder / "checkpoint-20")
    run = read(tmp_path)
    assert run.model.architecture == "GPT2LMHeadModel"
    assert run.environment == {"transformers": "5.24.0"}
    assert run.config["max_steps"] == 20
    assert run.config["model"]["n_layer"] == 1  # type: ignore[index]
    assert run.config["adapter"] == {"r": 8}
    own = sum(p.stat().st_size for p in (FIXTURES / "whole/checkpoint-20").iterdir())
    assert [(c.step, c.size_bytes) for c in run.checkpoints][1:] == [(20, own + 1000)]
    assert run.checkpoints[1].metrics["eval_loss"] == run.series["eval_loss"].value[-1]


def test_trials_of_one_search_are_a_group(tmp_path: Path) -> None:
    for number in (0, 1):
        folder = copied("whole", tmp_path / f"search/run-{number}")
        shutil.rmtree(folder / "checkpoint-10")
        changed(
            folder / "trainer_state.json",
            is_hyper_param_search=True,
            trial_name=f"lr {number}",
            trial_params={"lr": number},
        )
    runs = read_all(HuggingFaceTrainer(str(tmp_path)))
    assert [run.name for run in runs] == ["lr 0", "lr 1"]
    assert [run.group for run in runs] == ["search/run-0", "search/run-1"]
    assert runs[1].config["trial_params"] == {"lr": 1}


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    os.mkfifo(folder / "training_args.bin")  # whoever opened it would wait for ever
    run = read(tmp_path)
    assert any("never opened" in sentence for sentence in run.provenance.lossy)
    assert "training_args.bin" not in dict(run.provenance.files)


def test_what_belongs_to_a_checkpoint_is_not_reported(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    (folder / "checkpoint-10" / "optimizer.pt").write_bytes(b"x")
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["whole"]
    assert found.skipped == (("whole/notes.txt", "no source reads this file"),)


def test_the_log_of_llama_factory_repeats_the_state_beside_it(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    row = {"current_steps": 10, "total_steps": 20, "loss": 1.5, "elapsed_time": "0:02:55"}
    (folder / "trainer_log.jsonl").write_text(json.dumps(row) + "\n")
    found = sniff(tmp_path)
    assert [(ref.kind, ref.run_id) for ref in found.runs] == [("trainer", "whole")]
    assert found.skipped == ()
    # without the state it is all that is left of the run
    (folder / "trainer_state.json").unlink()
    shutil.rmtree(folder / "checkpoint-10", ignore_errors=True)
    shutil.rmtree(folder / "checkpoint-20", ignore_errors=True)
    (ref,) = sniff(tmp_path).runs
    assert (ref.kind, ref.run_id) == ("tabular", "whole/trainer_log.jsonl")


def test_one_damaged_row_costs_only_itself(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    path = folder / "trainer_state.json"
    path.write_text(path.read_text().replace('"step": 12\n', '"step: 12\n', 1))
    for checkpoint in (10, 20):
        shutil.rmtree(folder / f"checkpoint-{checkpoint}")
    run = read(tmp_path)
    assert run.series["loss"].step.tolist() == [s for s in range(1, 21) if s != 12]
    assert run.provenance.records_damaged == 1
    assert run.incomplete == ("trainer_state.json has 1 record that cannot be used",)
    assert [len(run.attempts), run.state] == [1, "finished"]


def test_rows_lost_in_one_file_make_no_attempt_of_those_that_have_them(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    path = folder / "trainer_state.json"
    path.write_text(path.read_text().replace('"step": 12\n', '"step: 12\n', 1))
    run = read(tmp_path)
    assert len(run.attempts) == 1
    assert run.provenance.records_damaged == 1


def test_flipped_bits_are_never_a_traceback(tmp_path: Path) -> None:
    path = copied("whole", tmp_path) / "trainer_state.json"
    for checkpoint in path.parent.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    data = path.read_bytes()
    good = {float(row["loss"]) for _, row in LOGGED["whole"][0] if "loss" in row}
    generator = np.random.default_rng(3)
    told = 0
    for at in generator.integers(0, len(data), 150):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(flipped)
        try:
            run = read(tmp_path)
        except SourceError:
            told += 1
            continue
        told += bool(run.incomplete)
        if "loss" in run.series:
            values = run.series["loss"].value
            assert len(set(values[~np.isnan(values)].tolist()) - good) <= 1
    assert told > 30


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"loss": 1}', "no whole number under `step`"),
        ('{"loss": 1, "step": 1.5}', "no whole number under `step`"),
        ("[1]", "not an object"),
    ],
)
def test_a_row_without_a_step_is_damage(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "trainer_state.json").write_text(
        f'{{"log_history": [{{"loss": 2, "step": 1}}, {row}, {{"loss": 3, "step": 2}}]}}'
    )
    run = read(tmp_path)
    assert run.series["loss"].value.tolist() == [2, 3]
    assert run.provenance.warnings == (f"trainer_state.json:1: {said}; this record is left out",)


def test_a_text_among_the_values_is_told_once(tmp_path: Path) -> None:
    rows = [{"loss": i, "remaining": "1h", "gone": None, "step": i} for i in range(3)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    run = read(tmp_path)
    assert list(run.series) == ["loss"]
    (warning,) = run.provenance.warnings
    assert warning == "trainer_state.json:1: 'remaining' is no number; left out (3 rows)"


def test_the_end_of_an_earlier_process_is_not_the_summary(tmp_path: Path) -> None:
    rows = [
        {"loss": 2, "step": 1},
        {"train_runtime": 5, "train_loss": 2, "step": 1},
        {"loss": 1, "step": 2},
    ]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    run = read(tmp_path)
    assert run.summary == {}
    assert [(a.number, a.state) for a in run.attempts] == [(1, "finished"), (2, "ended")]
    assert run.state == "ended"


def test_steps_that_fall_are_a_further_attempt(tmp_path: Path) -> None:
    rows = [{"loss": i, "step": step} for i, step in enumerate([1, 2, 3, 2, 3, 4])]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    run = read(tmp_path)
    assert run.series["loss"].recorded.attempt.tolist() == [1, 1, 1, 2, 2, 2]
    assert run.series["loss"].value.tolist() == [0, 3, 4, 5]


def test_a_run_without_a_row_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text('{"log_history": [], "max_steps": 9}')
    run = read(tmp_path)
    assert (len(run.series), run.state, run.config) == (0, "ended", {"max_steps": 9})


def test_what_is_no_state_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text('{"loss": 1}')
    with pytest.raises(SourceError, match=r"no record of its trainer_state.json can be read"):
        read(tmp_path)


def test_an_unreadable_checkpoint_does_not_hide_the_run(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path)
    for name in ("checkpoint-10", "checkpoint-20"):
        (folder / name / "trainer_state.json").unlink()
    os.mkfifo(folder / "checkpoint-10" / "trainer_state.json")
    (folder / "checkpoint-20" / "trainer_state.json").write_bytes(b"")
    source = HuggingFaceTrainer(str(tmp_path))
    (run,) = read_all(source)
    assert len(run.series["loss"]) == 20
    assert [(c.step, c.metrics) for c in run.checkpoints] == [(10, {}), (20, {})]
    assert sorted(why for _, why in source.skipped) == [
        "empty: no record was written",
        "is no regular file",
    ]


@pytest.mark.acceptance
def test_real_states_give_the_labelled_series(shared: Path) -> None:
    found = list(labelled(shared, "hf_trainer/"))
    assert [(file, name) for file, name, _ in found] == [
        ("hf_trainer/HangerYang+Star/trainer_state.json", "loss"),
        ("hf_trainer/HangerYang+Star/trainer_state.json", "grad_norm"),
    ]
    for file, name, points in found:
        run = read((shared / "data/logs" / file).parent)
        rows = run.series[name].recorded
        assert rows.step.tolist() == [step for step, _ in points]
        assert rows.value.tolist() == pytest.approx([value for _, value in points], rel=1e-8)


@pytest.mark.acceptance
def test_a_real_state_with_many_evaluations_at_one_step(shared: Path) -> None:
    run = read(shared / "data/logs/hf_trainer/aigoncharov+trainer_state_viz")
    assert [run.series[f"eval_g{n}_loss"].info.points for n in range(6)] == [31] * 6
    assert run.series["epoch"].info.points == run.provenance.records_read == 216
    assert (run.state, len(run.attempts)) == ("finished", 1)


def test_a_trial_that_is_the_root_has_no_group_to_name(tmp_path: Path) -> None:
    folder = copied("whole", tmp_path / "search/run-0")
    changed(folder / "trainer_state.json", is_hyper_param_search=True)
    (run,) = read_all(HuggingFaceTrainer(str(folder)))
    assert (run.ref.run_id, run.group) == (folder.name, "")
