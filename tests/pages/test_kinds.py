"""A finding of every kind has a title, a size and an ending on the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages import factory
from pages.test_run import Seen, html_of
from runpages.model import KINDS, Event
from runpages.pages import render


def shown(kind, **facts):
    event = Event(
        id=f"{kind}-10-abcd", kind=kind, metric="m", start_step=10, end_step=30, message="It was.",
        **facts,
    )  # fmt: skip
    report = replace(factory.report(name="r"), events=(event,))
    return Seen(html_of(render(report).markdown)).text


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told(kind):
    text = shown(kind, peak_value=3.0, baseline_value=1.5, recovered=False)
    assert "It was." in text
    assert ("NaN or Inf" in text) == (kind == "nonfinite")


def test_what_has_no_end_is_not_said_to_go_on():
    assert "0.3000 n/a It was." in shown("data_bottleneck", peak_value=0.3)
    assert "0.3000 no It was." in shown("data_bottleneck", peak_value=0.3, recovered=False)


def test_missing_rows_are_counted_in_steps():
    assert "20 steps n/a It was." in shown("missing_data")


def test_titles_are_words():
    assert "Gradient explosion" in shown("grad_explosion", peak_value=3.0)
    assert "Nearly out of memory" in shown("near_oom", peak_value=3.0)
    assert "Data bottleneck" in shown("data_bottleneck", peak_value=3.0)
