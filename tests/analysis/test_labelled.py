"""The detectors on 43 hand-labelled real series, by the series' own scorer."""

from __future__ import annotations

import numpy as np
import pytest

import leave_one_out
from labelled import predict, read
from runpages import find_events

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "labelled"


@pytest.fixture(scope="module")
def series(folder):
    return read(folder)


def check(summary):
    assert summary["sure_labels"] == 47
    assert summary["recall_sure_any_kind"] >= 0.90
    assert summary["recall_sure"] >= 0.80
    assert summary["recall_cells"] >= 0.80
    assert summary["precision"] >= 0.85
    assert summary["healthy_series"] == 14
    assert summary["healthy_series"] * summary["false_alarms_per_healthy"] <= 2


def test_thresholds_as_shipped(folder, series, capsys):
    summary = leave_one_out.Scorer(folder)(predict(series), series).summary
    with capsys.disabled():
        print({k: v for k, v in summary.items() if k != "by_kind"})
    check(summary)


def test_thresholds_chosen_without_the_repository_they_are_scored_on(folder, series, capsys):
    with capsys.disabled():
        check(leave_one_out.report(folder, series))


def test_no_peak_lies_on_the_near_side_of_its_threshold(series):
    judged = 0
    for one in series.values():
        cuts = np.flatnonzero(np.diff(one.steps) < 0) + 1
        parts = zip(np.split(one.steps, cuts), np.split(one.values, cuts), strict=True)
        for event in (e for s, v in parts for e in find_events(s, v, metric=one.metric)):
            if event.threshold is not None:
                up = 1 if event.peak_value > event.baseline_value else -1
                assert up * event.peak_value >= up * event.threshold, event
                judged += 1
    assert judged > 50
