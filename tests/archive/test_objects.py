"""The archive in an object store, before a real S3-compatible server and real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from archive.faulty_proxy import faulty_proxy
from archive.object_store import free_port
from archive.writer import run_named
from runpages.archive import Archive, ObjectArchive
from runpages.config import load_settings
from runpages.errors import ArchiveError, MissingExtraError, UsageError
from runpages.model import Note

NOTE = Note(author="Ana", time="2026-01-02T03:04:05Z", kind="note", text="seen")
READER = """
import sys
from pathlib import Path
from runpages.archive import ObjectArchive
archive = ObjectArchive(sys.argv[1], mirror=Path(sys.argv[2]))
archive.refresh(whole=sys.argv[3] == "whole")
for slug in archive.slugs():
    print(slug, len(archive.get(slug).series["loss"].recorded.step))
"""


def at(address: str, folder: Path) -> ObjectArchive:
    return ObjectArchive(address, mirror=folder)


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path}/x"
    request.getfixturevalue("s3_keys")
    return f"s3://bucket{tmp_path}/x"


def test_another_machine_sees_the_run_and_its_notes(tmp_path, url):
    one, two = at(url, tmp_path / "one"), at(url, tmp_path / "two")
    run = run_named("one")
    one.put(run)
    one.add_note(run.slug, NOTE)
    two.refresh()
    assert two.notes(run.slug) == (NOTE,)
    assert not list(two.location.glob("runs/*/series-*"))
    assert len(two.get(run.slug).series["loss"].recorded.step) == 2_000
    one.withdraw(run.slug, "wrong data")
    two.refresh()
    assert two.withdrawn() == {run.slug: "wrong data"}
    left = [path for path in two.location.rglob("*") if path.is_file() and path.suffix]
    assert sorted(path.name for path in left) == ["run.json", "tags.json"]


def test_a_run_that_was_discarded_is_gone_everywhere(tmp_path, url):
    one, two = at(url, tmp_path / "one"), at(url, tmp_path / "two")
    run = run_named("one")
    one.put(run)
    two.refresh(whole=True)
    one.discard(run.slug)
    two.refresh()
    assert two.slugs() == ()


@pytest.mark.parametrize("whole", ["whole", "records"])
def test_another_process_reads_it(tmp_path, s3_keys, whole):
    url = f"s3://bucket{tmp_path}"
    run = run_named("one")
    at(url, tmp_path / "one").put(run)
    done = subprocess.run(
        [sys.executable, "-c", READER, url, str(tmp_path / "two"), whole],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{run.slug} 2000\n"


def overtaken(archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch, act) -> Counter:
    """`act` once between the look at a record and the write; counts the looks."""
    read, looks = archive._store.read, Counter()

    def look(path: str):
        found = read(path)
        looks[path] += 1
        if looks.total() == 1:
            act()
        return found

    monkeypatch.setattr(archive._store, "read", look)
    return looks


@pytest.mark.parametrize("known", [False, True])
def test_who_is_overtaken_looks_again(tmp_path, s3_keys, monkeypatch, known):
    url = f"s3://bucket{tmp_path}"
    one, two = at(url, tmp_path / "one"), at(url, tmp_path / "two")
    run = run_named("one")
    if known:
        two.put(run)
    looks = overtaken(one, monkeypatch, lambda: two.put(replace(run, seed=1)))
    assert one.put(replace(run, seed=2)) is True
    assert looks.total() == 2
    two.refresh()
    assert two.get(run.slug).seed == 2


def test_a_run_withdrawn_between_look_and_write_stays_withdrawn(tmp_path, s3_keys, monkeypatch):
    url = f"s3://bucket{tmp_path}"
    one, two = at(url, tmp_path / "one"), at(url, tmp_path / "two")
    run = run_named("one")
    two.put(run)
    overtaken(one, monkeypatch, lambda: two.withdraw(run.slug, "wrong data"))
    with pytest.raises(ArchiveError, match="withdrawn: wrong data"):
        one.put(replace(run, seed=2))
    one.refresh()
    assert one.withdrawn() == {run.slug: "wrong data"}


@pytest.mark.parametrize("kind", ["503", "500", "reset"])
def test_faults_on_the_way_are_tried_again(tmp_path, s3_keys, monkeypatch, kind):
    seen: Counter = Counter()

    def fault(method: str, path: str) -> str:
        seen[method, path] += 1
        return kind if seen[method, path] == 1 else ""

    run = run_named("one")
    with faulty_proxy(s3_keys, fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        at(f"s3://bucket{tmp_path}", tmp_path / "one").put(run)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_keys)
    reader = at(f"s3://bucket{tmp_path}", tmp_path / "two")
    reader.refresh(whole=True)
    assert reader.slugs() == (run.slug,)
    assert any(count > 1 for count in seen.values())


def test_a_run_whose_record_was_not_written_is_not_there(tmp_path, s3_keys, monkeypatch):
    url = f"s3://bucket{tmp_path}"
    run = run_named("one")

    def fault(method: str, path: str) -> str:
        return "403" if method == "PUT" and path.endswith("run.json") else ""

    with faulty_proxy(s3_keys, fault) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(ArchiveError, match="s3://bucket"):
            at(url, tmp_path / "one").put(run)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_keys)
    reader = at(url, tmp_path / "two")
    reader.refresh(whole=True)
    assert reader.slugs() == ()
    assert reader.put(run) is True
    assert reader.slugs() == (run.slug,)


def test_a_store_that_does_not_answer_is_one_sentence(tmp_path, s3_keys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ArchiveError, match="Could not connect"):
        at(f"s3://bucket{tmp_path}", tmp_path / "one").refresh()


def test_a_bucket_that_is_not_there_is_one_sentence(tmp_path, s3_keys):
    with pytest.raises(ArchiveError, match="s3://nobody"):
        at("s3://nobody/x", tmp_path / "one").put(run_named("one"))


def test_what_no_record_names_is_swept_a_day_later(tmp_path, url, monkeypatch):
    archive = at(url, tmp_path / "one")
    run, longer = run_named("one"), run_named("one", points=3_000)
    archive.put(run)
    archive.add_note(run.slug, NOTE)
    archive.put(longer)
    assert len(series_there(archive)) == 2
    monkeypatch.setattr("runpages.archive.objects.SWEEP_SECONDS", -60)
    archive.put(longer)
    assert len(series_there(archive)) == 1
    assert archive.notes(run.slug) == (NOTE,)


def series_there(archive: ObjectArchive) -> list[str]:
    return [path for path in archive._store.listed("runs") if "series-" in path]


def test_a_password_in_the_address_is_refused_and_not_told(tmp_path):
    with pytest.raises(UsageError) as caught:
        at("s3://ana:hunter2@bucket/x", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_kind_of_address_that_nobody_knows(tmp_path):
    with pytest.raises(UsageError, match="nonsense"):
        at("nonsense://x", tmp_path).refresh()


def test_without_the_extra_it_says_so(tmp_path, monkeypatch):
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'runpages\[s3\]'"):
        at("s3://bucket/x", tmp_path).refresh()


def test_a_file_address_is_a_folder(tmp_path):
    (tmp_path / "runpages.toml").write_text(f'[archive]\nlocation = "file://{tmp_path}/kept"\n')
    archive = load_settings(tmp_path / "runpages.toml").open_archive()
    run = run_named("one")
    archive.put(run)
    assert Archive(tmp_path / "kept").slugs() == (run.slug,)
