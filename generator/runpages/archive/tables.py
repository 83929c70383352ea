"""Series as Parquet: one row group a series, the axes they share stored once.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """Where the rows of one series lie in the file."""

    name: str
    points: int
    axis_group: int
    value_group: int
    axis: str = "step"
    rank: int | None = None
    statistic: str = ""


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
            rows = series[name].recorded
            size = len(rows.step)
            digest = hashlib.blake2b(digest_size=16)
            for column in (rows.step, rows.time, rows.attempt):
                digest.update(np.ascontiguousarray(column).tobytes())
            key = digest.digest()
            if key not in axes:
                axes[key] = groups
                groups += 1
                axis = {"step": rows.step, "time": rows.time, "attempt": rows.attempt}
                writer.write_table(_table(size, axis), row_group_size=max(size, 1))
            writer.write_table(_table(size, {"value": rows.value}), row_group_size=max(size, 1))
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
                )
            )
            groups += 1
    return tuple(stored)


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
        axis = file.read_row_group(entry.axis_group, columns=["step", "time", "attempt"])
        value = file.read_row_group(entry.value_group, columns=["value"])
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
        )
        for entry in stored
    }
    return SeriesSet(infos, load, spans)
