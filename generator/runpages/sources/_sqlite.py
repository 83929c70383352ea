"""A SQLite file, read without a write to it and as far as it can be read at all."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runpages.errors import SourceError

__all__ = ["MAGIC", "Database", "opened", "tables_of"]

MAGIC = b"SQLite format 3\x00"
_LOCK_SECONDS = 10.0
_MAX_VALUE_BYTES = 16_000_000
_MAX_GAPS = 1_000
"""Damaged places in one table after which the rest of it is given up."""
_LAST_ROWID = 2**62
_TICK = 1_000_000
"""SQLite's own instructions after which it asks whether to go on."""
_BYTES_A_TICK = 100_000


def tables_of(path: Path) -> dict[str, tuple[str, ...]]:
    """Columns by table of the file as it lies there; empty if it is no SQLite file."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return {}
        connection = _connected(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        try:
            return _columns(connection)
        finally:
            connection.close()
    except (OSError, sqlite3.Error):
        return {}


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """The file for reading. Raises SourceError if SQLite cannot make anything of it.

    What a writer left in a log or journal beside it takes writing to be read: then it is a private
    copy that is opened. Any other file is opened as one that nobody changes.
    """
    with tempfile.TemporaryDirectory(prefix="runpages-") as private:
        try:
            connection = _connected(_address(path, Path(private)))
        except (OSError, sqlite3.Error) as error:
            raise SourceError(path, f"cannot be opened: {error}") from error
        try:
            yield Database(path, connection)
        except sqlite3.Error as error:
            raise SourceError(path, f"cannot be read: {error}") from error
        finally:
            connection.close()


def _address(path: Path, private: Path) -> str:
    beside = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
    left = [other for other in beside if other.is_file() and other.stat().st_size]
    if not left:
        return f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    for other in (path, *left):
        shutil.copyfile(other, private / other.name)
    return (private / path.name).as_uri()


def _connected(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    # so SQLite reads what is left of a file that was cut off; the file itself cannot be written
    connection.execute("PRAGMA writable_schema = ON")
    return connection


def _columns(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    names = [
        str(name)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    found = {}
    for name in names:
        info = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
        found[name] = tuple(str(column) for (column,) in info)
    return found


class Database:
    """An open SQLite file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self.lost_bytes = _lost_bytes(path)
        """Bytes that the file lacks at its end, by its own header."""
        self.columns = _columns(connection)
        """By table."""
        self._spent = 0
        self._budget = 100 + path.stat().st_size // _BYTES_A_TICK
        connection.set_progress_handler(self._tick, _TICK)

    def _tick(self) -> bool:
        """Whether to stop: pages that point at each other would be read for ever."""
        self._spent += 1
        return self._spent > self._budget

    def distinct(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Each combination of values once, in the order of the rows that can be read."""
        if table not in self.columns:
            return []
        select = self._select(table, columns, "")
        rows = self._passing_over(select, select, (), lambda _, __: None)
        return list(dict.fromkeys(row[1:] for row in rows))

    def rows(
        self,
        table: str,
        columns: Sequence[str],
        *,
        where: tuple[str, object],
        damaged: Callable[[int, str], None],
    ) -> Iterator[tuple[Any, ...]]:
        """(rowid, *values) of the rows whose column `where[0]` is `where[1]`, ordered by rowid.

        Columns that the table does not have give None, a table that is not there gives no row.
        What cannot be read is passed over; `damaged` is told the rowid behind which it lies.
        No index is used: a damaged one would give wrong rows without a word.
        """
        if where[0] not in self.columns.get(table, ()):
            return iter(())
        select = self._select(table, columns, f"AND {_quoted(where[0])} = ?")
        every = self._select(table, (*columns, where[0]), "")
        return self._passing_over(select, every, (where[1],), damaged)

    def _passing_over(
        self,
        select: str,
        every: str,
        values: tuple[object, ...],
        damaged: Callable[[int, str], None],
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of `select`; behind a damaged place it goes on where `every` finds a row again."""
        last = -_LAST_ROWID
        for _ in range(_MAX_GAPS):
            try:
                for row in self._ascending(select, (last, *values)):
                    last = row[0]
                    yield row
            except sqlite3.DatabaseError as error:
                damaged(max(last, 0), str(error))
                last = self._behind(every, last)
            else:
                return

    def _select(self, table: str, columns: Sequence[str], condition: str) -> str:
        known = self.columns[table]
        wanted = ", ".join(["rowid", *(_quoted(c) if c in known else "NULL" for c in columns)])
        start = f"SELECT {wanted} FROM {_quoted(table)} NOT INDEXED"  # noqa: S608 - quoted
        return f"{start} WHERE rowid > ? {condition} ORDER BY rowid"

    def _ascending(self, select: str, values: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        self._spent = 0
        last = values[0]
        for row in self._connection.execute(select, values):
            if row[0] <= last:
                raise sqlite3.DatabaseError("rows out of order")
            yield row
            last = row[0]

    def _behind(self, select: str, last: int) -> int:
        """The smallest rowid found behind `last` such that the row behind it can be read."""
        reach = 1
        while not self._readable(select, last + reach):
            reach *= 2
            if last + reach > _LAST_ROWID:
                return _LAST_ROWID
        low, high = last + reach // 2, last + reach
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._readable(select, middle) else (middle, high)
        return high

    def _readable(self, select: str, last: int) -> bool:
        try:
            next(self._ascending(select, (last,)), None)
        except sqlite3.DatabaseError:
            return False
        return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _lost_bytes(path: Path) -> int:
    """By how much the file is shorter than its header says (SQLite's file format, 1.3)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(100)
        size = path.stat().st_size
    except OSError:
        return 0
    if len(head) < 100 or head[24:28] != head[92:96]:  # then nobody has kept the count
        return 0
    page = int.from_bytes(head[16:18], "big")
    return max(0, (65_536 if page == 1 else page) * int.from_bytes(head[28:32], "big") - size)
