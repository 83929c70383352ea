"""The reader that wandb < 0.31 brought along: DataStore, protobuf, json. Run by its own interpreter.

usage: PYTHON former_wandb.py FILE   (PYTHON: an interpreter with wandb < 0.31, e.g. 0.19.11)
"""

from __future__ import annotations

import json
import sys


def read(path: str) -> tuple[dict[str, list[float]], dict[str, object]]:
    """Every record decoded; the history's and the summary's values parsed."""
    import wandb

    wandb._assert_is_internal_process = True
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(path)
    columns: dict[str, list[float]] = {}
    summary: dict[str, object] = {}
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(data)
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            columns.setdefault(name, []).append(json.loads(item.value_json))
        for item in record.summary.update:
            summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return columns, summary


if __name__ == "__main__":
    found, _ = read(sys.argv[1])
    print({name: len(values) for name, values in found.items()})
