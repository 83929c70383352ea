"""Fewer points without losing what matters."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runpages.pages.downsample import bucketed

values = arrays.arrays(
    np.float64,
    st.integers(0, 3000),
    elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf]),
)


@given(values, st.integers(1, 60))
def test_extremes_and_mass_are_kept(y, limit):
    x = np.arange(len(y), dtype=float)
    found = bucketed(x, y, limit=limit)
    finite = y[np.isfinite(y)]
    shown = np.isfinite(found.mean)
    assert len({len(column) for column in found[:4]}) == 1
    assert np.isfinite(found.x).all()
    assert (np.diff(found.x) >= 0).all()
    assert shown.any() == bool(len(finite))
    if len(finite):
        assert found.low[shown].min() == finite.min()
        assert found.high[shown].max() == finite.max()
        slack = 1e-9 * (1 + np.abs(finite).max())
        assert (found.low[shown] <= found.mean[shown] + slack).all()
        assert (found.mean[shown] <= found.high[shown] + slack).all()


@given(st.integers(1, 5000), st.integers(1, 500))
def test_there_are_never_more_buckets_than_asked_for(size, limit):
    y = np.arange(size, dtype=float)
    found = bucketed(y, y, limit=limit)
    assert len(found.x) <= limit + 2  # the first and the last stand by themselves
    assert (found.width == 1) == (size <= limit)


def test_kept_points_stand_alone():
    y = np.ones(1000)
    y[500] = 9
    keep = np.zeros(1000, dtype=bool)
    keep[500] = True
    found = bucketed(np.arange(1000.0), y, keep=keep, limit=10)
    at = int(np.flatnonzero(found.x == 500)[0])
    assert (found.mean[at], found.low[at], found.high[at]) == (9, 9, 9)
    assert found.high[[i for i in range(len(found.x)) if i != at]].max() == 1


def test_no_bucket_spans_a_restart():
    y = np.concatenate([np.zeros(500), np.ones(500)])
    breaks = np.zeros(1000, dtype=bool)
    breaks[500] = True
    found = bucketed(np.arange(1000.0), y, breaks=breaks, limit=7)
    assert np.isnan(found.mean).sum() == 1
    assert set(found.mean[np.isfinite(found.mean)]) == {0, 1}


def test_thousands_of_gaps_do_not_make_thousands_of_buckets():
    y = np.ones(20_000)
    y[::4] = np.nan
    y[9000:9100] = np.nan
    found = bucketed(np.arange(20_000.0), y, limit=500)
    broken = found.x[np.isnan(found.mean)]
    assert len(found.x) < 800
    assert len(broken) == 1
    assert 9100 < broken[0] < 9140


def test_the_ends_are_the_datas_own():
    found = bucketed(np.arange(1000.0), np.arange(1000.0) ** 2, limit=10)
    assert (found.x[0], found.mean[0]) == (0, 0)
    assert (found.x[-1], found.mean[-1]) == (999, 999**2)
