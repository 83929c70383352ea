from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.builders import falling, make_run
from runpages import find_events
from runpages.analysis import analyze

SEEDS = range(8)


def step_time(size, *, seed=0, seconds=2.0, noise=0.02):
    """Right-skewed step times, the first three slow (compilation)."""
    rng = np.random.default_rng(seed)
    values = seconds * (1 + noise * rng.gamma(2.0, 1.0, size))
    values[:3] *= (20, 3, 1.5)
    return values


def shape(events):
    return [(e.kind, e.start_step, e.end_step) for e in events]


def find(values, steps=None, metric="step_time"):
    return find_events(np.arange(len(values)) if steps is None else steps, values, metric=metric)


@pytest.mark.parametrize("size", [8, 20, 100, 1000, 6000])
@pytest.mark.parametrize("noise", [0.002, 0.02, 0.2])
def test_a_healthy_step_time_gives_nothing(size, noise):
    for seed in SEEDS:
        found = find(step_time(size, seed=seed, noise=noise))
        # the widest noise is jitter, and no stall
        assert {e.kind for e in found} <= ({"jitter"} if noise == 0.2 else set())


def test_a_step_time_of_two_kinds_is_the_runs_way():
    for seed in SEEDS:
        values = step_time(3000, seed=seed)
        values[np.random.default_rng(seed).random(3000) < 0.05] *= 2.5  # longer batches
        assert not any(e.kind in {"stall", "slowdown"} for e in find(values))


@pytest.mark.parametrize("size", [40, 500, 8000])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_stall_is_found_where_it_is(size, rows):
    for seed in SEEDS:
        values = step_time(size, seed=seed)
        begin = size // 2
        values[begin : begin + rows] *= 4
        assert shape(find(values)) == [("stall", begin, begin + rows - 1)]


def test_a_stall_of_a_rate_is_its_fall():
    values = 1000 / step_time(300)
    values[200] /= 5
    (event,) = find(values, metric="tokens_per_second")
    assert (event.kind, event.start_step, event.peak_value) == ("stall", 200, values[200])
    assert event.baseline_value == pytest.approx(480, rel=0.05)
    assert event.threshold < event.baseline_value
    assert "tokens_per_second fell from" in event.message


@pytest.mark.parametrize("period", [5, 50, 250])
def test_periodic_overhead_is_no_stall(period):
    steps = np.arange(4000)
    for seed in SEEDS:
        values = step_time(4000, seed=seed)
        rng = np.random.default_rng(seed)
        late = steps % period == period - 1
        values[late] += 40 * (1 + 0.2 * rng.random(int(late.sum())))
        assert find(values) == ()
        values[2345] += 900  # on the slots of 5: more than five times what the slot costs
        assert shape(find(values)) == [("stall", 2345, 2345)]


def test_two_periods_that_coincide_are_no_stall():
    steps = np.arange(6000)
    values = step_time(6000)
    values[steps % 100 == 0] += 10
    values[steps % 750 == 0] += 200
    assert find(values) == ()


def test_a_seldom_checkpoint_is_periodic_from_three_on():
    steps = np.arange(3500)
    values = step_time(3500)
    values[(steps % 1000 == 0) & (steps > 0)] += 60
    assert find(values) == ()


def test_a_checkpoint_near_the_limit_of_its_evaluations_is_periodic():
    # five times what an evaluation costs: some of the checkpoints are just over, some just under
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        values = step_time(20_000, seed=seed)
        values[25::25] *= 4.5
        values[500::500] *= 5.2 * np.exp(0.1 * rng.standard_normal(len(values[500::500])))
        assert find(values) == ()


def test_three_evaluations_are_periodic_though_none_came_before_the_first_step():
    for seed in SEEDS:
        values = step_time(43, seed=seed)[3:]
        values[10::10] *= 16
        assert find(values) == ()


def test_overhead_by_the_clock_is_periodic():
    values = step_time(4000)
    at = np.cumsum(np.random.default_rng(0).integers(196, 205, 19))
    values[at] += 30
    assert find(values) == ()


def test_the_logging_density_may_change():
    steps = np.concatenate([np.arange(100), np.arange(100, 20_000, 50)])
    values = step_time(len(steps))
    values[steps % 500 == 0] += 30
    values[300] += 30
    assert shape(find(values, steps)) == [("stall", int(steps[300]), int(steps[300]))]


def test_start_up_and_final_evaluation_are_no_stalls():
    values = step_time(200)
    values[5] *= 10
    values[-1] *= 30
    assert find(values) == ()


@pytest.mark.parametrize("size", [60, 600, 20_000])
@pytest.mark.parametrize("factor", [1.09, 1.4, 3.0])
def test_a_slowdown_is_found_with_its_extent(size, factor):
    for seed in SEEDS:
        values = step_time(size, seed=seed, noise=0.005)
        begin, end = size // 2, size * 3 // 4
        values[begin : end + 1] *= factor
        (event,) = find(values)
        assert (event.kind, event.recovered, event.severity) == ("slowdown", True, "warning")
        assert abs(event.start_step - begin) <= max(5, size // 100)
        assert abs(event.end_step - end) <= max(5, size // 100)


def test_a_slowdown_to_the_end_says_so():
    values = 1000 / step_time(400, noise=0.005)
    values[250:] *= 0.7
    (event,) = find(values, metric="tokens/s")
    assert (event.kind, event.recovered) == ("slowdown", False)
    assert event.message.startswith("tokens/s fell below its level of")
    assert event.message.endswith("had not come back when the record ended.")


def test_a_slowdown_below_the_floor_is_not_reported():
    values = step_time(2000, noise=0.001)
    values[800:1200] *= 1.03
    assert find(values) == ()


def test_a_running_mean_is_not_judged():
    values = np.where(np.arange(300) < 150, 100.0, 200.0)
    assert find(values, metric="step_avg_ms") == ()


def test_sentinels_are_no_times():
    values = step_time(300)
    values[[0, 100, 200]] = [-100, 0, -1]
    assert find(values) == ()


@given(scale=st.sampled_from([1e-6, 0.3, 1e5]), seed=st.integers(0, 30))
@settings(max_examples=20, deadline=None)
def test_unit_rate_and_precision_change_nothing(scale, seed):
    values = step_time(500, seed=seed)
    values[200] *= 6
    values[300:380] *= 1.5
    values = values.astype(np.float32).astype(np.float64)
    plain = shape(find(values))
    assert [kind for kind, _, _ in plain] == ["stall", "slowdown"]
    assert shape(find(values * scale)) == plain
    assert shape(find(scale / values, metric="tokens_per_second")) == plain


def test_the_slow_start_of_a_resumed_attempt_is_no_stall():
    one, two = np.arange(200), np.arange(150, 400)
    first, second = step_time(200), step_time(250, seed=1)
    second[100] *= 8
    run = make_run(
        {
            1: {"loss": (one, falling(one)), "step_time": (one, first)},
            2: {"loss": (two, falling(two)), "step_time": (two, second)},
        }
    )
    stalls = [e for e in analyze(run).events if e.kind == "stall"]
    assert [(e.start_step, e.attempt) for e in stalls] == [(250, 2)]
