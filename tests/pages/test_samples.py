from __future__ import annotations

import io
import json
import wave
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pages import factory
from runpages import analyze, open_source, sniff
from runpages.markup import pre
from runpages.model import Media, Note, Sample
from runpages.pages.sample_groups import grouped
from runpages.pages.samples import samples_section
from runpages.pages.worddiff import marked_pair


def shown(*samples: Sample, notes=(), baseline=()):
    """Values and files of a page with these samples."""
    other = analyze(factory.make_run(samples=tuple(baseline), run_id="base")) if baseline else None
    report = analyze(factory.make_run(samples=samples), baseline=other)
    return samples_section(replace(report, notes=tuple(notes)))[:2]


def text(step, words, *, prompt="Once", **facts) -> Sample:
    return Sample(kind="text", name="story", step=step, prompt=prompt, text=words, **facts)


def image(step: int, *, width=60, height=40, seed: int = 0, kind="PNG", name="grid", **save):
    noise = np.random.default_rng(seed + step).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(stream, kind, **save)
    return Sample(
        kind="image", name=name, step=step, media=Media.of("image/png", stream.getvalue())
    )


def sound(seconds: float, *, name="voice") -> Sample:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(8000)
        out.writeframes(bytes(int(8000 * seconds)))
    media = Media.of("audio/wav", stream.getvalue())
    return Sample(kind="audio", name=name, step=1, media=media)


def words_of(group) -> list[str]:
    return [str(column.words) for column in group.columns]


# texts


def test_the_newest_two_steps_stand_side_by_side_with_their_words_marked():
    values, _ = shown(*(text(step, f"the cat {verb} home") for step, verb in ((5, "lies"), (1, "old"), (9, "runs"))))  # fmt: skip
    (group,) = values["samples"]
    assert [column.when for column in group.columns] == ["step 5", "step 9"]
    assert words_of(group) == ["the cat <del>lies</del> home", "the cat <ins>runs</ins> home"]
    assert group.steps == 3


def test_prompts_are_not_mixed():
    values, _ = shown(text(1, "a", prompt="p"), text(1, "b", prompt="q"), text(2, "c", prompt="p"))
    assert [(g.prompt, g.steps) for g in values["samples"]] == [("p", 2), ("q", 1)]


def test_several_texts_of_one_step_are_told_apart_by_their_place():
    values, _ = shown(*(text(step, f"{step}{k}") for step in (1, 2) for k in "ab"))
    assert [(g.name, words_of(g)) for g in values["samples"]] == [
        ("story", ["1a", "2a"]), ("story, 2", ["1b", "2b"]),
    ]  # fmt: skip


def test_of_a_step_that_was_redone_the_last_attempt_counts():
    values, _ = shown(text(1, "first"), text(1, "again", attempt=2))
    assert [words_of(g) for g in values["samples"]] == [["again"]]


def test_the_baseline_stands_beside_the_same_prompt():
    values, _ = shown(text(9, "own"), baseline=[text(3, "old"), text(7, "theirs")])
    columns = values["samples"][0].columns
    assert [(c.when, str(c.words), c.base) for c in columns] == [
        ("step 9", "own", False), ("baseline, step 7", "theirs", True),
    ]  # fmt: skip


def test_more_than_three_groups_are_folded_and_the_rest_is_counted():
    values, files = shown(*(text(1, "x", prompt=str(i)) for i in range(20)))
    assert len(values["samples"]) == 3
    assert len(values["more_samples"]) == 8
    assert values["sample_groups_left"] == "9"
    assert len(json.loads(files["samples.json"])["samples"]) == 20


def test_the_texts_of_a_page_have_a_budget():
    values, _ = shown(*(text(1, "word " * 5000, prompt=str(i)) for i in range(20)))
    groups = [*values["samples"], *values["more_samples"]]
    assert sum(len(w) for g in groups for w in words_of(g)) < 15_000
    assert "first 1&#44;500 of 25&#44;000 characters" in words_of(groups[0])[0]


@pytest.mark.parametrize("prompts", [1, 3, 400])
def test_samples_json_is_bounded_and_keeps_the_newest(prompts):
    made = [text(step, f"{step} " + "x" * 400, prompt=str(p)) for p in range(prompts)
            for step in range(800 // prompts)]  # fmt: skip
    _, files = shown(*made)
    document = json.loads(files["samples.json"])
    assert 20_000 < len(files["samples.json"]) <= 100_000
    assert document["count"] == len(made)
    newest = max(s["step"] for s in document["samples"] if s["group"] == 0)
    assert newest == 800 // prompts - 1


def test_a_rating_stands_with_its_sample():
    sample = text(1, "fine")
    notes = [
        Note(
            author=author, time="2026-01-01", kind="rating", sample=sample.id, scale="1-5", value=v
        )
        for author, v in (("a", 4.0), ("b", 5.0))
    ]
    values, _ = shown(sample, text(2, "unrated"), notes=notes)
    assert [c.rating for c in values["samples"][0].columns] == ["4.5 on 1-5, 2 ratings", ""]
    (row,) = values["ratings"]
    assert (row["raters"], row["n"], row["mean"]) == ("2", "2", "4.50")


def test_the_id_of_a_sample_is_that_of_its_content():
    assert text(3, "a").id == text(3, "a", attempt=2).id
    assert (
        len({text(3, "a").id, text(3, "b").id, text(4, "a").id, text(3, "a", prompt="x").id}) == 4
    )
    assert text(None, "a").id.startswith("x-")


def test_a_table_is_a_table_of_bounded_size():
    rows = tuple(tuple(f"{r}.{c}" for c in range(12)) for r in range(30))
    sample = Sample(kind="table", name="t", step=1, columns=tuple("abcdefghijkl"), rows=rows)
    values, _ = shown(sample)
    table = values["samples"][0].table
    assert (len(table.columns), len(table.rows), len(table.rows[0])) == (8, 8, 8)
    assert table.left == "22 more rows and 4 more columns"


# words


@pytest.mark.parametrize(
    ("left", "right", "marked"),
    [
        ("a b c", "a b c d", ("a b c", "a b c <ins>d</ins>")),
        ("a x\n\nb", "a y\n\nb", ("a <del>x</del>&#10;&#10;b", "a <ins>y</ins>&#10;&#10;b")),
        ("a  b", "a b", ("a  b", "a b")),
        ("a <b>", "a <i>", ("a <del>&#60;b&#62;</del>", "a <ins>&#60;i&#62;</ins>")),
    ],
)
def test_words_that_differ_are_marked(left, right, marked):
    assert marked_pair(left, right) == marked


@pytest.mark.parametrize(
    ("left", "right"),
    [("same", "same"), ("a b c d e f", "u v w x y z"), ("", "a"), ("w " * 700, "w " * 701)],
)
def test_no_marks_where_they_would_say_nothing(left, right):
    assert marked_pair(left, right) is None


@pytest.mark.parametrize("seed", range(5))
def test_marks_change_no_character_of_a_text(seed):
    rng = np.random.default_rng(seed)
    left, right = ("".join(rng.choice(list("ab<&\n  "), 60)) for _ in range(2))
    pair = marked_pair(left, right)
    plain = [str(m) for m in pair or (pre(left), pre(right))]
    for tag in ("<del>", "</del>", "<ins>", "</ins>"):
        plain = [one.replace(tag, "") for one in plain]
    assert plain == [str(pre(left)), str(pre(right))]


# media


def test_the_steps_of_an_image_are_frames_of_one_picture_the_newest_first():
    values, files = shown(*(image(step, seed=7) for step in (10, 20, 30)))
    (group,) = values["samples"]
    film = group.film
    assert json.loads(group.frames) == [30, 20, 10]
    assert (film.shape, film.frames) == ("3x2", 3)
    with Image.open(io.BytesIO(files[film.file])) as strip:
        assert (strip.format, strip.size) == ("WEBP", (film.width, film.height))
        top = strip.convert("RGB").crop((0, 0, film.width, film.height // 3))
    with Image.open(io.BytesIO(image(30, seed=7).media.read())) as source:
        expected = source.resize(top.size)
    difference = np.abs(np.asarray(top, float) - np.asarray(expected, float)).mean()
    assert difference < 40  # noise of another seed differs by 85


def test_a_long_film_shows_the_first_and_the_newest_step():
    values, _ = shown(*(image(step) for step in range(100)))
    frames = json.loads(values["samples"][0].frames)
    assert len(frames) == 12
    assert (frames[0], frames[-1]) == (99, 0)


def test_metadata_of_an_image_is_not_published():
    exif = Image.Exif()
    exif[0x010E] = "at home, 48.1 N 11.5 E"
    _, files = shown(image(1, kind="JPEG", exif=exif))
    (data,) = [data for name, data in files.items() if name.startswith("media-")]
    assert b"at home" not in data
    with Image.open(io.BytesIO(data)) as published:
        assert not published.getexif()


def test_several_images_of_one_step_share_a_frame():
    values, files = shown(*(image(7, seed=seed) for seed in range(6)))
    assert values["samples"][0].film.frames == 1
    assert len([name for name in files if name.startswith("media-")]) == 1


def test_tiny_images_are_enlarged_and_large_ones_reduced():
    values, _ = shown(image(1, width=28, height=28), image(1, width=900, height=300, name="wide"))
    digit, wide = (group.film for group in values["samples"])
    assert (digit.width, digit.height) == (112, 112)
    assert (wide.width, wide.shape) == (480, "2x1" if wide.height == 240 else "4x1")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + b"x" * 50, b""])
def test_bytes_that_are_no_image_are_never_published(data):
    sample = Sample(kind="image", name="x", step=1, media=Media.of("image/png", data))
    values, files = shown(sample)
    assert set(files) == {"samples.json"}
    assert "in the archive only" in words_of(values["samples"][0])[0]


def test_an_image_bomb_is_not_decoded():
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    sample = Sample(kind="image", name="x", media=Media.of("image/png", stream.getvalue()))
    _, files = shown(sample)
    assert set(files) == {"samples.json"}


def test_a_file_that_only_pillow_reads_is_not_an_image():
    """Among its readers is one that starts Ghostscript."""
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "PPM")
    sample = Sample(kind="image", name="x", media=Media.of("image/png", stream.getvalue()))
    assert not [name for name in shown(sample)[1] if name.startswith("media-")]


@pytest.mark.parametrize("data", [b"<html>", b"RIFF\0\0\0\0AVI ", b"RIFF"])
def test_bytes_that_are_no_sound_are_never_published(data):
    sample = Sample(kind="audio", name="x", step=1, media=Media.of("audio/wav", data))
    assert not [name for name in shown(sample)[1] if name.startswith("media-")]


def test_short_sounds_are_published_long_ones_are_not():
    values, files = shown(sound(1.0), sound(60.0, name="long"))
    short, long = values["samples"]
    assert files[short.sounds[0][1]][:4] == b"RIFF"
    assert long.sounds == ()
    assert "in the archive only" in words_of(long)[0]


def test_the_media_of_a_light_page_have_a_budget():
    samples = [image(step, width=480, height=480, seed=9 * i, name=f"n{i}") for i in range(6) for step in range(4)]  # fmt: skip
    _, files = shown(*samples)
    media = {name: data for name, data in files.items() if name.startswith("media-")}
    assert 1 <= len(media) <= 3
    assert sum(map(len, media.values())) <= 150_000


# real ones


@pytest.mark.acceptance
def test_samples_of_a_real_run(shared):
    """build-nanogpt prints four samples a rank; its log is in ../shared/data/logs/textlogs."""
    folder = shared / "data/logs/textlogs/AGNDM+build-nanogpt/log_no_warmup"
    (ref, *_) = sniff(folder).runs
    run = open_source(ref.kind, folder).read(ref)
    values, files, _ = samples_section(analyze(run))
    first = values["samples"][0]
    assert values["sample_count"] == "1,226"
    assert (first.name, first.steps) == ("rank 1 sample 0", 77)
    assert [column.when for column in first.columns] == ["step 19,000", "step 19,072"]
    assert all("a language model" in words for words in words_of(first))
    assert "<ins>" in words_of(first)[1]
    assert len(values["samples"] + values["more_samples"]) + int(values["sample_groups_left"]) == 16
    document = json.loads(files["samples.json"])
    assert len(files["samples.json"]) <= 100_000
    assert {s["group"] for s in document["samples"]} == set(range(16))


def older(*samples: Sample) -> dict[str, bytes]:
    """Files that full runs have beside a light one's."""
    return samples_section(analyze(factory.make_run(samples=samples)))[2]


def test_a_full_run_has_frames_of_many_steps_the_first_and_the_last_among_them():
    files = older(*(image(step) for step in range(0, 200, 2)))
    (group,) = json.loads(files["media.json"])["groups"].values()
    steps = [step for *_, own in group["strips"] for step in own]
    assert (steps[0], steps[-1], len(steps)) == (198, 0, 64)
    assert steps == sorted(steps, reverse=True)
    for file, width, height, own in group["strips"]:
        with Image.open(io.BytesIO(files[file])) as strip:
            assert strip.size == (width, height)
            assert height % len(own) == 0


def test_media_of_a_full_run_share_their_room():
    many = [image(s, width=170, height=170, seed=n, name=f"view {n}")
            for n in range(6) for s in range(0, 400, 10)]  # fmt: skip
    files = older(*many)
    assert len(files) <= 24
    assert sum(map(len, files.values())) <= 710_000
    assert len(json.loads(files["media.json"])["groups"]) == 6


def test_sounds_of_older_steps_are_files_of_a_full_run():
    files = older(*(replace(sound(0.1 + step / 100), step=step) for step in range(30)))
    (group,) = json.loads(files["media.json"])["groups"].values()
    steps = [step for step, _ in group["sounds"]]
    assert (steps[0], steps[-1], len(steps)) == (29, 0, 12)


def test_where_one_step_is_all_there_is_nothing_more():
    assert older(image(1), text(1, "a"), text(2, "b")) == {}


def test_samples_of_ranks_stand_in_the_order_of_their_numbers() -> None:
    names = ["rank 2 sample 1", "rank 10 sample 0", "eval", "rank 2 sample 0"]
    samples = tuple(
        Sample(kind="text", name=name, step=1, prompt="", text=f"of {name}") for name in names
    )
    found = grouped(factory.make_run(samples=samples))
    assert [name for _, name, _, _ in found] == [
        "rank 2 sample 0", "rank 2 sample 1", "rank 10 sample 0", "eval",
    ]  # fmt: skip
