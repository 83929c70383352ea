"""Detectors of several series of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import START, falling, make_run
from runpages.analysis import analyze
from runpages.analysis.across import RUN_DETECTORS
from runpages.model import Attempt, Provenance, Run, RunRef
from runpages.sources import Spool
from runpages.sources._ranks import spool_ranks

STEPS = np.arange(400)
LOSS = (STEPS, falling(STEPS))


def events(run, kind):
    return [e for e in analyze(run).events if e.kind == kind]


def judgement(run, kind):
    return next(j for j in analyze(run).judgements if j.kind == kind)


def noisy(level, *, seed=0, size=400):
    return level * (1 + 0.02 * np.random.default_rng(seed).random(size))


def waiting(share, **facts):
    """A run whose steps wait for data for `share` of their time."""
    step = noisy(2.0)
    metrics = {
        "train/loss": LOSS,
        "perf/step_time": (STEPS, step),
        "perf/data_time": (STEPS, step * share),
    }
    return make_run({1: metrics}, devices=8, **facts)


def test_waiting_for_data_beyond_a_tenth_of_the_step_is_a_warning_with_its_cost():
    share = np.where(STEPS >= 200, 0.3, 0.01)
    (event,) = events(waiting(share), "data_bottleneck")
    assert (event.severity, event.metric) == ("warning", "perf/data_time")
    assert abs(event.start_step - 200) <= 3
    assert (event.end_step, event.recovered) == (399, False)
    assert event.peak_value == pytest.approx(0.3)
    assert event.lost_seconds == pytest.approx(200 * 2.0 * 0.3, rel=0.03)
    assert event.lost_device_hours == pytest.approx(event.lost_seconds / 3600 * 8)
    assert event.message.startswith("Waiting for data took 30.0 % of the step time from step")


def test_waiting_of_a_few_per_cent_is_an_info_and_less_is_nothing():
    assert [e.severity for e in events(waiting(0.07), "data_bottleneck")] == ["info"]
    run = waiting(0.03)
    assert events(run, "data_bottleneck") == []
    assert judgement(run, "data_bottleneck").judged == ("perf/data_time",)


def test_a_single_slow_batch_is_no_bottleneck():
    share = np.full(400, 0.01)
    share[[100, 101, 250]] = 0.9
    assert events(waiting(share), "data_bottleneck") == []


def test_a_waiting_time_in_another_unit_is_not_judged():
    run = waiting(300.0)
    assert events(run, "data_bottleneck") == []
    assert "its unit is another one" in judgement(run, "data_bottleneck").why_not


def test_without_a_waiting_time_the_devices_tell():
    times = START + np.arange(0, 800, 5.0)
    gpu, cpu = np.full(160, 3.0), np.full(160, 97.0)
    gpu[::4] = 80
    run = make_run(
        {1: {"train/loss": LOSS}},
        power={"system/gpu.0.gpu": (times, gpu), "system/cpu": (times, cpu)},
    )
    (event,) = events(run, "data_bottleneck")
    assert "the device waits for the CPU" in event.message
    idle_cpu = make_run(
        {1: {"train/loss": LOSS}},
        power={"system/gpu.0.gpu": (times, gpu), "system/cpu": (times, 0 * cpu + 20)},
    )
    assert events(idle_cpu, "data_bottleneck") == []


def ranked(values, name="perf/compute_seconds"):
    """A run of one log a rank, read as sources do."""
    sets = {}
    for rank, own in values.items():
        spool = Spool()
        spool.extend(name, STEPS, START + 2.0 * (STEPS + 1), own)
        spool.extend("train/loss", STEPS, START + 2.0 * (STEPS + 1), LOSS[1])
        sets[rank] = spool.finish()
    spool = Spool()
    spool_ranks(spool, sets)
    return Run(
        ref=RunRef(source="s", project="p", run_id="r", name="r", state="finished", location="."),
        name="r",
        start=START,
        end=START + 800,
        attempts=(Attempt(number=1, start=START, end=START + 800, first_step=0, last_step=399),),
        series=spool.finish(),
    )


def test_a_rank_that_computes_longer_is_a_straggler():
    values = {rank: noisy(1.5, seed=rank) for rank in range(4)}
    values[2] = values[2] * np.where((STEPS >= 100) & (STEPS < 300), 1.6, 1.0)
    (event,) = events(ranked(values), "straggler")
    assert (event.rank, event.severity, event.recovered) == (2, "warning", True)
    assert abs(event.start_step - 100) <= 8
    assert abs(event.end_step - 300) <= 8
    assert event.peak_value == pytest.approx(1.5 * 1.6, rel=0.03)
    assert event.lost_seconds == pytest.approx(200 * 0.9, rel=0.1)
    assert event.message.startswith("Rank 2 computed for 2.4")


def test_ranks_of_one_speed_and_one_fast_rank_are_no_stragglers():
    values = {rank: noisy(1.5, seed=rank) for rank in range(4)}
    assert events(ranked(values), "straggler") == []
    values[0] = values[0] / 2
    assert events(ranked(values), "straggler") == []


def test_of_two_ranks_the_slow_one_is_a_straggler():
    values = {rank: noisy(1.5, seed=rank) for rank in range(2)}
    values[1] = values[1] * np.where(STEPS >= 200, 1.5, 1.0)
    (event,) = events(ranked(values), "straggler")
    assert (event.rank, event.recovered) == (1, False)


def test_two_slow_windows_are_none():
    values = {rank: noisy(1.5, seed=rank) for rank in range(4)}
    values[1] = values[1] * np.where((STEPS >= 104) & (STEPS < 116), 2.0, 1.0)
    assert events(ranked(values), "straggler") == []


def test_a_synchronised_step_time_makes_no_straggler():
    values = {rank: noisy(1.5 + rank, seed=rank) for rank in range(4)}
    run = ranked(values, name="perf/step_time")
    assert events(run, "straggler") == []
    why = judgement(run, "straggler").why_not
    assert why == "the ranks' own computing time was not logged"


def rates(value, config, attempts=None):
    metrics = {"train/loss": LOSS, "lr": (STEPS, value)}
    return make_run(attempts or {1: metrics}, config=config)


def cosine(peak):
    return peak * np.minimum(STEPS / 40, 0.5 * (1 + np.cos(np.pi * (STEPS - 40) / 360)))


def test_a_peak_that_is_not_the_configured_one():
    (event,) = events(rates(cosine(3e-4), {"optim": {"lr": 6e-4}}), "lr_mismatch")
    assert (event.peak_step, event.baseline_value) == (40, 6e-4)
    assert "peaks at 0.0003000 (step 40), but the configuration says 0.0006000" in event.message


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 3e-4},
        {"lr": 3e-4 * 1.005},
        {"lr": 1e-3, "decoder": {"lr": 3e-4}},  # which of them is not said
        {"weight_decay": 0.1},
    ],
)
def test_a_peak_that_agrees_or_cannot_be_compared(config):
    run = rates(cosine(3e-4), config)
    assert events(run, "lr_mismatch") == []
    assert judgement(run, "lr_mismatch").judged == ("lr",)


def test_a_run_that_ends_in_its_warm_up_has_not_seen_the_peak():
    assert events(rates(1e-6 * (STEPS + 1), {"lr": 1e-3}), "lr_mismatch") == []


def test_a_decay_from_the_first_step_on_is_compared_as_it_began():
    steps = np.arange(9, 400, 10)
    run = make_run(
        {1: {"train/loss": LOSS, "lr": (steps, 1e-3 * (1 - (steps + 1) / 400))}},
        config={"lr": 1e-3},
    )
    assert events(run, "lr_mismatch") == []


def test_a_jump_after_the_warm_up():
    value = cosine(3e-4)
    value[250:] *= 2
    (event,) = events(rates(value, {"lr": 3e-4}), "lr_mismatch")
    assert (event.start_step, event.severity) == (250, "warning")
    assert "jumped from" in event.message


def test_steps_down_and_a_second_warm_up_are_schedules():
    down = np.where(STEPS < 200, 1e-3, 1e-4)
    assert events(rates(down, {"lr": 1e-3}), "lr_mismatch") == []
    again = np.where(STEPS < 200, cosine(1e-3), 1e-3 * np.minimum((STEPS - 199) / 40, 1))
    assert events(rates(again, {"lr": 1e-3}), "lr_mismatch") == []


def test_a_jump_that_a_restart_explains():
    one, two = np.arange(200), np.arange(200, 400)
    value = cosine(3e-4)
    run = make_run(
        {
            1: {"train/loss": (one, LOSS[1][:200]), "lr": (one, value[:200])},
            2: {"train/loss": (two, LOSS[1][200:]), "lr": (two, value[200:] * 2)},
        }
    )
    assert events(run, "lr_mismatch") == []


def test_a_jump_of_a_schedule_with_restarts_is_an_info():
    value = np.where(STEPS < 200, np.linspace(1e-3, 1e-5, 400), 1e-3)
    (event,) = events(rates(value, {"scheduler": "cosine_with_restarts"}), "lr_mismatch")
    assert event.severity == "info"


def test_records_and_ranks_that_were_not_read():
    run = make_run({1: {"train/loss": LOSS}})
    found = Provenance(
        records_read=390, records_expected=400, ranks_seen=(0, 1, 3), ranks_expected=4
    )
    (event,) = events(replace(run, provenance=found), "missing_data")
    assert event.message == (
        "10 of 400 records of this run were not read. The logs of 1 of 4 ranks are not here."
    )


def test_a_loss_that_ends_long_before_the_run():
    short = STEPS[:200]
    run = make_run({1: {"train/loss": (short, LOSS[1][:200]), "lr": (STEPS, cosine(1e-3))}})
    (event,) = events(run, "missing_data")
    assert event.message.startswith("train/loss has no row after step 199")
    first = STEPS[:19]
    run = make_run({1: {"train/loss": (first, LOSS[1][:19]), "lr": (STEPS, cosine(1e-3))}})
    assert events(run, "missing_data") == []


def test_every_detector_says_why_it_could_not_judge():
    nothing = make_run({})
    for kind, find in RUN_DETECTORS.items():
        found = find(nothing)
        assert found.events == ()
        assert found.why_not, kind


def test_a_jump_above_the_configured_peak_is_told_once():
    value = cosine(3e-4)
    value[100:] *= 3
    (event,) = events(rates(value, {"lr": 3e-4}), "lr_mismatch")
    assert "jumped" in event.message


def test_a_rate_printed_with_one_digit_does_not_jump():
    value = np.round(1e-7 * np.minimum((STEPS % 100) / 60, 1), 8)
    steps = np.arange(0, 4000, 10)
    run = make_run({1: {"train/loss": (steps, LOSS[1]), "lr": (steps, value)}})
    assert events(run, "lr_mismatch") == []
