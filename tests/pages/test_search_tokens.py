"""Forms of text that a search must take for the same word, and those it must not."""

from __future__ import annotations

import pytest

from runpages.pages.search_tokens import words
from runpages.pages.search_words import notations

FORMS = {
    "3e-4": ["0.0003"],
    "3E-04": ["0.0003"],
    "0.00030": ["0.0003"],
    "lr=3e-4,": ["lr", "0.0003"],
    "1.25E+3": ["1250"],
    "1e10": ["10000000000"],
    "2.0": ["2"],
    "0.0": ["0"],
    "007": ["007"],
    "1.5e-30": ["1", "5e", "30"],
    "4fd2a1b": ["4fd2a1b"],
    "1234e12": ["1234e12"],
    "12345e67": ["12345e67"],
    "1.3B": ["1", "3b"],
    "v0.1.2": ["v0", "1", "2"],
    "amber-basin_2": ["amber", "basin", "2"],
    "train/val.loss": ["train", "val", "loss"],
    "Œuvre Ünï": ["œuvre", "uni"],
    "ﬁne ²": ["fine", "2"],
    "2026-03-01": ["2026", "03", "01"],
    "  — … ": [],
    "": [],
}
"""Text -> its words; the browser's rule is held to the same table."""


@pytest.mark.parametrize("text", FORMS)
def test_words_of(text):
    assert words(text) == FORMS[text]


@pytest.mark.parametrize("value", [3e-4, 0.00125, 1e-20, 64, 1e10, 12345678, 0.1])
def test_every_notation_of_a_number_is_one_word(value):
    assert len(set(words(notations(value)))) == 1
