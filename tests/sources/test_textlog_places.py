"""Text logs: steps that count within each epoch, steps that another line tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from runpages.errors import UsageError
from runpages.sources import sniff
from runpages.sources.textlog import TextLog
from sources.textlog_lines import points, read, write


def row(epoch: int, step: int, total: str = "/100", loss: float = 1.5) -> str:
    return f"INFO:__main__:Epoch {epoch} | Step {step}{total} | Loss: {loss} | Time: 0.5s\n"


@pytest.mark.parametrize("first", [0, 1])
def test_steps_within_each_epoch_are_added_up(tmp_path: Path, first: int) -> None:
    text = "".join(row(e, s) for e in (first, first + 1, first + 2) for s in (50, 100))
    run = read(write(tmp_path, text))
    assert [step for step, _ in points(run, "Loss")] == [50, 100, 150, 200, 250, 300]
    assert points(run, "epoch")[-1] == (300, first + 2)
    assert len(run.attempts) == 1
    assert run.provenance.step_source == (
        "steps within each epoch, those of the epochs before added"
    )


def test_steps_that_go_on_over_epochs_are_the_trainings_own(tmp_path: Path) -> None:
    text = "".join(row(e, s, "/300") for e, s in ((1, 50), (1, 100), (2, 150), (2, 200), (3, 250)))
    run = read(write(tmp_path, text))
    assert [step for step, _ in points(run, "Loss")] == [50, 100, 150, 200, 250]
    assert run.provenance.step_source == "step"


def test_a_restart_in_an_earlier_epoch_is_still_an_attempt(tmp_path: Path) -> None:
    text = "".join(row(e, s) for e, s in ((1, 50), (2, 50), (3, 50), (2, 50), (2, 100), (3, 50)))
    run = read(write(tmp_path, text))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(50, 250), (150, 250)]


def test_without_a_total_the_record_is_counted(tmp_path: Path) -> None:
    text = "".join(row(e, s, "") for e in (1, 2) for s in (50, 100))
    run = read(write(tmp_path, text))
    assert [step for step, _ in points(run, "Loss")] == [0, 1, 2, 3]
    assert run.provenance.step_unit == "records"


def test_one_row_an_epoch_at_the_same_step_counts_within(tmp_path: Path) -> None:
    run = read(write(tmp_path, "".join(row(e, 100) for e in (1, 2, 3, 4))))
    assert [step for step, _ in points(run, "Loss")] == [100, 200, 300, 400]


@pytest.mark.parametrize("within", [True, False])
def test_what_is_said_of_an_epoch_stands_at_its_end(tmp_path: Path, within: bool) -> None:
    text = ""
    for epoch in (1, 2):
        before = 0 if within else 100 * (epoch - 1)
        text += row(epoch, before + 50) + row(epoch, before + 90)
        text += f"Epoch {epoch} completed in 12.5s | Avg Loss: 1.{epoch}\n"
    run = read(write(tmp_path, text))
    ends = [(100, 1.1), (200, 1.2)] if within else [(90, 1.1), (190, 1.2)]
    assert points(run, "epoch/Avg Loss") == ends
    assert len(run.attempts) == 1


def test_an_epoch_s_figures_are_at_its_number(tmp_path: Path) -> None:
    text = "".join(
        f"epoch {e:4d}  K= 7  loss=4.5e-04  v1=0.0{e}  (6.3s)\n"
        f"Epoch {e} |    Train Loss: 8.{e} | Acc: 0.1 |    Val Loss: 9.{e} | Acc: 0.2\n"
        for e in (1, 2, 3)
    )
    run = read(write(tmp_path, text))
    assert run.provenance.step_unit == "epochs"
    assert points(run, "v1") == [(1, 0.01), (2, 0.02), (3, 0.03)]
    assert points(run, "Acc") == [(1, 0.1), (2, 0.1), (3, 0.1)]
    assert points(run, "Acc [2]") == [(1, 0.2), (2, 0.2), (3, 0.2)]
    assert points(run, "Train Loss")[0] == (1, 8.1)


def test_several_rows_of_an_epoch_are_its_batches(tmp_path: Path) -> None:
    text = ""
    for epoch in (1, 2, 3):
        text += f"2025-03-02 08:16:07,971 - INFO - Epoch {epoch} - Batch loss: {epoch}.5\n" * 3
        text += f"2025-03-02 08:16:26,281 - INFO - Epoch {epoch} - Average Train Loss: 0.{epoch}\n"
    run = read(write(tmp_path, text))
    assert run.provenance.step_unit == "records"
    assert [step for step, _ in points(run, "Batch loss")] == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert points(run, "Average Train Loss") == [(3, 0.1), (7, 0.2), (11, 0.3)]
    assert [value for _, value in points(run, "epoch")] == [1.0] * 4 + [2.0] * 4 + [3.0] * 4
    assert len(run.attempts) == 1


@pytest.mark.parametrize(
    ("line", "figures"),
    [
        ("ep: 0, batch: {}, time: 9.17, ntokens: 485.20/513, loss: 1.5", {"ntokens", "loss"}),
        ("epoch=0 i={}/530 total_loss=0.5 spectro_loss=0.25", {"total_loss", "spectro_loss"}),
        ("iter   {} | loss 0.95 | lr 2.86e-04 | 389s", {"loss", "lr"}),
        ("step={} loss=1.5 device=cuda:0 eta=0:30:12 phase=train", {"loss"}),
        ("Step {} | loss: 1.5 | speed: 12.5 it/s | eta: 1 day, 2:03:04 | val: n/a", {"loss"}),
        ("Stage 1, Epoch 1, Batch {}, Training Loss (avg over last 100): 0.25",
         {"Training Loss (avg over last 100)"}),
        ("10:23:45 | step: {} | tokens: 1.5M | loss: 2.5", {"tokens_m", "loss"}),
        ("I0317 10:00:13.224641 12534 trainer.py:18] step {}: loss 1.5", {"loss"}),
        ("(TaskRunner pid=15, ip=10.0.0.1) step={} reward=0.5", {"reward"}),
    ],
)  # fmt: skip
def test_forms_that_trainers_print(tmp_path: Path, line: str, figures: set[str]) -> None:
    run = read(write(tmp_path, "".join(line.format(i) + "\n" for i in (10, 20, 30))))
    assert run.provenance.reader == "textlog 1, key-value"
    assert figures <= set(run.series)
    assert "eta" not in run.series
    for name in figures:
        assert [step for step, _ in points(run, name)] == [10, 20, 30]


# --- the bar behind a dictionary ---------------------------------------------------------------


def bar(step: int, total: int = 100, description: str = "") -> str:
    """As tqdm.std.tqdm.format_meter draws it."""
    return f"\r{description}{step * 100 // total:3.0f}%|████▏     | {step}/{total} [02:15<00:06,  1.6s/it]"


def told(figures: str) -> str:
    """As tqdm.write clears the bar, writes, and lets the bar be drawn again."""
    return "\r" + " " * 60 + f"\r{figures}\n"


def test_a_dictionary_is_of_the_bar_drawn_behind_it(tmp_path: Path) -> None:
    text = bar(0) + bar(9) + told("{'loss': 2.5, 'grad_norm': nan, 'epoch': 0.1}") + bar(10)
    text += bar(11) + bar(19)
    text += told("{'loss': '1.5', 'grad_norm': '0.5', 'epoch': '0.2'}") + bar(20) + bar(20)
    text += bar(0, 7) + bar(7, 7) + told("{'eval_loss': 1.75, 'eval_runtime': 3.5, 'epoch': 0.2}")
    text += bar(7, 7) + bar(20) + bar(99)
    text += told("{'loss': 1.25, 'epoch': 1.0}") + bar(100)
    text += told("{'train_runtime': 8163.5, 'train_loss': 1.75, 'epoch': 1.0}") + bar(100) + "\n"
    run = read(write(tmp_path, text))
    assert run.provenance.reader == "textlog 1, hugging-face"
    assert points(run, "loss") == [(10, 2.5), (20, 1.5), (100, 1.25)]
    assert points(run, "eval_loss") == [(20, 1.75)]
    assert run.summary["train_runtime"] == 8163.5
    assert "train_loss" not in run.series
    assert run.provenance.warnings == ()


def test_an_engine_s_line_does_not_tell_a_dictionary_its_step(tmp_path: Path) -> None:
    def engine(step: int) -> str:
        """As deepspeedai/DeepSpeed deepspeed/runtime/engine.py _report_progress."""
        return (
            f"\n[2026-03-01 10:00:00,711] [INFO] [logging.py:96:log_dist] [Rank 0] step={step}, "
            f"skipped=0, lr=[{step}e-05], mom=[(0.9, 0.95)]\n"
        )

    text = "".join(
        engine(s - 1) + bar(s - 1) + told(f"{{'loss': {s}.5, 'epoch': 0.1}}") + engine(s) + bar(s)
        for s in (10, 20)
    )
    run = read(write(tmp_path, text + "\n"))
    assert run.provenance.reader == "textlog 1, hugging-face-deepspeed"
    assert points(run, "loss") == [(10, 10.5), (20, 20.5)]
    assert [step for step, _ in points(run, "lr")] == [9, 10, 19, 20]


def test_dictionaries_that_come_together_tell_no_step(tmp_path: Path) -> None:
    one = bar(9) + told("{'loss': 2.5, 'epoch': 0.1}") + bar(10)
    two = told("{'loss': 2.25, 'epoch': 0.2}") + told("{'loss': 2.0, 'epoch': 0.3}") + bar(40)
    again = told("{'loss': 1.5, 'epoch': 0.5}") + bar(50) + "\n"
    run = read(write(tmp_path, one + two + again))
    assert points(run, "loss") == [(10, 2.5), (50, 1.5)]
    assert "2 rows are left out: no row tells its step" in run.provenance.warnings[0]


def test_only_buffered_dictionaries_are_no_run(tmp_path: Path) -> None:
    text = "".join(bar(i) for i in range(100)) + "\n"
    text += "".join(told(f"{{'loss': {i}.5, 'epoch': 0.{i}}}") for i in range(1, 9))
    found = sniff(write(tmp_path, text))
    assert found.runs == ()
    assert "without the progress bar behind each" in dict(found.skipped)["train.log"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"row": [{"line": "a", "tick": True}]}, "exactly one must say where the step is"),
        (
            {"row": [{"line": r"(?P<step>\d+)", "after": True}]},
            "step, waits, position, after or summary",
        ),
        ({"row": [{"line": "a", "after": True, "tick": True}]}, "a tick needs a group"),
        (
            {"row": [{"line": r"(?P<step>\d+) (?P<a>{num})"}], "begin_mark": 3},
            "begin_mark must be",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match="dialect 'x'") as caught:
        TextLog(str(tmp_path), dialects=[{"name": "x", **table}])
    assert said in str(caught.value)
