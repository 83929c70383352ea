"""Trackio's tables as it exports them to Parquet, with the interface of its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runpages.errors import SourceError

__all__ = ["ParquetTables", "is_export"]

_STRUCTURE = frozenset(
    {"id", "run_id", "timestamp", "run_name", "step", "log_id", "space_id", "created_at"}
)
_OBJECTS = {"metrics": "metrics", "system_metrics": "metrics", "configs": "config"}
"""Tables whose column of JSON is spread over columns of its own."""
_MEASURED = frozenset({"timestamp", "run_name", "step"})
_BATCH = 1_000


def is_export(path: Path) -> bool:
    """Whether a Parquet file has the columns of Trackio's metrics."""
    try:
        return path.is_file() and set(pq.read_schema(path).names) >= _MEASURED
    except (OSError, pa.ArrowException):
        return False


class ParquetTables:
    """One project: `metrics.parquet` and `aux/`, or `<project>.parquet` and what lies beside it."""

    lost_bytes = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        own = path.name == "metrics.parquet" and (path.parent / "aux").is_dir()
        self._files: dict[str, pq.ParquetFile] = {}
        self.columns: dict[str, tuple[str, ...]] = {}
        for table in (*_OBJECTS, "traces", "run_artifact_links", "artifact_versions", "artifacts"):
            short = "system" if table == "system_metrics" else table
            beside = path.with_name(f"{path.stem}_{short}.parquet")
            other = path.parent / "aux" / f"{table}.parquet" if own else beside
            self._open(table, path if table == "metrics" else other)

    def _open(self, table: str, path: Path) -> None:
        if table != "metrics" and not path.is_file():
            return
        try:
            self._files[table] = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            first = (str(error).splitlines() or [""])[0][:160]
            if table == "metrics":
                raise SourceError(path, f"cannot be read: {first}") from error
            return
        names = self._files[table].schema_arrow.names
        self.columns[table] = (*names, *filter(None, [_OBJECTS.get(table)]))

    def distinct(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Each combination of values once, in the order of the rows."""
        rows = self._rows(table, columns, lambda _, __: None)
        return list(dict.fromkeys(tuple(row[c] for c in columns) for _, row in rows))

    def rows(
        self,
        table: str,
        columns: Sequence[str],
        *,
        where: tuple[str, object],
        damaged: Callable[[int, str], None],
    ) -> Iterator[tuple[Any, ...]]:
        """As `Database.rows`; the object of a row is a dict."""
        if where[0] not in self.columns.get(table, ()):
            return
        json_column = _OBJECTS.get(table)
        wanted = None if json_column else [where[0], *columns]
        for number, row in self._rows(table, wanted, damaged):
            if row.get(where[0]) != where[1]:
                continue
            if json_column:
                row[json_column] = {
                    key: value
                    for key, value in row.items()
                    if key not in _STRUCTURE and value is not None
                }
            yield (row.get("id", number), *(row.get(column) for column in columns))

    def _rows(
        self, table: str, columns: Sequence[str] | None, damaged: Callable[[int, str], None]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if table not in self._files:
            return
        known = self._files[table].schema_arrow.names
        wanted = None if columns is None else [name for name in columns if name in known]
        number = 0
        try:
            for batch in self._files[table].iter_batches(batch_size=_BATCH, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (OSError, pa.ArrowException, ValueError) as error:
            damaged(number, (str(error).splitlines() or [""])[0][:160])
