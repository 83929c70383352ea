"""Series as Parquet: a row group (of long ones several) a series, shared axes stored once.

Columns step, time, attempt and value; a row group holds either an *axis* (step, time, attempt,
value all null) or the *values* of one series (the others null). run.json says which row groups
make which series. float64, delta-coded steps, byte-stream-split floats, zstd: 6.2 bytes a point
where metrics share their axis. Same rows and pyarrow version, same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from runpages.model import Columns, SeriesInfo, SeriesSet

__all__ = ["StoredSeries", "open_series", "write_series"]


GROUP_ROWS = 1 << 18
"""Rows a row group: what is in memory at once when a long series is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """Where the rows of one series lie in the file."""

    name: str
    points: int
    axis_group: int
    """The first of them."""
    value_group: int
    """The first of them."""
    axis: str = "step"
    rank: int | None = None
    statistic: str = ""
    told: str = ""
    counter: str = ""


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("step", pa.int64()),
            ("time", pa.float64()),
            ("attempt", pa.int64()),
            ("value", pa.float64()),
        ]
    )


def _table(size: int, columns: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    schema = _schema()
    arrays = [
        pa.array(columns[field.name], type=field.type)
        if field.name in columns
        else pa.nulls(size, type=field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_series(series: SeriesSet, sink: BinaryIO) -> tuple[StoredSeries, ...]:
    """Write the file, one series in memory at a time; its directory."""
    import pyarrow.parquet as pq

    groups = 0
    axes: dict[bytes, int] = {}
    stored = []
    with pq.ParquetWriter(
        sink,
        _schema(),
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        column_encoding={
            "step": "DELTA_BINARY_PACKED",
            "attempt": "DELTA_BINARY_PACKED",
            "time": "BYTE_STREAM_SPLIT",
            "value": "BYTE_STREAM_SPLIT",
        },
    ) as writer:
        for name in series:
            rows = series.rows(name)
            size = len(rows.step)
            digest = hashlib.blake2b(digest_size=16)
            for column in (rows.step, rows.time, rows.attempt):
                digest.update(np.ascontiguousarray(column).data)
            key = digest.digest()
            if key not in axes:
                axes[key] = groups
                axis = {"step": rows.step, "time": rows.time, "attempt": rows.attempt}
                groups += _write(writer, size, axis)
            info = series.info(name)
            stored.append(
                StoredSeries(
                    name=name,
                    points=size,
                    axis_group=axes[key],
                    value_group=groups,
                    axis=info.axis,
                    rank=info.rank,
                    statistic=info.statistic,
                    told=info.told,
                    counter=info.counter,
                )
            )
            groups += _write(writer, size, {"value": rows.value})
            del rows  # before the next series is loaded
    return tuple(stored)


def _write(writer: Any, size: int, columns: Mapping[str, Any]) -> int:
    """Row groups of at most `GROUP_ROWS` rows; how many."""
    starts = range(0, max(size, 1), GROUP_ROWS)
    for start in starts:
        own = slice(start, min(start + GROUP_ROWS, size))
        part = {name: column[own] for name, column in columns.items()}
        writer.write_table(_table(own.stop - own.start, part), row_group_size=GROUP_ROWS)
    return len(starts)


def open_series(
    intact: Callable[[], Path],
    stored: tuple[StoredSeries, ...],
    spans: Mapping[int, tuple[int, int]],
) -> SeriesSet:
    """The series of an archived run; a row group is decoded when its series is asked for.

    `intact` gives the file, checked, and is called once, when the first series is wanted.
    """
    import pyarrow.parquet as pq

    directory = {entry.name: entry for entry in stored}
    file: Any = None

    def load(name: str) -> Columns:
        nonlocal file
        if file is None:
            file = pq.ParquetFile(intact(), memory_map=True)
        entry = directory[name]
        count = len(range(0, max(entry.points, 1), GROUP_ROWS))
        axis_groups = range(entry.axis_group, entry.axis_group + count)
        value_groups = range(entry.value_group, entry.value_group + count)
        axis = file.read_row_groups(axis_groups, columns=["step", "time", "attempt"])
        value = file.read_row_groups(value_groups, columns=["value"])
        return Columns(
            axis["step"].to_numpy(),
            axis["time"].to_numpy(),
            value["value"].to_numpy(),
            axis["attempt"].to_numpy(),
        )

    infos = {
        entry.name: SeriesInfo(
            name=entry.name,
            points=entry.points,
            axis=entry.axis,
            rank=entry.rank,
            statistic=entry.statistic,
            told=entry.told,
            counter=entry.counter,
        )
        for entry in stored
    }
    return SeriesSet(infos, load, spans)
