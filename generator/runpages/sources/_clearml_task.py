"""The facts of a ClearML task: what task.json holds and `tasks.get_by_id` answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from runpages.model import Checkpoint, Code, Dataset, Hardware, LoggedEvent

from ._textfiles import seconds, whole

__all__ = [
    "as_dict",
    "as_text",
    "checkpoints_of",
    "code_of",
    "config_of",
    "datasets_of",
    "environment_of",
    "events_of_task",
    "hardware_of",
    "moment",
    "seed_of",
    "state_of",
]

_STATES = {
    "completed": "finished",
    "closed": "finished",
    "published": "finished",
    "publishing": "finished",
    "failed": "failed",
    "stopped": "killed",
}
_MAX_TEXT = 200_000
_MAX_DEPTH = 32
_FRAMEWORKS = (
    "clearml",
    "deepspeed",
    "jax",
    "keras",
    "lightning",
    "numpy",
    "pytorch-lightning",
    "tensorflow",
    "torch",
    "transformers",
)
_CONFIGURATION = "configuration"
_DATASETS = "Datasets"


def as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def moment(value: object) -> float | None:
    """UTC seconds of an ISO 8601 time (UTC where it names no zone), as the server writes them."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def state_of(task: Mapping[str, Any]) -> str:
    """The run's state if the task's status ends it, else empty."""
    return _STATES.get(as_text(task.get("status")), "")


def config_of(task: Mapping[str, Any]) -> dict[str, object]:
    """Hyper-parameters by section, then the configuration objects under `configuration`."""
    config: dict[str, object] = {}
    for section, parameters in as_dict(task.get("hyperparams")).items():
        found: dict[str, object] = {}
        for name, entry in as_dict(parameters).items():
            _nest(found, name, _typed(as_dict(entry)))
        config[section] = found
    if not config:  # servers of old
        parameters = as_dict(as_dict(task.get("execution")).get("parameters"))
        for name, value in parameters.items():
            _nest(config, name, value)
    objects = {
        name: _object(as_dict(entry)) for name, entry in as_dict(task.get("configuration")).items()
    }
    if objects:
        config["configuration objects" if _CONFIGURATION in config else _CONFIGURATION] = objects
    return config


def _nest(config: dict[str, object], name: str, value: object) -> None:
    """`a/b` as `{a: {b: ...}}`, as the SDK flattened it; flat where that is impossible."""
    *parents, leaf = name.split("/")
    if len(parents) > _MAX_DEPTH or not all([*parents, leaf]):
        config[name] = value
        return
    inner = config
    for parent in parents:
        below = inner.setdefault(parent, {})
        if not isinstance(below, dict):
            config[name] = value
            return
        inner = below
    if leaf in inner:
        config[name] = value
    else:
        inner[leaf] = value


def _typed(entry: Mapping[str, Any]) -> object:
    """A parameter's value by its declared type; the text where it does not fit."""
    text, kind = entry.get("value"), as_text(entry.get("type"))
    if not isinstance(text, str):
        return text
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind.partition("/")[0] in {"list", "tuple", "dict"}:
            return json.loads(text)
    except (ValueError, RecursionError):
        return text
    return None if not text and not kind else text


def _object(entry: Mapping[str, Any]) -> object:
    """A configuration object: parsed where it is JSON, else its text (HOCON, YAML...)."""
    text = entry.get("value")
    if not isinstance(text, str):
        return text
    if text[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n(cut here: {len(text):,} long)"


def seed_of(config: Mapping[str, object]) -> int | None:
    """The one whole number that sections call `seed` or `random_seed`."""
    found = {
        value
        for section in config.values()
        for name, value in as_dict(section).items()
        if name in {"seed", "random_seed"} and type(value) is int
    }
    return found.pop() if len(found) == 1 else None


def datasets_of(task: Mapping[str, Any]) -> tuple[Dataset, ...]:
    """Data sets that the task got by an alias: the SDK keeps them as a section of parameters."""
    section = as_dict(as_dict(task.get("hyperparams")).get(_DATASETS))
    return tuple(
        Dataset(name=name, version=as_text(as_dict(entry).get("value")))
        for name, entry in section.items()
    )


def code_of(task: Mapping[str, Any]) -> Code:
    """Commit and remote; the text of the script and of its changes is not kept."""
    script = as_dict(task.get("script"))
    remote, diff = as_text(script.get("repository")), script.get("diff")
    entry = as_text(script.get("entry_point"))
    return Code(
        commit=as_text(script.get("version_num")),
        # without a repository the "diff" is the whole script
        dirty=bool(diff.strip()) if remote and isinstance(diff, str) else None,
        remote=remote,
        entry_point=PurePosixPath(entry).name if entry.startswith("/") else entry,
    )


def environment_of(task: Mapping[str, Any]) -> dict[str, str]:
    script, runtime = as_dict(task.get("script")), as_dict(task.get("runtime"))
    installed = as_text(as_dict(script.get("requirements")).get("pip"))
    found = {
        "python": as_text(runtime.get("python_version")),
        "os": as_text(runtime.get("OS")),
        "cuda": as_text(runtime.get("gpu_driver_cuda_version")),
        "driver": as_text(runtime.get("gpu_driver_version")),
        "docker": as_text(as_dict(task.get("container")).get("image")),
    }
    python = re.match(r"# Python (\d[\w.+]*)", installed)
    if python and not found["python"]:
        found["python"] = python[1]
    for line in installed[:_MAX_TEXT].splitlines():
        name, _, version = line.partition("==")
        if version and name.strip().lower() in _FRAMEWORKS:
            found[name.strip().lower()] = version.strip()
    return {name: value for name, value in found.items() if value}


def hardware_of(task: Mapping[str, Any], workers: Mapping[str, object]) -> Hardware:
    """From the machine's description that the SDK gives to servers, else the console's worker."""
    runtime = as_dict(task.get("runtime"))
    host = as_text(runtime.get("hostname"))
    memory = (_number(runtime.get("memory_gb")) or 0) * 2**30
    kinds = dict.fromkeys(k.strip() for k in as_text(runtime.get("gpu_type")).split(","))
    devices = _number(runtime.get("gpu_count"))
    cores = _number(runtime.get("cpu_cores"))
    return Hardware(
        hosts=tuple(dict.fromkeys([host] if host else workers)),
        device=", ".join(kind for kind in kinds if kind),
        # the SDK counts 0 where it cannot ask the driver
        devices=whole(devices) or None,
        cpu=as_text(runtime.get("processor")),
        cpu_count=whole(cores) or None,
        memory_bytes=whole(round(memory)) if 0 < memory < 2**63 else None,
    )


def _number(value: object) -> float | None:
    """Servers give numbers of the machine as text."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def checkpoints_of(
    models: list[Any], sizes: Mapping[str, int] | None = None
) -> Iterator[Checkpoint]:
    """Output models that name an iteration, as an offline session keeps them."""
    for model in models:
        weights = as_dict(as_dict(model).get("weights"))
        step = weights.get("iteration")
        if type(step) is not int or not 0 <= step < 2**62:
            continue
        path = _stored(weights)
        yield Checkpoint(step=step, path=path, size_bytes=(sizes or {}).get(path))


def _stored(weights: Mapping[str, Any]) -> str:
    """The file's place in the session, else its address; no path of the machine."""
    local = as_text(weights.get("weights_filename"))
    if local:
        return f"models/{PurePosixPath(local).name}"
    address = as_text(weights.get("register_uri"))
    return PurePosixPath(address).name if address.startswith(("/", "file:")) else address


def events_of_task(task: Mapping[str, Any]) -> Iterator[LoggedEvent]:
    """Artifacts: their kind and name; previews and contents are not kept."""
    artifacts = as_dict(task.get("execution")).get("artifacts")
    for artifact in artifacts if isinstance(artifacts, list) else ():
        found = as_dict(artifact)
        key = as_text(found.get("key"))
        if key and found.get("mode", "output") == "output":
            stamp = seconds(found.get("timestamp"))
            text = f"{as_text(found.get('type'))} {key}".strip()
            yield LoggedEvent(kind="artifact", text=text, time=stamp)
