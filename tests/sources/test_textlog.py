"""Text logs: each dialect's own print statements write the lines; what they printed is read."""

# ruff: noqa: UP031, UP032, ISC004 - format strings stand here as the programs have them

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runpages.errors import SourceError, UsageError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources._textlog_dialects import (
    DIALECTS,
    LINE_CHARS,
    ConfigLines,
    Dialect,
    EventLine,
    RowLine,
)
from runpages.sources._textlog_lines import Counts, text_lines
from runpages.sources.textlog import TextLog
from sources.conformance import SourceConformance, read_all

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.30000000000000004, 5e-324, -0.0, 1234567.5]


def megatron(
    step: int, loss: float, *, clock: str = "2026-03-01 10:00:00", norm: float = 0.5
) -> str:
    """As NVIDIA/Megatron-LM megatron/training/training.py `training_log` builds it."""
    line = f" [{clock}]"
    line += " iteration {:8d}/{:8d} |".format(step, 500000)
    line += " consumed samples: {:12d} |".format(step * 8)
    line += " elapsed time per iteration (ms): {:.1f} |".format(912.04)
    line += " learning rate: {:.6E} |".format(3e-4)
    line += " lm loss: {:.6E} |".format(loss)
    line += " grad norm: {:.3f} |".format(norm)
    line += " number of skipped iterations: {:3d} |".format(0)
    return line + " number of nan iterations: {:3d} |\n".format(0)


def arguments(**settings: object) -> str:
    """As megatron/training/arguments.py `_print_args`."""
    lines = ["  {} {} {}".format(k, "." * (48 - len(k)), v) for k, v in settings.items()]
    begin = "------------------------ arguments ------------------------"
    end = "-------------------- end of arguments ---------------------"
    return "\n".join([begin, *lines, end]) + "\n"


class Color:
    """torchtitan/tools/utils.py"""

    red, green, orange = "\033[31m", "\033[32m", "\033[38;2;180;60;0m"
    turquoise, blue, cyan = "\033[38;2;54;234;195m", "\033[34m", "\033[36m"
    magenta, reset = "\033[35m", "\033[39m"


def torchtitan(step: int, loss: float, norm: float, *, rank: int = 0) -> str:
    """As pytorch/torchtitan torchtitan/components/metrics.py `MetricsProcessor.log`."""
    color = Color
    return (
        f"[rank{rank}]:[titan] 2026-03-01 10:00:{step % 60:02},123 - root - INFO - "
        f"{color.red}step: {step:2}  "
        f"{color.green}loss: {loss:8.5f}  "
        f"{color.orange}grad_norm: {norm:7.4f}  "
        f"{color.turquoise}memory: {40.1:5.2f}GiB"
        f"({42.25:.2f}%)  "
        f"{color.blue}tps: {5123:,}  "
        f"{color.cyan}tflops: {1234.5:,.2f}  "
        f"{color.magenta}mfu: {'N/A' if step == 1 else '41.20%'}{color.reset}\n"
    )


def cyclegan(epoch: int, iters: int, losses: Mapping[str, float]) -> str:
    """As junyanz/pytorch-CycleGAN-and-pix2pix util/visualizer.py `print_current_losses`."""
    message = "(epoch: %d, iters: %d, time: %.3f, data: %.3f) " % (epoch, iters, 0.1, 0.002)
    for k, v in losses.items():
        message += "%s: %.3f " % (k, v)
    return message + "\n"


def as_printed(values: list[float], spec: str) -> list[float]:
    return [float(format(value, spec)) for value in values]


class TestMegatron(SourceConformance):
    kind = "textlog"
    log = "train.log"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        text = "WARNING: torch.distributed says hello\n" + arguments(seed=1234, lr=0.1)
        text += "".join(megatron(i, v, norm=v) for i, v in enumerate(VALUES, start=1))
        (root / "train.log").write_text(text)
        steps = range(1, len(VALUES) + 1)
        constant = {
            "elapsed time per iteration (ms)": 912.0,
            "learning rate": 3e-4,
            "number of skipped iterations": 0.0,
            "number of nan iterations": 0.0,
        }
        return {
            "consumed samples": [(step, 8.0 * step) for step in steps],
            "lm loss": list(zip(steps, as_printed(VALUES, ".6E"), strict=True)),
            "grad norm": list(zip(steps, as_printed(VALUES, ".3f"), strict=True)),
            **{name: [(step, value) for step in steps] for name, value in constant.items()},
        }


class TestTorchtitan(SourceConformance):
    kind = "textlog"
    log = "stdout.txt"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        lines = [torchtitan(i, v, v) for i, v in enumerate(VALUES, start=1)]
        (root / "stdout.txt").write_text("".join(lines))
        steps = range(1, len(VALUES) + 1)
        return {
            "loss": list(zip(steps, as_printed(VALUES, "8.5f"), strict=True)),
            "grad_norm": list(zip(steps, as_printed(VALUES, "7.4f"), strict=True)),
            "memory_gib": [(step, 40.1) for step in steps],
            "memory(%)": [(step, 42.25) for step in steps],
            "tps": [(step, 5123.0) for step in steps],
            "tflops": [(step, 1234.5) for step in steps],
            "mfu(%)": [(step, 41.2) for step in steps if step > 1],
        }


class TestCycleGan(SourceConformance):
    kind = "textlog"
    log = "loss_log.txt"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        now = "Wed Aug 23 13:29:28 2023"
        text = "================ Training Loss (%s) ================\n" % now
        text += "".join(cyclegan(1 + i // 4, 100 * (1 + i % 4), {"D_A": v, "cycle_A": 2 * v})
                        for i, v in enumerate(VALUES))  # fmt: skip
        folder = root / "checkpoints" / "horse"
        folder.mkdir(parents=True)
        (folder / "loss_log.txt").write_text(text)
        count = len(VALUES)
        return {
            "epoch": [(i, float(1 + i // 4)) for i in range(count)],
            "iters": [(i, 100.0 * (1 + i % 4)) for i in range(count)],
            "time": [(i, 0.1) for i in range(count)],
            "data": [(i, 0.002) for i in range(count)],
            "D_A": list(enumerate(as_printed(VALUES, ".3f"))),
            "cycle_A": list(enumerate(as_printed([2 * v for v in VALUES], ".3f"))),
        }


class TestKeyValue(SourceConformance):
    kind = "textlog"
    log = "run.out"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        lines = [f"step={i} loss={v!r} lr=3e-4\n" for i, v in enumerate(VALUES)]
        (root / "run.out").write_text("".join(lines))
        return {"loss": list(enumerate(VALUES)), "lr": [(i, 3e-4) for i in range(len(VALUES))]}


def write(folder: Path, text: str | bytes, name: str = "train.log") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    return folder


def read(folder: Path, **options: object) -> Run:
    (run,) = read_all(TextLog(str(folder), **options))  # type: ignore[arg-type]
    return run


def points(run: Run, name: str) -> list[tuple[int, float]]:
    rows = run.series[name].recorded
    return list(zip(rows.step.tolist(), rows.value.tolist(), strict=True))


def nemo_bar(step: int, loss: str, printed: str | None = None) -> str:
    """As Lightning's TQDMProgressBar draws NeMo's metrics: format_num shortens the numbers."""
    number = printed or f"{float(step)}"[:5].ljust(5, "0")
    return (
        f"\rEpoch 0: :  47%|████▋     | {step}/15 [06:19<07:13, v_num=3, "
        f"reduced_train_loss={loss}, global_step={number}, consumed_samples=12288.0, "
        "train_step_timing in s=49.50]"
    )


def llm_c(step: int, loss: float, z: str = "+nan") -> str:
    """karpathy/llm.c train_gpt2.cu: `(%sz)` with `(+nan, +.2f)`, then norm, lr, time, MFU, rate."""
    return (
        "step %4d/%d | loss %7.6f (%sz)| norm %6.4f (%sz)| lr %.2e | %.2f ms | %.1f%% bf16 MFU"
        " | %.0f tok/s\n" % (step, 19560, loss, z, 15.3, z, 1.2e-5, 1120.2, 49.7, 468000)
    )


DIALECT_LINES = {
    "megatron, validation": (
        "".join(megatron(i, 2.0) for i in (1, 2))
        + "-" * 90
        + "\n validation loss at iteration 2 | lm loss value: 8.889540E+00 | "
        "lm loss PPL: 7.255679E+03 | \n" + "-" * 90 + "\n",
        {"validation lm loss": [(2, 8.88954)], "validation lm loss PPL": [(2, 7255.679)]},
    ),
    "megatron, last rank's lines through torchrun": (
        "".join(f"[default7]:{megatron(i, 2.5)}" for i in (10, 20)),
        {"lm loss": [(10, 2.5), (20, 2.5)]},
    ),
    "megatron of old, names without a colon": (
        " iteration      100/ 1000000 | elapsed time per iteration (ms): 912.0 | learning rate"
        " 1.000E-04 | lm loss 7.123400E+00 | loss scale 65536.0 |\n"
        " iteration      200/ 1000000 | elapsed time per iteration (ms): 912.0 | learning rate"
        " 2.000E-04 | lm loss 6.123400E+00 | loss scale 65536.0 |\n",
        {"lm loss": [(100, 7.1234), (200, 6.1234)], "learning rate": [(100, 1e-4), (200, 2e-4)]},
    ),
    "megatron, units in the line": (
        " samples/sec: 12.345 | iteration      100/  320000 | elapsed time per iteration (ms): 9.0 |"
        " approx flops per GPU: 123.4TFLOPS | lm_loss: 1.5E+00 |\n" * 2,
        {
            "samples/sec": [(100, 12.345)] * 2,
            "approx flops per GPU (TFLOPS)": [(100, 123.4)] * 2,
            "lm_loss": [(100, 1.5)] * 2,
        },
    ),
    "deepspeed": (
        "[2023-11-07 01:55:23,711] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=4, "
        "lr=[4.9e-05, 4.9e-05], mom=[(0.9, 0.95), (0.9, 0.95)]\n"
        "[2023-11-07 01:55:23,714] [INFO] [timer.py:260:stop] epoch=0/micro_step=40/global_step=10,"
        " RunningAvgSamplesPerSec=25.02, CurrSamplesPerSec=25.70, MemAllocated=4.32GB, "
        "MaxMemAllocated=38.49GB\n"
        "[2023-11-07 01:56:23,711] [INFO] [logging.py:96:log_dist] [Rank 0] step=20, skipped=4, "
        "lr=[2.5e-05], mom=[(0.9, 0.95)]\n",
        {
            "skipped": [(10, 4.0), (20, 4.0)],
            "lr": [(10, 4.9e-05), (20, 2.5e-05)],
            "RunningAvgSamplesPerSec": [(10, 25.02)],
            "CurrSamplesPerSec": [(10, 25.7)],
            "MemAllocated_gb": [(10, 4.32)],
            "MaxMemAllocated_gb": [(10, 38.49)],
        },
    ),
    "nemo, one line of carriage returns": (
        nemo_bar(5, "11.50", "5.000") + nemo_bar(6, "11.40") + nemo_bar(6, "11.40") + "\n",
        {
            "reduced_train_loss": [(5, 11.5), (6, 11.4)],
            "consumed_samples": [(5, 12288.0), (6, 12288.0)],
            "train_step_timing in s": [(5, 49.5), (6, 49.5)],
        },
    ),
    "nemo 2": (
        "".join(
            f"[default0]:Training epoch 0, iteration {i}/999 | lr: 1.499e-07 | global_batch_size: "
            f"512 | global_step: {i} | reduced_train_loss: 11.03 | train_step_timing in s: 12.9\n"
            for i in (0, 1)
        ),
        {"reduced_train_loss": [(0, 11.03), (1, 11.03)], "lr": [(0, 1.499e-07), (1, 1.499e-07)]},
    ),
    "torchtitan, validation": (
        torchtitan(1, 8.1, 1.5)
        + "[titan] 2026-03-01 10:01:00,123 - root - INFO - validate step:  1  loss:  7.5000  "
        "memory: 40.10GiB(42.00%)  tps: 1,024\n",
        {"validation/loss": [(1, 7.5)], "validation/tps": [(1, 1024.0)], "loss": [(1, 8.1)]},
    ),
    "nanogpt": (
        "step 0: train loss 6.1854, val loss 6.1780\n"
        "iter 0: loss 6.1551, time 65940.03ms, mfu -100.00%\n"
        "iter 10: loss 4.6810, time 52.57ms, mfu 7.09%\n"
        "iter 20: loss nan, time 52.20ms, mfu 7.09%\n",
        {
            "train loss": [(0, 6.1854)],
            "val loss": [(0, 6.178)],
            "iter_time_ms": [(0, 65940.03), (10, 52.57), (20, 52.2)],
            "mfu(%)": [(10, 7.09), (20, 7.09)],
        },
    ),
    "modded-nanogpt": (
        "step:0/5100 val_loss:16.0012 train_time:387ms step_avg:nanms\n"
        "step:1/5100 train_loss:15.9932 train_time:23767ms step_avg:nanms\n"
        "step:13/5100 train_loss:8.8604 train_time:360ms step_avg:119.97ms\n"
        "step:14/5100 train_time:0.499s step_avg:124.65ms\n",
        {
            "val_loss": [(0, 16.0012)],
            "train_loss": [(1, 15.9932), (13, 8.8604)],
            "train_time_ms": [(0, 387.0), (1, 23767.0), (13, 360.0)],
            "train_time_s": [(14, 0.499)],
            "step_avg_ms": [(13, 119.97), (14, 124.65)],
        },
    ),
    "llm.c": (
        "val loss 11.009\nHellaSwag: 2501/10042 = 0.249054\n"
        + llm_c(1, 11.0)
        + llm_c(2, 10.5, "+1.25")
        + "val loss 9.5\n",
        {
            "val loss": [(0, 11.009), (2, 9.5)],
            "HellaSwag": [(0, 0.249054)],
            "loss": [(1, 11.0), (2, 10.5)],
            "loss z": [(2, 1.25)],
            "norm z": [(2, 1.25)],
            "lr": [(1, 1.2e-5), (2, 1.2e-5)],
            "step_ms": [(1, 1120.2), (2, 1120.2)],
            "mfu(%)": [(1, 49.7), (2, 49.7)],
            "tok/s": [(1, 468000.0), (2, 468000.0)],
        },
    ),
    "llm.c main.log": (
        "s:0 tel:11.0092\ns:0 trl:11.0091 lr:0.000001 norm:15.37\ns:1 trl:10.9 lr:0.000002"
        " norm:nan\n",
        {"tel": [(0, 11.0092)], "trl": [(0, 11.0091), (1, 10.9)], "lr": [(0, 1e-6), (1, 2e-6)]},
    ),
    "build-nanogpt": (
        "total desired batch size: 524288\nvalidation loss: 10.9522\n"
        "HellaSwag accuracy: 2497/10042=0.2487\n"
        "step     0 | loss: 10.955010 | lr 8.3916e-07 | norm: 15.3421 | dt: 23547.83ms | tok/sec:"
        " 22264.81\n"
        "step     1 | loss: 10.902707 | lr 1.6783e-06 | norm: 14.8630 | dt: 410.25ms | tok/sec:"
        " 1277966.93\nvalidation loss: 10.5000\n",
        {
            "validation loss": [(0, 10.9522), (2, 10.5)],
            "HellaSwag accuracy": [(0, 0.2487)],
            "loss": [(0, 10.95501), (1, 10.902707)],
            "dt_ms": [(0, 23547.83), (1, 410.25)],
            "tok/sec": [(0, 22264.81), (1, 1277966.93)],
        },
    ),
    "build-nanogpt log.txt": (
        "0 val 10.9522\n0 hella 0.2487\n0 train 10.955010\n1 train 10.014891\n",
        {
            "val loss": [(0, 10.9522)],
            "hella": [(0, 0.2487)],
            "train loss": [(0, 10.95501), (1, 10.014891)],
        },
    ),
    "nanochat": (
        "Step 00000 | Validation bpb: 3.2046\n"
        "step 00000/21400 (0.00%) | loss: 11.090355 | lrm: 1.00 | dt: 2512.34ms | tok/sec: 208,683"
        " | mfu: 19.80 | epoch: 1 | total time: 0.00m\n"
        "step 00001/21400 (0.01%) | loss: 10.500000 | lrm: 1.00 | dt: 512.34ms | tok/sec: 1,023,000"
        " | mfu: 49.80 | epoch: 1 | total time: 0.05m\n"
        "Step 00001 | CORE metric: 0.1234\n",
        {
            "Validation bpb": [(0, 3.2046)],
            "CORE metric": [(1, 0.1234)],
            "loss": [(0, 11.090355), (1, 10.5)],
            "tok/sec": [(0, 208683.0), (1, 1023000.0)],
            "total time (m)": [(0, 0.0), (1, 0.05)],
        },
    ),
    "fairseq": (
        "2025-10-15 11:33:32 | INFO | train_inner | epoch 001:    100 / 487 loss=4.655, ppl=25.2, "
        "wps=30000, num_updates=100, lr=5e-05, gnorm=1.5, wall=60\n"
        "2025-10-15 11:33:42 | INFO | train_inner | epoch 001:    200 / 487 loss=3.655, ppl=12.6, "
        "wps=30000, num_updates=200, lr=1e-04, gnorm=1.4, wall=70\n"
        "2025-10-15 11:33:44 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 2.001 | "
        "ppl 4 | num_updates 200 | best_loss 2.001\n",
        {
            "loss": [(100, 4.655), (200, 3.655)],
            "lr": [(100, 5e-05), (200, 1e-04)],
            "valid/loss": [(200, 2.001)],
            "valid/ppl": [(200, 4.0)],
        },
    ),
    "olmo": (
        "2024-05-01 10:00:00.123\tnode-1:0\tolmo.train:801\tINFO\t[step=1/739328,epoch=0]\n"
        "    optim/total_grad_norm=7.5\n    train/CrossEntropyLoss=11.4\n    throughput/total_tokens="
        "4,194,304\nsomething else\n"
        "2024-05-01 10:00:01.123\tnode-1:0\tolmo.train:801\tINFO\t[step=2/739328,epoch=0]\n"
        "    train/CrossEntropyLoss=11.3\n",
        {
            "optim/total_grad_norm": [(1, 7.5)],
            "train/CrossEntropyLoss": [(1, 11.4), (2, 11.3)],
            "throughput/total_tokens": [(1, 4194304.0)],
        },
    ),
    "key-value, words between": (
        "Epoch 1 Step 10: loss 1.5, lr 0.1\nEpoch 1 Step 20: loss 1.25, lr 0.1\n"
        "Epoch 2 Step 30: loss 1.125, lr 0.1\n",
        {"loss": [(10, 1.5), (20, 1.25), (30, 1.125)], "epoch": [(10, 1.0), (20, 1.0), (30, 2.0)]},
    ),
    "key-value, behind a logger": (
        "".join(
            f"2026-01-02 03:04:0{i},000 - trainer.py:57 - INFO - step: {i}, loss: {i}.5\n"
            for i in (1, 2, 3)
        ),
        {"loss": [(1, 1.5), (2, 2.5), (3, 3.5)]},
    ),
    "megatron, through pdsh": (
        "".join(f"worker-3: {megatron(i, 2.5)}" for i in (10, 20)),
        {"lm loss": [(10, 2.5), (20, 2.5)]},
    ),
    "key-value, brackets": (
        "[Step 10/100] loss: 1.5 | acc: 50%\n[Step 20/100] loss: 1.4 | acc: 51%\n"
        "[Step 30/100] loss: 1.3 | acc: 52%\n",
        {"loss": [(10, 1.5), (20, 1.4), (30, 1.3)], "acc(%)": [(10, 50), (20, 51), (30, 52)]},
    ),
}


@pytest.mark.parametrize("name", DIALECT_LINES)
def test_each_dialect_gives_what_was_printed(tmp_path: Path, name: str) -> None:
    text, expected = DIALECT_LINES[name]
    run = read(write(tmp_path, text))
    assert {key: points(run, key) for key in expected} == expected
    assert name.startswith(run.provenance.reader.partition(", ")[2].split("-")[0])


def test_every_dialect_says_where_its_print_statement_is() -> None:
    assert all(dialect.source for dialect in DIALECTS)
    assert [d.name for d in DIALECTS if d.general] == ["key-value"]


def test_megatron_with_deepspeed_has_both_kinds_of_lines(tmp_path: Path) -> None:
    lines = ""
    for step in (1, 2, 3):
        lines += (
            f"[2024-03-07 15:27:0{step},646] [INFO] [logging.py:96:log_dist] [Rank 0] step={step}, "
            "skipped=4, lr=[0.00024], mom=[(0.9, 0.999)]\n"
            f"[2024-03-07 15:27:0{step},650] [INFO] [timer.py:260:stop] epoch=0/micro_step={step}"
            f"/global_step={step}, RunningAvgSamplesPerSec=58.7, CurrSamplesPerSec=61.3, "
            "MemAllocated=6.01GB, MaxMemAllocated=19.52GB\n"
            f"  iteration      {step:3}/  317892 | consumed samples: {step * 768:8} | lm loss: "
            "5.905366E+00 | samples per second: 53.753 | TFLOPs: 69.85 |\n"
        )
    run = read(write(tmp_path, lines))
    assert run.provenance.reader == "textlog 1, megatron-deepspeed"
    assert points(run, "lm loss") == [(step, 5.905366) for step in (1, 2, 3)]
    assert points(run, "RunningAvgSamplesPerSec") == [(step, 58.7) for step in (1, 2, 3)]
    assert len(run.attempts) == 1


def test_a_timer_that_counts_from_the_restart_is_left_out(tmp_path: Path) -> None:
    def engine(step: int, counted: int) -> str:
        return (
            f"[2024-03-07 15:27:02,646] [INFO] [logging.py:96:log_dist] [Rank 0] step={step}, "
            "skipped=0, lr=[0.1], mom=[0.9]\n"
            f"[2024-03-07 15:27:02,646] [INFO] [timer.py:260:stop] epoch=0/micro_step={counted}/"
            f"global_step={counted}, RunningAvgSamplesPerSec=5.0, CurrSamplesPerSec=5.0\n"
        )

    run = read(write(tmp_path, engine(10, 10) + engine(1010, 10)))
    assert points(run, "RunningAvgSamplesPerSec") == [(10, 5.0)]
    assert len(run.attempts) == 1
    assert "1 rows are left out: it counts other steps" in run.provenance.warnings[0]


def test_a_bar_that_rounds_its_step_gives_no_row(tmp_path: Path) -> None:
    text = nemo_bar(99999, "2.5", "99999.0") + nemo_bar(2000, "2.4", "1.23e+5") + "\n"
    run = read(write(tmp_path, nemo_bar(2000, "2.6", "2e+3") + text))
    assert points(run, "reduced_train_loss") == [(2000, 2.6), (99999, 2.5)]
    assert "three digits" in run.provenance.warnings[0]


# --- several lives, several runs -------------------------------------------------------------


def test_a_restart_from_a_checkpoint_is_an_attempt(tmp_path: Path) -> None:
    first = arguments(seed=1) + "".join(megatron(i, 3.0) for i in (10, 20, 30))
    again = arguments(seed=1) + "".join(megatron(i, 2.0) for i in (20, 30, 40))
    run = read(write(tmp_path, first + again))
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [
        (1, 10, 30),
        (2, 20, 40),
    ]
    assert run.series["lm loss"].value.tolist() == [3.0, 2.0, 2.0, 2.0]


def test_a_restart_that_goes_on_is_an_attempt_because_of_its_header(tmp_path: Path) -> None:
    text = arguments(a=1) + megatron(10, 3.0) + megatron(20, 3.0) + arguments(a=1)
    run = read(write(tmp_path, text + megatron(30, 2.0)))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(10, 20), (30, 30)]


def test_falling_steps_without_a_header_are_an_attempt(tmp_path: Path) -> None:
    run = read(write(tmp_path, "".join(megatron(i, 3.0) for i in (1, 2, 3, 1, 2))))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(1, 3), (1, 2)]


def test_a_header_and_the_first_step_again_are_another_run(tmp_path: Path) -> None:
    one = arguments(lr=0.1, seed=1) + "".join(megatron(i, 3.0) for i in (1, 2, 3))
    two = arguments(lr=0.2, seed=2) + "".join(megatron(i, 2.0) for i in (1, 2))
    three = arguments(lr=0.3, seed=3) + "".join(megatron(i, 1.0) for i in (1, 2))
    again = arguments(lr=0.3, seed=3) + "".join(megatron(i, 0.5) for i in (2, 3))
    source = TextLog(str(write(tmp_path, one + two + three + again)))
    refs = list(source.discover())
    assert [ref.run_id for ref in refs] == ["train.log", "train.log#2", "train.log#3"]
    runs = [source.read(ref) for ref in refs]
    assert [run.seed for run in runs] == [1, 2, 3]
    assert [run.config["lr"] for run in runs] == [0.1, 0.2, 0.3]
    assert [len(run.attempts) for run in runs] == [1, 1, 2]
    assert points(runs[1], "lm loss") == [(1, 2.0), (2, 2.0)]
    assert "2.000000E+00" in runs[1].console
    assert "3.000000E+00" not in runs[1].console


def test_a_log_that_began_in_the_middle_was_resumed_again(tmp_path: Path) -> None:
    text = arguments(a=1) + "".join(megatron(i, 3.0) for i in (30020, 30040, 30060))
    again = arguments(a=1) + "".join(megatron(i, 2.0) for i in (30020, 30040))
    anew = arguments(a=1) + "".join(megatron(i, 1.0) for i in (20, 40))
    runs = read_all(TextLog(str(write(tmp_path, text + again + anew))))
    assert [len(run.attempts) for run in runs] == [2, 1]


def test_a_file_that_lost_its_later_run_is_a_sentence(tmp_path: Path) -> None:
    one = arguments(a=1) + megatron(1, 3.0) + megatron(2, 3.0)
    source = TextLog(str(write(tmp_path, one + one)))
    ref = list(source.discover())[1]
    write(tmp_path, one)
    with pytest.raises(SourceError, match="no run number 2 in this file"):
        source.read(ref)


def test_cyclegan_headers_part_runs_and_options_are_the_last_ones(tmp_path: Path) -> None:
    header = "================ Training Loss (Wed Aug 23 13:29:28 2023) ================\n"
    one = header + cyclegan(1, 100, {"D_A": 0.5}) + cyclegan(1, 200, {"D_A": 0.4})
    write(tmp_path, one + one, "loss_log.txt")
    options = "----------------- Options ---------------\n               batch_size: 1  \n"
    options += "                       lr: 0.0002                        \t[default: 0.1]\n"
    write(tmp_path, options + "----------------- End -------------------\n", "train_opt.txt")
    runs = read_all(TextLog(str(tmp_path)))
    assert [run.ref.run_id for run in runs] == ["loss_log.txt", "loss_log.txt#2"]
    assert [run.config for run in runs] == [{}, {"batch_size": 1, "lr": 0.0002}]
    assert runs[0].start == 1692797368.0
    assert [run.provenance.step_source[:20] for run in runs] == ["number of the record"] * 2
    assert sniff(tmp_path).skipped == ()


def test_cyclegan_continued_redoes_the_records_it_goes_back_to(tmp_path: Path) -> None:
    header = "================ Training Loss (Wed Aug 23 13:29:28 2023) ================\n"
    text = header + "".join(cyclegan(e, i, {"D_A": 1.0}) for e in (1, 2, 3) for i in (100, 200))
    text += header + "".join(cyclegan(3, i, {"D_A": 2.0}) for i in (100, 200, 300))
    run = read(write(tmp_path, text, "loss_log.txt"))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 5), (4, 6)]
    assert run.series["D_A"].value.tolist() == [1.0] * 4 + [2.0] * 3


# --- what stands around the figures -----------------------------------------------------------

PROGRAM = '''import os
def main():
    print0(f"step:{step}/{n} train_loss:{loss:.4f} train_time:{t}ms step_avg:{a}ms")
    # step:1/10 train_loss:9.9 would be a line of the log, here it is a comment
    seed:int = 3
"""
step 0. AdamH follows the baseline: val_loss:3.28 at step:100/100
"""
peak memory consumption: {x} MiB
'''


def test_a_program_before_its_log_gives_no_rows_and_no_settings(tmp_path: Path) -> None:
    rule = "=" * 100 + "\n"
    text = PROGRAM * 400 + rule + "Running Python 3.12.3 (main)\nRunning PyTorch 2.6.0+cu124 "
    text += "compiled for CUDA 12.4\n|   0  NVIDIA H100 80GB HBM3          On  | 0 Off |\n"
    text += rule + "world_size:8 grad_accum_steps:1\nseed:1337\nmodel_params:17059912\n"
    text += "warmup_step:1/20\nstep:0/9 val_loss:6.9 train_time:0ms step_avg:0.01ms\n"
    text += "step:1/9 train_loss:6.8 train_time:24ms step_avg:23.99ms\n"
    text += "stopping_early: wallclock_cap train_time:600038ms step:1/9\n"
    text += "peak memory allocated: 10184 MiB reserved: 10200 MiB\n"
    text += "final_int8_zlib_roundtrip val_loss:2.0727 val_bpb:1.2244 eval_time:1401ms\n"
    run = read(write(tmp_path, text))
    assert points(run, "val_loss") == [(0, 6.9)]
    assert run.config == {
        "world_size": 8, "grad_accum_steps": 1, "seed": 1337, "model_params": 17059912,
    }  # fmt: skip
    assert (run.seed, run.model.parameters, run.hardware.devices) == (1337, 17059912, 8)
    assert run.hardware.device == "NVIDIA H100 80GB HBM3"
    assert run.provenance.ranks_expected == 8
    assert run.environment == {"python": "3.12.3", "torch": "2.6.0+cu124", "cuda": "12.4"}
    assert run.summary["final_int8_zlib_roundtrip val_bpb"] == 1.2244
    assert run.state == "finished"
    assert [event.kind for event in run.logged_events] == ["stopping_early"]


def test_arguments_are_settings(tmp_path: Path) -> None:
    text = arguments(
        seed=1234, lr=0.00015, bf16=True, data_path=["a", "b"], world_size=64, seq_length=4096,
        load=None, name="it's",
    )  # fmt: skip
    run = read(write(tmp_path, text + megatron(1, 3.0) + megatron(2, 3.0)))
    assert run.config == {
        "seed": 1234, "lr": 0.00015, "bf16": True, "data_path": ["a", "b"], "world_size": 64,
        "seq_length": 4096, "load": None, "name": "it's",
    }  # fmt: skip
    assert (run.seed, run.hardware.devices, run.model.context) == (1234, 64, 4096)


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("Namespace(lr=0.1, name='x', layers=[1, 2])", {"lr": 0.1, "name": "x", "layers": [1, 2]}),
        ("{'lr': 0.1, 'deep': {'a': None}}", {"lr": 0.1, "deep": {"a": None}}),
        ("Namespace(" + "(" * 5000 + ")", {}),
        ("{'a': __import__('os').system('true')}", {}),
        ("{'loss': 2.5, 'epoch': 0.1}", {}),
        (r"Namespace(path='C:\data', n=0)", {"path": "C:\\data", "n": 0}),
        ("Namespace(x=__import__('os').getcwd())", {"x": "__import__('os').getcwd()"}),
    ],
)
def test_literals_are_settings_and_are_never_run(
    tmp_path: Path, line: str, config: dict[str, object]
) -> None:
    text = f"{line}\nstep=1 loss=1.0\nstep=2 loss=1.0\nstep=3 loss=1.0\n{{'late': 1}}\n"
    assert read(write(tmp_path, text)).config == config


def test_samples_have_the_step_of_the_row_that_follows(tmp_path: Path) -> None:
    row = "step {:5d} | loss: 1.0 | lr 1.0e-04 | norm: 1.0 | dt: 1.00ms | tok/sec: 1.00\n"
    text = row.format(249) + "validation loss: 6.1696\n"
    text += "rank 1 sample 0: Hello, I'm a language model, \"CD.\nThe I)\n"
    text += "rank 0 sample 0: Hello <b>you</b>\n" + row.format(250)
    run = read(write(tmp_path, text))
    assert [(s.name, s.step, s.text) for s in run.samples] == [
        ("rank 1 sample 0", 250, "Hello, I'm a language model, \"CD.\nThe I)"),
        ("rank 0 sample 0", 250, "Hello <b>you</b>"),
    ]


def test_checkpoints_that_were_saved(tmp_path: Path) -> None:
    text = megatron(1, 3.0) + megatron(2, 3.0)
    text += "saving checkpoint at iteration       2 to /ckpt in torch_dist format\n"
    text += "  successfully saved checkpoint from iteration       2 to /ckpt [ t 1/1, p 1/1 ]\n"
    text += "saving checkpoint at iteration       4 to /ckpt in torch_dist format\n"
    (checkpoint,) = read(write(tmp_path, text)).checkpoints
    assert (checkpoint.step, checkpoint.path) == (2, "/ckpt")
    nano = (
        "Overriding: out_dir = out\nOverriding: lr = 1e-3\ntokens per iteration will be: 491,520\n"
    )
    nano += "step 0: train loss 6.1, val loss 6.1\nsaving checkpoint to out-shakespeare\n"
    nano += "step 250: train loss 6.1, val loss 6.1\nsaving checkpoint to out-shakespeare\n"
    run = read(write(tmp_path / "nano", nano))
    assert [(c.step, c.path) for c in run.checkpoints] == [
        (0, "out-shakespeare"),
        (250, "out-shakespeare"),
    ]
    assert run.config == {"out_dir": "out", "lr": 0.001}


ROWS = "".join(megatron(i, 3.0) for i in (1, 2))
LIMIT = (
    "slurmstepd: error: *** JOB 18 ON n1 CANCELLED AT 2026-03-01T12:00:00 DUE TO TIME LIMIT ***\n"
)
TRACE = "Traceback (most recent call last):\n  File 'x.py', line 3, in <module>\n"


@pytest.mark.parametrize(
    ("tail", "state", "kinds"),
    [
        ("", "ended", []),
        ("[after training is done] datetime: 2026-03-01 11:00:00 \n", "finished", []),
        (LIMIT, "killed", ["cancelled"]),
        (LIMIT + megatron(3, 3.0), "ended", ["cancelled"]),
        (TRACE + "torch.OutOfMemoryError: CUDA out of memory. Tried\n", "failed", ["error"] * 2),
        (TRACE + "ValueError: caught\nand on it goes\n", "ended", ["error"]),
        ("[rank3]:[E101 ProcessGroupNCCL.cpp:6] [Rank 3] Watchdog caught collective operation "
         "timeout: WorkNCCL(SeqNum=5)\n", "ended", ["error"]),
        ("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n", "failed",
         ["error"]),
        ("srun: error: n1: task 3: Exited with exit code 1\n", "failed", ["error"]),
        ("srun: error: n1: task 3: Exited with exit code 0\n", "ended", []),
        ("in the text: srun: error: n1: task 3: Exited with exit code 1\n", "ended", []),
    ],
)  # fmt: skip
def test_a_state_needs_a_line_that_proves_it(
    tmp_path: Path, tail: str, state: str, kinds: list[str]
) -> None:
    run = read(write(tmp_path, ROWS + tail))
    assert run.state == state
    assert [event.kind for event in run.logged_events] == kinds
    assert all(event.step == 2 for event in run.logged_events)


def test_the_error_stream_beside_tells_of_the_end(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job-18.out")
    write(tmp_path, "Setting OMP_NUM_THREADS\n" + LIMIT, "job-18.err")
    write(tmp_path, "unrelated\n", "job-19.err")
    run = read(tmp_path)
    assert (run.ref.run_id, run.state) == ("job-18.out", "killed")
    assert [name for name, _ in run.provenance.files] == ["job-18.out", "job-18.err"]
    found = sniff(tmp_path)
    assert found.skipped == (("job-19.err", "no source reads this file"),)


def test_two_streams_with_rows_are_two_runs(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job.out")
    write(tmp_path, ROWS, "job.err")
    assert [ref.run_id for ref in sniff(tmp_path).runs] == ["job.err", "job.out"]


def test_rows_on_the_error_stream_are_a_run_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job.err")
    write(tmp_path, "nothing\n", "job.out")
    assert read(tmp_path).ref.run_id == "job.err"


def test_the_console_is_the_last_64_kilobytes(tmp_path: Path) -> None:
    run = read(write(tmp_path, ROWS + "noise é\n" * 20_000 + "the end\n"))
    assert run.console.endswith("noise é\nthe end")
    assert len(run.console.encode()) <= 64_000


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "options", "seconds", "guessed"),
    [
        ("2026-03-01 10:00:00", {}, 1772359200.0, True),
        ("2026-03-01 10:00:00", {"zone": "Europe/Berlin"}, 1772355600.0, False),
        ("2026-03-01T10:00:00,500+02:00", {}, 1772352000.5, False),
        ("2026-03-01 10:00:00Z", {}, 1772359200.0, False),
    ],
)
def test_a_clock_without_a_zone_is_said_to_be_read_as_utc(
    tmp_path: Path, clock: str, options: dict[str, object], seconds: float, guessed: bool
) -> None:
    text = megatron(1, 3.0, clock=clock) + megatron(2, 3.0, clock=clock)
    run = read(write(tmp_path, text), **options)
    assert run.series["lm loss"].time.tolist() == [seconds] * 2
    assert (run.start, run.end) == (seconds, seconds)
    assert any("names no time zone" in said for said in run.provenance.lossy) is guessed


def test_a_log_without_a_clock_has_no_times(tmp_path: Path) -> None:
    run = read(write(tmp_path, "step=1 loss=1\nstep=2 loss=1\nstep=3 loss=1\n"))
    assert all(math.isnan(t) for t in run.series["loss"].time)
    assert (run.start, run.state) == (None, "ended")
    assert "its rows have no clock" in run.provenance.lossy


def test_a_run_whose_zone_is_unknown_may_be_running_for_half_a_day_longer(tmp_path: Path) -> None:
    for hours, state in ((1, "running"), (13, "ended")):
        clock = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
        text = megatron(1, 3.0, clock=clock) + megatron(2, 3.0, clock=clock)
        write(tmp_path, text)
        assert read(tmp_path).state == state
        assert read(tmp_path, zone="UTC").state == "ended"


def test_an_unknown_zone_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no time zone named 'Mars/Olympus'"):
        TextLog(str(tmp_path), zone="Mars/Olympus")


# --- ranks ----------------------------------------------------------------------------------------


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


# --- disks and terminals -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    text = ("\ufeff" if encoding == "utf-16-be" else "") + "".join(
        f"step={i} loss={i}.5 größe={i}\r\n" for i in range(5)
    )
    run = read(write(tmp_path, text.encode(encoding)))
    assert points(run, "loss") == [(i, i + 0.5) for i in range(5)]
    assert run.incomplete == ()


def test_zeros_are_counted_and_what_follows_is_read(tmp_path: Path) -> None:
    text = megatron(1, 3.0).encode() + b"\0" * 5000 + megatron(2, 3.0).encode()
    run = read(write(tmp_path, text + megatron(3, 3.0).encode()))
    assert run.series["lm loss"].step.tolist() == [1, 2, 3]
    assert run.provenance.bytes_damaged == 5000
    assert run.incomplete == ("train.log has 5,000 zero bytes where text was to be",)


def test_a_line_of_ten_megabytes_costs_itself_and_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n" + b"x" * 10_000_000 + b"\nb\n" + b"y" * (LINE_CHARS + 1) + b"\nc\n")
    counts = Counts()
    lines = list(text_lines(path, counts))
    assert [(line.number, line.data) for line in lines] == [(1, b"a"), (3, b"b"), (5, b"c")]
    assert (counts.long_lines, counts.long_bytes) == (2, 10_000_000 + LINE_CHARS + 1)
    run = read(write(tmp_path / "run", ROWS + "x" * 2_000_000 + "\n" + megatron(3, 3.0)))
    assert run.series["lm loss"].step.tolist() == [1, 2, 3]
    assert "1 lines of more than 16,384 bytes are passed over" in run.provenance.warnings[0]


def test_lines_are_the_same_wherever_blocks_end(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    body = b"".join(b"%d\r\n" % i if i % 3 else b"%d\r%d\n" % (i, i) for i in range(60_000))
    for pad in range(3):
        path.write_bytes(b"p" * pad + b"\n" + body)
        lines = [line for line in text_lines(path, Counts()) if b"p" not in line.data]
        assert [int(line.data) for line in lines if line.number % 7 == 0] == [
            i for i in range(60_000) for _ in range(1 if i % 3 else 2) if (i + 2) % 7 == 0
        ]
        assert all(line.closed for line in lines)


def test_a_last_line_without_its_end_is_not_trusted(tmp_path: Path) -> None:
    cut = megatron(3, 3.0)[:-60]
    run = read(write(tmp_path, ROWS + cut))
    assert run.series["lm loss"].step.tolist() == [1, 2]
    assert run.incomplete == ("train.log ends in the middle of line 3",)
    assert (run.provenance.records_damaged, run.provenance.bytes_damaged) == (1, len(cut))


def test_a_bar_that_is_closed_needs_no_end_of_line(tmp_path: Path) -> None:
    run = read(write(tmp_path, nemo_bar(5, "2.5", "5.000") + nemo_bar(6, "2.4")))
    assert points(run, "reduced_train_loss") == [(5, 2.5), (6, 2.4)]
    assert run.incomplete == ()


@pytest.mark.parametrize("line", ["step=" + "9" * 5000 + " loss=1", "step=9223372036854775808 a=1"])
def test_absurd_steps_are_no_rows(tmp_path: Path, line: str) -> None:
    run = read(write(tmp_path, f"step=1 loss=1\nstep=2 loss=1\nstep=3 loss=1\n{line}\n"))
    assert run.series["loss"].step.tolist() == [1, 2, 3]


def test_invalid_utf8_in_a_row_costs_nothing(tmp_path: Path) -> None:
    text = b"".join(b"step=%d loss=1.5 caf\xe9=2\n" % i for i in (1, 2, 3))
    run = read(write(tmp_path, text + b"step=4 loss=1.0\nstep=5 loss=1.0\nstep=6 loss=1.0\n"))
    assert run.series["loss"].step.tolist()[-3:] == [4, 5, 6]


# --- what is no log -----------------------------------------------------------------------------

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
    ],
)
def test_what_is_no_log_is_no_run(tmp_path: Path, name: str, text: str | bytes) -> None:
    write(tmp_path, text, name)
    found = sniff(tmp_path)
    assert [ref for ref in found.runs if ref.kind == "textlog"] == []


def test_what_looks_like_a_log_is_told_with_the_dialects_tried(tmp_path: Path) -> None:
    write(tmp_path, "".join(f"~~ {i} ~~ training loss {i}.5\n" for i in range(9)), "odd.log")
    hf = "".join("{'loss': %s, 'learning_rate': 1e-05, 'epoch': 0.1}\n" % i for i in range(5))
    write(tmp_path, hf, "hf.log")
    skipped = dict(sniff(tmp_path).skipped)
    assert "of no dialect that is known (megatron-lm, " in skipped["odd.log"]
    assert "name no step" in skipped["hf.log"]


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


# --- a team's own dialects ----------------------------------------------------------------------

OWN = {
    "name": "ours",
    "source": "our/trainer loop.py",
    "least": 2,
    "begin": [r"#{5} run "],
    "end": ["bye"],
    "row": [
        {
            "mark": "@",
            "line": r"@(?P<step>\d+) (?P<pairs>.*)",
            "pairs": r"(?P<name>\w+)~(?P<value>{num})(?P<unit>ms)?",
            "names": {"l": "train/loss"},
            "skip": ["host"],
            "absent": {"acc": -1},
        }
    ],
}


def test_a_teams_own_dialect(tmp_path: Path) -> None:
    write(tmp_path, "##### run \n@1 l~2.5 acc~-1 host~7 dt~3ms\n@2 l~2.25 acc~0.5 host~7\nbye\n")
    run = read(tmp_path, dialects=[OWN])
    assert run.provenance.reader == "textlog 1, ours"
    assert points(run, "train/loss") == [(1, 2.5), (2, 2.25)]
    assert points(run, "acc") == [(2, 0.5)]
    assert points(run, "dt_ms") == [(1, 3.0)]
    assert "host" not in run.series
    assert run.state == "finished"
    assert sniff(tmp_path).runs == ()
    assert len(sniff(tmp_path, options={"textlog": {"dialects": [OWN]}}).runs) == 1


ROW = {"line": r"@(?P<step>\d+) (?P<loss>{num})"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"row": [ROW]}, "dialects[0]: name is missing"),
        ({"name": "megatron-lm", "row": [ROW]}, "'megatron-lm': there is another one"),
        ({"name": "x"}, "dialect 'x': no row"),
        ({"name": "x", "rows": []}, "no field named 'rows'; there are: begin, "),
        ({"name": 3, "row": [ROW]}, "name must be of type str, not 3"),
        ({"name": "x", "row": [{}]}, "dialect 'x'.row[0]: line is missing"),
        ({"name": "x", "row": ["a"]}, "dialect 'x'.row[0]: a table of fields is expected"),
        ({"name": "x", "row": "a"}, "row must be a list of tables"),
        ({"name": "x", "row": [{"line": "("}]}, "line is no regular expression"),
        ({"name": "x", "row": [{"line": "a"}]}, "exactly one must say where the step is"),
        ({"name": "x", "row": [{**ROW, "waits": 0}]}, "exactly one must say where the step is"),
        ({"name": "x", "row": [{**ROW, "pairs": "a"}]}, "pairs needs a group (?P<name>...)"),
        ({"name": "x", "row": [{**ROW, "waits": True}]}, "waits must be of type int"),
        ({"name": "x", "row": [{**ROW, "absent": {"a": "b"}}]}, "absent.a must be of type"),
        ({"name": "x", "row": [ROW], "begin": "a"}, "begin must be a list of texts"),
        ({"name": "x", "row": [ROW], "include": ["y"]}, "include knows no dialect 'y'"),
        ({"name": "x", "row": [ROW], "facts": {"gpus": "n"}}, "facts knows no 'gpus'"),
        ({"name": "x", "row": [ROW], "hints": ["(?P<gpus>a)"]}, "hints knows no 'gpus'"),
        ({"name": "x", "row": [ROW], "event": [{"line": "a", "state": "ended"}]}, "state is failed"),
        ({"name": "x", "row": [ROW], "config": [{"line": "a"}]}, "line needs a group (?P<key>...)"),
        ("x", "dialects[0]: a table of fields is expected"),
    ],
)  # fmt: skip
def test_a_wrong_dialect_names_table_and_field(tmp_path: Path, table: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TextLog(str(tmp_path), dialects=[table])  # type: ignore[list-item]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- real logs ------------------------------------------------------------------------------------

BY_DESIGN = {"S090": "three runs of one file are three runs; their rows in file order are these"}


@pytest.mark.acceptance
def test_labelled_series_are_read_as_labelled(shared: Path) -> None:
    labels = json.loads((shared / "data/labelled/labels.json").read_text())["series"]
    wanted = {
        s["id"]: s for s in labels if s["file"].startswith(("textlogs/", "gan/"))
    }  # fmt: skip
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in wanted}
    with gzip.open(shared / "data/labelled/series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if row["series"] in rows and row["value"]:
                rows[row["series"]].append((float(row["step"]), float(row["value"])))
    assert len(wanted) == 11
    for name, label in wanted.items():
        path = shared / "data/logs" / label["file"]
        runs = read_all(TextLog(str(path)))
        found = [point for run in runs for point in points(run, label["metric"])]
        assert [v for _, v in found] == [v for _, v in rows[name]], name
        if name in BY_DESIGN:
            assert [len(run.series[label["metric"]]) for run in runs] == [22, 2904, 2400]
        else:
            assert [float(s) for s, _ in found] == [s for s, _ in rows[name]], name
        print(f"{name}: {len(found)} points of {label['metric']} are equal")


@pytest.mark.acceptance
def test_every_line_with_figures_of_real_logs_is_read(shared: Path) -> None:
    known = re.compile(rb"(?m)^(?:step:?\s*\d+[/ ]|s:\d+ |\d+ (?:train|val|hella) |\(epoch: )")
    for family in ("textlogs", "gan"):
        source = TextLog(str(shared / "data/logs" / family))
        by_file: dict[str, int] = {}
        for ref in source.discover():
            run = source.read(ref)
            waiting = sum(len(run.series[n]) for n in run.series if n in {
                "validation loss", "HellaSwag accuracy"})  # fmt: skip
            count = run.provenance.records_read - waiting
            by_file[ref.location] = by_file.get(ref.location, 0) + count
            assert run.provenance.records_damaged == 0
            assert not run.provenance.warnings, ref.run_id
        for path, count in by_file.items():
            assert len(known.findall(Path(path).read_bytes())) == count, path
        print(f"{family}: {len(by_file)} files, {sum(by_file.values())} lines with figures")


@pytest.mark.acceptance
@pytest.mark.parametrize("family", ["narrative", "wandb", "hf_trainer", "jsonl", "telemetry", "rl"])
def test_notes_and_other_trackers_files_are_no_text_logs(shared: Path, family: str) -> None:
    assert [
        r.run_id for r in sniff(shared / "data/logs" / family).runs if r.kind == "textlog"
    ] == []


def test_every_field_of_a_dialect_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/sources/textlog.md").read_text()
    for cls in (Dialect, RowLine, EventLine, ConfigLines):
        for field in dataclasses.fields(cls):
            assert f"`{field.name}`" in page, f"{cls.__name__}.{field.name}"
    assert [d.name for d in DIALECTS if f"| `{d.name}` |" not in page] == []
