"""What the programs' own print statements print, for the tests of text logs."""

# ruff: noqa: UP031, UP032 - format strings stand here as the programs have them

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from runpages.model import Run
from runpages.sources.textlog import TextLog
from sources.conformance import read_all

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


ROWS = "".join(megatron(i, 3.0) for i in (1, 2))
TRACE = "Traceback (most recent call last):\n  File 'x.py', line 3, in <module>\n"
