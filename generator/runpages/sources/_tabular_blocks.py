"""Files of rows, piece by piece: as columns where a piece is regular, else line by line.

Reading line by line says what the rows of a file are. pyarrow reads a piece as columns only where
it gives the same values, which is checked here: a piece that could mean something else to it is
not a `Block`, and its consumer may refuse one that is.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
from numpy.typing import NDArray

from ._textfiles import Ledger, Line, Lines, json_line, number

__all__ = ["Block", "Cells", "Form", "Table", "flattened"]

FIRST_BYTES = 16 << 10
"""What is read line by line before anything else: it tells which columns are texts."""
BLOCK_BYTES = 2 << 20
_MAX_DEPTH = 16
_SETTINGS = "config"
_LONGEST = (1 << 31) - 2
_ZERO = re.compile(rb"-0[\s,}\]]")
_NOT_FINITE = re.compile(rb"-NaN|Inf(?!inity)|\d{300}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the rows of a file are written."""

    delimiter: str = ""
    """Of CSV; empty for JSON lines."""
    foreign: bool = False
    """Not our own convention: objects in objects are flattened with ".", empty texts are absent, a
    further header among the rows is one, and bytes that are no UTF-8 are replaced."""


class Cells(NamedTuple):
    """What one column of a block holds."""

    rows: NDArray[np.int64]
    """Rows that have a value, rising."""
    values: NDArray[Any] | None
    """Their numbers (float64, int64 or truth values); None for what is no number: texts, lists."""
    words: list[str] | None = None
    """Their texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Many good rows at once, one a line."""

    table: Table
    text: Lines
    rows: int
    columns: dict[str, Cells]

    def place(self, row: int) -> str:
        return f"{self.table.name}:{self.text.first + row}"

    def keys(self, row: int) -> list[str]:
        """Names in one row, in the order in which they stand there."""
        start, end = self.text.starts()[row : row + 2]
        line = Lines(1, self.text.data[start:end])
        return [key for found in self.table.detached().lines(line) for key in found.row]

    def lines(self) -> Iterator[Line]:
        """The same rows one by one."""
        yield from self.table.lines(self.text)


@dataclass(slots=True)
class Table:
    """One file of rows while it is read; `ledger` keeps the counts."""

    ledger: Ledger
    name: str
    form: Form
    first_bytes: int = FIRST_BYTES
    block_bytes: int = BLOCK_BYTES
    header: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """What an object `config` in a foreign row of JSON holds (Ray Tune writes one in each row)."""
    _newest: dict[str, Any] = field(default_factory=dict)
    """The last row that was read by itself."""
    _dates: set[str] = field(default_factory=set)
    """Columns whose texts pyarrow takes for times."""

    def pieces(self) -> Iterator[Line | Block]:
        """All rows. Raises SourceError if the file cannot be opened."""
        for text in self._texts():
            block = self._block(text) if self._newest else None
            if block is None:
                yield from self.lines(text)
            else:
                yield block

    def one_by_one(self) -> Iterator[Line]:
        """All rows, none of them in a block."""
        for text in self._texts():
            yield from self.lines(text)

    def _texts(self) -> Iterator[Lines]:
        return self.ledger.blocks(
            self.name, first_bytes=self.first_bytes, block_bytes=self.block_bytes, needed=True
        )

    def lines(self, text: Lines) -> Iterator[Line]:
        """Rows one by one; a bad line is damage."""
        read = self._csv_line if self.form.delimiter else self._json_line
        for count, line in text.each():
            row = read(count, line)
            if row is not None:
                self._newest = row.row
                yield row

    def detached(self) -> Table:
        """The same, with a ledger of its own."""
        scratch = Ledger(self.ledger.folder)
        return Table(scratch, self.name, self.form, header=list(self.header))

    def _json_line(self, count: int, line: bytes) -> Line | None:
        if not self.form.foreign:
            return json_line(self.ledger, self.name, count, line)
        try:
            line.decode()
        except UnicodeDecodeError:
            line = line.decode(errors="replace").encode()
        row = json_line(self.ledger, self.name, count, line)
        if row is None:
            return None
        settings = row.row.get(_SETTINGS)
        if isinstance(settings, dict):
            self.settings = self.settings or settings
            del row.row[_SETTINGS]
        return row._replace(row=flattened(row.row))

    def _csv_line(self, count: int, line: bytes) -> Line | None:
        """Each line is parsed by itself: a stray quote costs one row, not the rest."""
        ledger = self.ledger
        if not line.endswith(b"\n"):
            # its last number may lack digits, and nothing in the line would show it
            ledger.cut(self.name, count, len(line))
            return None
        try:
            text = line.decode("utf-8-sig", errors="replace" if self.form.foreign else "strict")
            cells = _cells(text, self.form.delimiter)
        except (UnicodeDecodeError, csv.Error) as error:
            ledger.damage(self.name, count, len(line), f"not CSV ({str(error)[:80]})")
            return None
        if not self.header:
            self._begin(count, cells)
            return None
        if self.form.foreign and self._is_header(cells):
            if cells != self.header:
                self._begin(count, cells)
            return None
        if len(cells) > len(self.header):
            problem = f"{len(cells)} cells under {len(self.header)} columns"
            ledger.damage(self.name, count, len(line), problem)
            return None
        ledger.records += 1
        row = {key: cell for key, cell in zip(self.header, cells, strict=False) if cell}
        if self.form.foreign:
            row.pop("", None)
        return Line(f"{self.name}:{count}", len(line), row)

    def _begin(self, count: int, cells: list[str]) -> None:
        self.header = cells
        for twice in sorted(name for name, times in Counter(cells).items() if times > 1):
            if self.form.foreign and not twice:
                continue  # columns without a name are not read
            self.ledger.warn(
                f"{self.name}:{count}: two columns named {twice[:80]!r}; the last is read"
            )

    def _is_header(self, cells: list[str]) -> bool:
        """A program that appends writes its header again, perhaps with other columns."""
        if cells == self.header:
            return True
        named = {cell for cell in cells if cell}
        shared = named & set(self.header)
        return len(shared) > max(1, len(named) // 2) and not any(
            number(cell) is not None for cell in named
        )

    def _block(self, text: Lines) -> Block | None:
        if not text.data.endswith(b"\n"):
            return None
        read = self._csv_table if self.form.delimiter else self._json_table
        try:
            found = read(text)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None
        if found is None or found.num_rows != text.count:
            return None
        columns = self._columns(found)
        same = _same_cells if self.form.delimiter else _same_numbers
        if columns is None or not same(text.data, columns):
            return None
        if self.form.foreign:
            columns.pop("", None)
        if self.form.foreign and not self.form.delimiter:
            columns = {n: c for n, c in columns.items() if not n.startswith(f"{_SETTINGS}.")}
        return Block(table=self, text=text, rows=found.num_rows, columns=columns)

    def _csv_table(self, text: Lines) -> pa.Table | None:
        data = text.data
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            return None
        if len(set(self.header)) < len(self.header):
            return None
        words = {key for key, cell in self._newest.items() if number(cell) is None}
        words |= self.ledger.word_columns
        types = {key: pa.string() if key in words else pa.float64() for key in self.header}
        return pyarrow.csv.read_csv(
            pa.py_buffer(data),
            read_options=pyarrow.csv.ReadOptions(
                column_names=self.header,
                use_threads=False,
                block_size=min(len(data) + 1, _LONGEST),
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.form.delimiter, quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True
            ),
        )

    def _json_table(self, text: Lines) -> pa.Table | None:
        # every line feed stands between two objects, so that no object spans two lines
        data, starts = text.data, text.starts()
        text.known_count = len(starts) - 1
        content = np.frombuffer(data, np.uint8)
        ends = starts[1:] - 2
        if data[0] != ord("{") or not (content[starts[1:-1]] == ord("{")).all():
            return None
        if content[ends[0]] == ord("\r"):
            ends = ends - 1
        if not (content[ends] == ord("}")).all():
            return None
        if not data.isascii():
            data.decode()  # pyarrow does not look

        def read() -> pa.Table:
            schema = pa.schema([(name, pa.string()) for name in sorted(self._dates)])
            return pyarrow.json.read_json(
                pa.py_buffer(data),
                read_options=pyarrow.json.ReadOptions(
                    use_threads=False, block_size=min(len(data) + 1, _LONGEST)
                ),
                parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
            )

        table = read()
        dates = {f.name for f in table.schema if pa.types.is_timestamp(f.type)}
        if dates:
            self._dates |= dates
            table = read()
        depth = 0
        while self.form.foreign and any(pa.types.is_struct(f.type) for f in table.schema):
            depth += 1
            if depth > _MAX_DEPTH:
                return None
            table = table.flatten()
        return table

    def _columns(self, table: pa.Table) -> dict[str, Cells] | None:
        """Columns by name; None where two have one name or a type is not known here."""
        if len(set(table.column_names)) < table.num_columns:
            return None
        everywhere = np.arange(table.num_rows, dtype=np.int64)
        columns = {}
        for name, chunked in zip(table.column_names, table.columns, strict=True):
            column = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
            if column.offset:
                return None
            cells = self._typed(_present(column) if column.null_count else everywhere, column)
            if cells is None:
                return None
            if len(cells.rows):
                columns[name] = cells
        return columns

    def _typed(self, rows: NDArray[np.int64], column: pa.Array) -> Cells | None:
        kind = column.type
        if pa.types.is_null(kind) or pa.types.is_list(kind) or pa.types.is_struct(kind):
            return Cells(rows, None)
        if pa.types.is_float64(kind) or pa.types.is_int64(kind) or pa.types.is_boolean(kind):
            values = _plain_values(column)
            return Cells(rows, values if len(rows) == len(values) else values[rows])
        if not pa.types.is_string(kind):
            return None  # a time inside an object: its text is gone
        coded = column.dictionary_encode()
        known = coded.dictionary.to_pylist()
        words = [known[i] for i in _plain_values(coded.indices)[rows]]
        if self.form.delimiter:
            words = [word.strip() for word in words]
        if self.form.foreign or self.form.delimiter:
            kept = [i for i, word in enumerate(words) if word.strip()]
            if len(kept) < len(words):
                rows, words = rows[kept], [words[i] for i in kept]
        return Cells(rows, None, words)


def _present(column: pa.Array) -> NDArray[np.int64]:
    """Rows that hold something."""
    valid = column.is_valid().buffers()[1]
    return np.flatnonzero(_bits(valid, len(column)))


def _bits(buffer: pa.Buffer, count: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(buffer, np.uint8), count=count, bitorder="little")


def _plain_values(column: pa.Array) -> NDArray[Any]:
    """The values as they lie in memory, anything where there is none.

    pyarrow's own way to numpy imports pandas where that is installed.
    """
    if pa.types.is_boolean(column.type):
        return _bits(column.buffers()[1], len(column)).astype(np.bool_)
    dtype = np.dtype(str(column.type).replace("double", "float64"))
    return np.frombuffer(column.buffers()[1], dtype, len(column))


def _cells(text: str, delimiter: str) -> list[str]:
    """The cells of a line with its line feed."""
    text = text.removesuffix("\n").removesuffix("\r")
    if '"' in text or "\r" in text:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    else:
        cells = text.split(delimiter)
    return [cell.strip() for cell in cells]


def _same_cells(data: bytes, columns: dict[str, Cells]) -> bool:
    """Whether no quote was taken for a character of a text, nor `nan(...)` for a number."""
    for cells in columns.values():
        if cells.words is not None and any('"' in word for word in set(cells.words)):
            return False
        if cells.values is not None and np.isnan(cells.values).any() and b"(" in data:
            return False
    return True


def _same_numbers(data: bytes, columns: dict[str, Cells]) -> bool:
    """Whether pyarrow took no text for a number that Python's JSON takes for another.

    It knows `Inf` and `-NaN`, reads integers beyond the greatest float as infinite, and `-0` in a
    column of floats as -0.0.
    """
    for cells in columns.values():
        values = cells.values
        if values is None:
            if cells.words is None and _NOT_FINITE.search(data):
                return False  # a list
            continue
        if values.dtype != np.float64:
            continue
        if not np.isfinite(values).all() and _NOT_FINITE.search(data):
            return False
        if not values.all() and np.signbit(values[values == 0]).any() and _ZERO.search(data):
            return False
    return True


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """A row without objects in objects, without null and without empty texts."""
    flat: dict[str, Any] = {}
    _flatten(flat, "", row, 1)
    return flat


def _flatten(flat: dict[str, Any], above: str, row: dict[str, Any], depth: int) -> None:
    for key, value in row.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and depth <= _MAX_DEPTH:
            _flatten(flat, f"{name}.", value, depth + 1)
        elif value is None or (isinstance(value, str) and not value.strip()):
            continue
        elif name:
            flat[name] = value
