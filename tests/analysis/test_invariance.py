"""What must not change what is found: units, precision, direction, blanks, thinning, arrival."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.builders import START
from runpages import analyze, find_events
from runpages.analysis.detect import DETECTORS
from runpages.model import Attempt, Run, RunRef
from runpages.sources import Spool
from suite.case import Case
from suite.matching import match
from suite.plan import PLAN

JUDGED = sorted({d.kind for d in DETECTORS} & set(PLAN))
UNITLESS = sorted(set(JUDGED) - {"grad_vanishing", "gpu_underuse", "idle_device", "near_oom"})
"""Kinds without a threshold in the metric's own unit."""

OF_METRIC = {
    metric: [
        kind for kind in JUDGED if PLAN[kind].make(np.random.default_rng(0), 300).metric in metric
    ]
    for metric in ("train/loss", "eval/accuracy", "train/step_time train/tokens_per_second")
}
LOSSES, SCORES, TIMES = OF_METRIC.values()

kinds = st.sampled_from(JUDGED)
seeds = st.integers(0, 10_000)
lengths = st.sampled_from([60, 200, 600])
steady = settings(max_examples=60, deadline=None, derandomize=True)


def made(kind: str, seed: int, points: int) -> Case:
    return PLAN[kind].make(np.random.default_rng(seed), points)


def found(case: Case, **given_facts):
    return find_events(case.steps, case.values, **{"metric": case.metric, **given_facts})


def places(events):
    return [(e.kind, e.start_step, e.end_step, e.peak_step, e.severity) for e in events]


@steady
@given(kind=st.sampled_from(UNITLESS), seed=seeds, points=lengths, power=st.integers(-6, 6))
def test_another_unit_changes_nothing(kind, seed, points, power):
    case = made(kind, seed, points)
    scaled = replace(case, values=case.values * 2.0**power)
    assert places(found(scaled)) == places(found(case))


@steady
@given(kind=kinds, seed=seeds, points=lengths)
def test_single_precision_changes_nothing(kind, seed, points):
    case = made(kind, seed, points)
    single = replace(case, values=case.values.astype(np.float32))
    assert places(found(single)) == places(found(case))


@steady
@given(kind=st.sampled_from(LOSSES + SCORES), seed=seeds, points=lengths)
def test_a_metric_of_the_other_direction_is_its_mirror_image(kind, seed, points):
    case = made(kind, seed, points)
    own, other = ("higher", "lower") if kind in SCORES else ("lower", "higher")
    mirrored = replace(case, values=-case.values)
    assert places(found(mirrored, direction=other)) == places(found(case, direction=own))


@steady
@given(kind=st.sampled_from(TIMES), seed=seeds, points=lengths)
def test_a_time_and_a_rate_are_judged_alike(kind, seed, points):
    case = made(kind, seed, points)
    as_time = find_events(case.steps, case.values, metric="train/step_time")
    as_rate = find_events(case.steps, 1 / case.values, metric="train/tokens_per_second")
    assert places(as_rate) == places(as_time)


@steady
@given(
    kind=st.sampled_from(sorted({*JUDGED} - {"nonfinite", "missing_data"})),
    seed=seeds,
    points=lengths,
)
def test_nan_is_an_event_and_hides_no_other(kind, seed, points):
    case = made(kind, seed, points)
    at = np.random.default_rng(seed).choice(points - 2, points // 30, replace=False) + 1
    blank = np.zeros(points, dtype=bool)
    blank[at] = True
    absent = replace(case, steps=case.steps[~blank], values=case.values[~blank])
    sprinkled = replace(case, values=np.where(blank, np.nan, case.values))
    events = found(sprinkled)
    assert {e.kind for e in events} >= {"nonfinite"}
    others = [place for place in places(events) if place[0] != "nonfinite"]
    assert others == places(found(absent))


@steady
@given(kind=kinds, seed=seeds)
def test_every_second_row_shows_what_is_clear(kind, seed):
    case = made(kind, seed, 1000)
    half = replace(case, steps=case.steps[::2], values=case.values[::2])
    seen = {id(t) for t, event in match(case, found(case)).found if event is not None}
    for truth, event in match(half, found(half)).found:
        rows = truth.duration / truth.interval
        if id(truth) in seen and rows >= 16 and (truth.size >= 6 or kind == "nonfinite"):
            assert event is not None, truth


def run_of(case: Case, order: np.ndarray) -> Run:
    spool = Spool()
    for row in order:
        step = int(case.steps[row])
        spool.add(case.metric, step, START + 2.0 * step, float(case.values[row]))
    last = int(case.steps[-1])
    return Run(
        ref=RunRef(
            source="here", project="p", run_id="r", name="r", state="finished", location="."
        ),
        name="r",
        attempts=(Attempt(number=1, first_step=int(case.steps[0]), last_step=last),),
        series=spool.finish(),
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(kind=kinds, seed=seeds)
def test_the_order_in_which_rows_arrive_changes_nothing(kind, seed):
    case = made(kind, seed, 200)
    order = np.random.default_rng(seed).permutation(len(case.steps))
    shuffled = analyze(run_of(case, order)).events
    assert places(shuffled) == places(analyze(run_of(case, np.arange(len(order)))).events)


@pytest.mark.parametrize("kind", JUDGED)
@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 31, [np.nan] * 31])
def test_nothing_to_see_is_legal(kind, values):
    metric = made(kind, 0, 60).metric
    events = find_events(np.arange(len(values)), values, metric=metric)
    assert {e.kind for e in events} <= {"nonfinite", "idle_device", "gpu_underuse", "plateau"}
