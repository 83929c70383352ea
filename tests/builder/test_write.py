from __future__ import annotations

import json

import pytest

from runpages.builder.write import GENERATED, read_generated, write_section
from runpages.errors import ForeignFileError


def test_only_what_changed_is_written(tmp_path):
    first = write_section(tmp_path, {"a.md": b"1", "assets/b.json": b"2"}, {}, archive="s")
    assert first.written == ("a.md", "assets/b.json")
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    again = write_section(tmp_path, {"a.md": b"1", "assets/b.json": b"2"}, {}, archive="s")
    assert again.written == ()
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_what_is_no_longer_generated_goes_with_its_empty_folders(tmp_path):
    write_section(tmp_path, {"a.md": b"1", "assets/x/b.json": b"2"}, {}, archive="s")
    done = write_section(tmp_path, {"a.md": b"1"}, {}, archive="s")
    assert done.deleted == ("assets/x/b.json",)
    assert not (tmp_path / "assets").exists()


def test_a_foreign_file_in_the_way_is_kept_and_named(tmp_path):
    (tmp_path / "a.md").write_text("mine")
    with pytest.raises(ForeignFileError, match=r"a\.md: stands where"):
        write_section(tmp_path, {"a.md": b"1", "b.md": b"2"}, {}, archive="s")
    assert (tmp_path / "a.md").read_text() == "mine"
    assert not (tmp_path / "b.md").exists()


@pytest.mark.parametrize("files", [{"a.md": b"2"}, {"b.md": b"1"}])
def test_a_file_changed_by_hand_is_neither_replaced_nor_deleted(tmp_path, files):
    write_section(tmp_path, {"a.md": b"1"}, {}, archive="s")
    (tmp_path / "a.md").write_text("edited")
    with pytest.raises(ForeignFileError, match="changed by hand"):
        write_section(tmp_path, files, {}, archive="s")
    assert (tmp_path / "a.md").read_text() == "edited"


def test_a_build_that_was_killed_can_be_repeated_with_other_inputs(tmp_path):
    write_section(tmp_path, {"a.md": b"1"}, {}, archive="s")
    # killed after the plan was noted and one file was written
    noted = json.loads((tmp_path / GENERATED).read_text())
    import hashlib

    noted["pending"] = {
        "a.md": hashlib.sha256(b"2").hexdigest(),
        "b.md": hashlib.sha256(b"2").hexdigest(),
    }
    (tmp_path / GENERATED).write_text(json.dumps(noted))
    (tmp_path / "a.md").write_bytes(b"2")
    (tmp_path / "b.md").write_bytes(b"2")
    write_section(tmp_path, {"a.md": b"3"}, {}, archive="s")
    assert (tmp_path / "a.md").read_bytes() == b"3"
    assert not (tmp_path / "b.md").exists()
    assert read_generated(tmp_path).pending == {}


def test_files_that_stay_are_listed_still(tmp_path):
    write_section(tmp_path, {"a.md": b"1", "b.md": b"2"}, {}, archive="s")
    digest = read_generated(tmp_path).files["b.md"]
    write_section(tmp_path, {"a.md": b"3"}, {"b.md": digest}, archive="t")
    assert (tmp_path / "b.md").exists()
    assert read_generated(tmp_path).archive == "t"
