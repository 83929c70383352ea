from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(8)


def norms(size, *, seed=0):
    """A healthy gradient norm: high at first, then a level with a right tail."""
    rng = np.random.default_rng(seed)
    return (0.3 + 4 * np.exp(-np.arange(size) / (0.02 * size))) * np.exp(
        0.15 * np.abs(rng.standard_t(10, size))
    )


def find(values, metric="grad_norm"):
    return find_events(np.arange(len(values)) * 10, values, metric=metric)


def shape(events):
    return [(e.kind, e.recovered) for e in events]


@pytest.mark.parametrize("size", [24, 60, 300, 5000, 20_000])
def test_a_healthy_norm_gives_nothing(size):
    for seed in SEEDS:
        assert find(norms(size, seed=seed)) == ()


@pytest.mark.parametrize("size", [120, 1000, 20_000])
@pytest.mark.parametrize("rows", [1, 8, 60])
def test_an_excursion_is_one_explosion(size, rows):
    for seed in SEEDS:
        values = norms(size, seed=seed)
        begin = size * 2 // 5
        values[begin : begin + rows] *= 30
        (event,) = find(values)
        assert shape([event]) == [("grad_explosion", True)]
        assert abs(event.start_step - begin * 10) <= 20
        assert abs(event.end_step - (begin + rows - 1) * 10) <= 30
        assert event.message.startswith("Gradient norm rose from 0.3")


def test_three_times_the_level_is_below_the_floor():
    for seed in SEEDS:
        values = 0.3 * np.exp(0.02 * np.random.default_rng(seed).standard_normal(2000))
        values[1200:1210] *= 3
        assert find(values) == ()


@pytest.mark.parametrize("size", [120, 1000, 20_000])
@pytest.mark.parametrize(("factor", "severity"), [(8, "warning"), (1000, "critical")])
def test_a_growth_to_the_end_is_one_explosion_that_did_not_come_back(size, factor, severity):
    for seed in SEEDS:
        values = norms(size, seed=seed)
        begin = size * 3 // 5
        values[begin:] *= factor ** np.minimum(1, np.linspace(0, 10, size - begin))
        (event,) = find(values)
        assert (event.kind, event.recovered, event.severity) == ("grad_explosion", False, severity)
        assert abs(event.start_step / 10 - begin) <= max(12, size // 100)
        assert event.end_step == (size - 1) * 10
        assert "did not come back" in event.message


def test_a_norm_that_drifts_up_over_the_whole_run_is_no_explosion():
    values = norms(5000) * np.exp(np.linspace(0, np.log(6), 5000))
    assert find(values) == ()


def test_a_norm_that_grows_while_the_rate_warms_up_is_no_explosion():
    values = norms(5000)
    values[:300] *= np.linspace(0.02, 1, 300)
    assert find(values) == ()


@pytest.mark.parametrize("size", [60, 1000, 20_000])
def test_a_norm_that_vanishes_is_found_at_its_onset(size):
    for seed in SEEDS:
        values = norms(size, seed=seed)
        begin = size * 3 // 5
        values[begin:] *= 10 ** np.maximum(-4, -np.linspace(0, 20, size - begin))
        (event,) = find(values)
        assert (event.kind, event.recovered) == ("grad_vanishing", False)
        assert abs(event.start_step / 10 - begin) <= max(5, size // 20)
        assert event.message.startswith("Gradient norm fell from 0.3")


def test_a_norm_of_zero_has_vanished():
    values = norms(400)
    values[300:] = 0
    assert shape(find(values)) == [("grad_vanishing", False)]


def test_a_norm_that_comes_back_has_not_vanished():
    values = norms(400)
    values[200:300] *= 1e-5
    assert find(values) == ()


def test_a_norm_that_was_never_recorded_has_not_vanished():
    assert find(np.zeros(400)) == ()


def test_a_norm_that_falls_tenfold_has_not_vanished():
    values = norms(400)
    values[200:] *= 0.1
    assert find(values) == ()


def test_a_norm_of_a_skipped_step_hides_nothing():
    values = norms(3000)
    values[[0, 700, 2100]] = 0
    values[1500:1504] *= 30
    assert shape(find(values)) == [("grad_explosion", True)]
    values[1500:1504] /= 10
    assert find(values) == ()


def test_a_norm_that_is_tall_only_in_the_first_row_that_sets_a_level_is_judged():
    # of 1,000 rows the first hundred are warm-up
    values = np.exp(0.05 * np.random.default_rng(0).standard_normal(1000))
    values[:100] = 3.0
    values[100:104] = [2.35, 2.78, 1.99, 1.08]
    assert find_events(np.arange(1000), values, metric="grad_norm") == ()
