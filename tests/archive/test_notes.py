from __future__ import annotations

import json
from dataclasses import replace

import pytest

from runpages.archive import Archive
from runpages.archive.notes import parse_scale, read_notes, write_note
from runpages.errors import UnknownNameError
from runpages.model import Note, Run, RunRef, SeriesSet

RATING = Note(
    author="Ana", time="2026-01-02T03:04:05Z", kind="rating", sample="1-a", scale="1-5", value=4.0
)
GOOD = {"author": "a", "time": "2026-01-01", "kind": "note", "text": "stays"}


def archived(archive: Archive) -> tuple[Archive, str]:
    ref = RunRef(source="s", project="", run_id="r", name="r", state="ended", location="")
    run = Run(ref=ref, name="r", series=SeriesSet.of({}))
    archive.put(run)
    return archive, run.slug


def test_a_note_comes_back_as_it_was_and_changes_the_digest(archive):
    _, slug = archived(archive)
    before = archive.digest(slug)
    path = archive.add_note(slug, RATING)
    assert archive.notes(slug) == (RATING,)
    assert archive.digest(slug) != before
    assert path.name == "20260102T030405.000000Z-ana-rating.json"


def test_a_note_that_is_there_is_never_overwritten(tmp_path):
    write_note(tmp_path, RATING)
    with pytest.raises(FileExistsError):
        write_note(tmp_path, replace(RATING, value=1.0))
    assert read_notes(tmp_path)[0] == (RATING,)


def test_notes_are_ordered_by_their_time_whatever_their_names_and_offsets(tmp_path):
    times = {"z.json": "2026-01-01T00:00:00Z", "a.json": "2026-01-01T00:30:00+01:00",
             "m.json": "20260101T000001Z"}  # fmt: skip
    for name, time in times.items():
        (tmp_path / name).write_text(json.dumps(GOOD | {"time": time, "text": name}))
    assert [note.text for note in read_notes(tmp_path)[0]] == ["a.json", "z.json", "m.json"]


def test_a_run_that_is_pulled_again_keeps_its_notes(archive):
    _, slug = archived(archive)
    archive.add_note(slug, RATING)
    archive.put(replace(archive.get(slug), name="renamed"))
    assert archive.notes(slug) == (RATING,)


def test_no_note_on_a_run_that_is_not_there(archive):
    with pytest.raises(UnknownNameError, match="no run named"):
        archive.add_note("nobody", RATING)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "line 1 column 2"),
        ("", "Expecting value"),
        ('"text"', "a note is a JSON object"),
        (json.dumps(GOOD | {"kind": "opinion"}), "kind 'opinion' is none of note, verdict, rating"),
        (json.dumps(GOOD | {"author": ""}), "'author' is missing"),
        (json.dumps(GOOD | {"time": "yesterday"}), "time 'yesterday' is not of the form"),
        (json.dumps(GOOD | {"time": "0001-01-01T00:00:00+14:00"}), "is not of the form"),
        (json.dumps(GOOD | {"text": 5}), "'text' is 5 where a text was expected"),
        (json.dumps(GOOD | {"text": "x" * 70_000}), "longer than 65,536 characters"),
        (json.dumps(GOOD | {"kind": "verdict"}), "outcome '' is none of worked, mixed"),
        (json.dumps(GOOD | {"kind": "verdict", "outcome": "great"}), "outcome 'great' is none of"),
        (json.dumps(GOOD | {"value": "4"}), "'value' is '4' where a number was expected"),
        (json.dumps(GOOD | {"value": 10**400}), "int too large"),
        (json.dumps(GOOD | {"kind": "rating", "scale": "1-5", "value": 4}), "'sample' is missing"),
        (
            json.dumps(GOOD | {"kind": "rating", "sample": "s", "scale": "1-5", "value": 6}),
            "value 6.0 is not within the scale 1-5",
        ),
        (
            json.dumps(GOOD | {"kind": "rating", "sample": "s", "scale": "5", "value": 4}),
            "scale '5' is not of the form 1-5",
        ),
        ("[" * 100_000, "recursion"),
        (b"\xff\xfe\x00", "decode"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_sentence_and_costs_itself_only(tmp_path, content, sentence):
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "bad.json").write_bytes(data)
    notes, broken = read_notes(tmp_path)
    assert [note.text for note in notes] == ["stays"]
    (told,) = broken
    assert told.startswith("notes/bad.json: ")
    assert sentence in told
    assert told.endswith("; mend or delete it")


def test_a_folder_among_the_notes_is_one_sentence(tmp_path):
    (tmp_path / "x.json").mkdir()
    assert read_notes(tmp_path) == (
        (),
        ("notes/x.json: Is a directory; mend or delete it",),
    )


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not within the scale"):
        write_note(tmp_path, replace(RATING, value=9.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("author", ["../../etc/passwd", "李雷", "A" * 300, "Zoë O'Hara"])
def test_any_author_has_a_file_inside_the_folder(tmp_path, author):
    path = write_note(tmp_path, replace(RATING, author=author))
    assert path.parent == tmp_path
    assert read_notes(tmp_path)[0][0].author == author


@pytest.mark.parametrize(
    ("scale", "ends"),
    [("1-5", (1, 5)), ("-2-2", (-2, 2)), ("-3--1", (-3, -1)), ("0-1.5", (0, 1.5))],
)
def test_scales(scale, ends):
    assert parse_scale(scale) == ends


@pytest.mark.parametrize("scale", ["", "5", "5-1", "1-1", "1 - 5", "a-b", "1-5-9", "1-nan"])
def test_what_is_no_scale_is_said(scale):
    with pytest.raises(ValueError, match="is not of the form 1-5"):
        parse_scale(scale)
