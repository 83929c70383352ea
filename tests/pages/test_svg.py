"""The drawing of a Plotly figure, and its axes."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpages.pages.svg import draw, spark, ticks


def figure(*traces: dict, y=(0, 10), log: bool = False, x=(0, 100), **layout) -> go.Figure:
    kind = "log" if log else "linear"
    axes = {"xaxis": {"range": x}, "yaxis": {"range": y, "type": kind}}
    return go.Figure(
        data=[go.Scatter(**trace) for trace in traces], layout={"template": None, **axes, **layout}
    )


def labels(svg: str) -> tuple[list[str], list[str]]:
    """What stands at the y axis, upwards, and at the x axis."""
    words = [("".join(t.itertext()), t.get("dy")) for t in ET.fromstring(svg).iter("text")]
    return [w for w, dy in words if dy == ".35em"], [w for w, dy in words if dy == "1.35em"]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [(0, 10, 4, [0, 5, 10]), (1.4, 9.5, 4, [2, 4, 6, 8]), (0, 2999, 5, [0, 500, 1000, 1500, 2000, 2500]),
     (0.3, 0.7, 4, [0.3, 0.4, 0.5, 0.6, 0.7]), (-1e-6, 1e-6, 4, [-1e-6, -5e-7, 0, 5e-7, 1e-6]), (3, 3, 4, [3])],
)  # fmt: skip
def test_ticks_are_round(low, high, count, expected):
    assert ticks(low, high, count=count) == expected


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 8))
def test_ticks_are_few_ordered_and_inside(low, span, count):
    high = low + span
    if high - low < 1e-6 * max(abs(low), abs(high)):
        return
    found = ticks(low, high, count=count)
    assert 1 <= len(found) <= count + 1
    assert found == sorted(set(found))
    assert all(low - 1e-6 * span <= v <= high + 1e-6 * span for v in found)


@pytest.mark.parametrize(
    ("y", "log", "expected"),
    [
        ((0, 0.0006), False, ["0", "2e−4", "4e−4", "6e−4"]),
        ((0, 0.00012), False, ["0", "5e−5", "1e−4"]),
        ((0.000095, 0.000108), False, ["9.5e−5", "1e−4", "1.05e−4"]),
        ((-1, 1), False, ["−1.0", "−0.5", "0", "0.5", "1.0"]),
        ((0, 2_000_000), False, ["0", "500k", "1M", "1.5M", "2M"]),
        ((0, 4e9), False, ["0", "1G", "2G", "3G", "4G"]),
        ((2.9, 3.3), False, ["2.9", "3.0", "3.1", "3.2", "3.3"]),
        ((-1.2, 1.1), True, ["0.1", "1", "10"]),
        ((0.2, 0.8), True, ["2", "5"]),
        ((-12, 12), True, ["1e−12", "1e−7", "0.01", "1,000", "100M"]),
    ],
)
def test_labels_of_y_say_no_more_than_needed(y, log, expected):
    found = labels(draw(figure(y=y, log=log), label="x"))[0]
    assert found == expected


def test_steps_are_whole_and_close_ones_are_told_apart():
    assert labels(draw(figure(x=(5, 6), meta="step"), label="x"))[1] == ["5", "6"]
    found = labels(draw(figure(x=(13_390, 13_394), meta="step"), label="x"))[1]
    assert found == ["13,390", "13,391", "13,392", "13,393", "13,394"]


def test_labels_of_x_are_in_thousands_where_they_are_large():
    assert labels(draw(figure(x=(0, 19_072)), label="x"))[1] == ["0", "5k", "10k", "15k"]
    assert labels(draw(figure(x=(0, 4000)), label="x"))[1] == [
        "0",
        "1,000",
        "2,000",
        "3,000",
        "4,000",
    ]


def test_a_curve_is_a_path_of_its_class_and_a_gap_lifts_the_pen():
    trace = {"x": [0, 50, 50, 100], "y": [10, 5, None, 0], "mode": "lines", "meta": "s2"}
    svg = draw(figure(trace), label="x")
    assert re.findall(r'class="s2"[^>]* d="([^"]*)"', svg) == ["M0 0l500 250M1000 500h0"]


def test_a_band_is_closed_and_keeps_its_classes():
    band = {"x": [0, 100, 100, 0], "y": [6, 6, 4, 4], "mode": "lines", "fill": "toself",
            "meta": "band s3"}  # fmt: skip
    svg = draw(figure(band), label="x")
    assert '<path class="band s3" d="M0 200l1000 0 0 100 -1000 0z"/>' in svg


def test_what_leaves_the_frame_is_cut_not_unbounded():
    trace = {"x": [0, 100], "y": [1e30, 5], "mode": "lines", "meta": "run"}
    (d,) = re.findall(r'class="run"[^>]* d="([^"]*)"', draw(figure(trace), label="x"))
    assert d == "M0 -500l1000 750"


def test_values_that_a_log_axis_cannot_show_are_left_out():
    trace = {"x": [0, 50, 100], "y": [10, 0, 10], "mode": "lines", "meta": "run"}
    (d,) = re.findall(
        r'class="run"[^>]* d="([^"]*)"', draw(figure(trace, log=True, y=(0, 2)), label="x")
    )
    assert d.startswith("M0 250")
    assert "n" not in d


def test_a_narrow_band_is_seen_and_stays_inside():
    shapes = [
        {"type": "rect", "x0": x, "x1": x, "y0": 0, "y1": 1, "name": "warn"} for x in (0, 50, 100)
    ]
    svg = draw(figure(shapes=shapes), label="x")
    found = re.findall(r'class="ev warn" x="([\d.]+)%" width="([\d.]+)%"', svg)
    assert found == [("0.00", "0.30"), ("49.85", "0.30"), ("99.70", "0.30")]


def test_hostile_words_stay_words():
    words = '"><script>alert(1)</script>{{ 7 * 7 }}'
    notes = [{"x": 50, "y": 1, "text": words, "name": "event", "showarrow": False}]
    svg = draw(figure(annotations=notes), label=words)
    tree = ET.fromstring(svg)
    assert tree.get("aria-label") == words
    assert words in [text.text for text in tree.iter("text")]
    assert "<script" not in svg
    assert "{" not in svg


def test_a_drawing_is_one_line_without_style_or_script():
    trace = {"x": [0, 100], "y": [1, 2], "mode": "lines", "meta": "run"}
    svg = draw(figure(trace), label="x")
    assert "\n" not in svg  # a blank line would end the HTML block in Markdown
    assert not re.search(r"style|script|href|\son", svg)


def test_spark_shows_finite_values_only():
    svg = spark([3.0, math.nan, 2.0, math.inf, 1.0], label="loss")
    assert re.findall(r' d="([^"]*)"', svg) == ["M0 2l48 10 48 10"]


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, math.nan]])
def test_spark_of_too_little_is_nothing(values):
    assert spark(values) == ""


def test_spark_of_a_constant_is_a_line():
    assert 'd="M0 22l96 0"' in spark([2.0, 2.0])
