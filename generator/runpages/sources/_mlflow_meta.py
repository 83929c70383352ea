"""The small text files of an MLflow file store: what they are, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ._mlflow_facts import Tally
from ._textfiles import plain_yaml

__all__ = ["META", "kind_of", "mapping_of", "text_of"]

META = "meta.yaml"
_META_BYTES = 1_000_000
_HEAD_BYTES = 65_536
_TEXT_BYTES = 1_000_000
_KEY = re.compile(rb"^([a-z_]+):", re.MULTILINE)


def kind_of(path: Path) -> str:
    """`run`, `experiment`, `other` of MLflow's, or empty for another program's meta.yaml."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as stream:
            keys = {key.decode() for key in _KEY.findall(stream.read(_HEAD_BYTES))}
    except OSError:
        return ""
    if keys & {"run_id", "run_uuid"} and {"artifact_uri", "experiment_id"} <= keys:
        return "run"
    if {"artifact_location", "experiment_id", "lifecycle_stage"} <= keys:
        return "experiment"
    others = ("digest", "source"), ("source_id", "source_type"), ("model_id", "experiment_id")
    registry = ("creation_timestamp", "last_updated_timestamp")
    traces = ("request_id", "experiment_id"), ("trace_id", "state")
    return "other" if any(set(o) <= keys for o in (*others, registry, *traces)) else ""


def mapping_of(path: Path, name: str, tally: Tally, *, only_with: str = "") -> dict[str, object]:
    """A meta.yaml; empty with a warning if it cannot be used. `name` is how messages call it.

    A file in which `only_with` does not occur is not parsed: most of a registry is of other runs.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return {}
        size = path.stat().st_size
        if size > _META_BYTES:
            tally.damage(name, f"{size:,} bytes are no meta.yaml", size=size)
            return {}
        content = path.read_text(encoding="utf-8")
        data = plain_yaml(content) if only_with in content else {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).replace(str(path), name).split())[:160]
        tally.damage(name, f"cannot be read ({reason})")
        return {}
    tally.files.append((name, size))
    if isinstance(data, dict):
        return {str(key): value for key, value in data.items()}
    tally.damage(name, "holds no mapping", size=size)
    return {}


def text_of(path: Path, name: str, tally: Tally) -> str | None:
    """A parameter's or tag's value; None with a warning if it cannot be read."""
    try:
        size = path.stat().st_size
        if size > _TEXT_BYTES:
            tally.damage(name, f"{size:,} bytes are too many for one value", size=size)
            return None
        return path.read_bytes().decode("utf-8")  # `\r` is part of a value
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "is no UTF-8 text"
        tally.damage(name, f"cannot be read ({reason})")
        return None
