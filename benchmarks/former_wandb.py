"""The reader that wandb < 0.31 brought along: DataStore, protobuf, json.

usage: PYTHON former_wandb.py [FILE]   (PYTHON: an interpreter with wandb < 0.31, e.g. 0.19.11)

Without a file it only imports what it needs.
"""

from __future__ import annotations

import json
import sys

import wandb
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

wandb._assert_is_internal_process = True  # noqa: SLF001 - the reader insists on it


def read(path: str) -> dict[str, list[float]]:
    """Every record decoded, the values of the history parsed."""
    store = DataStore()
    store.open_for_scan(path)
    columns: dict[str, list[float]] = {}
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(data)
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            columns.setdefault(name, []).append(json.loads(item.value_json))
    return columns


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print({name: len(values) for name, values in read(argument).items()})
