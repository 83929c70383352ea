"""Rows in the order of time, cut into attempts: what holds for any rows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runpages.sources._mlflow_facts import Tally
from runpages.sources._mlflow_rows import arranged, decoded
from runpages.sources.spool import Spool

ROW = st.tuples(
    st.integers(-3, 12),
    st.one_of(st.integers(1, 40).map(float), st.just(math.nan)),
    st.one_of(st.floats(), st.sampled_from([0.0, 1.0])),
)


def spooled(rows: list[tuple[int, float, float]]) -> Spool:
    spool = Spool()
    if rows:
        spool.extend("loss", *zip(*rows, strict=True))
    return spool


def key(row: tuple[int, float, float]) -> tuple[object, ...]:
    return row[0], repr(row[1]), repr(row[2] + 0.0)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, max_size=60), st.randoms())
def test_any_rows(rows: list[tuple[int, float, float]], random: object) -> None:
    tally = Tally()
    series, lives = arranged(spooled(rows).finish(), tally)
    for found in series.values():
        recorded = found.recorded
        for number in np.unique(recorded.attempt):
            assert number in lives.numbers
            mine = recorded.take(recorded.attempt == number)
            assert (np.diff(mine.step) >= 0).all()
        if found.info.axis == "step":
            kept = {key(r) for r in zip(*(c.tolist() for c in recorded[:3]), strict=True)}
            lost = {key(row) for row in rows} - kept
            assert not lost or any("at step 0" in warning for warning in tally.warnings)
            assert all(row[0] == 0 for row in lost)
    random.shuffle(rows)  # type: ignore[attr-defined]
    again, _ = arranged(spooled(rows).finish(), Tally())
    assert list(again) == list(series)
    for name in series:
        for left, right in zip(series[name].recorded, again[name].recorded, strict=True):
            np.testing.assert_array_equal(left, right)


def test_more_restarts_than_a_run_can_have_are_none() -> None:
    rows = [(step % 9, float(step + 1), 1.0) for step in range(9 * 1200)]
    tally = Tally()
    series, lives = arranged(spooled(rows).finish(), tally)
    assert list(lives.numbers) == [1]
    assert series["loss"].info.points == len(rows)
    assert "more than restarts explain" in tally.warnings[0]


def test_infinities_and_times_of_a_sql_store() -> None:
    largest = np.finfo(np.float64).max
    times, values, count = decoded(
        np.array([1500.0, 0.0, -1.0, 1e14]), np.array([largest, -largest, math.nan, 1e308])
    )
    assert times[0] == 1.5
    assert np.isnan(times[1:]).all()
    assert (values[0], values[1], count) == (math.inf, -math.inf, 2)
    assert values[3] == 1e308
