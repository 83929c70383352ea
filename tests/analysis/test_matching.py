"""The scorer of the generated suite: what it must not give credit for; the published rules."""

from __future__ import annotations

import numpy as np
import pytest

from runpages.model import Event
from suite.case import Case
from suite.curves import Truth
from suite.matching import match
from suite.rules import RULES, events_of


def case_of(kind="spike", start=400, end=409, until=None):
    truth = Truth(
        kind=kind,
        start=start,
        end=end,
        onset_until=start if until is None else until,
        size=2.0,
        interval=1,
    )
    steps = np.arange(1000)
    return Case(kind=kind, metric="loss", steps=steps, values=np.ones(1000), truths=(truth,))


def event(kind, start, end):
    return Event(id="", kind=kind, metric="loss", start_step=start, end_step=end)


def test_the_second_report_of_an_event_is_a_false_alarm():
    told = match(case_of(), [event("spike", 400, 403), event("spike", 406, 409)])
    assert told.found[0][1] is not None
    assert len(told.alarms) == 1


def test_to_report_everything_scores_nothing():
    told = match(case_of(), [event("spike", 0, 999)])
    assert told.found[0][1] is None
    assert len(told.alarms) == 1


def test_another_kind_is_a_miss_and_a_false_alarm():
    told = match(case_of(), [event("divergence", 400, 999)])
    assert told.found[0][1] is None
    assert [(t.kind, e.kind) for t, e in told.confused] == [("spike", "divergence")]
    assert len(told.alarms) == 1


@pytest.mark.parametrize(("start", "hit"), [(400, True), (449, True), (460, False), (340, False)])
def test_an_onset_must_be_where_it_is(start, hit):
    told = match(case_of("level_shift", end=999), [event("level_shift", start, 999)])
    assert (told.found[0][1] is not None) is hit


def test_the_onset_of_a_slow_rise_lasts_until_half_of_it():
    told = match(case_of("divergence", end=999, until=600), [event("divergence", 620, 999)])
    assert told.found[0][1] is not None


def alarmed(name, values):
    case = Case(kind="spike", metric="loss", steps=np.arange(len(values)), values=values)
    return [(e.start_step, e.end_step) for e in events_of(case, RULES[name])]


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        # the last 128 values, 1,000 values: 0 and 2 in turn have mean 1 and sd 1
        ("OLMo-core 128/6", 6.9, 7.1),
        ("OLMo 1000/7", 7.9, 8.1),
        ("W&B z 30/3", 3.9, 4.1),
    ],
)
def test_rules_of_a_window_alarm_over_mean_and_k_deviations(name, below, above):
    values = np.tile([0.0, 2.0], 600)
    values[1100] = below
    assert alarmed(name, values) == []
    values[1100] = above
    assert alarmed(name, values) == [(1100, 1100)]


def test_hampel_measures_by_median_deviations():
    values = np.tile([0.0, 2.0], 600)  # 1 away from the median, give or take the middle value
    values[600] = 2 + 12 * 1.4826 * 2 + 0.1
    assert alarmed("Hampel 129/12", values) == [(600, 600)]
    values[600] = 12
    assert alarmed("Hampel 129/12", values) == []


def test_llm_foundry_waits_for_the_fifth_row_in_a_row():
    values = np.ones(1000)
    values[500:504] = 2.5
    assert alarmed("llm-foundry 2x/5", values) == []
    values[500:505] = 2.5
    assert alarmed("llm-foundry 2x/5", values) == [(504, 504)]
