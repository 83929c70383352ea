"""Files beside a page: the card, the badge, its words."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pages import factory
from runpages.model import Columns, Note
from runpages.review import Links
from runpages.review.card import draw_card
from runpages.review.companions import COMPANIONS, companions
from runpages.review.lettering import Pen, drawable

HERE = Path(__file__).parent


def pixels(report) -> np.ndarray:
    image = Image.open(io.BytesIO(draw_card(report)))
    assert (image.format, image.size) == ("PNG", (1200, 630))
    return np.asarray(image.convert("RGB")).astype(int)


def near(image: np.ndarray, colour: str) -> np.ndarray:
    """Where the image has nearly this colour."""
    wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    return np.abs(image - wanted).max(axis=2) < 24


REPORTS = {
    "healthy": factory.healthy,
    "rolled back": factory.rolled_back,
    "empty": lambda: factory.report({}),
    "all NaN": lambda: factory.report({"loss": factory.rows(0, 9, lambda _: float("nan"))}),
    "one row": lambda: factory.report({"loss": factory.rows(0, 1, lambda _: 1.0)}),
    "constant": lambda: factory.report({"loss": factory.rows(0, 99, lambda _: 0.0)}),
    "infinite": lambda: factory.report(
        {"loss": factory.rows(0, 99, lambda s: float("inf") if s == 50 else 1e300 * s)}
    ),
    "long name": lambda: factory.healthy(name="x" * 5000),
    "other letters": lambda: factory.healthy(name="训练\u202e run é 😀\n\x00<b>"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_run_has_a_card_of_little_weight(name):
    data = draw_card(REPORTS[name]())
    assert Image.open(io.BytesIO(data)).size == (1200, 630)
    assert len(data) < 40_000


def test_the_margins_stay_free_however_long_the_name_is():
    image = pixels(factory.healthy(name="WM" * 800))
    assert (image[:, 1150:] > 240).all()


def test_the_bar_has_the_colour_of_the_worst_finding():
    assert near(pixels(factory.healthy()), "#08654f")[:, 3].all()
    assert near(pixels(factory.rolled_back()), "#c27c00")[:, 3].all()
    assert near(pixels(factory.healthy(state="crashed")), "#a8201a")[:, 3].all()


def test_a_long_number_is_written_whole(monkeypatch):
    written = []
    write = Pen.write
    monkeypatch.setattr(
        Pen,
        "write",
        lambda self, words, at, **how: (
            written.append((words, write(self, words, at, **how))),
            written[-1][1],
        )[1],
    )
    steps = {
        "loss": Columns(
            np.array([0, 1_207_959_552]),
            np.full(2, np.nan),
            np.array([2.0, 1.0]),
            np.ones(2, dtype=np.int64),
        )
    }
    draw_card(factory.report(steps))
    ((_, end),) = [one for one in written if one[0] == "1,207,959,552"]
    assert end <= 56 + 2 * 272


def test_the_curve_falls_from_left_to_right():
    line = near(pixels(factory.healthy())[350:560], "#0b5fa5")
    first, last = (np.flatnonzero(line[:, x]).mean() for x in (140, 1100))
    assert first + 60 < last


def test_a_spike_of_one_row_among_thousands_is_seen():
    report = factory.report(
        {"loss": factory.rows(0, 20_000, lambda s: 9.0 if s == 12_000 else 1.0 + s % 7 / 100)}
    )
    line = near(pixels(report)[350:560], "#0b5fa5")
    at = 56 + round(1088 * 12_000 / 19_999)
    assert line[:12, at - 4 : at + 5].any()
    assert not line[:100, :600].any()


def test_the_baseline_is_drawn_behind():
    columns = {"train/loss": factory.rows(0, 200, lambda s: factory.falling(s) + 1)}
    base = factory.report(columns, run_id="base", name="base")
    report = factory.report({"train/loss": factory.rows(0, 200, factory.falling)}, baseline=base)
    assert near(pixels(report)[350:560], "#8b929c")[:, 300:].any()
    assert not near(pixels(replace(report, baseline=None))[350:560], "#8b929c").any()


def test_another_process_draws_the_same_bytes():
    program = (
        "import hashlib; from pages import factory; from runpages.review.card import draw_card;"
        "print(hashlib.sha256(draw_card(factory.rolled_back())).hexdigest())"
    )
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    made = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(made) == 1


@pytest.mark.parametrize(
    ("words", "drawn"),
    [("a\nb", "a b"), ("naïve café", "naive cafe"), ("1 − 2", "1 - 2"), ("中", "□"),
     ("\u202ex\x00", "□x□"), ("", "")],
)  # fmt: skip
def test_what_the_font_has_not_is_written_otherwise(words, drawn):
    assert drawable(words) == drawn


def test_the_badge_has_the_form_of_shields():
    made = companions(factory.rolled_back(), links=Links())
    assert tuple(made) == COMPANIONS
    assert json.loads(made["badge.json"]) == {
        "schemaVersion": 1,
        "label": "run",
        "message": "finished, 1 warning, 1 info",
        "color": "orange",
    }


@pytest.mark.parametrize(
    ("report", "colour"),
    [(factory.healthy(), "brightgreen"), (factory.healthy(state="crashed"), "red"),
     (factory.report({}), "lightgrey")],
)  # fmt: skip
def test_the_badge_has_the_colour_of_the_worst(report, colour):
    assert json.loads(companions(report, links=Links())["badge.json"])["color"] == colour


def test_the_badge_names_the_newest_verdict():
    said = Note(author="a", time="2026-01-02", kind="verdict", outcome="worked")
    made = companions(replace(factory.healthy(), notes=(said,)), links=Links())
    assert json.loads(made["badge.json"])["label"] == "run: worked"


def test_the_text_is_that_of_the_comment_against_the_pinned_baseline():
    base = factory.healthy(run_id="base", name="base")
    report = factory.report({"train/loss": factory.rows(0, 200, factory.falling)}, baseline=base)
    assert "| base `base` |" in companions(report, links=Links())["run.txt"].decode()


def test_without_a_baseline_the_text_is_of_the_run_alone():
    text = companions(factory.rolled_back(), links=Links())["run.txt"].decode()
    assert text.startswith("### Run `rolled back`: finished, 1 warning, 1 info\n")
