"""Machine, code and command of a W&B run: environment records, files/wandb-metadata.json."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from runpages.model import Code, Hardware

from ._wandb_part import Part

__all__ = [
    "Facts",
    "bytes_of_gib",
    "code_of",
    "command_of",
    "facts_of",
    "hardware_of",
    "inside",
    "load_json",
]

_METADATA = "files/wandb-metadata.json"
_METADATA_BYTES = 1_000_000
_REQUIREMENTS = "files/requirements.txt"
_FRAMEWORKS = ("torch", "jax", "tensorflow", "transformers", "lightning", "pytorch-lightning")


@dataclass(slots=True, kw_only=True)
class Facts:
    """What one attempt's process ran on; empty or None where it is not recorded."""

    texts: dict[str, str] = field(default_factory=dict)
    """os, python, cuda, docker, program, code_path, executable, host, username, commit, remote,
    gpu, cpu."""
    numbers: dict[str, int] = field(default_factory=dict)
    """cpu_count, gpu_count, memory_bytes."""
    args: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    files: list[tuple[Path, int]] = field(default_factory=list)
    """Files beside the log that were read, and their sizes in bytes."""
    warnings: list[str] = field(default_factory=list)


def inside(folder: Path, relative: str) -> Path | None:
    """The file at `relative`, None if it is not a file that really lies inside `folder`."""
    try:
        path = (folder / relative).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def load_json(path: Path, *, max_bytes: int) -> Any:
    """The content of a JSON file; raises ValueError with a reason, or OSError."""
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{size:,} bytes, more than the {max_bytes:,} that are read")
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def facts_of(part: Part) -> Facts:
    """Records first; the metadata file fills what they leave open."""
    facts = Facts()
    for record in part.environment:
        _from_record(facts, record)
    if host := part.run.get("host"):
        facts.texts.setdefault("host", host)
    if git := part.run.get("git"):
        _put(facts, {"commit": git.commit, "remote": git.remote_url})
    if version := part.telemetry.get("python_version"):
        facts.texts.setdefault("python", version)
    if version := part.telemetry.get("cli_version"):
        facts.versions["wandb"] = version
    _from_metadata(facts, part.path.parent)
    _from_requirements(facts, part.path.parent)
    # of several sampled devices nobody knows how many the run used; of one it is plain
    sampled = {name.split(".")[1] for name in part.stats.names if name.startswith("gpu.")}
    if sum(number.isdigit() for number in sampled) == 1:
        _put_number(facts, "gpu_count", 1)
    return facts


def _put(facts: Facts, texts: Mapping[str, object]) -> None:
    for name, value in texts.items():
        if isinstance(value, str) and value:
            facts.texts.setdefault(name, value)


def _put_number(facts: Facts, name: str, value: object) -> None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        facts.numbers.setdefault(name, value)


def _from_record(facts: Facts, record: Any) -> None:
    gpus = [gpu.name for gpu in record.gpu_nvidia]
    names = ("os", "python", "docker", "program", "code_path", "executable", "host", "username")
    _put(facts, {name: getattr(record, name) for name in names})
    _put(
        facts,
        {
            "cuda": record.cuda_version,
            "gpu": record.gpu_type or next(iter(gpus), ""),
            "cpu": record.cpu.model,
            "commit": record.git.commit,
            "remote": record.git.remote_url,
        },
    )
    _put_number(facts, "gpu_count", record.gpu_count or len(gpus))
    _put_number(facts, "cpu_count", record.cpu_count or record.cpu_count_logical)
    _put_number(facts, "memory_bytes", record.memory.total)
    facts.args = facts.args or tuple(record.args)


def _from_metadata(facts: Facts, folder: Path) -> None:
    path = inside(folder, _METADATA)
    if path is None:
        return
    try:
        data = load_json(path, max_bytes=_METADATA_BYTES)
    except (OSError, ValueError) as error:
        facts.warnings.append(f"{_METADATA} cannot be read: {error}")
        return
    if not isinstance(data, dict):
        facts.warnings.append(f"{_METADATA} holds no JSON object")
        return
    facts.files.append((path, path.stat().st_size))
    git, memory, cpu = (_object(data.get(name)) for name in ("git", "memory", "cpu"))
    names = ("os", "python", "docker", "program", "host", "username", "executable", "gpu")
    _put(facts, {name: data.get(name) for name in names})
    _put(
        facts,
        {
            "code_path": data.get("codePath"),
            "cuda": data.get("cudaVersion") or data.get("cuda"),
            "cpu": cpu.get("model"),
            "commit": git.get("commit"),
            "remote": git.get("remote") or git.get("remote_url"),
        },
    )
    _put_number(facts, "gpu_count", data.get("gpu_count"))
    _put_number(facts, "cpu_count", data.get("cpu_count") or data.get("cpu_count_logical"))
    total = memory.get("total")
    # written in GiB as a fraction until 0.17, in bytes since
    _put_number(facts, "memory_bytes", bytes_of_gib(total) if isinstance(total, float) else total)
    args = data.get("args")
    if not facts.args and isinstance(args, list):
        facts.args = tuple(str(a) for a in args)


def bytes_of_gib(total: float) -> int | None:
    return round(total * 2**30) if 0 < total < 2**33 else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_requirements(facts: Facts, folder: Path) -> None:
    path = inside(folder, _REQUIREMENTS)
    if path is None:
        return
    try:
        size = path.stat().st_size
        lines = path.read_text("utf-8", "replace").splitlines() if size < 1_000_000 else []
    except OSError:
        return
    facts.files.append((path, size))
    for line in lines:
        name, _, version = line.strip().partition("==")
        if version and name.lower() in _FRAMEWORKS:
            facts.versions[name.lower()] = version


def _latest(facts: Sequence[Facts], name: str) -> str:
    return next((f.texts[name] for f in reversed(facts) if f.texts.get(name)), "")


def _latest_number(facts: Sequence[Facts], name: str) -> int | None:
    return next((f.numbers[name] for f in reversed(facts) if name in f.numbers), None)


def hardware_of(facts: Sequence[Facts]) -> Hardware:
    """The last attempt's machine; hosts of all attempts."""
    return Hardware(
        hosts=tuple(dict.fromkeys(f.texts["host"] for f in facts if f.texts.get("host"))),
        device=_latest(facts, "gpu"),
        devices=_latest_number(facts, "gpu_count"),
        cpu=_latest(facts, "cpu"),
        cpu_count=_latest_number(facts, "cpu_count"),
        memory_bytes=_latest_number(facts, "memory_bytes"),
    )


def code_of(facts: Sequence[Facts]) -> Code:
    program = _latest(facts, "program").removeprefix("-m ")
    return Code(
        commit=_latest(facts, "commit"),
        remote=_latest(facts, "remote"),
        entry_point=_latest(facts, "code_path").removeprefix("-m ") or PurePath(program).name,
    )


def command_of(facts: Sequence[Facts]) -> str:
    """Interpreter (its base name), program and arguments, quoted for a shell."""
    for one in reversed(facts):
        if program := one.texts.get("program"):
            python = PurePath(one.texts.get("executable", "")).name
            # `python -m module` is recorded as the program "-m module"
            words = program.split(" ", 1) if program.startswith("-m ") else [program]
            return shlex.join([*([python] if python else []), *words, *one.args])
    return ""
