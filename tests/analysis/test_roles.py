from __future__ import annotations

import subprocess
import sys

import pytest

from runpages.analysis.roles import ROLES, chosen_by, direction_of, role_of


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (
            "loss|train/loss|train_loss|lm loss|trl|Loss/train|mtp_1 loss|train/CrossEntropyLoss",
            "loss",
        ),
        ("val/loss|eval_loss|eval_g0_loss|loss/val|Validation Loss|vl|test/ctc_loss", "val_loss"),
        ("norm|grad_norm|train/grad_norm|optim/total_grad_norm|gradient_norm", "grad_norm"),
        ("train/nll_loss|train/ctc_loss|epoch_loss|loss_total|cross-entropy loss", "loss"),
        ("lm loss validation|valid/nll_loss", "val_loss"),
        ("total_norm|grad/norm|gradients/global_norm|train_inner/gnorm", "grad_norm"),
        ("samples/sec|it/s|steps_per_second|perf/samples_per_second", "items_per_second"),
        ("s/it|sec/step|seconds_per_step|perf/s/it", "step_seconds"),
        ("ms/step|ms_per_iter", "step_milliseconds"),
        ("train_time_ms|training_time_ms", "train_milliseconds"),
        ("accumulated_submission_time|training_time_s", "train_seconds"),
        ("train_runtime|train/runtime|total_duration|time/time_elapsed", "elapsed_seconds"),
        ("val/acc1|rollout/ep_rew_mean|validation/mean_average_precision", "eval"),
        ("lr|learning_rate|train/lr|lr-AdamW/pg1|optim/learning_rate_group0", "lr"),
        ("tokens|tokens_seen|train/tokens|consumed_tokens", "tokens"),
        ("tok/s|tokens/sec|tokens_per_second|train/tps", "tokens_per_second"),
        (
            "throughput(tps)|tokens_per_sec_per_gpu|tokens/sec/gpu|tps_per_device|tokens/gpu/sec",
            "tokens_per_second_per_device",
        ),
        ("iteration-time|step_time|step_seconds|perf/step_time|time/step", "step_seconds"),
        ("data_time|data_seconds|time_metrics/data_loading(s)", "data_seconds"),
        ("eval_runtime|eval/runtime|eval_g0_runtime|val_seconds", "eval_seconds"),
        ("checkpoint_seconds|save_time_s|checkpoint/save_seconds", "checkpoint_seconds"),
        ("dt_ms|step_avg|step_time_ms|elapsed time per iteration (ms)", "step_milliseconds"),
        ("gpu.0.gpu|system/gpu.3.gpu|stats:gpu.0.gpu|system.gpu.0.gpu", "gpu_util"),
        ("gpu.0.powerWatts|system/gpu.0.powerWatts", "gpu_power"),
        ("eval_accuracy|val/acc|hellaswag|eval/hellaswag/acc_norm|bleu", "eval"),
        ("val/perplexity|val_bpb|test/wer", "eval_lower"),
    ],
)
def test_names_of_the_dialects(names, role):
    assert {name: role_of(name) for name in names.split("|")} == dict.fromkeys(
        names.split("|"), role
    )


@pytest.mark.parametrize(
    "name",
    [
        *("d_loss", "loss_G", "gan/d_loss", "generator/loss", "critic/val_loss", "cycle_A"),
        *("policy_loss", "aux_loss", "loss_scale", "train/loss_scale", "weight_norm"),
        *("gpu.0.enforcedPowerLimitWatts", "gpu.0.powerPercent"),
        *("validation_metrics/throughput(tps)", "samples_per_sec_per_gpu"),
        *("eval/samples_per_second", "eval_steps_per_second", "train_steps_per_second"),
        *("loss_ema", "params/global_norm", "kl", "entropy"),
        *("train/accuracy", "epoch", "", "x" * 10_000, "loss\n"),
    ],
)
def test_no_role_is_better_than_a_wrong_one(name):
    assert role_of(name) is None


def test_the_team_comes_first_by_name_or_pattern():
    chosen = chosen_by({"loss": ["objective", "head_*/ce"], "lr": ["train/loss"]})
    assert chosen("objective") == "loss"
    assert chosen("head_3/ce") == "loss"
    assert chosen("train/loss") == "lr"
    assert chosen("val/loss") is None


def test_a_name_with_brackets_is_also_meant_literally():
    assert chosen_by({"loss": ["loss[0]"]})("loss[0]") == "loss"


def test_directions_are_known_words():
    assert {role.direction for role in ROLES.values()} <= {"lower", "higher", None}
    assert direction_of("val_loss") == "lower"
    assert direction_of("eval") == "higher"
    assert direction_of(None) is None


def test_importing_the_analysis_pulls_no_tracker_and_no_plotting():
    code = (
        "import sys, runpages.analysis; "
        "print({'wandb', 'plotly', 'pyarrow', 'mkdocs', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
