"""Numbers as people read them."""

from __future__ import annotations

import pytest

from runpages import units


@pytest.mark.parametrize(
    ("value", "of", "text"),
    [
        (0.000256, (2.68905, 2.68931), "0.00026"),
        (0.1017, (2.1333, 2.0317), "0.1017"),
        (42.7 * 60, (4440.0, 7002.0), "2,562"),
        (3e-7, (2.0, 2.0), "3e\N{MINUS SIGN}7"),
        (1.0, (), "1.000"),
        (5.0, (3.2e10, 3.2e10), "5.000"),
    ],
)
def test_a_difference_has_no_digits_that_its_values_have_not(value, of, text):
    assert units.difference(value, of) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.3089, "0.3089"), (2.5, "2.5"), (1234.0, "1,234"), (3e-5, "3e\N{MINUS SIGN}5")],
)
def test_a_logged_row_is_not_padded(value, text):
    assert units.logged(value) == text
