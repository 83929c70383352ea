"""Runs written by MLflow itself, into a file store, a SQLite store or a server."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["BEGIN", "client_at", "experiment_in", "log_rows", "rich_run", "sqlite_store"]

BEGIN = 1_700_000_000_000
"""Milliseconds of the first row."""

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"


def client_at(uri: str) -> Any:
    """MLflow's client. Its warnings are about itself, not about us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient, set_tracking_uri

        set_tracking_uri(uri)  # else some calls make a store in the current folder
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@functools.cache
def _template() -> Path:
    """An empty store: making its tables takes MLflow several seconds."""
    folder = Path(tempfile.mkdtemp(prefix="runpages-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client_at(f"sqlite:///{folder}/empty.db").search_experiments()
    return folder / "empty.db"


def sqlite_store(path: Path) -> Any:
    """A new SQLite store at `path`, and the client for it."""
    shutil.copyfile(_template(), path)
    return client_at(f"sqlite:///{path}")


def experiment_in(client: Any, name: str, artifacts: Path | None = None) -> str:
    """A new experiment whose artifacts lie in a folder of its id below `artifacts`."""
    where = f"{artifacts / name.replace('/', '-')}" if artifacts else None
    return str(client.create_experiment(name, artifact_location=where))


def log_rows(
    client: Any, run_id: str, name: str, rows: Iterable[tuple[int, float]], *, begin: int = BEGIN
) -> None:
    """One row a second, from `begin` on."""
    from mlflow.entities import Metric

    metrics = [Metric(name, v, begin + 1000 * n, s) for n, (s, v) in enumerate(rows)]
    client.log_batch(run_id, metrics=metrics)


def rich_run(client: Any, experiment: str) -> str:
    """A run with one of everything that we read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric

    run = client.create_run(
        experiment,
        run_name="first light",
        start_time=BEGIN - 5000,
        tags={
            "mlflow.user": "ada",
            "mlflow.note.content": "why it was run",
            "mlflow.source.name": "train.py",
            "mlflow.source.git.commit": "0123abc",
            "mlflow.source.git.repoURL": "https://git.example/lm.git",
            "mlflow.source.git.branch": "wide",
            "mlflow.source.git.dirty": "true",
            "mlflow.parentRunId": "f" * 32,
            "mlflow.docker.image.uri": "lm:1",
            "team": "nlp",
            "flag": "",
        },
    )
    run_id = str(run.info.run_id)
    for key, value in {"lr": 0.1, "model/layers": 4, "note": "a\nb ü"}.items():
        client.log_param(run_id, key, value)
    log_rows(client, run_id, "train/loss", ((s, 4 / (1 + s)) for s in range(10)))
    log_rows(client, run_id, "odd", enumerate([1.0, np.nan, np.inf, -np.inf, 5e-324]))
    log_rows(client, run_id, "tied", [(1, 2.0), (2, 3.0)])
    client.log_batch(run_id, metrics=[Metric("tied", v, BEGIN + 1000, 2) for v in (9.0, 4.0)])
    log_rows(client, run_id, "system/gpu_0_utilization_percentage", [(0, 90.0), (1, 95.0)])
    client.log_inputs(
        run_id,
        datasets=[
            DatasetInput(
                Dataset("wiki", "2981c147", "local", '{"uri": "x.csv"}'),
                [InputTag("mlflow.data.context", "training")],
            )
        ],
    )
    _files(client, run_id)
    for step, name in ((4, "half"), (0, "unstepped")):
        model = client.create_logged_model(experiment, name=name, source_run_id=run_id)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
        client.finalize_logged_model(model.model_id, "READY")
        if step:
            client.log_metric(
                run_id, "val/loss", 0.5, timestamp=BEGIN + 9000, step=4, model_id=model.model_id
            )
    client.create_registered_model("lm")
    client.create_model_version(
        "lm", f"runs:/{run_id}/m", run_id, run_link="https://models.example/lm/1"
    )
    client.set_terminated(run_id, "FINISHED", end_time=BEGIN + 20_000)
    return run_id


def _files(client: Any, run_id: str) -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    client.log_image(run_id, picture, key="dogs/a", step=3, timestamp=BEGIN + 3000)
    client.log_image(run_id, picture, "plain.png")
    client.log_text(run_id, "once upon", "samples/said.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' words to MLflow
        client.log_table(run_id, {"in": ["a", None], "out": [1, 2]}, "table.json")
    client.log_dict(run_id, {"k": 1}, "dict.json")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "tone.wav"
        sound.write_bytes(_wave())
        client.log_artifact(run_id, str(sound), "audio")
        (Path(folder) / "fake.png").write_bytes(b"<svg onload=alert(1)>")
        client.log_artifact(run_id, str(Path(folder) / "fake.png"))


def _wave() -> bytes:
    import io
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return buffer.getvalue()
