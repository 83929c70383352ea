"""Settings beside a table of metrics, as Lightning, Keras scripts and AlgoPerf leave them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ._textfiles import Ledger, PlainLoader, mapping_of, whole

__all__ = ["config_names", "counted_devices", "foreign_config"]

_MAIN = (
    "config.json", "config.yaml", "config.yml", "hparams.yaml", "hparams.json",
    "hyperparameters.json", "args.json", "params.json", "args.yaml", "opt.yaml", "hyp.yaml",
)  # fmt: skip
"""The first of these is the configuration; each further file stands in it under its own name."""
_BESIDE = re.compile(r"(flags|meta_data)(_\d+)?\.json")
_MAX_NODES = 100_000


class _Texts(PlainLoader):
    """Values of unknown tags (`!!python/object`...) are what is written there, never executed."""


def _unknown(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    return f"{tag} {node.value}".strip()


_Texts.add_multi_constructor("", _unknown)


def _parse(content: str) -> Any:
    data = yaml.load(content, _Texts)  # noqa: S506 - a SafeLoader
    _count(data, 0)
    return data


def _count(value: Any, nodes: int) -> int:
    """A few aliases can stand for a billion nodes: raises ValueError where they are too many."""
    nodes += 1
    if nodes > _MAX_NODES:
        raise ValueError(f"more than {_MAX_NODES:,} values")
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list | tuple | set):
        for part in parts:
            nodes = _count(part, nodes)
    return nodes


def config_names(files: Sequence[str]) -> tuple[str, ...]:
    """Which of these files hold settings, the main one first."""
    main = [name for name in _MAIN if name in files]
    return (*main, *(name for name in sorted(files) if _BESIDE.fullmatch(name)))


def foreign_config(ledger: Ledger, files: Sequence[str]) -> dict[str, object]:
    """The settings in these files of a folder; what cannot be used is a warning."""
    config: dict[str, object] = {}
    for name in config_names(files):
        found = mapping_of(ledger, name, parse_yaml=_parse)
        if found is None:
            continue
        if not config and name in _MAIN:
            config = found
        else:
            config.setdefault(name.partition(".")[0], found)
    return config


def counted_devices(config: Mapping[str, object]) -> int | None:
    """`gpu.count` of AlgoPerf's meta_data files (mlcommons/algorithmic-efficiency
    algoperf/logger_utils.py), whose trainings use all devices of their machine."""
    for name, facts in config.items():
        found = facts.get("gpu.count") if isinstance(facts, dict) else None
        number = whole(found) if name.startswith("meta_data") else None
        if number is not None and number > 0:
            return number
    return None
