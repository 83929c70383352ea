"""The table of sources: name -> where its class is, and the extra its SDK needs.

A source is imported when it is used. Entry points of the group `runpages.sources` add rows
(`name = "module:Class"`); the built-in rows come in by the same door.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType

from runpages.errors import MissingExtraError, UnknownNameError, UsageError

from .contract import Source

__all__ = ["SOURCES", "Row", "load_source", "open_source"]

ENTRY_POINT_GROUP = "runpages.sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    target: str
    """`module:Class`."""
    server: str = ""
    """`module:Class` that reads the same tracker at an address (`https://...`)."""
    extra: str = ""
    """Extra that installs the SDK; empty = nothing more is needed."""
    reads: str = ""
    """One line for `runpages sources`."""


_BUILT_IN = {
    "mlflow": Row(
        target="runpages.sources.mlflow_files:MlflowFiles",
        server="runpages.sources.mlflow_server:MlflowServer",
        reads="MLflow: mlruns folders, SQLite stores, tracking servers",
    ),
    "wandb": Row(
        target="runpages.sources.wandb_offline:WandbOffline",
        server="runpages.sources.wandb_api:WandbServer",
        reads="Weights & Biases offline runs, cloud and self-hosted servers",
    ),
    "tensorboard": Row(
        target="runpages.sources.tensorboard:TensorBoard",
        reads="TensorBoard event files: scalars, text, media, histograms, hyper-parameters, ranks",
    ),
    "clearml": Row(
        target="runpages.sources.clearml_offline:ClearmlOffline",
        server="runpages.sources.clearml_server:ClearmlServer",
        extra="clearml",
        reads="ClearML offline sessions and servers",
    ),
    "trainer": Row(
        target="runpages.sources.hf_trainer:HuggingFaceTrainer",
        reads="Hugging Face Trainer: trainer_state.json and its checkpoints",
    ),
    "dvclive": Row(
        target="runpages.sources.dvclive:DvcLive",
        reads="DVCLive folders: plots/metrics, params.yaml, metrics.json, images",
    ),
    "trackio": Row(
        target="runpages.sources.trackio:Trackio",
        reads="Trackio databases: metrics, system metrics, media, tables, alerts",
    ),
    "golden": Row(
        target="runpages.sources.megatron_golden:MegatronGolden",
        reads="Megatron-LM golden values: JSON of metrics by step",
    ),
    "monitor": Row(
        target="runpages.sources.rl_monitor:RlMonitor",
        reads="Stable-Baselines3 and Gym: *.monitor.csv, one a worker",
    ),
    "telemetry": Row(
        target="runpages.sources.telemetry:Telemetry",
        reads="hardware logs (nvidia-smi CSV, codecarbon), joined by time to the runs beside them",
    ),
    "rundir": Row(
        target="runpages.sources.rundir:RunDirectory",
        reads="run directories: metrics.jsonl or .csv, config, samples, events (runpages.log)",
    ),
    "mlperf": Row(
        target="runpages.sources.mlperf:MLPerf",
        reads="MLPerf training logs: :::MLLOG lines",
    ),
    "tabular": Row(
        target="runpages.sources.tabular:Tabular",
        reads="CSV and JSON-lines metrics: Lightning, Keras, plain files",
    ),
    "textlog": Row(
        target="runpages.sources.textlog:TextLog",
        reads="text logs: Megatron-LM, DeepSpeed, NeMo, torchtitan, nanoGPT, llm.c and others",
    ),
}


def _rows() -> Mapping[str, Row]:
    rows = dict(_BUILT_IN)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        rows[point.name] = Row(target=point.value, reads=f"from {point.value.partition(':')[0]}")
    return MappingProxyType(rows)


SOURCES: Mapping[str, Row] = _rows()


def load_source(kind: str, location: str = "") -> type[Source]:
    """The class of a source. Raises UnknownNameError, UsageError or MissingExtraError."""
    if kind not in SOURCES:
        raise UnknownNameError("source", kind, SOURCES)
    row = SOURCES[kind]
    remote = "://" in location
    if remote and not row.server:
        servers = ", ".join(name for name, other in SOURCES.items() if other.server)
        raise UsageError(f"source {kind!r} reads no address; these do: {servers or 'none'}")
    module, _, name = (row.server if remote else row.target).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        # a missing module of ours is a bug, not a missing extra
        if not row.extra or (error.name or "").partition(".")[0] == "runpages":
            raise
        raise MissingExtraError(f"reading {kind}", row.extra) from error
    if not (isinstance(found, type) and issubclass(found, Source)):
        raise UsageError(f"source {kind!r}: {module}:{name} is not a runpages Source")
    return found


def open_source(kind: str, location: str, **options: object) -> Source:
    """A source of the given kind at `location` (a folder, a file or a URL).

    Options common to all: `name` (part of every run's identity; default: the folder's own name, or
    the server's host) and `settle_minutes`; servers: see `ServerSource`. Raises UnknownNameError,
    MissingExtraError or UsageError.
    """
    cls = load_source(kind, str(location))
    try:
        return cls(str(location), **options)  # type: ignore[arg-type]  # checked by the class
    except TypeError as error:
        raise UsageError(f"source {kind!r}: {error}") from error
