from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.builders import falling
from runpages import find_events

SEEDS = range(12)


def alarms(steps, values, metric="loss"):
    return [e for e in find_events(steps, values, metric=metric) if e.severity != "info"]


def shape(events):
    return [(e.kind, e.start_step, e.end_step, e.severity) for e in events]


@pytest.mark.parametrize("size", [8, 12, 21, 64, 300, 1000, 5000])
@pytest.mark.parametrize("metric", ["loss", "val/loss"])
def test_a_healthy_loss_gives_no_warning(size, metric):
    steps = np.arange(size) * 10
    for seed in SEEDS:
        assert alarms(steps, falling(steps / 10, seed=seed), metric) == []


def test_a_healthy_gradient_norm_gives_no_warning():
    steps = np.arange(1000)
    for seed in SEEDS:
        noise = np.random.default_rng(seed).standard_normal(1000)
        assert alarms(steps, np.exp(0.3 * noise) * (1 + 8 / (1 + steps / 20)), "grad_norm") == []


@pytest.mark.parametrize("size", [120, 600, 6000])
@pytest.mark.parametrize("length", [1, 5, 30])
def test_a_spike_is_found_where_it_is(size, length):
    steps = np.arange(size)
    for seed in SEEDS:
        values = falling(steps, seed=seed)
        begin = size * 2 // 3
        before = values[begin - 1]
        values[begin : begin + length] += 3.0
        (event,) = alarms(steps, values)
        assert event.kind == "spike"
        assert event.recovered
        assert abs(event.start_step - begin) <= 2
        assert abs(event.end_step - (begin + length - 1)) <= 2
        assert event.baseline_value == pytest.approx(before, rel=0.15)
        assert len(event.evidence) == 21


def test_a_long_spike_that_pulls_the_level_with_it_is_found():
    steps = np.arange(5000)
    values = falling(steps)
    values[2000:2600] += 2.0
    (event,) = alarms(steps, values)
    assert event.kind == "spike"
    assert abs(event.start_step - 2000) < 100
    assert abs(event.end_step - 2600) < 150


def test_many_spikes_do_not_hide_each_other():
    steps = np.arange(4000)
    values = falling(steps)
    begins = range(500, 3900, 100)
    for begin in begins:
        values[begin : begin + 4] += 2.0
    assert [e.start_step for e in alarms(steps, values)] == list(begins)


def test_an_excursion_below_the_effect_floor_is_not_reported():
    steps = np.arange(600)
    values = 2.0 + 1e-4 * np.random.default_rng(0).standard_normal(600)
    values[300:305] += 0.02  # a hundred sd, one per cent of the level
    assert find_events(steps, values, metric="loss") == ()


def test_one_tall_row_is_an_info_and_a_tower_a_warning():
    steps = np.arange(300)
    values = np.full(300, 2.0) + 0.001 * np.random.default_rng(0).standard_normal(300)
    values[150] = 2.3
    values[200] = 3.0
    found = find_events(steps, values, metric="loss")
    assert [(e.start_step, e.severity) for e in found] == [(150, "info"), (200, "warning")]


def test_the_sentence_holds_level_peak_and_return():
    values = np.full(100, 2.0)
    values[60:64] = [4.0, 5.0, 3.0, 2.5]
    (event,) = find_events(np.arange(100) * 100, values, metric="loss")
    assert event.message == (
        "Loss rose from 2.000 to 5.000 at step 6,100 and was back at its level after step 6,300."
    )


@pytest.mark.parametrize("size", [20, 200, 2000])
def test_a_divergence_is_critical_and_starts_where_it_left(size):
    steps = np.arange(size)
    for seed in SEEDS:
        values = falling(steps * 300 / size, seed=seed, noise=0.01)
        begin = size * 3 // 4
        values[begin:] *= np.linspace(1.5, 6, size - begin)
        (event,) = alarms(steps, values)
        assert (event.kind, event.severity, event.recovered) == ("divergence", "critical", False)
        assert abs(event.start_step - begin) <= max(2, size // 50)
        assert event.end_step == size - 1


def test_a_short_run_whose_last_row_blows_up_diverged():
    values = np.array([9.0, 8.5, 8.1, 7.9, 7.7, 7.6, 7.5, 7.5, 7.4, 1405.0])
    steps = np.array([1, 2, 3, 4, 5, 6, 7, 8, 100, 500])
    assert shape(find_events(steps, values)) == [("divergence", 500, 500, "critical")]


def test_a_loss_that_rises_from_the_start_diverged():
    steps = np.arange(200)
    values = 4.2 * np.exp(steps / 60) * (1 + 0.02 * np.random.default_rng(0).standard_normal(200))
    (event,) = alarms(steps, values)
    assert event.kind == "divergence"
    assert event.start_step < 20


def test_a_divergence_half_undone_by_a_falling_rate_has_not_come_back():
    steps = np.arange(720)
    hump = 20 * np.clip(np.minimum(steps - 50, 720 - steps) / 200, 0, 1)
    for seed in SEEDS:
        values = falling(steps, seed=seed) + np.where(steps > 50, hump + 1.2, 0)
        (event,) = alarms(steps, values)
        assert (event.kind, event.severity) == ("divergence", "critical")
        assert 48 <= event.start_step <= 60


def test_a_divergence_at_the_end_of_a_long_run_is_found():
    steps = np.arange(100_000)
    values = falling(steps)
    values[97_000:] += np.linspace(0, 4, 3000)
    (event,) = [e for e in alarms(steps, values) if e.end_step >= 97_000]
    assert event.kind == "divergence"
    assert 97_000 <= event.start_step < 97_500


def test_an_excursion_that_came_back_is_not_part_of_a_greater_one():
    values = np.full(102, 6.6) + 0.05 * np.random.default_rng(0).standard_normal(102)
    values[85:100] = 6.6 + 8 * np.random.default_rng(1).random(15)
    values[101] = 1405.0
    steps = np.append(np.arange(101), 500)
    (event,) = [e for e in find_events(steps, values) if e.kind == "divergence"]
    assert event.start_step == 500


def test_a_divergence_into_nan_is_told_as_both():
    steps = np.arange(300)
    values = falling(steps)
    values[250:] *= np.exp(np.arange(50) / 5)
    values[280:] = np.nan
    kinds = {e.kind: e for e in alarms(steps, values)}
    assert set(kinds) == {"divergence", "nonfinite"}
    assert kinds["nonfinite"].start_step == 280
    assert "stayed so to the end" in kinds["nonfinite"].message
    assert kinds["divergence"].end_step == 299


def test_a_validation_loss_that_breaks_at_once_and_stays_up_is_a_warning_only():
    values = np.concatenate([np.linspace(3, 2, 8), np.full(13, 4.9)])
    (event,) = find_events(np.arange(21), values, metric="val/loss")
    assert (event.kind, event.severity) == ("divergence", "warning")


@pytest.mark.parametrize(
    ("metric", "end", "severity"),
    [
        ("loss", 60, "warning"),
        ("loss", 100, "critical"),
        ("grad_norm", 60, "info"),
        ("grad_norm", 100, "critical"),
        ("whatever", 60, "info"),
        ("whatever", 100, "warning"),
    ],
)
def test_severity_of_nonfinite_follows_its_consequence(metric, end, severity):
    values = np.ones(100)
    values[50:end] = np.nan
    (event,) = find_events(np.arange(100), values, metric=metric)
    assert shape([event]) == [("nonfinite", 50, end - 1, severity)]
    assert event.recovered is (end < 100)


@pytest.mark.parametrize("metric", ["cycle_A", "d_loss", "lr", "tokens", "epoch"])
def test_other_metrics_are_judged_for_nonfinite_values_only(metric):
    values = np.ones(200)
    values[100:110] = 1e6
    assert find_events(np.arange(200), values, metric=metric) == ()


@pytest.mark.parametrize("values", [[], [1.0], [np.nan], [2.0] * 50, [0.0] * 50, [1.0, 2.0]])
@pytest.mark.parametrize("metric", ["loss", "val/loss", "val/accuracy", "val/wer", "step_time"])
def test_little_or_nothing_is_legal(values, metric):
    found = find_events(np.arange(len(values)), np.array(values), metric=metric)
    assert all(e.kind == "nonfinite" for e in found)


@pytest.mark.parametrize("rows", [1, 50])
def test_a_constant_tail_changes_nothing_before_it(rows):
    values = falling(np.arange(500))
    values[200:204] += 3
    values[350:] *= 1.3
    tailed = np.append(values, np.full(rows, np.median(values[-50:])))
    kinds = [(e.kind, e.start_step) for e in find_events(np.arange(len(tailed)), tailed)]
    assert {("spike", 200), ("level_shift", 350)} <= set(kinds)


def test_all_nan_is_one_event():
    (event,) = find_events(np.arange(30), np.full(30, np.nan), metric="loss")
    assert shape([event]) == [("nonfinite", 0, 29, "critical")]


def test_falling_steps_are_refused():
    with pytest.raises(ValueError, match="split the series"):
        find_events([0, 1, 1, 0], [1, 2, 3, 4])


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        find_events([0, 1, 2], [1, 2])


def test_times_become_the_times_of_the_event():
    values = np.full(100, 2.0)
    values[50:53] = 9.0
    (event,) = find_events(np.arange(100), values, times=1e9 + np.arange(100) * 3.0)
    assert (event.start_time, event.end_time) == (1e9 + 150, 1e9 + 156)


def test_an_id_names_kind_step_metric_and_attempt_only():
    values = np.full(100, 2.0)
    values[50:53] = 9.0
    (one,) = find_events(np.arange(100), values)
    values[80:84] = 9.0
    again, other = find_events(np.arange(100), values)
    (elsewhere,) = find_events(np.arange(100)[:70], values[:70], attempt=2)
    assert one.id == again.id
    assert len({one.id, other.id, elsewhere.id}) == 3
    assert one.id.startswith("spike-50-")
    assert len(one.id) == len("spike-50-") + 4


@given(
    scale=st.sampled_from([1e-6, 0.37, 1.0, 8.0, 1e6]),
    seed=st.integers(0, 50),
    size=st.integers(8, 400),
)
@settings(max_examples=40, deadline=None)
def test_scaling_the_loss_changes_nothing(scale, seed, size):
    steps = np.arange(size)
    values = falling(steps, seed=seed)
    values[size // 2 : size // 2 + 3] *= 3
    assert shape(find_events(steps, values * scale)) == shape(find_events(steps, values))


@given(factor=st.integers(1, 1000), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_the_logging_interval_changes_nothing_but_the_steps(factor, seed):
    steps = np.arange(200)
    values = falling(steps, seed=seed)
    values[120:124] += 4
    plain = [(e.kind, e.start_step * factor) for e in find_events(steps, values)]
    assert [(e.kind, e.start_step) for e in find_events(steps * factor, values)] == plain


@given(
    values=arrays(
        np.float64,
        st.integers(0, 80),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    ),
    metric=st.sampled_from(["loss", "val/loss", "grad_norm", "acc", "other"]),
)
@settings(max_examples=150, deadline=None)
def test_any_numbers_give_events_within_the_series(values, metric):
    steps = np.arange(len(values)) * 7
    bad = ~np.isfinite(values)
    found = find_events(steps, values, metric=metric)
    for event in found:
        assert 0 <= event.start_step <= event.end_step <= max(steps, default=0)
        assert len(event.evidence) <= 21
        assert event.message.endswith(".")
    covered = np.zeros(len(values), dtype=bool)
    for event in found:
        if event.kind == "nonfinite":
            covered |= (steps >= event.start_step) & (steps <= event.end_step)
    assert not np.any(bad & ~covered)


@given(seed=st.integers(0, 30), count=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_a_few_nans_hide_no_spike(seed, count):
    steps = np.arange(400)
    values = falling(steps, seed=seed)
    values[300:305] += 3
    values[np.random.default_rng(seed).choice(280, count, replace=False)] = np.nan
    spikes = [e for e in find_events(steps, values) if e.kind == "spike"]
    assert any(299 <= e.start_step <= 300 and 304 <= e.end_step <= 306 for e in spikes)


def test_a_spike_lasts_until_the_loss_is_back_near_its_level():
    values = 2.0 + 0.005 * np.random.default_rng(0).standard_normal(600)
    # half of the height is gone at once, the rest fades
    values[300:303] += [2.0, 0.5, 0.2]
    (event,) = find_events(np.arange(600), values)
    assert (event.end_step, event.recovered) == (302, True)


def test_a_spike_that_comes_back_half_way_only_is_not_told_as_back():
    values = 2.0 + 0.006 * np.random.default_rng(0).standard_normal(900)
    values[400:404] += 0.4
    values[404:464] += 0.06
    (event,) = find_events(np.arange(900), values)
    assert (event.kind, event.recovered) == ("spike", None)
    assert "not soon to its level" in event.message
