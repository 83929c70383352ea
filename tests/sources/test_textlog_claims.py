"""Text logs: which files are logs, which only look like one, and which have their rows twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from runpages.errors import SourceError
from runpages.sources import sniff
from runpages.sources._textlog_sniff import looks_like_a_log
from runpages.sources.textlog import TextLog
from sources.textlog_lines import ROWS, write

README = """# Training
step 10: loss 1.2 is what you should see, then
    step=10 loss=1.2 lr=3e-4
    step=20 loss=1.1 lr=3e-4
    step=30 loss=1.0 lr=3e-4
Step 1: install torch 2.1
Step 2: run train.py 3
Step 3: wait 10 minutes
"""


@pytest.mark.parametrize(
    "name",
    [
        "a.log",
        "slurm-123.out",
        "job.e12345",
        "a.log.1",
        "stdout",
        "train_log",
        "rank3.log",
        "x.TXT",
    ],
)
def test_names_of_logs(name: str) -> None:
    assert looks_like_a_log(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", README),
        ("README.txt", README),
        ("notes.md", ROWS * 3),
        ("requirements.txt", "torch==2.1.0\nnumpy==1.26\nstep=1 a=2\n" * 3),
        ("train.py", ROWS),
        ("metrics.csv", "step,loss\n1,2.0\n2,1.0\n3,0.5\n"),
        ("table.txt", "step,loss\n1,2.0\n2,1.0\n3,0.5\n"),
        ("how-to.txt", "Step 1: install torch 2.1\nStep 2: open the door\nStep 3: wait 10 min\n"),
        ("prose.txt", "At step 10 the loss was 1.2.\nAt step 20 the loss was 1.1.\n" * 5),
        ("vocabulary.txt", "10 train\n20 val\n30 hella\n" * 5),
        ("two.log", "step=1 loss=1.0\nstep=2 loss=1.0\n"),
        ("same.log", "step=1 loss=1.0\n" * 10),
        ("binary.log", bytes(range(256)) * 100),
        ("md.log", "".join(f"Step {i}: energy = -1.{i}, temp = 300\n" for i in range(9))),
        (
            "pipeline.log",
            "".join(
                f"2026-04-13 09:06:02,797 - INFO - Step {i}: Loading dataset from 2 sources...\n"
                for i in range(9)
            ),
        ),
        ("pip.log", "Collecting torch==2.1.0\n  Downloading torch-2.1.0 (670.2 MB)\n" * 9),
        (
            "access.log",
            '10.0.0.1 - - [10/Oct/2026:13:55:36] "GET /?step=1&loss=2 HTTP/1.1" 200\n' * 9,
        ),
        ("slurm.out", "#SBATCH --time=1\nsrun python train.py --lr 0.1 --steps 100\n" * 9),
        ("bars.log", "\r".join(f" {i}%|#| {i}/9 [00:01<00:01, 2.0it/s]" for i in range(9))),
    ],
)
def test_what_is_no_log_is_no_run(tmp_path: Path, name: str, text: str | bytes) -> None:
    write(tmp_path, text, name)
    found = sniff(tmp_path)
    assert [ref for ref in found.runs if ref.kind == "textlog"] == []


def test_what_looks_like_a_log_is_told_with_the_dialects_tried(tmp_path: Path) -> None:
    odd = "".join(f"~~ step({i}) ~~ training loss {i}.5 !\n" for i in range(9))
    write(tmp_path, odd, "odd.log")
    write(tmp_path, "".join(f"Training Loss: {i}.5\nEvaluation.\n" for i in range(9)), "bare.log")
    bar = "\rEpoch 0:  9%|█▏  | {}/99 [00:08<00:07, 1.4s/it, loss={:.3g}]"
    write(tmp_path, "".join(bar.format(i, 1.5 / i) for i in range(1, 9)) + "\n", "bar.log")
    hf = "".join(f"{{'loss': {i}, 'learning_rate': 1e-05, 'epoch': 0.1}}\n" for i in range(5))
    write(tmp_path, hf, "hf.log")
    csv = (
        "epoch,accuracy,loss\n0,0.5,1.25\n1,0.75,nan\n2,,1e-05\n"  # Keras CSVLogger("training.log")
    )
    write(tmp_path, csv, "training.log")
    found = sniff(tmp_path)
    assert [(ref.kind, ref.run_id) for ref in found.runs] == [("tabular", "training.log")]
    skipped = dict(found.skipped)
    assert "of no dialect that is known (" in skipped["odd.log"]
    assert "are tried: megatron-lm to epochs" in skipped["odd.log"]
    assert "name no step" in skipped["bare.log"]
    assert "progress bars only" in skipped["bar.log"]
    assert "without the progress bar behind each" in skipped["hf.log"]


def test_a_file_with_the_same_rows_is_told_and_one_with_others_is_a_run(tmp_path: Path) -> None:
    row = "step {:5d} | loss: {:.6f} | lr 1.0e-04 | norm: 1.0 | dt: 1.00ms | tok/sec: 1.00\n"
    out = "".join(f"{row.format(i, 9.5 - i)}" for i in range(4))
    log = "".join(f"{i} train {9.5 - i:.6f}\n" for i in range(4))
    write(tmp_path, out, "job.out")
    write(tmp_path, log, "log.txt")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["job.out"]
    assert found.skipped == (("log.txt", "holds the same rows as job.out, which is read"),)
    write(tmp_path, log.replace("9.5", "9.6"), "log.txt")
    assert [ref.run_id for ref in sniff(tmp_path).runs] == ["job.out", "log.txt"]


def test_below_a_tree_that_another_source_owns_nothing_is_claimed(tmp_path: Path) -> None:
    run = tmp_path / "wandb" / "offline-run-20260301_100000-abc"
    write(run, b":W&B\xe1\xbe\x00", "run-abc.wandb")
    write(run / "files", ROWS, "output.log")
    write(tmp_path, ROWS, "train.log")
    assert [ref.run_id for ref in sniff(tmp_path).runs if ref.kind == "textlog"] == ["train.log"]


def test_a_log_that_cannot_be_used_any_more_is_a_sentence(tmp_path: Path) -> None:
    source = TextLog(str(write(tmp_path, ROWS)))
    (ref,) = source.discover()
    write(tmp_path, "nothing\n")
    with pytest.raises(SourceError, match="no line is of a dialect that is known"):
        source.read(ref)
    (tmp_path / "train.log").unlink()
    with pytest.raises(SourceError, match=r"train.log: cannot be read: No such file"):
        source.read(ref)
