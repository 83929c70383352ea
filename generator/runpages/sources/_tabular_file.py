"""One table of metrics from its first row to its series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from runpages.errors import SourceError
from runpages.model import SeriesSet

from ._tabular_blocks import Table, flattened
from ._tabular_look import MOST_METRICS, Look, examine
from ._tabular_rows import Meaning, Rows
from ._tabular_silence import TAIL, Row, exploded, silent_rows
from ._textfiles import Ledger, number, whole
from .spool import Spool

__all__ = ["File", "read_file"]


class File(NamedTuple):
    """What one file holds."""

    ledger: Ledger
    rows: Rows
    series: SeriesSet
    step_source: str
    epochs: bool
    """The step counts epochs."""
    settings: dict[str, object]
    """What its rows themselves say of the settings."""


def read_file(path: Path, *, prefix: str, buffer_bytes: int) -> File:
    """Raises SourceError if nothing of the file can be used."""
    look = examine(path)
    if look is None or look.reason:
        problem = "holds no rows of metrics any more" if look is None else look.reason
        raise SourceError(path, problem, remedy="restore the file, or read it when it has rows")
    tail = TAIL if look.form.delimiter and not look.meaning.split else 0
    meaning = replace(look.meaning, prefix=prefix, tail=tail)
    step_source = meaning.step
    rows, settings = _collect(path, look, meaning, buffer_bytes)
    if rows.renewed and all(rows.renewed):
        # the step counts batches within an epoch: only the epoch goes on over the whole run
        step_source = f"{meaning.epoch} (`{meaning.step}` begins anew in each)"
        meaning = replace(meaning, step=meaning.epoch, epoch="")
        rows, settings = _collect(path, look, meaning, buffer_bytes)
        rows.ledger.warn(
            f"{path.name}: `{look.meaning.step}` begins anew in each `{meaning.step}`, which is"
            " taken for the step: of several rows in one the curve shows the last"
        )
    _tell(rows, path.name)
    if look.form.delimiter:
        _blanks_after_blow_up(path, look, rows)
    epochs = meaning.step.rpartition("/")[2].lower() in {"epoch", "epochs"}
    return File(rows.ledger, rows, rows.spool.finish(), step_source, epochs, settings)


def _collect(
    path: Path, look: Look, meaning: Meaning, buffer_bytes: int
) -> tuple[Rows, dict[str, object]]:
    """The rows, and the settings that they hold."""
    ledger = Ledger(path.parent)
    rows = Rows(ledger, meaning, Spool(buffer_bytes=buffer_bytes))
    table = Table(ledger, path.name, look.form)
    rows.collect(table.pieces())
    settings = flattened(table.settings)
    return rows, {k: v for k, v in settings.items() if isinstance(v, str | bool | int | float)}


def _tell(rows: Rows, name: str) -> None:
    """Warnings on what was set aside."""
    if rows.without_step:
        count = rows.without_step
        rows.ledger.records -= count
        rows.ledger.warn(
            f"{name}: {count:,} row{'s' * (count > 1)} without `{rows.meaning.step}`; left out"
        )
    if rows.moved:
        count = rows.moved
        rows.ledger.warn(
            f"{name}: {count:,} evaluation{'s' * (count > 1)} of which `{rows.meaning.step}` is the"
            f" epoch; they stand at the last `{rows.meaning.iteration}` that was logged before"
        )
    if rows.too_many:
        rows.ledger.warn(
            f"{name}: more than {MOST_METRICS:,} metrics; {len(rows.too_many):,} are left out"
        )
    late = _late_start(rows.head)
    if late is not None:
        rows.ledger.warn(
            f"{name}: starts at step {late:,}: it may go on from a run in another file or folder"
        )


def _late_start(head: Sequence[int]) -> int | None:
    """The first step, if it is more than twice as far from 0 as the first rows from one another."""
    steps = sorted(set(head))
    if len(steps) < 3:
        return None
    gap = median(later - earlier for earlier, later in zip(steps, steps[1:], strict=False))
    return steps[0] if steps[0] > 2 * gap + 1 else None


def _blanks_after_blow_up(path: Path, look: Look, rows: Rows) -> None:
    """See `_tabular_silence`: reads the file again if a loss of it ends far above the others."""
    stopped = frozenset(name for name, tail in rows.tails.items() if exploded(tail))
    if not stopped:
        return
    for name, silent in silent_rows(_again(path, look, rows.meaning), stopped).items():
        for attempt in sorted({row.attempt for row in silent}):
            own = [row for row in silent if row.attempt == attempt]
            rows.spool.extend(
                f"{rows.meaning.prefix}{name}",
                [row.step for row in own],
                [row.seconds for row in own],
                [np.nan] * len(own),
                attempt=attempt,
            )
        rows.ledger.warn(
            f"{path.name}: `{name}` is blank after {rows.tails[name][-1]:.4g} while rows like those"
            f" that held it go on: {len(silent):,} blank cell{'s' * (len(silent) > 1)} from step"
            f" {silent[0].step:,} on count{'s' * (len(silent) == 1)} as NaN"
        )


def _again(path: Path, look: Look, meaning: Meaning) -> Iterator[Row]:
    """The rows that were taken, one by one."""
    ledger = Ledger(path.parent)
    rows = Rows(ledger, meaning)
    for line in Table(ledger, path.name, look.form).one_by_one():
        step = whole(line.row.get(meaning.step))
        if step is None:
            continue
        special = {meaning.step, meaning.time, meaning.attempt}
        names = frozenset(
            key for key, cell in line.row.items() if key not in special and number(cell) is not None
        )
        clock = rows.clock(line.row, line.place, key=meaning.time)
        yield Row(step, clock, rows.lives.place(1, step, names), names)
