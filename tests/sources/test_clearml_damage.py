"""ClearML offline sessions that are damaged, and zips that are hostile."""

from __future__ import annotations

import io
import json
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runpages.errors import SourceError
from runpages.sources import UNREADABLE, sniff
from runpages.sources import _clearml_events as events
from runpages.sources import _clearml_files as files
from runpages.sources.clearml_offline import ClearmlOffline
from sources.clearml_sessions import append, damaged_member, event, once, read, zipped
from sources.clearml_writer import VALUES

SERIES = ["train/loss", "accuracy"]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("rich", tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("rows", tmp_path_factory.mktemp("plain"))


@pytest.fixture
def session(plain: Path, tmp_path: Path) -> Path:
    """A session's folder, free to be damaged."""
    return Path(shutil.copytree(plain, tmp_path / "logs" / plain.name))


# damage


def test_a_damaged_event_costs_only_itself(session: Path) -> None:
    good, bad = event(session, 10), event(session, 11)[:-40] + b"\x00\xff\x00"
    append(session, b"[%s, %s, %s]\n" % (good, bad, event(session, 12)))
    append(session, b"[%s]\n" % event(session, 13))
    run = read(session)
    assert run.series["train/loss"].step.tolist()[-3:] == [10, 12, 13]
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged == len(bad) + 2
    assert run.incomplete == ("metrics.jsonl has 1 record that cannot be used",)


@pytest.mark.parametrize(
    "line",
    [
        b"{broken\n",
        b"\x00" * 500 + b"\n",
        b"[" * 100_000 + b"{\n",
        b'[{"timestamp": ' + b'{"timestamp": ' * 5000 + b"\n",
        b'[{"timestamp": ' + b"9" * 5000 + b"}]\n",
        b"null\n",
        b'"words"\n',
        b"[[1]]\n",
    ],
)
def test_a_line_of_something_else_is_counted_and_passed_over(session: Path, line: bytes) -> None:
    append(session, line)
    append(session, b"[%s]\n" % event(session, 20))
    run = read(session)
    assert run.series["train/loss"].step.tolist()[-1] == 20
    assert run.provenance.records_damaged >= 1
    assert run.incomplete
    assert all(len(w) < 300 and "\n" not in w for w in run.provenance.warnings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'[{"type": "training_stats_scalar", "iter": 1, "value": "x"}]', "without a number"),
        (b'[{"type": "training_stats_scalar", "iter": 1, "value": true}]', "without a number"),
        (b'[{"type": "training_stats_scalar", "iter": 1.5, "value": 1}]', "a whole number under"),
        (b'[{"type": "training_stats_scalar", "value": 1}]', "a whole number under `iter`"),
        (b'[{"type": "training_stats_scalar", "iter": 1, "value": 1%s}]' % (b"0" * 400), "large"),
        (b'[{"type": "plot", "plot_str": "{\\"type\\": \\"table\\""}]', "a plot that is not JSON"),
        (b'[{"type": "log"}]', "without text under `msg`"),
        (b'[{"type": "training_debug_image"}]', "without the place of its file"),
        (b'[{"type": "surprise"}]', "of a kind that ClearML's SDK does not write"),
        (b"[{}]", "of a kind that ClearML's SDK does not write"),
    ],
)
def test_events_of_no_use_are_named(session: Path, line: bytes, said: str) -> None:
    before = read(session).provenance.records_read
    lines = (session / "metrics.jsonl").read_bytes().count(b"\n")
    append(session, line + b"\n")
    run = read(session)
    assert run.provenance.records_damaged == 1
    assert run.provenance.records_read == before
    (warning,) = run.provenance.warnings
    assert said in warning
    assert warning.startswith(f"metrics.jsonl:{lines + 1}: ")


def test_the_cut_end_of_a_line_of_many_events_keeps_the_others(session: Path) -> None:
    lines = b", ".join(event(session, step) for step in range(100, 120))
    append(session, b"[" + lines[:-100])
    run = read(session)
    assert run.series["train/loss"].step.tolist()[-19:] == list(range(100, 119))
    assert run.incomplete == ("metrics.jsonl has 1 record that cannot be used",)


def test_a_line_whose_events_are_whole_but_not_its_end_is_said(session: Path) -> None:
    append(session, b"[" + event(session, 100))
    run = read(session)
    assert run.series["train/loss"].step.tolist()[-1] == 100
    assert run.incomplete[0].startswith("metrics.jsonl ends in the middle of line")


def test_small_chunks_read_the_same(rich: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(rich)
    monkeypatch.setattr(events, "_CHUNK_BYTES", 7)
    found = read(rich)
    assert found.provenance == expected.provenance
    assert found.samples == expected.samples
    for name in expected.series:
        np.testing.assert_array_equal(
            found.series[name].recorded.time, expected.series[name].recorded.time
        )


def test_an_event_beyond_the_limit_is_left_out(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_MAX_EVENT_CHARS", 20_000)
    monkeypatch.setattr(events, "_CHUNK_BYTES", 5_000)
    big = b'{"timestamp": 1, "type": "plot", "plot_str": "%s"}' % (b"x" * 60_000)
    append(session, b"[%s, %s]\n" % (big, event(session, 50)))
    run = read(session)
    assert run.series["train/loss"].step.tolist()[-1] == 50
    assert run.provenance.records_damaged >= 1
    assert run.provenance.bytes_damaged >= 60_000


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", None])
def test_without_a_usable_description_the_rows_stay(session: Path, content: bytes | None) -> None:
    if content is None:
        (session / "task.json").unlink()
    else:
        (session / "task.json").write_bytes(content)
    run = read(session)
    assert run.ref.run_id == session.name
    assert list(run.series) == SERIES
    assert any("task.json" in warning for warning in run.provenance.warnings)


def test_a_log_that_is_a_link_out_of_the_session_is_told(session: Path, tmp_path: Path) -> None:
    log = session / "metrics.jsonl"
    shutil.move(log, tmp_path / "elsewhere.jsonl")
    log.symlink_to(tmp_path / "elsewhere.jsonl")
    run = read(session)
    assert list(run.series) == []
    assert run.incomplete == ("metrics.jsonl is a link out of the session: it is not followed",)


@pytest.mark.parametrize("figure", [1e308, 10**400, -1, "inf", "1e308"])
def test_absurd_figures_of_a_machine_are_left_out(session: Path, figure: object) -> None:
    path = session / "task.json"
    task = json.loads(path.read_text())
    names = ("memory_gb", "gpu_count", "cpu_cores")
    task["runtime"] = dict.fromkeys(names, figure)
    task["execution"] = {"artifacts": [{"key": "a", "mode": "output", "timestamp": figure}]}
    path.write_text(json.dumps(task))
    run = read(session)
    hardware = run.hardware
    assert (hardware.devices, hardware.cpu_count, hardware.memory_bytes) == (None, None, None)
    assert [event.time for event in run.logged_events] == [None]


def test_facts_of_the_wrong_type_are_left_out(session: Path) -> None:
    odd = {
        "id": 5,
        "name": ["x"],
        "tags": "abc",
        "script": [],
        "hyperparams": {"A": {"b": "c", "b/d": {"value": "1", "type": "int"}, "/": {}}, "B": 3},
        "configuration": {"c": {"value": 7}, "d": None},
        "execution": {"artifacts": {"a": 1}},
        "offline_output_models": [{"weights": {"iteration": "5"}}, None, 3],
        "started": "yesterday",
        "runtime": {"gpu_count": "many", "memory_gb": [1]},
    }
    (session / "task.json").write_text(json.dumps(odd))
    run = read(session)
    assert run.ref.run_id == session.name
    assert (run.tags, run.checkpoints, run.logged_events) == ((), (), ())
    assert list(run.series) == SERIES


# zips


def made(folder: Path, fill: Callable[[zipfile.ZipFile], None]) -> Path:
    path = folder / f"offline-{'0' * 32}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("task.json", json.dumps({"id": "t", "name": "n"}))
        fill(archive)
    return path


def link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("metrics.jsonl")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("task.json", "{}")


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (lambda a: a.writestr("../evil", "x"), "leads out of the folder"),
        (lambda a: a.writestr("data/../../evil", "x"), "leads out of the folder"),
        (lambda a: a.writestr("/etc/evil", "x"), "has an absolute path"),
        (lambda a: a.writestr("C:/evil", "x"), "has an absolute path"),
        (link, "is a link"),
        (twice, "two entries 'task.json'"),
        (lambda a: a.writestr("data/x", "x", zipfile.ZIP_LZMA), "in a way the SDK does not use"),
        (lambda a: a.writestr("data/x", b"\0" * (20 << 20)), "times when unpacked"),
    ],
)
def test_a_zip_that_is_not_as_the_sdk_makes_them_is_refused(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], None], said: str
) -> None:
    source = ClearmlOffline(str(made(tmp_path, fill)))
    assert list(source.discover()) == []
    ((_, why),) = source.skipped
    assert why.startswith(UNREADABLE)
    assert said in why
    assert len(why) < 200


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("_MAX_ENTRIES", 3, "entries, more than 3"),
        ("_MAX_DIRECTORY_BYTES", 100, "its table of contents has"),
        ("_MAX_LOG_BYTES", 1000, "its logs would unpack to"),
        ("_MAX_TOTAL_BYTES", 1000, "would unpack to"),
    ],
)
def test_sizes_and_counts_are_limited(
    plain: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, said: str
) -> None:
    monkeypatch.setattr(files, limit, value)
    with zipfile.ZipFile(zipped(plain)) as archive:
        assert len(archive.infolist()) >= 3
    monkeypatch.setattr(files, "_MAX_ENTRIES", 2 if limit == "_MAX_ENTRIES" else 50_000)
    source = ClearmlOffline(str(zipped(plain)))
    assert list(source.discover()) == []
    assert said.replace("3", "2") in source.skipped[0][1]


def test_a_declared_size_that_lies_is_damage(plain: Path, tmp_path: Path) -> None:
    """A member gives no more bytes than its zip declares."""
    path = Path(shutil.copy(zipped(plain), tmp_path))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("metrics.jsonl").file_size
    data = path.read_bytes()
    assert data.count(struct.pack("<I", size)) == 2
    path.write_bytes(data.replace(struct.pack("<I", size), struct.pack("<I", 700)))
    run = read(path)
    assert sum(info.points for info in run.series.infos) < 2 * len(VALUES)
    assert run.incomplete


def test_a_member_with_a_wrong_checksum_keeps_its_rows(plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(zipped(plain), tmp_path))
    with zipfile.ZipFile(path) as archive:
        crc = archive.getinfo("metrics.jsonl").CRC
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", crc), struct.pack("<I", crc ^ 1)))
    run = read(path)
    assert run.series["train/loss"].step.tolist() == list(range(len(VALUES)))
    assert run.provenance.records_damaged == 1
    (said,) = run.incomplete
    assert said.startswith("metrics.jsonl is damaged (its checksum does not fit)")


def test_a_damaged_image_in_a_zip_costs_only_itself(rich: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(zipped(rich), tmp_path))
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("_00000000.jpeg"))
    run = read(damaged_member(path, name))
    assert [s.step for s in run.samples if s.kind == "image"] == [3, 4, 6, 7]
    assert any("grid/drawn (step 5): its file cannot be read" in w for w in run.provenance.warnings)


def test_zips_of_something_else_are_not_ours(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("archive/data.pkl", "x")
        archive.writestr("offline-1.zip", zipped_text())
    (tmp_path / "noise.zip").write_bytes(bytes(range(256)))
    found = sniff(tmp_path)
    assert found.runs == ()
    assert {path for path, _ in found.skipped} == {"weights.zip", "noise.zip"}


def test_logs_of_the_same_name_are_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (folder / "log.jsonl").write_text('[{"iter": 1}]\n')
    (folder / "task.json").write_text("{}")
    shutil.make_archive(str(tmp_path / "copy"), "zip", folder)
    assert [(ref.kind, ref.run_id) for ref in sniff(folder).runs] == [("rundir", "run")]
    assert list(ClearmlOffline(str(folder)).discover()) == []


def zipped_text() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("task.json", "{}")
    return stream.getvalue()


def test_a_run_that_vanished_is_a_sentence(session: Path) -> None:
    source = ClearmlOffline(str(session.parent))
    (ref,) = source.discover()
    shutil.rmtree(session)
    with pytest.raises(SourceError, match="cannot be read"):
        source.read(ref)
