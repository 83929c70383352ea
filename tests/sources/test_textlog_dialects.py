"""Text logs: each dialect's own print statements write the lines; what they printed is read."""

# ruff: noqa: UP031, ISC004 - format strings stand here as the programs have them

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import random
import re
from pathlib import Path

import pytest

from runpages.sources import sniff
from runpages.sources._textlog_dialects import (
    DIALECTS,
    ConfigLines,
    Dialect,
    EventLine,
    RowLine,
)
from runpages.sources._textlog_rows import Row, RowFinder
from runpages.sources.textlog import TextLog
from sources.conformance import SourceConformance, read_all
from sources.textlog_lines import (
    VALUES,
    arguments,
    as_printed,
    cyclegan,
    llm_c,
    megatron,
    nemo_bar,
    points,
    read,
    torchtitan,
    write,
)


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
    "llm.c of old, without MFU": (
        "step    1/19560 | loss 11.000000 (+nanz)| norm 15.3000 (+nanz)| lr 1.20e-05 | 99.20 ms | "
        "468000 tok/s\nstep    2/19560 | loss 10.500000 (+nanz)| norm nan (+nanz)| lr 1.20e-05 | "
        "98.20 ms | 468001 tok/s\n",
        {"loss": [(1, 11.0), (2, 10.5)], "tok/s": [(1, 468000.0), (2, 468001.0)]},
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


NUMBERS = ("0", "7", "10", "123456789", "0.5", "1.25e-05", "3.0E+04", "nan", "inf", "-2.5", "1,234")
NUMBER = re.compile(r"-?\d[\d.,]*(?:[eE][-+]?\d+)?")


def facts(row: Row | None) -> str:
    return repr(row and row._replace(plain=False))


@pytest.mark.parametrize("name", DIALECT_LINES)
def test_a_line_read_by_a_template_is_read_as_by_itself(name: str) -> None:
    lines = [line for line in DIALECT_LINES[name][0].replace("\r", "\n").split("\n") if line]
    chance = random.Random(name)
    for dialect in DIALECTS:
        used = RowFinder(dialect)
        for line in lines * 30:
            chosen = NUMBER.sub(
                lambda found: chance.choice((found[0], found[0], *NUMBERS)), line
            ).encode()
            assert facts(used.find(chosen)) == facts(RowFinder(dialect).find(chosen)), chosen


def test_every_dialect_says_where_its_print_statement_is() -> None:
    assert all(dialect.source for dialect in DIALECTS)
    assert [d.name for d in DIALECTS if d.general] == ["key-value", "epochs"]


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


def test_every_field_of_a_dialect_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/sources/textlog.md").read_text()
    for cls in (Dialect, RowLine, EventLine, ConfigLines):
        for field in dataclasses.fields(cls):
            assert f"`{field.name}`" in page, f"{cls.__name__}.{field.name}"
    assert [d.name for d in DIALECTS if f"| `{d.name}` |" not in page] == []


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


def test_the_planned_steps_are_those_of_the_last_line(tmp_path):
    lines = [
        f"step:{i}/{500 if i < 3 else 900} train_loss:{5 - i}.0 train_time:{i}ms\n"
        for i in range(1, 5)
    ]
    run = read(write(tmp_path, "Running Python 3.12\n" + "".join(lines)))
    assert run.summary == {"planned_steps": 900}
    assert points(run, "train_loss") == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]


def test_build_nanogpt_prints_its_settings_and_parameters_before_the_first_row(tmp_path):
    run = read(
        write(
            tmp_path,
            "total desired batch size: 524288\n=> calculated gradient accumulation steps: 2\n"
            "found 99 shards for split train\n"
            "num decayed parameter tensors: 50, with 124,354,560 parameters\n"
            "num non-decayed parameter tensors: 98, with 121,344 parameters\n"
            "using fused AdamW: True\n"
            "step     0 | loss: 10.955010 | lr 8.3916e-07 | dt: 23547.83ms | tok/sec: 22264.81\n"
            "step     1 | loss: 10.902707 | lr 1.6783e-06 | dt: 410.25ms | tok/sec: 1277966.93\n",
        )
    )
    assert run.model.parameters == 124_354_560 + 121_344
    assert run.config == {
        "total desired batch size": 524288,
        "gradient accumulation steps": 2,
        "shards for split train": 99,
        "fused AdamW": True,
    }


def _table(*used: int) -> str:
    """As nvidia-smi prints its devices."""
    lines = (
        f"|   {i}  NVIDIA H100 80GB HBM3          On  | 00000000:19:00.0 Off |          0 |\n"
        f"| N/A   38C    P0             126W / 700W | {mib:6d}MiB / 81559MiB |      0%      Default |\n"
        for i, mib in enumerate(used)
    )
    return "".join(lines)


@pytest.mark.parametrize(
    ("used", "devices"), [((7084, 3451, 3451), 3), ((3451, 4), 1), ((4,), None)]
)
def test_devices_of_a_printed_table_count_if_a_process_is_on_them(tmp_path, used, devices):
    rows = "".join(f"step:{i}/9 train_loss:{9 - i}.0 train_time:{i}ms\n" for i in range(1, 4))
    header = "Running pytorch 2.6 compiled for CUDA 12.4\nnvidia-smi:\n"
    run = read(write(tmp_path, header + _table(*used) + rows))
    assert run.hardware.devices == devices
    assert run.hardware.device == "NVIDIA H100 80GB HBM3"


def test_words_about_loaders_and_backends_are_no_settings(tmp_path):
    run = read(
        write(
            tmp_path,
            "Running Python 3.12\nval_bpb:enabled tokenizer_kind=sentencepiece\n"
            "val_loader:shards pattern=/data/val_*.bin tokens:62021632\nmodel_params:17059912\n"
            "sdp_backends:cudnn=False flash=True math=False\ntrain_batch_tokens:524288 lr:0.1\n"
            "step:1/9 train_loss:2.0 train_time:1ms\nstep:2/9 train_loss:1.0 train_time:2ms\n",
        )
    )
    assert run.config == {
        "tokenizer_kind": "sentencepiece",
        "model_params": 17059912,
        "train_batch_tokens": 524288,
        "lr": 0.1,
    }
