"""The spool gives back what was put in, whatever went to its file."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpages.model import SeriesSet
from runpages.sources import Spool

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["loss", "lr", "norm"]),
        st.integers(1, 3),
        st.integers(-5, 5),
        st.floats(allow_nan=True),
    ),
    max_size=60,
)


@given(rows=ROWS, buffer=st.sampled_from([0, 200, 1 << 20]), many=st.booleans())
def test_rows_come_back_in_their_order(rows, buffer, many):
    spool = Spool(buffer_bytes=buffer)
    for name, attempt, step, value in rows:
        if many:
            spool.extend(name, [step], [math.nan], [value], attempt=attempt)
        else:
            spool.add(name, step, math.nan, value, attempt=attempt)
    series = spool.finish()
    assert list(series) == list(dict.fromkeys(row[0] for row in rows))
    for name in series:
        own = [row for row in rows if row[0] == name]
        recorded = series[name].recorded
        assert recorded.step.tolist() == [row[2] for row in own]
        assert recorded.attempt.tolist() == [row[1] for row in own]
        np.testing.assert_array_equal(recorded.value, np.array([row[3] for row in own]))
        assert series.info(name).points == len(own)
    in_memory = SeriesSet.of({name: series[name].recorded for name in series})
    assert series.spans == in_memory.spans
    assert list(series.spans) == sorted({row[1] for row in rows})


def test_readings_by_the_clock_are_numbered_and_have_no_span():
    spool = Spool(buffer_bytes=100)
    for second in range(10):
        spool.sample("system/gpu.0", 1000.0 + second, second / 2)
    series = spool.finish()
    assert series.info("system/gpu.0").axis == "time"
    assert series["system/gpu.0"].step.tolist() == list(range(10))
    assert series["system/gpu.0"].time.tolist() == [1000.0 + second for second in range(10)]
    assert series.spans == {}


def test_steps_and_readings_of_one_name_are_two_series():
    spool = Spool()
    spool.add("system/cpu", 7, 1.0, 0.5)
    spool.sample("system/cpu", 2.0, 50.0)
    spool.extend("system/cpu", [0], [3.0], [60.0], time_axis=True)
    spool.extend("system/cpu", [8], [3.0], [0.25])
    spool.sample("gpu", 1.0, 1.0)
    spool.add("gpu", 6, 1.0, 2.0)
    series = spool.finish()
    assert {info.name: info.axis for info in series.infos} == {
        "system/cpu": "step",
        "system/cpu (by the clock)": "time",
        "gpu": "time",
        "gpu (by step)": "step",
    }
    assert series["system/cpu"].recorded.step.tolist() == [7, 8]
    assert series["system/cpu (by the clock)"].value.tolist() == [50.0, 60.0]
    assert series.spans == {1: (6, 8)}


def test_memory_stays_bounded():
    spool = Spool(buffer_bytes=1 << 16)
    block = np.arange(1000)
    for _ in range(200):
        spool.extend("loss", block, block, block)
        assert spool._held <= 1 << 16
    assert spool.finish().info("loss").points == 200_000
    assert spool.finish()["loss"].recorded.value.sum() == pytest.approx(200 * block.sum())
