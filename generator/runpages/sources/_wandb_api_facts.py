"""Configuration, step metrics, machine, code and command of a run on a W&B server.

The client keeps what it knows of itself with the configuration, under `_wandb`: `m` are the
`define_metric` calls (keys are the field numbers of MetricRecord in wandb_internal.proto: 1 name,
2 glob, 4 step metric, 5 its place in this list, from 1), `e` the environment of each process, in
the words of wandb-metadata.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ._wandb_api_rows import decoded
from ._wandb_facts import Facts, bytes_of_gib

__all__ = [
    "Settings",
    "add_info",
    "add_process",
    "add_requirements",
    "add_sampled_devices",
    "bare_url",
    "json_object",
    "settings_of",
]

_TEXTS = ("os", "python", "docker", "program", "host", "username", "executable", "gpu")
_FRAMEWORKS = ("torch", "jax", "tensorflow", "transformers", "lightning", "pytorch-lightning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What stands in the configuration of a run."""

    config: Mapping[str, object]
    """As the user gave it, without the tracker's own key."""
    definitions: tuple[tuple[str, str, str], ...]
    """(name, glob, step metric) of each `define_metric`."""
    processes: tuple[dict[str, Any], ...]
    """Environment of each process that wrote to the run, oldest first."""
    versions: Mapping[str, str]


def json_object(text: object) -> dict[str, Any]:
    """Of JSON text, or of what is decoded already; empty for anything else."""
    try:
        found = decoded(text)
    except ValueError:
        return {}
    return dict(found) if isinstance(found, dict) else {}


def settings_of(text: object) -> Settings:
    stored = json_object(text)
    own = json_object(stored.pop("_wandb", None))
    own = json_object(own.get("value", own))
    stored.pop("wandb_version", None)
    processes = map(json_object, json_object(own.get("e")).values())
    versions = {"wandb": own.get("cli_version"), "python": own.get("python_version")}
    return Settings(
        config={key: _unwrapped(value) for key, value in sorted(stored.items())},
        definitions=tuple(_definitions(own.get("m"))),
        processes=tuple(sorted(processes, key=lambda p: str(p.get("startedAt", "")))),
        versions={name: text for name, text in versions.items() if isinstance(text, str)},
    )


def _unwrapped(value: object) -> object:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _definitions(metrics: object) -> Iterator[tuple[str, str, str]]:
    entries = [json_object(entry) for entry in metrics] if isinstance(metrics, list) else []
    for entry in entries:
        step, place = entry.get("4"), entry.get("5")
        if not step and type(place) is int and 1 <= place <= len(entries):
            step = entries[place - 1].get("1")
        name, glob, step = (
            v if isinstance(v, str) else "" for v in (entry.get("1"), entry.get("2"), step)
        )
        yield name, glob, step


def bare_url(url: str) -> str:
    """Without credentials, query and fragment; what is no web address stays as it is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if not parts.scheme or not host:
        return url.split("?", 1)[0]
    # an SSH remote keeps its user: without it, it is no address
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    return urlunsplit((parts.scheme, user + host + port, parts.path, "", ""))


def _put(facts: Facts, texts: Mapping[str, object]) -> None:
    for name, value in texts.items():
        if isinstance(value, str) and value:
            facts.texts.setdefault(name, value)


def _put_number(facts: Facts, name: str, value: object) -> None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        facts.numbers.setdefault(name, value)


def add_process(facts: Facts, data: Mapping[str, Any]) -> None:
    """From one entry of `_wandb.e`, or from wandb-metadata.json; what is known stays."""
    git, memory, cpu = (json_object(data.get(name)) for name in ("git", "memory", "cpu"))
    gpus = data.get("gpu_nvidia")
    devices = [json_object(gpu) for gpu in gpus] if isinstance(gpus, list) else []
    _put(facts, {name: data.get(name) for name in _TEXTS})
    _put(
        facts,
        {
            "code_path": data.get("codePath"),
            "cuda": data.get("cudaVersion") or data.get("cuda"),
            "cpu": cpu.get("model"),
            "commit": git.get("commit"),
            "remote": _remote(git.get("remote") or git.get("remote_url")),
            "gpu": devices[0].get("name") if devices else None,
        },
    )
    _put_number(facts, "gpu_count", data.get("gpu_count") or len(devices))
    _put_number(facts, "cpu_count", data.get("cpu_count") or data.get("cpu_count_logical"))
    total = memory.get("total")
    # written in GiB as a fraction until 0.17, in bytes since
    _put_number(facts, "memory_bytes", bytes_of_gib(total) if isinstance(total, float) else total)
    _put_args(facts, data.get("args"))


def _remote(url: object) -> str:
    return bare_url(url) if isinstance(url, str) else ""


def _put_args(facts: Facts, args: object) -> None:
    if not facts.args and isinstance(args, list):
        facts.args = tuple(str(a) for a in args)


def add_info(facts: Facts, info: Mapping[str, Any]) -> None:
    """From the server's own table of the process."""
    git = json_object(info.get("git"))
    _put(facts, {name: info.get(name) for name in ("program", "os", "python", "executable", "gpu")})
    _put(facts, {"commit": git.get("commit"), "remote": _remote(git.get("remote"))})
    _put_number(facts, "gpu_count", info.get("gpuCount"))
    _put_number(facts, "cpu_count", info.get("cpuCount"))
    _put_args(facts, info.get("args"))


def add_requirements(facts: Facts, data: bytes) -> None:
    for line in data.decode("utf-8", "replace").splitlines():
        name, _, version = line.strip().partition("==")
        if version and name.lower() in _FRAMEWORKS:
            facts.versions[name.lower()] = version


def add_sampled_devices(facts: Facts, names: Sequence[str]) -> None:
    """Of several sampled devices nobody knows how many the run used; of one it is plain."""
    sampled = {name.split(".")[1] for name in names if name.startswith("gpu.")}
    if sum(number.isdigit() for number in sampled) == 1:
        _put_number(facts, "gpu_count", 1)
