"""Programs that log to ClearML, each run in a process of its own: the SDK patches much.

    python clearml_writer.py <name of a function below>

logs offline, or to the server that CLEARML_API_HOST names.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import wave
from pathlib import Path

VALUES = [1.5, math.nan, math.inf, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -2.0]
"""-inf is not among them: the SDK gives every infinity the one value that it was told."""


def write(scenario: str, folder: Path, *arguments: str, check: bool = True) -> Path:
    """Run a scenario offline, everything the SDK writes below `folder`; the session's folder."""
    home = _run(scenario, folder, {}, *arguments, check=check)
    (session,) = (path for path in (home / "cache/offline").iterdir() if path.is_dir())
    return session


def log_to(address: str, keys: tuple[str, str], scenario: str, folder: Path) -> None:
    """Run a scenario that logs to a server."""
    where = {
        "CLEARML_API_HOST": address,
        "CLEARML_WEB_HOST": address,
        "CLEARML_FILES_HOST": f"{address}/files",
        "CLEARML_API_ACCESS_KEY": keys[0],
        "CLEARML_API_SECRET_KEY": keys[1],
    }
    _run(scenario, folder, where, check=True)


def _run(scenario: str, folder: Path, where: dict[str, str], *arguments: str, check: bool) -> Path:
    home = folder / "home"
    home.mkdir(parents=True)
    # the SDK's reporting process now and then waits minutes for its end; a thread does not
    (home / "clearml.conf").write_text("sdk { development { report_use_subprocess: false } }\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML")}
    environment = {**kept, **where, "HOME": str(home), "CLEARML_CACHE_DIR": str(home / "cache")}
    command = [sys.executable, str(Path(__file__).resolve()), scenario, *arguments]
    subprocess.run(command, cwd=home, env=environment, check=check, capture_output=True)
    return home


def _task(name: str = "first try", **options):
    from clearml import Task

    Task.set_offline("CLEARML_API_HOST" not in os.environ)
    return Task.init("team/llm", name, auto_resource_monitoring=False, **options)


def rows() -> None:
    """Two metrics; NaN and inf as they are."""
    from clearml import Logger

    task = _task()
    Logger.set_reporting_nan_value(math.nan)
    Logger.set_reporting_inf_value(math.inf)
    logger = task.get_logger()
    for step, value in enumerate(VALUES):
        logger.report_scalar("train", "loss", value, step)
        logger.report_scalar("accuracy", "accuracy", 0.5 + step, step)
    task.close()


def nothing_told() -> None:
    """What the SDK makes of NaN by default, and a run that goes back by itself."""
    task = _task()
    logger = task.get_logger()
    for step, value in enumerate([1.5, math.nan, math.inf, -math.inf, 0.25]):
        logger.report_scalar("train", "loss", value, step)
    logger.report_single_value("best", 0.25)
    logger.report_single_value("worst", math.nan)
    task.flush(wait_for_uploads=True)
    for step, value in enumerate([0.5, 0.125], start=3):
        logger.report_scalar("train", "loss", value, step)
    task.close()


def rich() -> None:
    """Everything else that is read."""
    import argparse

    import numpy as np
    import pandas as pd
    import plotly.graph_objects as go
    from clearml import OutputModel

    task = _task("rich <b>", tags=["a", "b"])
    task.set_comment("what this is for")
    task.set_parent("0123456789abcdef0123456789abcdef")
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.parse_args(["--lr", "0.5"])
    task.connect({"seed": 42, "opt": {"betas": (0.9, 0.95), "fused": True}}, name="Train")
    task.connect({"nothing": None, "nan": math.nan, "word": "1"}, name="Odd")
    task.connect_configuration({"layers": 4, "dims": [1, 2]}, name="model")
    Path("data.json").write_text('{"shards": 3}')
    task.connect_configuration("data.json", name="data")
    logger = task.get_logger()
    logger.report_scalar("train", "loss", 1.0, 1)
    logger.report_scalar("a/b", "c", 1.0, 1)
    logger.report_scalar("a", "b/c", 2.0, 1)
    logger.report_scalar(":monitor:gpu", "gpu_0_utilization", 91.5, 1)
    logger.report_scalar(":monitor:gpu", "gpu_0_utilization", 12.25, 2)
    logger.report_scalar(":monitor:machine", "cpu_usage", 50.0, 1)
    logger.report_scalar(":monitor:machine:rank1", "cpu_usage", 40.0, 1)
    logger.report_text("\x1b[31mred\x1b[0m words")
    for step in range(8):
        shade = np.full((8, 8, 3), 30 * step, np.uint8)
        logger.report_image("grid", "drawn", iteration=step, image=shade, max_image_history=5)
        if step == 4:
            task.flush(wait_for_uploads=True)  # files of one flush are written side by side
    with wave.open("tone.wav", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(800))
    logger.report_media("said", "clip", iteration=4, local_path="tone.wav")
    Path("page.html").write_text("<script>alert(1)</script>")
    logger.report_media("page", "page", iteration=4, local_path="page.html")
    frame = pd.DataFrame({"prompt": ["Hi", "Bye"], "output": ["<i>", "b"], "score": [1.5, 2]})
    logger.report_table("samples", "val", iteration=2, table_plot=frame)
    logger.report_table("lists", "raw", iteration=3, table_plot=[["a", "b"], [1, None]])
    logger.report_histogram("hist", "h", values=[1, 2, 3], iteration=1)
    logger.report_plotly("curve", "c", iteration=1, figure=go.Figure(go.Scatter(x=[1], y=[3])))
    task.upload_artifact("tokens", artifact_object={"x": 1})
    Path("step-5.pt").write_bytes(b"weights" * 10)
    model = OutputModel(task=task, name="policy", framework="PyTorch")
    if task.is_offline():  # update_weights itself fails there in 2.1.12; this is what it calls
        model._update_weights_offline(weights_filename="step-5.pt", iteration=5)
    else:
        model.update_weights("step-5.pt", iteration=5)
    model.report_scalar("model", "size", 1.0, 5)
    print("said by the program")
    time.sleep(0.3)
    task.close()


def killed() -> None:
    """A process that dies with its rows written, without an end."""
    task = _task()
    task.get_logger().report_scalar("train", "loss", 1.0, 1)
    task.flush(wait_for_uploads=True)
    os._exit(9)


def silent() -> None:
    """A task that reports nothing."""
    _task().close()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
