"""CPU seconds and memory of reading an MLflow store, beside a bare scan and MLflow's own client.

usage: mlflow_store.py write STORE [POINTS]   a SQLite store with one run of ten metrics
       mlflow_store.py store STORE [ROUNDS]   ours against a scan that only fetches all rows
       mlflow_store.py rest STORE [ROUNDS]    ours against MlflowClient on a server of that store

Each figure is the median of processes of its own; imports are not counted as CPU.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

BEGIN = 1_700_000_000_000
METRICS = 10
INSERT = (
    "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
)


def write(path: Path, points: int = 1_000_000) -> None:
    """A store whose tables MLflow made; its rows come in by SQL, interleaved as training does."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment("bench", artifact_location=str(path.parent / "files"))
    run_id = client.create_run(experiment).info.run_id
    names = [f"train/metric_{number}" for number in range(METRICS)]
    for name in names:  # so that the latest values are known to MLflow as well
        client.log_metric(run_id, name, 1.0, timestamp=BEGIN - 1000, step=0)
    noise = random.Random(0)
    connection = sqlite3.connect(path)
    connection.executemany(
        INSERT,
        (
            (name, noise.gauss(2, 1), BEGIN + 1000 * step, run_id, step)
            for step in range(1, points // METRICS + 1)
            for name in names
        ),
    )
    connection.commit()
    connection.close()
    client.set_terminated(run_id)


def ours(location: str) -> int:
    """Rows of all series of all runs."""
    from runpages.sources import open_source

    source = open_source("mlflow", location)
    runs = [source.read(ref) for ref in source.discover()]
    return sum(info.points for run in runs for info in run.series.infos)


def bare_scan(location: str) -> int:
    connection = sqlite3.connect(f"file:{location}?mode=ro", uri=True)
    cursor = connection.execute("SELECT * FROM metrics")
    count = 0
    while rows := cursor.fetchmany(20_000):
        count += len(rows)
    return count


def mlflow_client(location: str) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(location)
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments)
    return sum(
        len(client.get_metric_history(run.info.run_id, name))
        for run in runs
        for name in run.data.metrics
    )


READERS: dict[str, Callable[[str], int]] = {
    "ours": ours,
    "bare_scan": bare_scan,
    "mlflow_client": mlflow_client,
}


def one(name: str, location: str) -> None:
    """A single reading, in this process; prints its figures as JSON."""
    import runpages.sources.mlflow_files
    import runpages.sources.mlflow_server  # noqa: F401 - imports are not measured

    if name == "mlflow_client":
        import mlflow  # noqa: F401
    before, wall = time.process_time(), time.perf_counter()
    points = READERS[name](location)
    figures = {
        "points": points,
        "cpu": time.process_time() - before,
        "wall": time.perf_counter() - wall,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def compare(names: tuple[str, ...], location: str, rounds: int) -> None:
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, __file__, "one", name, location]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seen[name].append(json.loads(answer.splitlines()[-1]))
    for name, found in seen.items():
        middle = {key: statistics.median(f[key] for f in found) for key in found[0]}
        print(
            f"{name:14} {middle['points']:>10,.0f} points  CPU {middle['cpu']:6.2f} s"
            f"  wall {middle['wall']:6.2f} s  RSS {middle['rss']:5.0f} MB  (n={rounds})"
        )


def rest(path: Path, rounds: int) -> None:
    """Both clients against a server that is started here and ended again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{path}"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command,
        cwd=path.parent,
        env=environment,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    )
    os.environ["NO_PROXY"] = "127.0.0.1"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        compare(("ours", "mlflow_client"), url, rounds)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def main(verb: str, *rest_of: str) -> None:
    """See the module's usage."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if verb == "one":
        one(*rest_of)
        return
    path = Path(rest_of[0]).resolve()
    number = int(rest_of[1]) if len(rest_of) > 1 else 0
    if verb == "write":
        write(path, number or 1_000_000)
    elif verb == "store":
        compare(("ours", "bare_scan"), str(path), number or 5)
    elif verb == "rest":
        rest(path, number or 3)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
