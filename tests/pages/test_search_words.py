"""What the search is told of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages import factory
from runpages.model import Code, Dataset, Event, Note, Sample
from runpages.pages.search_words import notations, search_section


def words(report) -> dict[str, str]:
    return {item.label: item.words for item in search_section(report)["search"]}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3e-4, "0.0003 3e-4 3e-04"),
        ("3E-04", "0.0003 3e-4 3e-04"),
        (-0.00125, "-0.00125 -1.25e-3 -1.25e-03"),
        (2.5e-12, "0.0000000000025 2.5e-12"),
        (1e-30, "1e-30"),
        (10_000_000_000, "10000000000 1e10"),
        (524_288, "524288"),
        (64, "64"),
        (1.0, "1"),
        (0.0, "0.0"),
        (0.123456789, "0.123456789"),
        (float("nan"), "nan"),
        (True, "true"),
        ("adamw", "adamw"),
    ],
)
def test_a_number_is_told_in_the_ways_that_people_write_it(value, told):
    assert notations(value) == told


def test_who_the_run_is():
    told = words(
        factory.healthy(
            name="amber", group="g", tags=("a", "b"), author="Ana",
            code=Code(commit="4fd2a1b9c0e8"), datasets=(Dataset(name="fineweb", version="1.2"),),
        )
    )  # fmt: skip
    assert told["Run"] == (
        "one, one-c3f4015634, project tests, group g, tags a, b, commit 4fd2a1b9c0e8, by Ana, "
        "finished"
    )
    assert told["Data"] == "fineweb 1.2"


def test_settings_go_by_the_end_of_their_name_unless_two_share_it():
    config = {"optimizer": {"lr": 1e-3}, "a": {"seed": 1}, "b": {"seed": 2}}
    told = words(factory.healthy(config=config))["Settings"]
    assert told == "lr 0.001 1e-3 1e-03, a.seed 1, b.seed 2"


def test_of_many_settings_those_that_readers_search_by_come_first_and_few_others():
    config = {f"other_{n}": n for n in range(50)} | {"lr": 2, "path": "/data/x"}
    told = words(factory.healthy(config=config))["Settings"].split(", ")
    assert told[0] == "lr 2"
    assert len(told) == 12


def test_a_kind_of_finding_is_told_once_with_its_everyday_words():
    event = Event(
        id="divergence-1-abcd", kind="divergence", metric="train/loss", role="loss", start_step=1,
        end_step=2, peak_step=1, peak_value=5.0, message="m", severity="critical",
    )  # fmt: skip
    report = replace(factory.healthy(), events=(event, replace(event, start_step=5)))
    assert words(report)["Findings"] == "Loss divergence (critical; diverged)"


def test_notes_are_told_as_they_are_read_the_verdict_first():
    def said(text: str, kind: str = "note", outcome: str = "") -> Note:
        return Note(author="A", time="2026-01-01", kind=kind, outcome=outcome, text=text)

    notes = (said("**old** a<b", "verdict", "failed"), said("new"), said("", "rating"))
    told = words(replace(factory.healthy(), notes=notes))["Notes"]
    assert told.split() == ["failed", "old", "a<b", "new"]


def test_long_texts_are_cut_at_a_word():
    sample = Sample(kind="text", name="s", step=1, prompt="Once", text="word " * 200)
    told = words(factory.healthy(samples=(sample,)))["Samples"]
    assert told.startswith("Once word word")
    assert told.endswith("word …")
    assert len(told) < 180
