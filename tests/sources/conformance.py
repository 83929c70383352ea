"""What every source of log files must do, whatever its format.

A test class of a source subclasses `SourceConformance` and writes one run with the real writer.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import FileSource, load_source, sniff

__all__ = ["Logged", "SourceConformance", "read_all"]

CUTS = 20


class Logged(NamedTuple):
    """A run on disk and what its writer was told to log."""

    root: Path
    values: dict[str, list[tuple[int, float]]]


def read_all(source: FileSource) -> list[Run]:
    return [source.read(ref) for ref in source.discover()]


def _digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _same_arrays(one: Run, other: Run) -> None:
    assert list(one.series) == list(other.series)
    for name in one.series:
        for left, right in zip(one.series[name].recorded, other.series[name].recorded, strict=True):
            np.testing.assert_array_equal(left, right, strict=True)


class SourceConformance:
    """Subclass it, name the class `Test...`, and give `kind`, `log` and `write`."""

    kind: ClassVar[str]
    log: ClassVar[str]
    """Glob of the one file that holds the rows."""
    single: ClassVar[bool] = False
    """Whether the format stores values in single precision."""
    lossy_nonfinite: ClassVar[str] = ""
    """Why the format cannot hold all of NaN, inf and -inf; empty = it can."""

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        """Write one run below `root` with the real writer; what was logged, NaN and ±Inf too."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def logged(cls, tmp_path_factory: pytest.TempPathFactory) -> Logged:
        root = tmp_path_factory.mktemp(cls.kind) / "logs"
        root.mkdir()
        values = cls().write(root)
        everything = [value for rows in values.values() for _, value in rows]
        if not cls.lossy_nonfinite:
            assert np.isnan(everything).any()
            assert {np.inf, -np.inf} <= set(everything)
        return Logged(root, values)

    @pytest.fixture
    def copied(self, logged: Logged, tmp_path: Path) -> Path:
        """The same files under another parent folder, free to be damaged."""
        root = tmp_path / "elsewhere" / logged.root.name
        shutil.copytree(logged.root, root, symlinks=True)
        return root

    def open(self, root: Path) -> FileSource:
        cls = load_source(self.kind)
        assert issubclass(cls, FileSource)
        assert cls.kind == self.kind
        return cls(str(root))

    def only(self, root: Path) -> Run:
        (run,) = read_all(self.open(root))
        return run

    def log_file(self, root: Path) -> Path:
        (path,) = root.rglob(self.log)
        return path

    def cuts(self, logged: Logged, copied: Path) -> Iterator[tuple[int, list[Run]]]:
        """Runs found after each cut; a SourceError counts as none."""
        data = self.log_file(logged.root).read_bytes()
        path = self.log_file(copied)
        for size in sorted({*np.linspace(1, len(data) - 1, CUTS).astype(int).tolist()}):
            path.write_bytes(data[:size])
            try:
                yield size, read_all(self.open(copied))
            except SourceError:
                yield size, []

    def test_exactly_that_run_is_found(self, logged: Logged) -> None:
        source = self.open(logged.root)
        (ref,) = source.discover()
        assert ref.kind == self.kind
        assert ref.source == logged.root.name
        assert source.skipped == []
        found = sniff(logged.root)
        assert [r.slug for r in found.runs] == [ref.slug]
        assert [r.slug for r in sniff(self.log_file(logged.root)).runs] != []

    def test_series_are_what_was_logged(self, logged: Logged) -> None:
        series = self.only(logged.root).series
        assert set(logged.values) == {i.name for i in series.infos if i.axis == "step"}
        for name, rows in logged.values.items():
            recorded = series[name].recorded
            assert recorded.step.tolist() == [step for step, _ in rows]
            expected = np.array([value for _, value in rows], dtype=np.float64)
            if self.single:
                expected = expected.astype(np.float32).astype(np.float64)
            np.testing.assert_array_equal(recorded.value, expected, strict=True)

    def test_reading_again_or_elsewhere_gives_the_same(self, logged: Logged, copied: Path) -> None:
        first = self.only(logged.root)
        for other in (self.only(logged.root), self.only(copied)):
            assert other.ref.slug == first.ref.slug
            assert other.provenance == first.provenance
            assert other.attempts == first.attempts
            _same_arrays(first, other)

    def test_steps_do_not_fall_within_an_attempt(self, logged: Logged) -> None:
        run = self.only(logged.root)
        for series in run.series.values():
            for attempt in run.attempts:
                assert (np.diff(series.attempt(attempt.number).step) >= 0).all()

    def test_every_row_belongs_to_a_known_attempt(self, logged: Logged) -> None:
        run = self.only(logged.root)
        numbers = [attempt.number for attempt in run.attempts]
        assert numbers == sorted(set(numbers))
        for series in run.series.values():
            assert set(series.recorded.attempt.tolist()) <= set(numbers)

    def test_reading_changes_no_file(self, logged: Logged) -> None:
        before = _digests(logged.root)
        self.only(logged.root)
        sniff(logged.root)
        assert _digests(logged.root) == before

    def test_identity_holds_no_path_of_the_machine(self, logged: Logged) -> None:
        ref = self.only(logged.root).ref
        for text in (ref.project, ref.run_id, ref.name, ref.slug):
            assert str(logged.root.parent) not in text
            assert not text.startswith(("/", "~"))
        for name, _ in self.only(logged.root).provenance.files:
            assert not name.startswith("/")

    def test_a_cut_log_keeps_a_prefix_of_its_rows(self, logged: Logged, copied: Path) -> None:
        whole = self.only(logged.root).series
        most = 0
        for size, runs in self.cuts(logged, copied):
            assert len(runs) <= 1, size
            for run in runs:
                self.check_prefix(run, whole, size)
                most = max([most, *(info.points for info in run.series.infos)])
        assert most > 1

    def check_prefix(self, run: Run, whole: Mapping[str, object], size: int) -> None:
        for name in run.series:
            assert name in whole, (size, name)
            kept, full = run.series[name].recorded, whole[name].recorded  # type: ignore[attr-defined]
            count = len(kept.step)
            for left, right in zip(kept, full, strict=True):
                np.testing.assert_array_equal(left, right[:count], err_msg=f"{size} {name}")

    def test_a_log_cut_in_its_last_record_says_so(self, logged: Logged, copied: Path) -> None:
        path = self.log_file(copied)
        path.write_bytes(path.read_bytes()[:-3])
        run = self.only(copied)
        assert run.incomplete
        assert run.provenance.records_damaged == 1
        assert run.provenance.bytes_damaged > 0

    def test_a_foreign_file_beside_is_reported_only(self, logged: Logged, copied: Path) -> None:
        (copied / "notes.bin").write_bytes(bytes(range(256)))
        _same_arrays(self.only(copied), self.only(logged.root))
        found = sniff(copied)
        assert len(found.runs) == 1
        assert ("notes.bin", "no source reads this file") in found.skipped

    def test_an_empty_log_is_a_sentence(self, copied: Path) -> None:
        self.log_file(copied).write_bytes(b"")
        source = self.open(copied)
        refs = list(source.discover())
        if refs:
            with pytest.raises(SourceError):
                source.read(refs[0])
        else:
            ((path, why),) = source.skipped
            assert path.endswith(self.log_file(copied).name)
            assert "0 bytes" in why or "empty" in why

    def test_arbitrary_bytes_are_never_a_traceback(self, copied: Path) -> None:
        path = self.log_file(copied)
        size = path.stat().st_size
        for seed in range(5):
            path.write_bytes(np.random.default_rng(seed).bytes(size))
            source = self.open(copied)
            for ref in source.discover():
                with pytest.raises(SourceError):
                    source.read(ref)
