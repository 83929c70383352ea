from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import START
from runpages.analysis import analyze
from runpages.analysis.periodic import evenly_spaced
from runpages.model import (
    CAUSES,
    Attempt,
    Checkpoint,
    Columns,
    Hardware,
    Provenance,
    Run,
    RunRef,
    SeriesSet,
)


def columns(steps, times, values, *, attempt=1):
    return Columns(
        np.asarray(steps, dtype=np.int64),
        np.asarray(times, dtype=float),
        np.asarray(values, dtype=float),
        np.full(len(steps), attempt, dtype=np.int64),
    )


def timed(lives, *, metrics=None, end=None, tick=0.0, **facts):
    """A run of lives (start, end, steps, times of the steps' ends); all rows are of `loss`."""
    parts = []
    for number, (_, _, steps, times) in enumerate(lives, start=1):
        at = START + np.asarray(times, dtype=float)
        at = np.floor(at / tick) * tick if tick else at
        parts.append(columns(steps, at, 1 + 1 / (1 + np.asarray(steps)), attempt=number))
    table = {"loss": Columns(*(np.concatenate(c) for c in zip(*parts, strict=True)))}
    for name, (steps, times, values) in (metrics or {}).items():
        table[name] = columns(steps, START + np.asarray(times, dtype=float), values)
    attempts = tuple(
        Attempt(
            number=n, start=START + a, end=START + b, first_step=int(s[0]), last_step=int(s[-1])
        )
        for n, (a, b, s, _) in enumerate(lives, start=1)
    )
    ref = RunRef(source="here", project="p", run_id="r", name="r", state="finished", location=".")
    return Run(
        ref=ref,
        name="r",
        start=START,
        end=START + (lives[-1][1] if end is None else end),
        attempts=attempts,
        series=SeriesSet.of(table),
        **facts,
    )


def one_life(durations, *, startup=10.0, every=1, **facts):
    """A run of one attempt whose steps from 1 on last `durations`; every k-th has a row."""
    times = startup + np.cumsum(durations)
    steps = np.arange(1, len(durations) + 1)
    kept = steps % every == 0
    return timed([(0.0, float(times[-1]), steps[kept], times[kept])], **facts)


def causes(run):
    return {b.cause: b.seconds for b in analyze(run).goodput.badput}


def test_a_killed_and_resumed_job_as_googles_library_counts_it():
    """ml-goodput-measurement 0.2.3, GoodputCalculator.get_job_goodput on this very timeline.

    60 s of start-up, 200 steps of 2 s of which the first takes 20 s more, killed; 300 s later it
    starts again (40 s) from step 150, whose first step takes 20 s more, up to step 399. Its answer:
    goodput 59.70149253731343 % of 1340 s, WASTED_PROGRESS 98 s, INFRASTRUCTURE_RECOVERY 302 s,
    PROGRAM_STARTUP 40 s, OTHER 100 s. It counts the last step of the killed attempt as recovery and
    the time before the first step as other; the sums are the same.
    """
    one = 60 + 20 + 2.0 * np.arange(1, 201)
    two = 480 + 300 + 40 + 20 + 2.0 * np.arange(1, 251)
    run = timed(
        [(0.0, 480.0, np.arange(200), one), (780.0, 1340.0, np.arange(150, 400), two)],
        hardware=Hardware(device="H100", devices=8),
    )
    report = analyze(run)
    assert report.goodput.percent.value == pytest.approx(59.70149253731343)
    found = {b.cause: b.seconds.value for b in report.goodput.badput}
    assert found["redone"] + found["restart_gaps"] == pytest.approx(98 + 302)
    assert found["startup"] + found["other"] == pytest.approx(40 + 100)
    assert report.goodput.productive_seconds.value == pytest.approx(800)
    assert report.cost.lost_device_hours.value == pytest.approx(100 / 3600 * 8)


def one_job(stall=0.0):
    """60 s until the first step, which takes 15 s more; 300 steps of 2 s, an evaluation of 30 s after
    every 50th but the last, a checkpoint of 12 s after steps 120 and 220, `stall` s in step 250."""
    clock, ends, spent = 60.0, [], {"eval_seconds": {}, "checkpoint_seconds": {}}
    for step in range(300):
        clock += 2 + 15 * (step == 0) + stall * (step == 250)
        ends.append(clock)
        if step % 50 == 49 and step < 299:
            clock += 30
            spent["eval_seconds"][step] = (clock, 30.0)
        if step in {120, 220}:
            clock += 12
            spent["checkpoint_seconds"][step] = (clock, 12.0)
    metrics = {
        name: (list(rows), *zip(*rows.values(), strict=True)) for name, rows in spent.items()
    }
    return timed([(0.0, clock, np.arange(300), np.array(ends))], metrics=metrics)


def test_evaluations_and_checkpoints_as_googles_library_counts_them():
    """ml-goodput-measurement 0.2.3 on this timeline (custom badput events `eval`, `checkpoint`):
    goodput 70.6713780918728 % of 849 s, 600 s; EVAL 150 s, CHECKPOINT 24 s, PROGRAM_STARTUP 15 s,
    OTHER 60 s."""
    goodput = analyze(one_job()).goodput
    assert goodput.percent.value == pytest.approx(70.6713780918728)
    found = {b.cause: b.seconds.value for b in goodput.badput}
    assert found["evaluation"] == pytest.approx(150)
    assert found["checkpoint"] == pytest.approx(24)
    assert found["startup"] + found["other"] == pytest.approx(15 + 60)


def test_a_stall_is_badput_where_googles_library_counts_it_as_productive():
    """Of a stall of 90 s its answer is 690.302 s of 939 s: the stall, and a part of the first step
    that it takes for usual as it compares with the mean of all. Ours stays at 600 s."""
    goodput = analyze(one_job(90.0)).goodput
    assert goodput.productive_seconds.value == pytest.approx(600)
    found = {b.cause: b.seconds.value for b in goodput.badput}
    assert found["startup"] + found["other"] == pytest.approx(15 + 60 + 90)


def test_all_causes_and_the_productive_time_add_up_to_the_elapsed_time():
    rng = np.random.default_rng(3)
    seconds = rng.gamma(40, 0.025, 900)
    seconds[99::100] += 12
    seconds[[333, 334]] += 90
    at = 10 + np.cumsum(seconds)
    evaluations = np.arange(99, 900, 100)
    run = one_life(
        seconds,
        metrics={"val/loss": (evaluations + 1, at[evaluations], np.ones(9))},
        checkpoints=(Checkpoint(step=334, time=START + float(at[334])),),
    )
    goodput = analyze(run).goodput
    total = sum(b.seconds.value or 0 for b in goodput.badput)
    assert tuple(b.cause for b in goodput.badput) == CAUSES
    elapsed = analyze(run).timing.elapsed_seconds.value
    assert goodput.productive_seconds.value + total == pytest.approx(elapsed)
    found = causes(run)
    assert found["evaluation"].value == pytest.approx(9 * 12, rel=0.03)
    assert found["checkpoint"].value == pytest.approx(90, rel=0.02)
    assert found["other"].value == pytest.approx(90, rel=0.2)


def test_the_usual_step_leaves_slow_ones_out():
    seconds = np.full(200, 0.5)
    seconds[::40] = 30
    goodput = analyze(one_life(seconds)).goodput
    assert goodput.step_seconds.value == pytest.approx(0.5)
    assert goodput.productive_seconds.value == pytest.approx(200 * 0.5)


def test_periodic_overhead_is_found_where_nothing_names_it():
    """build-nanogpt: a step of 0.417 s, every 250th takes about 20 s (real-logs.md, 4)."""
    seconds = np.full(2000, 0.417)
    seconds[249::250] += 20
    seconds[[555, 1301]] += 45
    found = causes(one_life(seconds))
    assert found["periodic"].value == pytest.approx(8 * 20)
    assert found["other"].value == pytest.approx(90)
    assert found["evaluation"].why == "no evaluation with a time was logged"


def test_rows_every_so_many_steps_tell_the_same():
    seconds = np.full(4000, 0.25)
    seconds[1999] += 300
    dense, thin = (analyze(one_life(seconds, every=k)).goodput for k in (1, 20))
    assert thin.percent.value == pytest.approx(dense.percent.value, rel=1e-3)
    assert dense.percent.value == pytest.approx(100 * 1000 / 1310)


def test_a_clock_of_whole_seconds_does_not_make_half_of_the_steps_free():
    run = one_life(np.full(3000, 0.4), tick=1.0, startup=0.0)
    goodput = analyze(run).goodput
    assert goodput.step_seconds.value == pytest.approx(0.4, rel=0.01)
    assert goodput.percent.value == pytest.approx(100, abs=1.5)


def test_logged_waiting_for_data_is_not_productive():
    steps = np.arange(1, 301)
    seconds = np.full(300, 1.0)
    seconds[150] += 40
    at = 10 + np.cumsum(seconds)
    waits = np.full(300, 0.2)
    waits[150] += 40
    found = causes(one_life(seconds, metrics={"data_seconds": (steps, at, waits)}))
    assert found["data_wait"].value == pytest.approx(299 * 0.2 + 40.2, rel=0.01)
    assert found["other"].value == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"data_time": 0.2}, "data_time does not say its unit"),
        ({"data_seconds": 200.0}, "data_seconds is longer than a step, so its unit is not s"),
        ({}, "waiting for data was not logged"),
        ({"t/data_time": 0.2, "t/step_time": 1.0}, ""),
        ({"t/data_time": 0.2, "t/step_time": 1000.0}, "t/data_time does not say its unit"),
    ],
)
def test_a_waiting_time_needs_a_unit(names, why):
    steps = np.arange(1, 101)
    at = 10.03125 + steps
    run = one_life(
        np.ones(100),
        startup=10.03125,
        metrics={name: (steps, at, np.full(100, value)) for name, value in names.items()},
    )
    assert causes(run)["data_wait"].why == why


def test_logged_evaluations_are_told_apart_where_every_row_holds_one():
    """Each of the 20 intervals holds an evaluation; Hugging Face logs how long it took."""
    at = 10 + 60.0 * np.arange(1, 22)
    steps = 50 * np.arange(1, 22)
    losses = {"eval_loss": (steps, at, np.ones(21))}
    silent = analyze(timed([(0.0, float(at[-1]), steps, at)], metrics=losses)).goodput
    assert "holds an evaluation" in silent.percent.why
    losses["eval_runtime"] = (steps, at, np.full(21, 10.0))
    told = analyze(timed([(0.0, float(at[-1]), steps, at)], metrics=losses)).goodput
    spent = {b.cause: b.seconds.value for b in told.badput}
    assert spent["evaluation"] == pytest.approx(20 * 10)
    assert told.step_seconds.value == pytest.approx(1.0)
    assert told.productive_seconds.value == pytest.approx(20 * 50 + 50)


def test_a_running_total_is_no_duration():
    at = 10 + 60.0 * np.arange(1, 22)
    steps = 50 * np.arange(1, 22)
    metrics = {"eval_loss": (steps, at, np.ones(21)), "eval_runtime": (steps, at, 100 * at)}
    goodput = analyze(timed([(0.0, float(at[-1]), steps, at)], metrics=metrics)).goodput
    assert "holds an evaluation" in goodput.percent.why


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (one_life(np.ones(5)), "fewer than 8 intervals between rows"),
        (one_life(np.ones(99), end=0.0), "no clock in the log"),
        (
            one_life(np.ones(99), provenance=Provenance(step_unit="epochs")),
            "the steps of this log count epochs",
        ),
        (
            timed([(0.0, 99.0, np.arange(99), np.r_[np.arange(50), np.arange(49)])]),
            "the clock of loss goes back within attempt 1",
        ),
        (
            timed(
                [
                    (0.0, 60.0, np.arange(30), np.arange(30)),
                    (20.0, 99.0, np.arange(30, 60), np.arange(30, 60)),
                ]
            ),
            "attempts overlap in time",
        ),
    ],
)
def test_where_the_log_cannot_tell_it_says_why(run, why):
    goodput = analyze(run).goodput
    assert goodput.percent.why == why
    assert goodput.productive_seconds.value is None


def test_without_attempts_there_is_none():
    run = replace(one_life(np.ones(50)), attempts=())
    assert analyze(run).goodput.percent.why == "attempts are not known"


def test_a_chain_of_rollbacks_is_charged_to_every_attempt_that_lost_steps():
    lives = [
        (0.0, 100.0, np.arange(100), np.arange(1, 101)),
        (110.0, 120.0, np.arange(90, 100), np.arange(111, 121)),
        (130.0, 230.0, np.arange(50, 150), np.arange(131, 231)),
    ]
    report = analyze(timed(lives, hardware=Hardware(devices=2)))
    redone = {b.cause: b.seconds.value for b in report.goodput.badput}["redone"]
    assert redone == pytest.approx(50 + 10)
    assert report.cost.lost_device_hours.value == pytest.approx(2 * 60 / 3600)
    assert [a.redone_device_hours for a in report.cost.attempts] == pytest.approx(
        [2 * 50 / 3600, 2 * 10 / 3600, 0]
    )


def test_even_spacing_by_hand():
    at = np.array([100, 137, 200, 300, 400, 500, 600, 613])
    assert evenly_spaced(at, first=0, last=650, width=1).tolist() == [1, 0, 1, 1, 1, 1, 1, 0]
    assert not evenly_spaced(at, first=0, last=1300, width=1).any()
    both = np.array(sorted({*range(0, 4000, 250), *range(0, 4000, 400)}))[1:]
    assert evenly_spaced(both, first=1, last=3999, width=1).sum() >= 15


@pytest.mark.parametrize("seed", range(5))
def test_random_slow_steps_are_not_even(seed):
    at = np.sort(np.random.default_rng(seed).choice(10_000, 40, replace=False))
    assert not evenly_spaced(at, first=0, last=10_000, width=1).any()


@pytest.mark.acceptance
def test_evaluation_time_of_real_runs_against_their_own_stop_watch(shared):
    """AlgoPerf submissions log `accumulated_eval_time`: this analysis sees only rows' times."""
    from runpages.sources import load_source, sniff

    root = shared / "data/logs/algoperf"
    ratios = []
    for ref in sniff(root).runs:
        table = root.parent / ref.location / "eval_measurements.csv"
        if ref.kind != "tensorboard" or not table.is_file():
            continue
        with table.open() as stream:
            own = float(list(csv.DictReader(stream))[-1]["accumulated_eval_time"])
        spent = causes(load_source("tensorboard")(root).read(ref))["evaluation"].value
        print(f"{ref.run_id[-60:]}: {spent:.0f} s, its own clock {own:.0f} s")
        ratios.append(spent / own)
    assert len(ratios) >= 10
    assert np.median(np.abs(np.array(ratios) - 1)) < 0.015
    assert np.max(np.abs(np.array(ratios) - 1)) < 0.07
