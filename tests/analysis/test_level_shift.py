from __future__ import annotations

import numpy as np
import pytest

from runpages import find_events

SEEDS = range(8)


def curve(size, *, seed=0, noise=0.01):
    """A power law that goes on falling."""
    rng = np.random.default_rng(seed)
    fall = 2 + 6 / np.sqrt(1 + 100 * np.arange(size) / size)
    return fall * (1 + noise * rng.standard_normal(size))


def shape(events):
    return [(e.kind, e.recovered) for e in events if e.severity != "info"]


@pytest.mark.parametrize("size", [24, 60, 300, 5000, 40_000])
def test_a_healthy_curve_has_none(size):
    for seed in SEEDS:
        found = find_events(np.arange(size), curve(size, seed=seed, noise=0.02))
        assert [e for e in found if e.kind == "level_shift"] == []


@pytest.mark.parametrize("size", [150, 1000, 20_000])
def test_a_jump_that_stays_is_found_where_it_is(size):
    for seed in SEEDS:
        values = curve(size, seed=seed)
        begin = size * 2 // 3
        values[begin:] += 0.2 * values[begin]
        (event,) = [e for e in find_events(np.arange(size), values) if e.severity != "info"]
        assert (event.kind, event.recovered) == ("level_shift", False)
        assert abs(event.start_step - begin) <= max(2, size // 500)
        assert event.peak_value == pytest.approx(1.2 * event.baseline_value, rel=0.05)
        assert event.threshold < event.peak_value


def test_a_jump_below_the_floor_is_not_reported():
    values = curve(5000, noise=0.001)
    values[3000:] += 0.01 * values[3000]
    assert find_events(np.arange(5000), values) == ()


def test_a_slow_rise_of_the_same_height_is_none():
    values = curve(2000, noise=0.002)
    values[800:] = values[800] + np.linspace(0, 0.2, 1200)
    assert "level_shift" not in {e.kind for e in find_events(np.arange(2000), values)}


def test_one_that_crosses_its_old_level_only_because_it_went_on_falling_has_not_come_back():
    values = 2 + 6 / np.sqrt(1 + np.arange(3000) / 20)
    values *= 1 + 0.003 * np.random.default_rng(0).standard_normal(3000)
    values[300:] += 0.3
    assert values[-1] < values[299]
    (event,) = find_events(np.arange(3000), values)
    assert (event.kind, event.start_step, event.recovered) == ("level_shift", 300, False)


def test_an_excursion_that_is_left_again_soon_is_a_spike():
    values = curve(2000)
    values[1000:1120] *= 1.4
    assert shape(find_events(np.arange(2000), values)) == [("spike", True)]


def test_a_level_that_is_left_after_a_third_of_the_run_was_one():
    values = curve(2000)
    values[800:1500] *= 1.4
    found = [e for e in find_events(np.arange(2000), values) if e.kind in {"level_shift", "spike"}]
    assert shape(found) == [("level_shift", True)]


def test_its_overshoot_belongs_to_it():
    values = curve(2000)
    values[1200:] *= 1.3
    values[1200:1203] *= 2
    assert shape(find_events(np.arange(2000), values)) == [("level_shift", False)]


def test_a_climb_out_of_a_dip_is_none():
    values = curve(2000, noise=0.003)
    values[900:1300] *= 0.9
    assert "level_shift" not in {e.kind for e in find_events(np.arange(2000), values)}


def test_two_shifts_are_two():
    values = curve(3000)
    values[1000:] *= 1.15
    values[2000:] *= 1.15
    found = [e for e in find_events(np.arange(3000), values) if e.kind == "level_shift"]
    assert [round(e.start_step, -1) for e in found] == [1000, 2000]


def test_a_loss_at_twice_its_level_diverged():
    values = curve(2000)
    values[1200:] *= 2
    assert shape(find_events(np.arange(2000), values)) == [("divergence", False)]


def test_a_run_that_learns_nothing_more_after_it_diverged():
    values = 2 + 6 / np.sqrt(1 + np.arange(3000) / 20)
    values[600:] = 1.3 * values[600]
    values *= 1 + 0.003 * np.random.default_rng(0).standard_normal(3000)
    assert [e.kind for e in find_events(np.arange(3000), values)] == ["divergence"]


def test_the_sentence_holds_both_levels():
    values = np.full(200, 2.0)
    values[120:] = 2.5
    (event,) = find_events(np.arange(200) * 10, values)
    assert event.message == (
        "Loss rose from its level of 2.000 to 2.500 at step 1,200 and settled there."
    )
