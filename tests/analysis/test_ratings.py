"""Agreement against worked examples that others published."""

from __future__ import annotations

import pytest

from runpages.analysis.ratings import krippendorff_alpha, rate_samples, summarize_ratings
from runpages.model import Note

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), its example with four
# observers, twelve units and missing data: .743, .815 and .849
FOUR = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
# the example of three coders and fifteen units in Wikipedia's article on the coefficient, also in
# the README of pln-fing-udelar/fast-krippendorff: .691 and .811
THREE = (".....34121133.3", "1.213343.......", "..21344.21133.4")


def units(rows) -> list[list[float]]:
    return [[float(v) for v in column if v != "."] for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("rows", "level", "alpha"),
    [
        (FOUR, "nominal", 0.743),
        (FOUR, "ordinal", 0.815),
        (FOUR, "interval", 0.849),
        (THREE, "nominal", 0.691),
        (THREE, "interval", 0.811),
    ],
)
def test_alpha_of_published_examples(rows, level, alpha):
    assert krippendorff_alpha(units(rows), level=level) == pytest.approx(alpha, abs=5e-4)


def test_full_agreement_is_one_and_systematic_disagreement_is_below_zero():
    assert krippendorff_alpha([[1, 1], [3, 3], [5, 5]]) == 1
    assert krippendorff_alpha([[1, 5], [5, 1], [1, 5]]) < 0


def test_the_order_of_values_matters_and_not_their_distance():
    near = krippendorff_alpha([[1, 2], [1, 1], [2, 2], [3, 3], [5, 5]])
    assert near == krippendorff_alpha([[1, 4], [1, 1], [4, 4], [90, 90], [91, 91]])
    assert near > krippendorff_alpha([[1, 5], [1, 1], [2, 2], [3, 3], [5, 5]])


def rating(rater, sample, value, scale="1-5") -> Note:
    return Note(author=rater, time="2026-01-01", kind="rating", sample=sample, scale=scale,
                value=value)  # fmt: skip


def test_a_summary_counts_raters_samples_and_ratings():
    notes = [rating("a", "s", 4.0), rating("b", "s", 4.0), rating("a", "t", 1.0),
             rating("b", "t", 1.0), rating("a", "u", 2.0)]  # fmt: skip
    (found,) = summarize_ratings(notes)
    assert (found.raters, found.n, found.samples, found.mean) == (("a", "b"), 5, 3, 2.4)
    assert found.alpha.value == 1


def test_who_rates_again_counts_once_with_the_newest_value():
    (found,) = summarize_ratings([rating("a", "s", 1.0), rating("a", "s", 5.0)])
    assert (found.n, found.mean) == (1, 5)


def test_scales_are_not_mixed():
    found = summarize_ratings([rating("a", "s", 1.0), rating("a", "s", 90.0, scale="0-100")])
    assert [(one.scale, one.mean) for one in found] == [("1-5", 1), ("0-100", 90)]
    assert [(one.scale, one.n) for one in rate_samples([rating("a", "s", 1.0)])] == [("1-5", 1)]


@pytest.mark.parametrize(
    ("notes", "why"),
    [
        ([rating("a", "s", 1.0), rating("a", "t", 2.0)], "one rater: agreement needs two"),
        ([rating("a", "s", 1.0), rating("b", "t", 2.0)], "no sample was rated by two"),
        ([rating("a", "s", 3.0), rating("b", "s", 3.0)], "all ratings are the same"),
    ],
)
def test_agreement_that_cannot_be_told_says_why(notes, why):
    (found,) = summarize_ratings(notes)
    assert found.alpha.value is None
    assert why in found.alpha.why


def test_notes_and_verdicts_are_no_ratings():
    notes = [Note(author="a", time="2026-01-01", kind="verdict", outcome="worked", value=4.0)]
    assert summarize_ratings(notes) == ()
