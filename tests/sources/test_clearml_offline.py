"""ClearML offline sessions: what the real SDK writes is what is read, from the folder or its zip."""

from __future__ import annotations

import io
import json
import math
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runpages.errors import SourceError
from runpages.model import Run
from runpages.redact import redact
from runpages.sources import UNREADABLE, sniff
from runpages.sources import _clearml_events as events
from runpages.sources import _clearml_files as files
from runpages.sources.clearml_offline import ClearmlOffline
from sources.clearml_writer import VALUES, write
from sources.conformance import Logged, SourceConformance, read_all

LOGGED = {
    "train/loss": list(enumerate(VALUES)),
    "accuracy": [(step, 0.5 + step) for step in range(len(VALUES))],
}
ONE_INFINITY = "the SDK gives both infinities the one value that it was told: -inf cannot be kept"


_WRITTEN: dict[str, Path] = {}


def once(scenario: str, folder: Path) -> Path:
    """The session of a scenario, written by the first who asks."""
    if scenario not in _WRITTEN:
        _WRITTEN[scenario] = write(scenario, folder)
    return _WRITTEN[scenario]


class TestFolder(SourceConformance):
    kind = "clearml"
    log = "metrics.jsonl"
    lossy_nonfinite = ONE_INFINITY

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        session = once("rows", root.parent)
        shutil.copytree(session, root / session.name)
        return LOGGED


class TestZip(SourceConformance):
    kind = "clearml"
    log = "*.zip"
    lossy_nonfinite = ONE_INFINITY

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        session = once("rows", root.parent)
        shutil.copy(session.with_name(f"{session.name}.zip"), root)
        return LOGGED

    def test_a_cut_log_keeps_a_prefix_of_its_rows(self, logged: Logged, copied: Path) -> None:
        """A zip names its members at its end: cut, it is refused with a sentence."""
        assert [runs for _, runs in self.cuts(logged, copied)] == [[]] * 20
        source = self.open(copied)
        assert list(source.discover()) == []
        ((_, why),) = source.skipped
        assert why.startswith(f"{UNREADABLE}: the zip cannot be opened (")

    def test_a_log_cut_in_its_last_record_says_so(self, logged: Logged, copied: Path) -> None:
        """A damaged member takes the place of a cut one."""
        run = self.only(self.log_file(damaged_member(self.log_file(copied), "metrics.jsonl")))
        assert run.incomplete
        assert run.provenance.records_damaged >= 1


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("rich", tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("nothing_told", tmp_path_factory.mktemp("untold"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once("rows", tmp_path_factory.mktemp("plain"))


@pytest.fixture
def session(plain: Path, tmp_path: Path) -> Path:
    """A session's folder, free to be damaged."""
    return Path(shutil.copytree(plain, tmp_path / "logs" / plain.name))


def read(path: Path, **options: float) -> Run:
    (run,) = read_all(ClearmlOffline(str(path), **options))
    return run


def zipped(session: Path) -> Path:
    return session.with_name(f"{session.name}.zip")


def damaged_member(archive: Path, name: str, *, at: float = 0.9) -> Path:
    """One byte of the packed data of a member changed; the folder of the archive."""
    with zipfile.ZipFile(archive) as opened:
        entry = opened.getinfo(name)
    data = bytearray(archive.read_bytes())
    size, extra = struct.unpack("<HH", data[entry.header_offset + 26 : entry.header_offset + 30])
    start = entry.header_offset + 30 + size + extra
    data[start + int(at * entry.compress_size)] ^= 0x10
    archive.write_bytes(data)
    return archive.parent


# what a run is


def test_identity_is_the_trackers(rich: Path) -> None:
    run = read(rich)
    assert (run.ref.project, run.ref.run_id, run.name) == ("team/llm", rich.name, "rich <b>")
    assert read(zipped(rich)).ref.run_id == rich.name


def test_a_session_and_its_zip_are_one_run(plain: Path) -> None:
    source = ClearmlOffline(str(plain.parent))
    (ref,) = source.discover()
    assert ref.location == str(zipped(plain))
    assert source.skipped == [(str(plain), f"the same task is read from {plain.name}.zip")]
    assert [r.slug for r in sniff(plain.parent).runs] == [ref.slug]


def test_of_a_session_and_a_zip_without_its_rows_the_session_is_read(session: Path) -> None:
    with zipfile.ZipFile(zipped(session), "w") as archive:
        for name in ("task.json", "log.jsonl"):
            archive.write(session / name, name)
    source = ClearmlOffline(str(session.parent))
    (ref,) = source.discover()
    assert ref.location == str(session)
    assert source.read(ref).state == "ended"


def test_folder_and_zip_give_the_same(rich: Path, tmp_path: Path) -> None:
    """Zipped again: the SDK's own zip can lack what was flushed last."""
    made = shutil.make_archive(str(tmp_path / rich.name), "zip", rich)
    one, other = read(rich), read(Path(made))
    assert repr(one.config) == repr(other.config)  # NaN is no equal of itself
    assert one.samples == other.samples
    assert one.provenance == other.provenance
    for name in one.series:
        np.testing.assert_array_equal(one.series[name].value, other.series[name].value)


def test_a_zip_made_by_hand_has_the_folder_in_it(session: Path, tmp_path: Path) -> None:
    made = shutil.make_archive(str(tmp_path / "by-hand"), "zip", session.parent)
    run = read(Path(made))
    assert run.ref.run_id == session.name
    assert list(run.series) == list(LOGGED)


def test_a_task_without_metrics_is_a_run(tmp_path: Path) -> None:
    run = read(write("silent", tmp_path))
    assert (len(run.series), run.name) == (0, "first try")


def test_a_killed_process_leaves_no_end(tmp_path: Path) -> None:
    session = write("killed", tmp_path, check=False)
    assert not zipped(session).exists()
    assert read(session).state == "running"
    assert read(session, settle_minutes=0).state == "ended"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("completed", "finished"),
        ("closed", "finished"),
        ("published", "finished"),
        ("failed", "failed"),
        ("stopped", "killed"),
        ("in_progress", "ended"),
        ("created", "ended"),
    ],
)
def test_state_is_the_tasks_status(session: Path, status: str, state: str) -> None:
    task = json.loads((session / "task.json").read_bytes())
    (session / "task.json").write_text(json.dumps({**task, "status": status}))
    assert read(session, settle_minutes=0).state == state


# values


def test_what_the_sdk_made_of_nan_is_said(untold: Path) -> None:
    run = read(untold)
    assert run.series["train/loss"].attempt(1).value.tolist() == [1.5, 0.0, 0.0, 0.0, 0.25]
    assert run.summary == {"best": 0.25, "worst": 0.0}
    assert "stores NaN and infinities as 0" in run.provenance.lossy[0]
    means = "exactly 0, which is also how ClearML stores NaN and infinities"
    assert run.provenance.warnings == (
        f"train/loss: 3 values are {means}",
        f"worst (single value): 1 value is {means}",
    )


def test_a_metric_that_goes_back_begins_an_attempt(untold: Path) -> None:
    run = read(untold)
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [(1, 0, 4), (2, 3, 4)]
    series = run.series["train/loss"]
    assert series.step.tolist() == [0, 1, 2, 3, 4]
    assert series.value.tolist() == [1.5, 0.0, 0.0, 0.5, 0.125]
    assert series.superseded.value.tolist() == [0.0, 0.25]


def test_times_are_recorded_ones(plain: Path) -> None:
    run = read(plain)
    assert run.start is not None
    assert run.end is not None
    times = run.series["train/loss"].time
    assert ((times >= run.start) & (times <= run.end)).all()
    assert run.end - run.start < 120
    assert run.attempts[0].host == run.hardware.hosts[0] != ""


def test_names(rich: Path) -> None:
    """Title and series; one of them where they say the same; no two metrics under one name."""
    run = read(rich)
    assert {n: s.value.tolist() for n, s in run.series.items() if s.info.axis == "step"} == {
        "train/loss": [1.0],
        "a/b/c": [1.0],
        "a/b/c (2)": [2.0],
    }


def test_monitors_are_readings_by_the_clock(rich: Path) -> None:
    run = read(rich)
    found = {n: s.value.tolist() for n, s in run.series.items() if s.info.axis == "time"}
    assert found == {
        "system/gpu_0_utilization": [91.5, 12.25],
        "system/cpu_usage": [50.0],
        "system/cpu_usage/rank1": [40.0],
    }
    assert np.isfinite(run.series["system/cpu_usage"].time).all()
    assert run.series.with_role("gpu_util") == ("system/gpu_0_utilization",)


# facts


def test_configuration_has_types_and_sections(rich: Path) -> None:
    config = dict(read(rich).config)
    odd = config.pop("Odd")
    assert isinstance(odd, dict)
    assert math.isnan(odd.pop("nan"))
    assert odd == {"nothing": None, "word": "1"}
    assert config == {
        "Args": {"lr": 0.5},
        "Train": {"seed": 42, "opt": {"betas": [0.9, 0.95], "fused": True}},
        "configuration": {"data": {"shards": 3}, "model": "layers = 4\ndims = [1, 2]"},
    }
    assert read(rich).seed == 42


def test_facts_of_the_task(rich: Path) -> None:
    run = read(rich)
    assert sorted(run.tags) == ["a", "b"]
    assert run.description == "what this is for"
    assert run.parent == "0123456789abcdef0123456789abcdef"
    assert run.job_type == "training"
    assert run.code.entry_point.endswith("clearml_writer.py")
    assert run.environment["python"].count(".") == 2
    assert run.environment["clearml"]
    assert "red words" in run.console
    assert "said by the program" in run.console
    assert "\x1b" not in run.console


def test_the_script_is_not_kept(rich: Path) -> None:
    task = json.loads((rich / "task.json").read_bytes())
    assert len(task["script"].get("diff") or "") > 0
    run = redact(read(rich))
    assert "def rich" not in repr((run.config, run.code, run.environment, run.summary))


def test_models_and_artifacts(rich: Path) -> None:
    run = read(rich)
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (5, "models/step-5.pt", 70)
    assert [(e.kind, e.text) for e in run.logged_events] == [("artifact", "dict tokens")]
    assert "1 events of models are not read" in run.provenance.lossy
    assert "model/size" not in run.series


# samples


def test_images_belong_to_the_step_that_wrote_the_file(rich: Path) -> None:
    """The SDK keeps five files of this series: of eight images the last five are there."""
    for path in (rich, zipped(rich)):
        run = read(path)
        images = [s for s in run.samples if s.kind == "image"]
        assert [(s.name, s.step) for s in images] == [("grid/drawn", step) for step in range(3, 8)]
        for sample in images:
            assert sample.media is not None
            shade = np.asarray(Image.open(io.BytesIO(sample.media.read()))).mean()
            assert shade == pytest.approx(30 * (sample.step or 0), abs=2)
        assert any(line.startswith("3 debug samples were over") for line in run.provenance.lossy)


def test_an_image_that_several_steps_wrote_at_once_is_left_out(session: Path) -> None:
    """Seen with the SDK: files of one flush are written side by side, the earlier may stay."""
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    (session / "data").mkdir(exist_ok=True)
    (session / "data/a.png").write_bytes(picture.getvalue())
    lines = [(1, 2), (3,)]
    for count, steps in enumerate(lines):
        found = [
            {"type": "training_debug_image", "metric": "m", "iter": step, "key": "a.png"}
            for step in steps
        ]
        append(session, json.dumps(found).encode() + b"\n")
        run = read(session)
        raced = "1 debug samples are left out: several steps wrote their file at once"
        assert any(line.startswith(raced) for line in run.provenance.lossy) == (count == 0)
        assert [s.step for s in run.samples] == [[], [3]][count]


def test_sounds(rich: Path) -> None:
    (sound,) = (s for s in read(rich).samples if s.kind == "audio")
    assert (sound.name, sound.step) == ("said/clip", 4)
    assert sound.media is not None
    assert sound.media.media_type == "audio/wav"
    assert sound.media.size_bytes == 844


def test_tables(rich: Path) -> None:
    tables = {s.name: s for s in read(rich).samples if s.kind == "table"}
    assert tables["samples/val"].columns == ("prompt", "output", "score")
    assert tables["samples/val"].rows == (("Hi", "<i>", "1.5"), ("Bye", "b", "2.0"))
    assert (tables["lists/raw"].step, tables["lists/raw"].rows) == (3, (("1", ""),))


def test_what_is_not_read_is_counted(rich: Path) -> None:
    lossy = read(rich).provenance.lossy
    assert "2 plots that are no tables are not read" in lossy
    assert "1 debug samples are neither image nor sound; they are not read" in lossy


@pytest.mark.parametrize("key", ["../../outside.png", "/outside.png", "link/outside.png", "pipe"])
def test_no_file_outside_the_session_is_read(session: Path, tmp_path: Path, key: str) -> None:
    import os

    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    (tmp_path / "outside.png").write_bytes(picture.getvalue())
    (session / "data").mkdir(exist_ok=True)
    (session / "data/link").symlink_to(tmp_path)
    os.mkfifo(session / "data/pipe")
    event = {
        "timestamp": 1795593399580,
        "type": "training_debug_image",
        "task": session.name,
        "iter": 1,
        "metric": "m",
        "variant": "v",
        "key": key.replace("/outside", f"{tmp_path}/outside", 1) if key[0] == "/" else key,
    }
    with (session / "metrics.jsonl").open("a") as log:
        log.write(json.dumps([event]) + "\n")
    run = read(session)
    assert run.samples == ()
    assert "m/v (step 1): its file cannot be read: no such file in the session" in (
        run.provenance.warnings
    )


# damage


def append(session: Path, line: bytes) -> None:
    with (session / "metrics.jsonl").open("ab") as log:
        log.write(line)


EVENT = (
    b'{"timestamp": 1795593399580, "type": "training_stats_scalar", "task": "%s", "iter": %d,'
    b' "metric": "train", "variant": "loss", "value": %s, "method": "get"}'
)


def event(session: Path, step: int, value: bytes = b"1.0") -> bytes:
    return EVENT % (session.name.encode(), step, value)


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
    assert list(run.series) == list(LOGGED)
    assert any("task.json" in warning for warning in run.provenance.warnings)


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
    assert list(run.series) == list(LOGGED)


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
