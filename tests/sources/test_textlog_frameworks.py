"""Text logs of frameworks: their own format strings write the lines; what they printed is read.

Each function names the file whose print statement it has.
"""

# ruff: noqa: UP032 - format strings stand here as the programs have them

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sources.textlog_lines import points, read, write

DAY = "2026-03-01 10:00:00"


def fairseq_json(tag: str, step: int, **figures: str) -> str:
    """facebookresearch/fairseq fairseq/logging/progress_bar.py JsonProgressBar."""
    prefix = "" if tag == "train_inner" else f"{tag}_"
    stats = {"epoch": 1} | {prefix + k: v for k, v in {**figures, "num_updates": str(step)}.items()}
    return f"{DAY} | INFO | {tag} | {json.dumps(stats)}\n"


def litgpt(epoch: int, iteration: int, step: int, loss: float, val: str = "n/a") -> str:
    """Lightning-AI/litgpt litgpt/pretrain.py fit."""
    return (
        f"Epoch {epoch} | iter {iteration} step {step} |"
        f" loss train: {loss:.3f},"
        f" val: {val} |"
        f" iter time: {0.43222 * 1000:.2f} ms"
        f"{' (step)'}"
        f" remaining time: 0:03:24\n"
    )


def maxtext(step: int, loss: float) -> str:
    """AI-Hypercomputer/maxtext MaxText/metric_logger.py, behind absl's prefix."""
    return (
        f"I0317 10:00:1{step}.224641 125344476638336 metric_logger.py:181] "
        f"completed step: {step}, seconds: {0.277:.3f}, TFLOP/s/device: {370.707:.3f}, "
        f"Tokens/s/device: {14774.896:.3f}, total_weights: {31850}, loss: {loss:.3f}\n"
    )


def human_format(num: float) -> str:
    """huggingface/nanotron src/nanotron/logging/base.py."""
    if abs(num) < 1:
        return "{:.3g}".format(num)
    sizes = ["", "K", "M", "G", "T", "P", "E"]
    num = float("{:.3g}".format(num))
    i = 0
    while abs(num) >= 1000 and i < len(sizes) - 1:
        num /= 1000.0
        i += 1
    return "{}{}".format("{:f}".format(num).rstrip("0").rstrip("."), sizes[i])


def nanotron(step: int, tokens: float, loss: float) -> str:
    """huggingface/nanotron src/nanotron/logging/base.py LoggerWriter.add_scalars_from_list."""
    return (
        "03/01/2026 10:00:00 [INFO|DP=0|PP=0|TP=0|host]: "
        f"iteration: {step} / 15 | consumed_tokens: {human_format(tokens)} | "
        f"lm_loss: {human_format(loss)} | lr: {human_format(0.0003)}\n"
    )


def composer(progress: str, prefix: str, **figures: float) -> str:
    """mosaicml/composer composer/loggers/console_logger.py log_to_console."""
    text = f"{progress}:"
    for name, value in figures.items():
        text += f"\n\t {prefix}{name.replace('__', '/')}: {value:.4f}"
    return text + "\n"


def paddlenlp(step: int, loss: float) -> str:
    """PaddlePaddle/PaddleNLP paddlenlp/trainer/trainer.py log."""
    return (
        f"[{DAY},123] [    INFO] - loss: {loss}, learning_rate: 3e-05, global_step: {step}, "
        "interval_runtime: 1.25, progress_or_epoch: 0.0075\n"
    )


def mmengine(epoch: int, step: int, loss: float) -> str:
    """open-mmlab/mmengine mmengine/runner/log_processor.py get_log_after_iter."""
    return (
        f"2022/12/13 19:00:12 - mmengine - INFO - Epoch(train) [{epoch}][{step:>4}/3104]  "
        f"lr: 1.0000e-02  eta: 2 days, 7:32:05  time: 0.1285  memory: 2581  loss: {loss:.4f}\n"
    )


def mmcv(epoch: int, step: int, loss: float) -> str:
    """open-mmlab/mmcv mmcv/runner/hooks/logger/text.py TextLoggerHook._log_info."""
    return (
        f"{DAY},123 - mmdet - INFO - Epoch [{epoch}][{step}/7330]\tlr: 2.000e-02, "
        f"eta: 12:01:30, time: 0.512, memory: 3000, loss: {loss:.4f}\n"
    )


def detectron2(iteration: int, loss: float) -> str:
    """facebookresearch/detectron2 detectron2/utils/events.py CommonMetricPrinter.write."""
    return "[11/07 14:28:51] d2.utils.events INFO: " + str.format(
        " {eta}iter: {iter}  {losses}  {non_losses}  {avg_time}{last_time} lr: {lr}  {memory}\n",
        eta="eta: 1 day, 2:25:50  ",
        iter=iteration,
        losses="  ".join("{}: {:.4g}".format(k, loss) for k in ("total_loss", "loss_cls")),
        non_losses="",
        avg_time="time: {:.4f}  ".format(0.5),
        last_time="last_time: {:.4f}  ".format(0.4),
        lr="{:.5g}".format(0.0001),
        memory="max_mem: {:.0f}M".format(1024),
    )


def timm(epoch: int, index: int, loss: float) -> str:
    """huggingface/pytorch-image-models train.py train_one_epoch."""
    return (
        f"Train: {epoch} [{index:>4d}/{1251} "
        f"({100.0 * index / 1250:>3.0f}%)]  "
        f"Loss: {loss:#.3g} ({loss:#.3g})  "
        f"Time: {0.25:.3f}s, {4096:>7.2f}/s  "
        f"({0.25:.3f}s, {4096:>7.2f}/s)  "
        f"LR: {1e-5:.3e}  "
        f"Data: {0.01:.3f} ({0.01:.3f})\n"
    )


def timm_test(index: int, top1: float) -> str:
    """huggingface/pytorch-image-models train.py validate."""
    return (
        f"Test: [{index:>4d}/{48}]  Time: {0.1:.3f} ({0.1:.3f})  Loss: {1.5:>7.3f} ({2.5:>6.3f})  "
        f"Acc@1: {99.0:>7.3f} ({top1:>7.3f})  Acc@5: {99.0:>7.3f} ({90.0:>7.3f})\n"
    )


def detr(epoch: int, index: int, loss: float) -> str:
    """facebookresearch/detr util/misc.py MetricLogger.log_every."""
    return (
        f"Epoch: [{epoch}]  [{index:4d}/1251]  eta: 1 day, 0:30:12  lr: 0.000001  "
        f"loss: {loss:.4f} ({2 * loss:.4f})  time: 0.5121  data: 0.0100  max mem: 1000\n"
    )


def imagenet(epoch: int, index: int, loss: float) -> str:
    """pytorch/examples imagenet/main.py ProgressMeter.display."""
    meters = ["Time {:6.3f} ({:6.3f})".format(0.5, 0.6), "Loss {:.4e} ({:.4e})".format(loss, 9)]
    meters.append("Acc@1 {:6.2f} ({:6.2f})".format(1, 2))
    return "\t".join([f"Epoch: [{epoch}][{index:4d}/5005]", *meters]) + "\n"


def swin(epoch: int, index: int, loss: float) -> str:
    """microsoft/Swin-Transformer main.py train_one_epoch."""
    return (
        "[2026-03-01 10:00:00 swin_tiny] (main.py 250): INFO "
        f"Train: [{epoch}/300][{index}/1251]\teta 1:00:00 lr 0.000001\t wd 0.0500\t"
        f"time 0.5000 (0.6000)\tloss {loss:.4f} (6.9000)\tmem 1000MB\n"
    )


def open_clip(epoch: int, samples: int, loss: float) -> str:
    """mlfoundations/open_clip src/open_clip_train/train.py train_one_epoch."""
    return (
        f"2026-03-01,10:00:00 | INFO | Train Epoch: {epoch} [{samples:>7}/1281167 (0%)] "
        f"Data (t): {0.5:.3f} Batch (t): {1.2:.3f}, {3000:#g}/s, {375:#g}/s/gpu "
        f"LR: {1e-6:5f} Logit Scale: {14.286:.3f} "
        f"Contrastive_loss: {loss:#.5g} ({9.1:#.5g}) Loss: {loss:#.5g} ({9.1:#.5g})\n"
    )


def keras(epoch: int, *, end: str = "\r") -> str:
    """keras-team/keras keras/src/utils/progbar.py: TensorFlow 2's bar, drawn again and again."""
    bars = f"Epoch {epoch}/3\n"
    for at in (1, 900, 1875):
        bar = "=" * 30 if at == 1875 else ">" + "." * 29
        bars += f"{at:4d}/1875 [{bar}] - ETA: 0s - loss: {4 / epoch + 1 / at:.4f}" + "\b" * 8 + end
    return bars + (
        f"1875/1875 [{'=' * 30}] - 5s 3ms/step - loss: {2 / epoch:.4f} - accuracy: 0.9150 - "
        f"val_loss: {3 / epoch:.4f}\n"
    )


def keras3(epoch: int) -> str:
    """keras-team/keras keras/src/utils/progbar.py: Keras 3, with colours."""
    return (
        f"Epoch {epoch}/3\n\x1b[1m1875/1875\x1b[0m \x1b[32m{'━' * 20}\x1b[0m\x1b[37m\x1b[0m "
        f"\x1b[1m5s\x1b[0m 3ms/step - loss: {2 / epoch:.4f} - val_loss: {3 / epoch:.4f}\n"
    )


def algoperf(step: int, loss: float) -> str:
    """mlcommons/algorithmic-efficiency submission_runner.py train_once."""
    figures = {"train/loss": loss, "validation/ssim": 0.5, "score": 12.5}
    return (
        "I0601 22:14:54.123456 139 submission_runner.py:400] "
        f"Time since start: {38.375:.2f}s, "
        f"\tStep: {step}, \t{figures}\n"
    )


LINES = {
    "fairseq": (
        fairseq_json("train_inner", 1, loss="16.475", gnorm="20.5")
        + fairseq_json("train_inner", 2, loss="nan", gnorm="inf")
        + fairseq_json("valid", 2, loss="8.5", best_loss="8.5")
        + fairseq_json("train", 2, loss="9.25"),
        {
            "gnorm": [(1, 20.5), (2, math.inf)],
            "valid_loss": [(2, 8.5)],
            "train_loss": [(2, 9.25)],
        },
        "",
    ),
    "litgpt": (
        litgpt(1, 256, 2, 2.125) + litgpt(1, 512, 4, 2.0, "1.500") + "iter 600: val loss 1.2500, "
        "val time: 10.25 ms\n",
        {
            "loss": [(256, 2.125), (512, 2.0)],
            "step": [(256, 2.0), (512, 4.0)],
            "val_loss": [(512, 1.5), (600, 1.25)],
            "iter_time_ms": [(256, 432.22), (512, 432.22)],
            "val_time_ms": [(600, 10.25)],
        },
        "micro-batches",
    ),
    "maxtext": (
        maxtext(0, 12.938) + maxtext(1, 12.5) + "eval metrics after step: 1, loss=2.500, "
        "total_weights=31850.0\n",
        {
            "loss": [(0, 12.938), (1, 12.5)],
            "TFLOP/s/device": [(0, 370.707), (1, 370.707)],
            "eval/loss": [(1, 2.5)],
        },
        "",
    ),
    "minimind": (
        "".join(
            f"Epoch:[{e}/2]({i}/400), loss: {i / 8:.4f}, lr: 0.00050000, epoch_time: 1.5min\n"
            for e in (1, 2)
            for i in (100, 200, 400)
        ),
        {
            "loss": [(100, 12.5), (200, 25.0), (400, 50.0), (500, 12.5), (600, 25.0), (800, 50.0)],
            "epoch_time_min": [(s, 1.5) for s in (100, 200, 400, 500, 600, 800)],
        },
        "",
    ),
    "nanotron": (
        nanotron(1, 999, 11.25) + nanotron(2, 4096, 10.5) + nanotron(3, 2_500_000, 0.5),
        {
            "consumed_tokens": [(1, 999.0), (2, 4100.0), (3, 2.5e6)],
            "lm_loss": [(1, 11.2), (2, 10.5), (3, 0.5)],
        },
        "",
    ),
    "composer": (
        composer("[batch=1/4800]", "Train ", loss__train__total=10.5, time__batch=1)
        + composer("[batch=2/4800]", "Train ", loss__train__total=9.5)
        + "[Eval batch=1/8] Eval on eval data\n"
        + composer("[Eval batch=8/8] Eval on eval data", "Eval ", metrics__loss=8.5),
        {
            "loss/train/total": [(1, 10.5), (2, 9.5)],
            "time/batch": [(1, 1.0)],
            "eval/metrics/loss": [(2, 8.5)],
        },
        "",
    ),
    "composer, by epochs": (
        composer("[epoch=1][batch=10/10]", "Train ", loss=2.5)
        + composer("[epoch=2][batch=5/10]", "Train ", loss=1.5),
        {"loss": [(10, 2.5), (15, 1.5)]},
        "",
    ),
    "verl": (
        "".join(
            f"(TaskRunner pid=154645) step:{i} - actor/pg_loss:{-0.5:.3f} - "
            f"val-core/acc:np.float64(0.{i}) - perf/throughput:{1411.446:.3f}\n"
            f"(TaskRunner pid=154645) Training Progress:   6%|███ | {i}/435 [24:26<6:14:04, 54.7s/it]\n"
            for i in (1, 2)
        ),
        {
            "actor/pg_loss": [(1, -0.5), (2, -0.5)],
            "val-core/acc": [(1, 0.1), (2, 0.2)],
            "perf/throughput": [(1, 1411.446), (2, 1411.446)],
        },
        "",
    ),
    "paddlenlp": (
        paddlenlp(10, 2.5) + paddlenlp(20, 2.25),
        {"loss": [(10, 2.5), (20, 2.25)], "interval_runtime": [(10, 1.25), (20, 1.25)]},
        "",
    ),
    "algoperf": (
        algoperf(1, 2.5) + algoperf(1000, math.nan),
        {
            "time since start (s)": [(1, 38.38), (1000, 38.38)],
            "validation/ssim": [(1, 0.5), (1000, 0.5)],
        },
        "",
    ),
    "mmengine": (
        mmengine(1, 50, 2.5)
        + mmengine(1, 3100, 2.25)
        + "2022/12/13 19:30:00 - mmengine - INFO - Epoch(val) [1][5/5]    acc: 7.5000  time: 0.1\n"
        + mmengine(2, 50, 2.0),
        {
            "loss": [(50, 2.5), (3100, 2.25), (3154, 2.0)],
            "memory": [(50, 2581.0), (3100, 2581.0), (3154, 2581.0)],
            "val/acc": [(3104, 7.5)],
            "val/time": [(3104, 0.1)],
            "epoch": [(50, 1.0), (3100, 1.0), (3154, 2.0)],
            "lr": [(50, 0.01), (3100, 0.01), (3154, 0.01)],
        },
        "",
    ),
    "mmengine, mmcv": (
        mmcv(1, 50, 2.5)
        + mmcv(1, 7300, 2.0)
        + f"{DAY},123 - mmdet - INFO - Epoch(val) [1][5000]\tbbox_mAP: 0.1250, bbox_mAP_50: 0.25\n"
        + mmcv(2, 50, 1.5),
        {
            "loss": [(50, 2.5), (7300, 2.0), (7380, 1.5)],
            "val/bbox_mAP": [(7330, 0.125)],
            "lr": [(50, 0.02), (7300, 0.02), (7380, 0.02)],
        },
        "",
    ),
    "mmengine, by iterations": (
        "".join(
            f"2022/12/13 19:00:12 - mmengine - INFO - Iter(train) [{i:>5}/80000]  lr: 1.0e-02  "
            f"eta: 0:26:28  loss: {i / 100:.4f}\n"
            for i in (50, 100)
        )
        + "2022/12/13 19:00:12 - mmengine - INFO - Iter(val) [500/500]    mIoU: 40.5000  time: 0.1\n",
        {"loss": [(50, 0.5), (100, 1.0)], "val/mIoU": [(100, 40.5)]},
        "",
    ),
    "detectron2": (
        detectron2(19, 321.25) + detectron2(39, 2.5),
        {
            "total_loss": [(19, 321.2), (39, 2.5)],
            "time": [(19, 0.5), (39, 0.5)],
            "lr": [(19, 1e-4), (39, 1e-4)],
            "max_mem_m": [(19, 1024.0), (39, 1024.0)],
        },
        "",
    ),
    "timm": (
        timm(0, 0, 6.95)
        + timm(0, 1250, 6.5)
        + timm_test(0, 1.0)
        + timm_test(48, 12.5)
        + timm(1, 0, 6.25),
        {
            "Loss": [(0, 6.95), (1250, 6.5), (1251, 6.25)],
            "samples/s": [(0, 4096.0), (1250, 4096.0), (1251, 4096.0)],
            "LR": [(0, 1e-5), (1250, 1e-5), (1251, 1e-5)],
            "Test Acc@1": [(1251, 12.5)],
            "Test Loss": [(1251, 2.5)],
        },
        "",
    ),
    "epoch-bracket, detr": (
        detr(0, 0, 6.5) + detr(0, 1250, 6.25) + detr(1, 0, 6.0),
        {
            "loss": [(0, 6.5), (1250, 6.25), (1251, 6.0)],
            "max mem": [(0, 1000.0), (1250, 1000.0), (1251, 1000.0)],
        },
        "",
    ),
    "epoch-bracket, imagenet": (
        imagenet(0, 0, 6.5) + imagenet(0, 5000, 6.25) + imagenet(1, 0, 6.0),
        {
            "Loss": [(0, 6.5), (5000, 6.25), (5005, 6.0)],
            "Acc@1": [(0, 1.0), (5000, 1.0), (5005, 1.0)],
        },
        "",
    ),
    "epoch-bracket, swin": (
        swin(0, 0, 6.5) + swin(0, 1250, 6.25) + swin(1, 0, 6.0),
        {
            "loss": [(0, 6.5), (1250, 6.25), (1251, 6.0)],
            "mem_mb": [(0, 1000.0), (1250, 1000.0), (1251, 1000.0)],
        },
        "",
    ),
    "open-clip": (
        open_clip(0, 4096, 9.0) + open_clip(0, 1281024, 8.5) + open_clip(1, 4096, 8.0),
        {
            "Loss": [(4096, 9.0), (1281024, 8.5), (1285263, 8.0)],
            "Data (t)": [(4096, 0.5), (1281024, 0.5), (1285263, 0.5)],
        },
        "samples",
    ),
    "keras": (
        "".join(keras(epoch) for epoch in (1, 2, 3)),
        {
            "loss": [(1, 2.0), (2, 1.0), (3, 0.6667)],
            "accuracy": [(1, 0.915), (2, 0.915), (3, 0.915)],
            "val_loss": [(1, 3.0), (2, 1.5), (3, 1.0)],
        },
        "epochs",
    ),
    "keras, version 3": (
        "".join(keras3(epoch) for epoch in (1, 2)),
        {"loss": [(1, 2.0), (2, 1.0)], "val_loss": [(1, 3.0), (2, 1.5)]},
        "epochs",
    ),
    "keras, one line an epoch": (
        "".join(
            f"Epoch {e}/2\n1875/1875 - 5s - loss: {e}.5 - val_loss: {e}.25 - 5s/epoch - 3ms/step\n"
            for e in (1, 2)
        ),
        {"loss": [(1, 1.5), (2, 2.5)], "val_loss": [(1, 1.25), (2, 2.25)]},
        "epochs",
    ),
    "boosting, xgboost": (
        "".join(f"[{i}]\ttrain-rmse:{i}.50000\teval-rmse:{i}.25000+0.01250\n" for i in (0, 10)),
        {"train-rmse": [(0, 0.5), (10, 10.5)], "eval-rmse": [(0, 0.25), (10, 10.25)]},
        "boosting rounds",
    ),
    "boosting, lightgbm": (
        "".join(f"[{i}]\ttraining's l2: 0.5\tvalid_0's l2: 0.{i}\n" for i in (10, 20)),
        {"training's l2": [(10, 0.5), (20, 0.5)], "valid_0's l2": [(10, 0.1), (20, 0.2)]},
        "boosting rounds",
    ),
    "caffe": (
        "".join(
            f"I0728 23:55:39.066728  4259 solver.cpp:218] Iteration {i} (4.71409 iter/s, "
            f"21.213s/100 iters), loss = {i}.5\n"
            f"I0728 23:55:39.066808  4259 solver.cpp:237]     Train net output #0: loss = 9 (* 1 = 9 "
            f"loss)\nI0728 23:55:39.066838  4259 sgd_solver.cpp:105] Iteration {i}, lr = 0.01\n"
            for i in (0, 100)
        ),
        {"loss": [(0, 0.5), (100, 100.5)], "lr": [(0, 0.01), (100, 0.01)]},
        "",
    ),
    "nanochat, fine-tuning": (
        "Target examples per step: 32\n"
        + "".join(
            f"Step {s:05d}/{650:05d} | Training loss: {s}.500000| lrm: {1.0:.6f}| num_tokens: {12345:,}\n"
            for s in (0, 1)
        )
        + f"Step {1:05d} | Validation loss: {1.25:.6f}\n",
        {
            "Training loss": [(0, 0.5), (1, 1.5)],
            "num_tokens": [(0, 12345.0), (1, 12345.0)],
            "Validation loss": [(1, 1.25)],
        },
        "",
    ),
    "key-value, torchtune": (
        # pytorch/torchtune torchtune/training/metric_logging.py StdoutLogger.log_dict
        "".join(
            f"Step {i} | loss:{i}.5 lr:0.0002 tokens_per_second_per_gpu:812.5 \n" for i in (1, 2, 3)
        ),
        {
            "loss": [(1, 1.5), (2, 2.5), (3, 3.5)],
            "tokens_per_second_per_gpu": [(1, 812.5), (2, 812.5), (3, 812.5)],
        },
        "",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_each_framework_gives_what_was_printed(tmp_path: Path, name: str) -> None:
    text, expected, unit = LINES[name]
    run = read(write(tmp_path, text))
    assert run.provenance.reader == f"textlog 1, {name.partition(',')[0]}"
    assert {key: points(run, key) for key in expected} == expected
    assert run.provenance.step_unit == unit
    assert len(run.attempts) == 1
    assert not run.provenance.warnings
    assert not {"eta", "steps", "val/steps", "val/epoch"} & set(run.series)


def test_an_evaluation_after_the_last_epoch_is_not_its_figures(tmp_path: Path) -> None:
    after = f"313/313 [{'=' * 30}] - 1s 2ms/step - loss: 9.5000 - accuracy: 0.9700\n"
    text = keras(1) + keras(2) + after + f"313/313 [{'=' * 30}] - 1s 2ms/step\n"
    run = read(write(tmp_path, text))
    assert points(run, "loss") == [(1, 2.0), (2, 1.0)]
    assert "1 rows are left out: its bar is of another loop" in run.provenance.warnings[0]


def test_clocks_with_slashes_are_read(tmp_path: Path) -> None:
    run = read(write(tmp_path, mmengine(1, 50, 2.5) + mmengine(1, 100, 2.5)))
    assert run.series["loss"].time.tolist() == [1670958012.0] * 2


def test_runs_of_a_driver_are_parted_by_the_name_of_their_log(tmp_path: Path) -> None:
    """KellerJordan/modded-nanogpt train_gpt.py prints the name of its log to the console."""
    text = "".join(
        f"BEGIN {n}\nlogs/4f6e970b-590c-4b92-af34-25731380ca8{n}.txt\nseed:{n}\n"
        "step:0/9 val_loss:10.8 train_time:0.5s step_avg:0.03ms mfu:0.00%\n"
        f"step:1/9 train_time:81ms step_avg:80.95ms mfu:{n}.25%\n"
        for n in (1, 2)
    )
    from runpages.sources.textlog import TextLog
    from sources.conformance import read_all

    runs = read_all(TextLog(str(write(tmp_path, text))))
    assert [run.ref.run_id for run in runs] == ["train.log", "train.log#2"]
    assert [points(run, "mfu(%)") for run in runs] == [
        [(0, 0.0), (1, 1.25)],
        [(0, 0.0), (1, 2.25)],
    ]
    assert [run.config for run in runs] == [{"seed": 1}, {"seed": 2}]
