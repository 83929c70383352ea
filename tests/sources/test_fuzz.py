"""Damage of binary logs: flipped bytes and cuts at every byte. `make acceptance` does 10,000 flips.

For a log of records, what a cut at byte n keeps is what lies whole before n. A flip of byte n must
keep at least that, row by row, and must tell that something was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import FileSource, load_source
from sources import binary_logs

FLIPS = 150
ALL_FLIPS = 10_000
SECONDS = 1.0
"""No damage may keep a reader busy for longer."""


class Format(NamedTuple):
    kind: str
    write: Callable[[Path], Path]
    """Writes one small run with the real writer below a folder; the log file."""
    records: bool
    """A log of records that is written from front to back."""


FORMATS = (
    Format("tensorboard", binary_logs.write_tfevents, records=True),
    Format("wandb", binary_logs.write_wandb, records=True),
    Format("mlflow", binary_logs.write_mlflow, records=False),
    Format("trackio", binary_logs.write_trackio, records=False),
    Format("clearml", binary_logs.write_clearml, records=False),
)


def read(kind: str, root: Path) -> tuple[Run | None, bool]:
    """The run (None: nothing of it can be used) and whether damage was told."""
    cls = load_source(kind)
    assert issubclass(cls, FileSource)
    source = cls(str(root))
    started = time.process_time()
    run, told = None, False
    try:
        refs = list(source.discover())
        told = bool(source.skipped)
        for ref in refs:
            run = source.read(ref)
            for name in run.series:
                assert len(run.series[name].recorded.step) >= 0
    except SourceError:
        told = True
    assert time.process_time() - started < SECONDS
    if run is not None:
        told |= bool(run.incomplete or run.provenance.records_damaged or run.provenance.warnings)
    return run, told


def rows(run: Run | None) -> dict[str, np.ndarray]:
    """Name -> (step, value) of each recorded row."""
    if run is None:
        return {}
    found = {}
    for name in run.series:
        recorded = run.series[name].recorded
        found[name] = np.stack([recorded.step.astype(float), recorded.value])
    return found


def begins_with(longer: dict[str, np.ndarray], shorter: dict[str, np.ndarray]) -> bool:
    return all(
        name in longer
        and longer[name].shape[1] >= part.shape[1]
        and np.array_equal(longer[name][:, : part.shape[1]], part, equal_nan=True)
        for name, part in shorter.items()
    )


class Damaged:
    """A small log, what is left of it after a cut at each byte, and a place to damage it."""

    def __init__(self, form: Format, folder: Path) -> None:
        self.form = form
        self.root = folder / "logs"
        self.root.mkdir(parents=True)
        self.path = form.write(self.root)
        self.data = self.path.read_bytes()
        run, told = read(form.kind, self.root)
        assert run is not None
        assert not told
        self.whole = rows(run)
        assert sum(part.shape[1] for part in self.whole.values()) > 10
        self._cuts: dict[int, dict[str, np.ndarray]] = {}

    def cut(self, size: int) -> dict[str, np.ndarray]:
        if size not in self._cuts:
            self.path.write_bytes(self.data[:size])
            run, _ = read(self.form.kind, self.root)
            self._cuts[size] = rows(run)
        return self._cuts[size]

    def flip(self, at: int, mask: int) -> None:
        data = bytearray(self.data)
        data[at] ^= mask
        self.path.write_bytes(data)
        run, told = read(self.form.kind, self.root)
        found = rows(run)
        if not self.form.records:
            return
        before = self.cut(at)
        assert begins_with(found, before), f"byte {at}: rows before it are gone"
        same = found.keys() == self.whole.keys() and begins_with(found, self.whole)
        assert told or same, f"byte {at}: damage was not told"


@pytest.fixture(scope="module", params=FORMATS, ids=lambda form: form.kind)
def damaged(request, tmp_path_factory):
    return Damaged(request.param, tmp_path_factory.mktemp(request.param.kind))


def test_a_cut_at_every_byte_keeps_a_prefix(damaged):
    stride = max(1, len(damaged.data) // 400)
    before: dict[str, np.ndarray] = {}
    for size in range(0, len(damaged.data), stride):
        found = damaged.cut(size)
        if damaged.form.records:
            assert begins_with(found, before), f"a cut at byte {size} loses what a shorter one has"
            assert begins_with(damaged.whole, found), f"a cut at byte {size} changes a row"
            before = found


def test_flipped_bytes_lose_only_what_they_hit(damaged):
    random = np.random.default_rng(1)
    for at in random.integers(0, len(damaged.data), FLIPS):
        damaged.flip(int(at), 1 << int(random.integers(0, 8)))


@pytest.mark.acceptance
def test_every_cut_and_ten_thousand_flips(damaged):
    # a database of a megabyte: as many cuts as flips; a log of records: a cut at every byte
    stride = 1 if damaged.form.records else max(1, len(damaged.data) // ALL_FLIPS)
    cuts = range(0, len(damaged.data), stride)
    for size in cuts:
        damaged.cut(size)
    random = np.random.default_rng(7)
    slowest = 0.0
    for at in random.integers(0, len(damaged.data), ALL_FLIPS):
        began = time.process_time()
        damaged.flip(int(at), int(random.integers(1, 256)))
        slowest = max(slowest, time.process_time() - began)
    print(
        f"{damaged.form.kind}: {len(damaged.data):,} bytes, {len(cuts):,} cuts, {ALL_FLIPS:,} flips;"
        f" slowest {slowest:.3f} s"
    )
