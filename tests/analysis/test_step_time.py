"""What one step took, of rows whose true step time is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import START, falling, make_run
from runpages.analysis import analyze
from runpages.model import Quantity, Run
from runpages.sources import Spool


def run_of(
    metrics: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], *, clock: bool = True
) -> Run:
    """Metrics of (steps, seconds since the start, values)."""
    spool = Spool()
    for name, (steps, seconds, values) in metrics.items():
        times = START + seconds if clock else np.full(len(steps), np.nan)
        spool.extend(name, steps, times, values)
    run = make_run({1: {"loss": (np.arange(2), np.ones(2))}})
    run = replace(run, series=spool.finish())
    if clock:
        return run
    (life,) = run.attempts
    return replace(run, start=None, end=None, attempts=(replace(life, start=None, end=None),))


STEPS = np.arange(1, 401)


def test_a_mean_since_the_start_has_no_percentiles_and_judges_nothing():
    took = np.where(STEPS == 300, 9.0, 0.15)
    mean = 1000 * np.cumsum(took) / STEPS
    metrics = {"loss": (STEPS, STEPS, falling(STEPS)), "step_avg_ms": (STEPS, STEPS, mean)}
    report = analyze(run_of(metrics, clock=False))
    timing = report.timing
    why = "only a mean since the start was logged (step_avg_ms): 172 ms"
    for figure in (timing.step_seconds_p50, timing.step_seconds_p95, timing.step_seconds_p99):
        assert figure == Quantity.unknown(why, "s")
    assert timing.steps_per_second.value == pytest.approx(1000 / mean[-1])
    assert timing.steps_per_second.note == "1 / mean step time"
    judged = {j.kind: j for j in report.judgements}
    for kind in ("stall", "slowdown", "jitter"):
        assert judged[kind].judged == ()
        assert "mean since the start" in judged[kind].why_not


def test_a_total_of_training_time_tells_each_step_also_over_its_reset():
    took = np.where(STEPS % 40 == 0, 510.0, 157.0)
    total = np.cumsum(took)
    total[10:] -= total[9]
    rows = {
        "step_avg_ms": (STEPS, STEPS, np.cumsum(took) / STEPS),
        "train_time_ms": (STEPS, STEPS, total),
    }
    timing = analyze(run_of(rows, clock=False)).timing
    assert timing.step_seconds_p50.value == pytest.approx(0.157)
    assert timing.step_seconds_p99.value == pytest.approx(0.510)
    assert timing.elapsed_seconds.value == pytest.approx(total[-1] / 1000)
    assert timing.elapsed_seconds.note == "no clock: training time as logged in train_time_ms"


def test_evaluations_between_rows_are_no_part_of_a_step():
    steps = np.arange(0, 1000, 10)
    evals = np.arange(0, 1000, 50)
    seconds = 0.3 * steps + 36.0 * (steps // 50)
    rows = {
        "train/loss": (steps, seconds, falling(steps)),
        "val/loss": (evals, 0.3 * evals + 36.0 * (evals // 50) - 0.1, falling(evals)),
    }
    timing = analyze(run_of(rows)).timing
    assert timing.step_seconds_p50.value == pytest.approx(0.3, rel=0.01)
    assert timing.step_seconds_p99.value == pytest.approx(0.3, rel=0.01)
    assert "evaluations left out" in timing.step_seconds_p50.note


def test_where_every_stretch_holds_an_evaluation_no_step_time_is_told():
    steps = np.arange(0, 5000, 250)
    seconds = 0.317 * steps + 38.0 * (steps // 250)
    rows = {name: (steps, seconds, falling(steps)) for name in ("train/loss", "val/loss")}
    timing = analyze(run_of(rows)).timing
    unknown = Quantity.unknown("every stretch between rows holds an evaluation", "s")
    assert timing.step_seconds_p50 == timing.step_seconds_p99 == unknown


def test_a_periodic_overhead_that_was_not_logged_is_no_part_of_a_step():
    took = np.where(STEPS % 40 == 0, 4.0, 0.5) + 1e-3 * np.sin(STEPS)
    seconds = np.cumsum(took)
    timing = analyze(run_of({"loss": (STEPS, seconds, falling(STEPS))})).timing
    assert timing.step_seconds_p99.value == pytest.approx(0.5, rel=0.01)


def test_steps_of_a_rounded_count_do_not_make_the_step_time_longer():
    rows = np.arange(1, 1001)
    steps = (rows * 50) // 8  # 6, 6, 6 or 7 apart: 6.25 on average
    seconds = rows * 0.727
    timing = analyze(run_of({"loss": (steps, seconds, falling(steps))})).timing
    assert timing.step_seconds_p50.value == pytest.approx(0.727 / 6.25, rel=0.01)


def test_a_stretch_of_many_steps_counts_as_many_times():
    steps = np.concatenate([np.arange(0, 60), np.arange(60, 1060, 100)])
    each = np.where(np.arange(1, len(steps)) < 60, 2.0, 1.0)
    seconds = np.append(0.0, np.cumsum(each * np.diff(steps)))
    timing = analyze(run_of({"loss": (steps, seconds, falling(steps))})).timing
    assert timing.step_seconds_p50.value == pytest.approx(1.0)


def test_the_time_of_every_step_adds_up_to_the_elapsed_time():
    rows = {"loss": (STEPS, STEPS, falling(STEPS)), "dt_ms": (STEPS, STEPS, STEPS * 0 + 500.0)}
    timing = analyze(run_of(rows, clock=False)).timing
    assert timing.elapsed_seconds.value == pytest.approx(200)
    assert timing.elapsed_seconds.note == "no clock: sum of dt_ms over 400 steps"
    sparse = {name: tuple(column[::2] for column in row) for name, row in rows.items()}
    assert analyze(run_of(sparse, clock=False)).timing.elapsed_seconds.value is None


def test_device_hours_without_a_clock_are_of_the_time_that_was_logged():
    run = run_of({"train_time_ms": (STEPS, STEPS, STEPS * 9000.0)}, clock=False)
    run = replace(run, hardware=replace(run.hardware, devices=8))
    cost = analyze(run).cost
    assert cost.device_hours.value == pytest.approx(8.0)
    assert cost.device_hours.note.endswith("as logged in train_time_ms; times devices")
    assert cost.usd.value is None


def test_tokens_follow_from_a_rate_and_a_time_that_every_step_has():
    took = np.where(STEPS % 40 == 0, 510.0, 157.0)
    rows = {
        "loss": (STEPS, STEPS, falling(STEPS)),
        "dt_ms": (STEPS, STEPS, took),
        "tok/sec": (STEPS, STEPS, 8192 / took * 1000),
    }
    timing = analyze(run_of(rows, clock=False)).timing
    assert timing.tokens.value == pytest.approx(8192 * 400)
    assert timing.tokens.note == "derived: tok/sec × dt_ms = 8,192 a step, 400 steps"
    assert timing.elapsed_seconds.note.endswith("5.10 s of it in 10 steps of over 3 × the median")


@pytest.mark.parametrize("change", ["batch", "gap"])
def test_no_tokens_are_derived_where_the_batch_changes_or_steps_are_left_out(change):
    took = np.full(400, 157.0)
    batch = np.where(STEPS > 200, 16384, 8192) if change == "batch" else np.full(400, 8192)
    steps = STEPS * 10 if change == "gap" else STEPS
    rows = {
        "loss": (steps, STEPS, falling(STEPS)),
        "dt_ms": (steps, STEPS, took),
        "tok/sec": (steps, STEPS, batch / took * 1000),
    }
    assert analyze(run_of(rows, clock=False)).timing.tokens.why == "no metric counts tokens"
