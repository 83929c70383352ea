from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from PIL import Image

from runpages.model import Media, Run, RunRef, Sample, SeriesSet
from runpages.pages.samples import sample_groups


def run_with(*samples: Sample) -> Run:
    ref = RunRef(source="s", project="", run_id="r", name="r", state="ended", location="")
    return Run(ref=ref, name="r", series=SeriesSet.of({}), samples=samples)


def image(step: int, *, side: int = 900, seed: int = 0, kind: str = "PNG") -> Sample:
    noise = np.random.default_rng(seed + step).integers(0, 255, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((side, side // 2)).save(stream, kind)
    data = stream.getvalue()
    return Sample(kind="image", name="grid", step=step, media=Media.of("image/png", data))


def sound(seconds: float) -> Sample:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(int(16000 * seconds)))
    return Sample(
        kind="audio", name="voice", step=1, media=Media.of("audio/wav", stream.getvalue())
    )


def test_an_image_is_drawn_anew_and_small():
    ((group,), files) = sample_groups(run_with(image(1, side=600)))
    (shown,) = group.items
    assert (shown.width, shown.height) == (480, 240)
    with Image.open(io.BytesIO(files[shown.image])) as drawn:
        assert (drawn.format, drawn.size) == ("WEBP", (480, 240))


def test_the_newest_two_steps_are_shown():
    ((group,), files) = sample_groups(run_with(*(image(step, side=40) for step in range(5))))
    assert [item.when for item in group.items] == ["step 3", "step 4"]
    assert group.more == 3
    assert len(files) == 2


def test_several_images_of_one_step_stand_together():
    samples = [image(7, side=40, seed=seed) for seed in range(6)]
    ((group,), files) = sample_groups(run_with(*samples))
    assert len(group.items) == 4 == len(files)
    assert group.more == 2


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + b"x" * 50, b""])
def test_bytes_that_are_no_image_are_never_published(data):
    sample = Sample(kind="image", name="x", step=1, media=Media.of("image/png", data))
    ((group,), files) = sample_groups(run_with(sample))
    assert files == {}
    assert "in the archive only" in str(group.items[0].words).replace("&#32;", " ")


def test_an_image_bomb_is_not_decoded():
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    sample = Sample(kind="image", name="x", media=Media.of("image/png", stream.getvalue()))
    _, files = sample_groups(run_with(sample))
    assert files == {}


def test_short_sounds_are_published_long_ones_are_not():
    ((group,), files) = sample_groups(run_with(sound(1.0)))
    assert files[group.items[0].audio][:4] == b"RIFF"
    ((group,), files) = sample_groups(run_with(sound(60.0)))
    assert files == {}
    assert group.items[0].words is not None


def test_the_media_of_a_page_have_a_budget():
    samples = [image(step, side=480, seed=9) for step in (1, 2)]
    named = [
        Sample(kind="image", name=f"n{i}", step=s.step, media=s.media)
        for i in range(4)
        for s in (image(1, side=480, seed=i), *samples)
    ]
    _, files = sample_groups(run_with(*named))
    assert files
    assert sum(len(data) for data in files.values()) <= 200_000
