"""A small real file hurt at every byte: no crash, everything before the damage, the damage told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorboardX import SummaryWriter

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources.tensorboard import TensorBoard
from sources.conformance import read_all
from sources.test_tf_frames import framed, plain

NOW = 1_790_000_000.0


def write(folder: Path) -> Path:
    """Something of everything."""
    with SummaryWriter(str(folder)) as writer:
        writer.add_hparams({"lr": 0.1, "name": "a"}, {"accuracy": 0.5}, name="settings")
        for step in (1, 2):
            at = NOW + step
            writer.add_scalar("loss", 1 / step, step, walltime=at)
            writer.add_text("said", "ümlaut", step, walltime=at)
            writer.add_histogram("weights", np.arange(4.0), step, bins=3, walltime=at)
            writer.add_image("picture", np.zeros((1, 1, 1), dtype=np.uint8), step, walltime=at)
    (path,) = folder.glob("*tfevents*")
    (settings,) = (folder / "settings").iterdir()
    path.write_bytes(path.read_bytes() + settings.read_bytes())
    settings.unlink()
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "run")


def read(path: Path) -> Run | None:
    """None where nothing can be used, which must be a sentence."""
    source = TensorBoard(str(path.parent))
    try:
        (run,) = read_all(source) or (None,)
    except SourceError:
        return None
    if run is None:
        assert len(source.skipped) == 1
    return run


def rows(run: Run | None) -> Iterator[tuple[str, int, float]]:
    """All numbers of a run, and its texts and images by step."""
    if run is None:
        return
    for name in run.series:
        recorded = run.series[name].recorded
        yield from ((name, *row) for row in zip(recorded.step, recorded.value, strict=True))
    for sample in run.samples:
        size = len(sample.text) if sample.media is None else len(sample.media.read())
        yield (f"{sample.kind} {sample.name}", sample.step or 0, size)


def test_every_flip_costs_one_record(log: Path) -> None:
    data = log.read_bytes()
    bounds = [offset - 12 for offset, _ in plain(data)[0]]
    whole = read(log)
    everything = set(rows(whole))
    assert len(everything) == 2 + 2 + 2 * 6 + 2 + 1
    before: dict[int, set[tuple[str, int, float]]] = {}
    for number, bound in enumerate(bounds):
        log.write_bytes(data[:bound])
        before[number] = set(rows(read(log)))
    for at in range(len(data)):
        hurt = bytearray(data)
        hurt[at] ^= 1 << at % 8
        log.write_bytes(hurt)
        run = read(log)
        number = max(n for n, bound in enumerate(bounds) if bound <= at)
        assert run is not None
        assert before[number] <= set(rows(run)) <= everything
        assert run.provenance.records_damaged == 1
        size = [*bounds, len(data)][number + 1] - bounds[number]
        assert run.provenance.bytes_damaged == size
        assert len(run.incomplete) == 1


def test_every_cut_keeps_what_is_before_it(log: Path) -> None:
    data = log.read_bytes()
    bounds = [*(offset - 12 for offset, _ in plain(data)[0]), len(data)]
    kept: set[tuple[str, int, float]] = set()
    for size in range(1, len(data)):
        log.write_bytes(data[:size])
        run = read(log)
        found = set(rows(run))
        assert kept <= found
        kept = found
        if run is not None:
            lost = size - max(bound for bound in bounds if bound <= size)
            assert run.provenance.bytes_damaged == lost
            assert bool(run.incomplete) == bool(lost)


def test_every_byte_hurt_within_good_checksums(log: Path) -> None:
    """What a checksum cannot show, a broken writer for one: whatever is in a record is survived."""
    records = [payload for _, payload in plain(log.read_bytes())[0]]
    for number, payload in enumerate(records):
        others = [[framed(r) for r in part] for part in (records[:number], records[number + 1 :])]
        for at in range(len(payload)):
            hurt = bytearray(payload)
            hurt[at] ^= 1 << at * 3 % 8
            log.write_bytes(b"".join([*others[0], framed(bytes(hurt)), *others[1]]))
            run = read(log)
            assert run is not None
            assert len(set(rows(run))) >= 19 - 6
            assert run.provenance.records_read + run.provenance.records_damaged == len(records)


def test_arbitrary_events_within_good_checksums(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "run" / "a.tfevents.1"
    path.parent.mkdir()
    for _ in range(100):
        payloads = [generator.bytes(int(generator.integers(0, 80))) for _ in range(20)]
        path.write_bytes(b"".join(framed(payload) for payload in payloads))
        read(path)
