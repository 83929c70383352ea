"""MLflow's SQLite store, read without a write, a migration or a guess at its version.

The columns that a table has are looked up: MLflow has added and dropped some in most releases.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from runpages.errors import SourceError

from ._mlflow_facts import Tally
from ._mlflow_rows import decoded
from .spool import Spool

__all__ = ["HEADER", "Store", "holds_runs", "opened"]

HEADER = b"SQLite format 3\x00"
_OWN_NAMES = frozenset({"mlflow.db", "mlruns.db"})
_TABLES = frozenset({"runs", "metrics", "params", "tags", "experiments"})
_METRIC = ("key", "step", "timestamp", "value", "is_nan")
_DEFAULTS = {"step": "0", "is_nan": "0", "rowid": "rowid"}
"""What MLflow's migrations write for columns that an older version did not have."""
_BATCH = 20_000
_LOCK_SECONDS = 10.0
_COPIES = 3
_MAX_ROWS = 1_000_000
"""Of a table other than the metrics': runs, parameters, tags..."""
_MAX_VALUE_BYTES = 16_000_000
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_Row = tuple[object, ...]


def holds_runs(path: Path) -> bool:
    """Whether the file is a SQLite file with MLflow's tables, or at least called like one."""
    if path.name in _OWN_NAMES:
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            if stream.read(len(HEADER)) != HEADER:
                return False
        connection = _connected(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        try:
            return _tables(connection) >= _TABLES
        finally:
            connection.close()
    except (OSError, sqlite3.Error):
        return False


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """The store at `path`. Raises SourceError if SQLite cannot read it at all.

    Where a writer left a write-ahead log or a journal behind, a private copy is read: to take it
    into account, SQLite must write. Other stores are opened read-only.
    """
    with tempfile.TemporaryDirectory(prefix="runpages-") as private:
        try:
            connection = _connected(_address(path, Path(private)))
        except (OSError, sqlite3.Error) as error:
            raise SourceError(path, f"cannot be opened: {error}") from error
        try:
            yield Store(path, connection)
        finally:
            connection.close()


def _address(path: Path, private: Path) -> str:
    with path.open("rb") as stream:
        uses_log = stream.read(20)[18:20] == b"\x02\x02"
    if _left_behind(path, "-wal"):
        return _copied(path, private, "-wal")
    # a log that is not there would be made anew, unless SQLite may take the file as it is
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if uses_log else ''}"
    if _left_behind(path, "-journal") and not _readable(uri):
        return _copied(path, private, "-journal")
    return uri


def _left_behind(path: Path, end: str) -> bool:
    beside = path.with_name(path.name + end)
    return beside.is_file() and beside.stat().st_size > 0


def _readable(uri: str) -> bool:
    """Whether the journal is that of a writer at work, and not of one that died."""
    connection = _connected(uri)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in _BUSY
    finally:
        connection.close()
    return True


def _copied(path: Path, private: Path, end: str) -> str:
    """Address of a copy; taken again if a writer changed the files meanwhile."""
    copy, beside = private / "store.db", path.with_name(path.name + end)
    for _ in range(_COPIES):
        before = [(p.stat().st_size, p.stat().st_mtime_ns) for p in (path, beside)]
        shutil.copyfile(path, copy)
        shutil.copyfile(beside, private / f"store.db{end}")
        if before == [(p.stat().st_size, p.stat().st_mtime_ns) for p in (path, beside)]:
            break
    return copy.absolute().as_uri()


def _connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.text_factory = _text
    connection.execute("PRAGMA trusted_schema = OFF")
    # so SQLite reads what is left of a file that was cut; the file is not writable by this
    connection.execute("PRAGMA writable_schema = ON")
    return connection


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(str(name) for (name,) in found)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class Store:
    """A SQLite file of MLflow that is open for reading."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.lost_bytes = _lost_bytes(path)
        """Bytes that the file should have more, by its own header."""
        try:
            self._tables = _tables(connection)
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error
        if not self._tables >= {"runs", "experiments"}:
            raise SourceError(path, "holds no tables of MLflow")

    def select(self, table: str, columns: Sequence[str], rest: str = "") -> str:
        """SQL for the columns, NULL for those that this version of MLflow does not have."""
        found = self._connection.execute(f"PRAGMA table_info({table})")
        known = {row[1] for row in found}
        wanted = (f'"{c}"' if c in known else _DEFAULTS.get(c, "NULL") for c in columns)
        return f"SELECT {', '.join(wanted)} FROM {table} {rest}"  # noqa: S608 - names are ours

    def rows(
        self,
        tally: Tally,
        table: str,
        columns: Sequence[str],
        *,
        where: str = "run_uuid = ?",
        value: object = None,
    ) -> list[_Row]:
        """Rows of a table that is not long; damage is told and ends them."""
        found: list[_Row] = []
        if table not in self._tables:
            return found
        try:
            query = self.select(table, columns, f"WHERE {where} LIMIT {_MAX_ROWS}")
            for row in self._connection.execute(query, () if value is None else (value,)):
                found.append(row)  # noqa: PERF402 - what was read before the damage stays
        except sqlite3.DatabaseError as error:
            self._damaged(tally, table, error)
        if len(found) == _MAX_ROWS:
            tally.warn(f"{self.path.name}: more than {_MAX_ROWS:,} rows of {table} are not read")
        return found

    def _damaged(self, tally: Tally, table: str, error: sqlite3.DatabaseError) -> None:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
            raise self._unreadable(error) from error
        if self.lost_bytes:  # counted once, as the cut
            tally.warn(f"{self.path.name}: the rest of its table {table} is lost ({error})")
        else:
            tally.damage(self.path.name, f"the table cannot be read ({error})", place=table)

    def _unreadable(self, error: sqlite3.DatabaseError) -> SourceError:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
        remedy = "another program writes it: read a copy, or try again later" if busy else ""
        return SourceError(self.path, f"cannot be read: {error}", remedy=remedy)

    def read_metrics(self, run_id: str, tally: Tally) -> Spool:
        """The rows of all metrics of a run, as they are stored."""
        spool, scratch = Spool(), Tally()
        reading = _Rows(self.path.name, spool, scratch)
        try:
            query = self.select("metrics", _METRIC, "WHERE run_uuid = ?")
            self._connection.text_factory = bytes  # decoding the name of each row takes time
            found = self._connection.execute(query, (run_id,))
            while rows := found.fetchmany(_BATCH):
                reading.take(rows)
        except sqlite3.DatabaseError as error:
            self._connection.text_factory = _text
            self._damaged(tally, "metrics", error)
            spool, scratch = Spool(), Tally()
            reading = _Rows(self.path.name, spool, scratch)
            self._salvage(run_id, reading)
        finally:
            self._connection.text_factory = _text
        reading.tell(tally)
        return spool

    def _salvage(self, run_id: str, reading: _Rows) -> None:
        """Rows before and after what is damaged; no index is trusted."""
        last: object = None
        for order in ("ASC", "DESC"):
            batch: list[_Row] = []
            try:
                rest = f"NOT INDEXED WHERE run_uuid = ? ORDER BY rowid {order}"
                query = self.select("metrics", (*_METRIC, "rowid"), rest)
                for *row, rowid in self._connection.execute(query, (run_id,)):
                    if order == "DESC" and rowid == last:
                        break
                    batch.append(tuple(row))
                    last = rowid if order == "ASC" else last
                    if len(batch) == _BATCH:
                        reading.take(batch)
                        batch = []
            except sqlite3.DatabaseError:
                pass
            if batch:
                reading.take(batch)


class _Rows:
    """Rows (key, step, ms, value, is_nan) on their way into a spool."""

    def __init__(self, name: str, spool: Spool, tally: Tally) -> None:
        self._name = name
        self._spool = spool
        self._tally = tally
        self._infinite = 0

    def take(self, rows: list[_Row]) -> None:
        keys, step, ms, value, is_nan = zip(*rows, strict=True)
        count = len(rows)
        try:
            steps = np.fromiter(step, np.int64, count)
            times, values, infinite = decoded(
                np.fromiter(ms, np.float64, count), np.fromiter(value, np.float64, count)
            )
        except (TypeError, ValueError, OverflowError):
            good = [row for row in rows if _usable(row)]
            for _ in range(count - len(good)):
                self._tally.damage(self._name, "a row holds no number", place="metrics")
            if good:
                self.take(good)
            return
        values[np.fromiter(map(bool, is_nan), np.bool_, count)] = np.nan
        self._infinite += infinite
        self._tally.records += count
        number = {key: position for position, key in enumerate(dict.fromkeys(keys))}
        codes = np.fromiter(map(number.__getitem__, keys), np.int64, count)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))
        for key, at in zip(number, np.split(order, ends[:-1]), strict=True):
            name = _text(key) if isinstance(key, bytes) else str(key)
            self._spool.extend(name, steps[at], times[at], values[at])

    def tell(self, tally: Tally) -> None:
        tally.add(self._tally)
        tally.tell_infinite(self._infinite)


def _usable(row: _Row) -> bool:
    _, step, ms, value, _ = row
    whole = isinstance(step, int) and isinstance(ms, int) and -(2**63) <= step < 2**63
    return whole and isinstance(value, int | float)


def _lost_bytes(path: Path) -> int:
    """How much shorter the file is than its header says (SQLite's file format, 1.3)."""
    with path.open("rb") as stream:
        head = stream.read(100)
    if len(head) < 100 or head[24:28] != head[92:96]:  # then no writer has kept the count
        return 0
    page = int.from_bytes(head[16:18], "big")
    pages = int.from_bytes(head[28:32], "big")
    return max(0, (65_536 if page == 1 else page) * pages - path.stat().st_size)
