from __future__ import annotations

import numpy as np
import pytest

from runpages.model import Columns, SeriesSet, slug_of


def rows(*items):
    step, value, attempt = zip(*items, strict=True)
    size = len(step)
    return Columns(
        np.array(step), np.full(size, np.nan), np.array(value, dtype=float), np.array(attempt)
    )


def test_a_later_attempt_supersedes_what_it_did_again():
    loss = rows((1, 4, 1), (2, 3, 1), (3, 9, 1), (2, 3.1, 2), (3, 2, 2), (4, 1, 2))
    series = SeriesSet.of({"loss": loss})["loss"]
    assert series.step.tolist() == [1, 2, 3, 4]
    assert series.value.tolist() == [4, 3.1, 2, 1]
    assert series.superseded.value.tolist() == [3, 9]
    assert series.attempt(1).value.tolist() == [4, 3, 9]


def test_sparse_rows_in_a_redone_stretch_are_superseded_too():
    loss = rows((1, 4, 1), (5, 9, 1), (2, 3, 2), (6, 2, 2))
    evaluation = rows((4, 7, 1), (6, 5, 2))
    series = SeriesSet.of({"loss": loss, "val": evaluation})["val"]
    assert series.step.tolist() == [6]


def test_a_rollback_that_dies_early_still_supersedes():
    loss = rows((1, 4, 1), (2, 3, 1), (3, 9, 1), (4, 9, 1), (2, 3, 2))
    assert SeriesSet.of({"loss": loss})["loss"].step.tolist() == [1, 2]


def test_a_later_evaluation_alone_supersedes_nothing():
    loss = rows((1, 4, 1), (2, 3, 1), (3, 2, 1))
    score = rows((0, 0.5, 2))
    assert SeriesSet.of({"loss": loss, "score": score})["loss"].step.tolist() == [1, 2, 3]


def logged(first: int, last: int, attempt: int, *, every: int = 1):
    return [(step, 1.0, attempt) for step in range(first, last, every)]


def test_what_counts_epochs_does_not_tell_where_an_attempt_began():
    series = SeriesSet.of(
        {
            "accuracy": rows(*logged(0, 10, 1), *logged(9, 15, 2)),
            "loss": rows(*logged(0, 1000, 1), *logged(900, 1500, 2)),
            "grad_norm": rows(*logged(0, 1000, 1)),
            "tokens": rows(*logged(0, 256_000, 1, every=2560), *logged(230_400, 384_000, 2,
                                                                        every=2560)),
        }
    )  # fmt: skip
    assert series.spans == {1: (0, 999), 2: (900, 1499)}
    assert series["loss"].step.tolist() == [*range(1500)]
    assert series["loss"].superseded.step.tolist() == [*range(900, 1000)]
    assert series["grad_norm"].step.tolist() == [*range(900)]
    assert series["accuracy"].step.tolist() == [*range(15)]
    assert series["accuracy"].superseded.step.tolist() == [9]
    assert series["tokens"].step.tolist() == [*range(0, 384_000, 2560)]


def test_spans_of_the_greatest_steps_are_exact():
    steps = [2**63 - 3, 2**63 - 1]
    series = SeriesSet.of({"x": rows(*((step, 1, 1) for step in steps)), "y": rows((0, 1, 1))})
    assert series.spans == {1: tuple(steps)}


def test_an_evaluation_before_the_first_row_of_an_attempt_belongs_to_it():
    loss = rows(*logged(10, 101, 1, every=10), *logged(90, 151, 2, every=10))
    evaluation = rows((0, 1, 1), (85, 1, 1), (80, 1, 2), (155, 1, 2))
    series = SeriesSet.of({"loss": loss, "val": evaluation})
    assert series.spans == {1: (0, 100), 2: (80, 155)}
    assert series["val"].step.tolist() == [0, 80, 155]
    assert series["loss"].superseded.step.tolist() == [80, 90, 100]


def test_of_several_rows_at_one_step_the_last_stands():
    assert SeriesSet.of({"x": rows((1, 1, 1), (1, 2, 1), (2, 3, 1))})["x"].value.tolist() == [2, 3]


def test_a_window_is_closed_on_both_sides():
    series = SeriesSet.of({"x": rows(*((i, i, 1) for i in range(10)))})["x"]
    assert series.window(3, 5).step.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("source", "project", "run_id", "slug"),
    [
        ("logs", "char-lm", "baseline", "baseline-743bef1076"),
        ("logs", "", "exp/7b Résumé", "exp-7b-resume-0342905ddb"),
        ("wandb.ai", "团队", "2kd61az8", "2kd61az8-ee3e3b5f09"),
        ("logs", "", "训练", "run-9c10f9dd3f"),
    ],
)
def test_slug_vectors_of_the_documentation(source, project, run_id, slug):
    assert slug_of(source, project, run_id) == slug


HOSTILE = [
    "Run", "run", "RUN ", "run.", "rün", "ru\u0308n", "../../etc/passwd", "..\\..\\x", "con", "NUL",
    "a" * 300, "", ".", "..", "index", "404", "日本語", "🔥", "é", "e\u0301", "a/b", "a%2fb", "a\x00b",
    "-rf", "--help", "run\n", "\u202erun", "fi", "ﬁ", "$(id)", "`id`", "{{7*7}}", "\ud800", "'\"",
]  # fmt: skip


def test_hostile_ids_give_short_distinct_slugs():
    slugs = [slug_of("s", "p", name) for name in HOSTILE]
    assert len(set(slugs)) == len(HOSTILE)
    assert max(map(len, slugs)) <= 64
    for slug in slugs:
        assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not slug.startswith("-")


def test_a_line_feed_in_a_name_makes_no_other_run_of_it():
    assert slug_of("s", "p\n-", "run") != slug_of("s", "p", "-\nrun")
    assert slug_of("s\np", "q", "run") != slug_of("s", "p\nq", "run")
    assert slug_of("s", "p", "run\n") != slug_of("s", "p", "run")
