"""What a file of rows is, by its first lines: whether it logs a run, and what its columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from runpages.analysis.roles import role_of

from ._tabular_blocks import Form, Table
from ._tabular_kind import Row, names_training, plain_name, split_of, told_apart_by
from ._tabular_rows import Meaning, Rows
from ._textfiles import Ledger, Line, Lines, number, seconds, whole
from .contract import UNREADABLE

__all__ = ["CLOCK_NAMES", "MOST_METRICS", "STEP_NAMES", "Look", "examine"]

STEP_NAMES = (
    "global_step", "trainer/global_step", "train/global_step", "optimizer_step", "step", "steps",
    "current_steps", "train_step", "training_step", "num_updates", "updates", "update",
    "trained_steps", "iteration", "iterations", "iter", "training_iteration",
    "time/total_timesteps", "total_timesteps", "timesteps_total", "timestepssofar",
    "num_timesteps", "n_updates", "nupdates", "_step", "epoch",
)  # fmt: skip
"""Columns that count steps, the best first; lower case, "_" for spaces and hyphens."""
CLOCK_NAMES = (
    "_timestamp", "timestamp", "time", "wall_time", "walltime", "created_at", "datetime",
    "date_time", "date", "unix_time", "ts",
)  # fmt: skip
"""Columns that may hold a point in time; only a column whose values are one does."""
MOST_METRICS = 10_000
_SURE = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
"""Suffixes of tables; `.log`, `.txt` and `.json` are ones if their lines are JSON objects or cells
under a header with a step."""
_DELIMITED = frozenset({".csv", ".tsv"})
_MAYBE = frozenset({".log", ".txt", ".json"})
_DVCLIVE = "/plots/metrics/"
"""Where DVCLive keeps a file for each metric."""
_TOLD = frozenset({"loss", "val_loss", "lr", "grad_norm"})
"""Roles of columns that make a table without a step worth a sentence."""
_HEAD_BYTES = 64 << 10
_WIDE_BYTES = 8 << 20
_SAMPLE_ROWS = 40
_MOST_ROWS = 2000
_LONG_TEXT = 100
_MOST_EPOCHS = 10_000_000
_MOST_TEXTS = 3
_YEARS = (1e9, 4e9)
"""Seconds since 1970 of the years 2001 to 2096: smaller numbers are durations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the first lines of a file tell."""

    form: Form = field(default_factory=Form)
    columns: tuple[str, ...] = ()
    meaning: Meaning = field(default_factory=Meaning)
    reason: str = ""
    """Why nothing is read of it; empty if it logs a run."""


def examine(path: Path) -> Look | None:
    """None for a file that is not ours to speak of."""
    suffix = path.suffix.lower()
    if suffix not in _SURE | _MAYBE or _DVCLIVE in f"{path.parent.as_posix()}/":
        return None
    sure = suffix in _SURE
    try:
        if not path.is_file():
            return Look(reason="is no regular file") if sure else None
        head = _head(path)
    except OSError as error:
        return Look(reason=f"{UNREADABLE}: {error.strerror}") if sure else None
    if not head.strip():
        return Look(reason="empty: no row was written") if sure else None
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Look(reason="is UTF-16: save it as UTF-8") if sure else None
    form = _form(suffix, head)
    if form is None:
        return None
    return _judged(path, form, head, sure=sure)


def _head(path: Path) -> bytes:
    """The first lines, whole ones if there is at least one row among them."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        if head.count(b"\n") < 3:  # a header of thousands of columns
            head += stream.read(_WIDE_BYTES)
        if stream.read(1):
            head = head[: head.rfind(b"\n") + 1] or head
    return head


def _form(suffix: str, head: bytes) -> Form | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if suffix not in _DELIMITED and text.startswith(b"{"):
        return Form(foreign=True)
    if text.startswith(b"#{"):
        return None  # the log of one worker of an environment: it has no step
    header = text.partition(b"\n")[0]
    delimiter = max(",;\t", key=lambda character: header.count(character.encode()))
    if suffix not in _DELIMITED:
        names = {plain_name(cell) for cell in header.decode(errors="replace").split(delimiter)}
        if suffix not in _MAYBE or len(names) < 2 or names.isdisjoint(STEP_NAMES):
            return None
    return Form(delimiter=delimiter, foreign=True)


def _judged(path: Path, form: Form, head: bytes, *, sure: bool) -> Look | None:
    table = Table(Ledger(path.parent), path.name, form)
    lines = Lines(1, head)
    rows = table.lines(lines)
    sample = list(islice(rows, _SAMPLE_ROWS))
    told = sum(1 for _ in islice(lines.each(), _SAMPLE_ROWS)) - bool(form.delimiter)
    least = 1 if sure or form.delimiter else 2
    if not (sure and form.delimiter) and (len(sample) < least or len(sample) * 5 < told * 4):
        return None
    head_rows = _Head.of(table.header, [line.row for line in sample])
    if not sample:
        known = not head_rows.plain.keys().isdisjoint(STEP_NAMES)
        return Look(reason="holds a header and no row") if known else None
    step = _step_column(head_rows)
    clock, unit = _clock(head_rows, step)
    numeric = _numeric(head_rows) - {step, clock}
    if not numeric or _tells_texts(head_rows, numeric):
        return None
    if not step:
        told_of = any(role_of(name) in _TOLD for name in sorted(numeric)[:_SAMPLE_ROWS])
        return Look(reason=_no_step(head_rows.names)) if told_of else None
    meaning = Meaning(
        step=step,
        time=clock,
        time_unit=unit,
        by_metric=True,
        most_metrics=MOST_METRICS,
        epoch=_epoch(head_rows, step),
        iteration=_iteration(head_rows, step) if not form.delimiter else "",
    )
    meaning, apart = _whose([*sample, *islice(rows, _MOST_ROWS)], meaning)
    reason = _several_runs(sample, meaning) or apart
    if not names_training(step, clock, numeric, path):
        reason = _no_training(numeric)
    return Look(form=form, columns=head_rows.names, meaning=meaning, reason=reason)


def _iteration(head: _Head, step: str) -> str:
    """The column that counts iterations where `step` may count something else (mmengine)."""
    has_all = {"iter", "epoch", "step"} <= head.plain.keys()
    return head.plain["iter"] if has_all and plain_name(step) == "step" else ""


def _whose(lines: Sequence[Line], meaning: Meaning) -> tuple[Meaning, str]:
    """What the rows of train, val... are told by; why they are rows of several runs."""
    steps = ((whole(line.row.get(meaning.step)), line.row) for line in lines)
    rows = [Row(step, cells) for step, cells in steps if step is not None]
    special = frozenset({meaning.step, meaning.time, meaning.epoch})
    split = split_of(rows, special)
    if split:
        return replace(meaning, split=split), ""
    teller = told_apart_by(rows, special)
    if not teller:
        return meaning, ""
    return meaning, f"its rows are of several runs, told apart by `{teller[:40]}`: split it by run"


def _no_training(metrics: Iterable[str]) -> str:
    shown = ", ".join(f"`{name[:40]}`" for name in _first(sorted(metrics), 8))
    return (
        f"has steps, but nothing in it has the name of what a training measures ({shown}):"
        " if it is the log of one, call the file metrics.csv or metrics.jsonl"
    )


class _Head(NamedTuple):
    """The first rows."""

    rows: list[dict[str, Any]]
    names: tuple[str, ...]
    plain: dict[str, str]
    """Column by its name in lower case, with "_" for spaces and hyphens."""

    @classmethod
    def of(cls, header: Sequence[str], rows: list[dict[str, Any]]) -> _Head:
        names = tuple(dict.fromkeys([*header, *(key for row in rows for key in row)]))
        plain = {plain_name(name): name for name in reversed(names)}
        return cls(rows, names, plain)

    def values(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows if name in row]


def _step_column(head: _Head) -> str:
    """The best column that counts steps and stands in at least half of the rows."""
    for wanted in STEP_NAMES:
        if wanted not in head.plain:
            continue
        values = head.values(head.plain[wanted])
        good = [found for value in values if (found := whole(value)) is not None]
        most = _MOST_EPOCHS if wanted == "epoch" else 2**63
        often = len(values) * 2 >= len(head.rows) and len(good) * 10 >= len(values) * 9
        if values and often and all(abs(value) < most for value in good):
            return head.plain[wanted]
    return ""


def _numeric(head: _Head) -> set[str]:
    """Columns with a number that is no count of steps."""
    steps = {name for plain, name in head.plain.items() if plain in STEP_NAMES}
    found = {
        name
        for row in head.rows
        for name, value in row.items()
        if name not in steps and number(value) is not None
    }
    return found - {""}


def _tells_texts(head: _Head, numeric: set[str]) -> bool:
    """Whether the rows are samples, events or records of data rather than metrics.

    A program may call each row of metrics an event: then most rows hold a loss or a rate.
    """
    texts: dict[str, list[str]] = {}
    for row in head.rows:
        for name, value in row.items():
            if isinstance(value, str) and name not in numeric and number(value) is None:
                texts.setdefault(name, []).append(value)
    if len(texts.get("event", ())) * 2 > len(head.rows) and not _mostly_told(head, numeric):
        return True
    often = [found for found in texts.values() if len(found) * 2 >= len(head.rows)]
    if any(median(map(len, found)) > _LONG_TEXT for found in often):
        return True
    return len(texts) > max(_MOST_TEXTS, len(numeric))


def _mostly_told(head: _Head, numeric: set[str]) -> bool:
    names = {name for name in numeric if role_of(name) in _TOLD}
    return sum(not names.isdisjoint(row) for row in head.rows) * 2 > len(head.rows)


def _clock(head: _Head, step: str) -> tuple[str, float]:
    """(column, seconds in one unit) of the times, or nothing."""
    for wanted in CLOCK_NAMES:
        name = head.plain.get(wanted, step)
        values = head.values(name) if name != step else []
        numbers = [found for value in values if (found := number(value)) is not None]
        if not values:
            continue
        if not numbers and all(isinstance(v, str) and seconds(v) is not None for v in values):
            return name, 1.0
        for unit in (1.0, 1e-3):
            points = [_YEARS[0] <= found * unit < _YEARS[1] for found in numbers]
            if len(points) == len(values) and all(points):
                return name, unit
    return "", 1.0


def _epoch(head: _Head, step: str) -> str:
    """The column of whole epochs beside the step."""
    name = head.plain.get("epoch", step)
    values = head.values(name) if name != step else []
    return name if values and all(whole(value) is not None for value in values) else ""


def _several_runs(sample: Sequence[Line], meaning: Meaning) -> str:
    """A table of results has a step in each row, too, but in no order."""
    rows = Rows(Ledger(Path()), meaning)
    rows.collect(sample)
    falls = len(rows.seen) - 1
    if falls > max(3, len(sample) // 5) and not (rows.renewed and all(rows.renewed)):
        return (
            f"its `{meaning.step}` goes up and down as in a table of several runs: split it by run"
        )
    return ""


def _no_step(columns: Sequence[str]) -> str:
    shown = ", ".join(f"`{name[:40]}`" for name in _first(columns, 8))
    more = f" and {len(columns) - 8:,} more" if len(columns) > 8 else ""
    return (
        f"has no column that counts steps (it has {shown}{more}):"
        " add one named `step`, `iteration` or `epoch`"
    )


def _first(names: Iterable[str], count: int) -> Iterator[str]:
    yield from islice((name for name in names if name), count)
