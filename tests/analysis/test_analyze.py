from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze, analyze_group
from runpages.model import KINDS, Checkpoint, ModelFacts, Provenance, main_metric


def rolled_back_run(*, again=False, reach=500):
    """Spikes at 300, killed at 340 still up, resumed at 251 and passed (or not)."""
    one, two = np.arange(341), np.arange(251, reach)
    first, second = falling(one), falling(two, seed=1)
    first[300:] += np.linspace(3, 4, 41)
    if again:
        second[two >= 300] += 4
    tokens = {"tokens": (one, one * 100.0)}
    return make_run(
        {1: {"train/loss": (one, first), **tokens}, 2: {"train/loss": (two, second)}},
        devices=4,
        checkpoints=tuple(Checkpoint(step=s) for s in (150, 250, 400)),
    )


def healthy(seed=0, **facts):
    steps = np.arange(400)
    evals = np.arange(39, 400, 40)
    return make_run(
        {
            1: {
                "train/loss": (steps, falling(steps, seed=seed)),
                "val/loss": (evals, falling(evals, seed=seed + 100) + 0.05),
                "lr": (steps, np.linspace(1e-3, 0, 400)),
            }
        },
        run_id=f"r{seed}",
        seed=seed,
        config={"lr": 1e-3, "seed": seed, "model": {"width": 64}},
        **facts,
    )


def test_a_spike_that_was_rolled_back_stays_a_finding_with_its_cost():
    report = analyze(rolled_back_run())
    spike = next(e for e in report.events if e.metric == "train/loss" and e.kind != "restart")
    assert (spike.kind, spike.severity, spike.attempt) == ("spike", "warning", 1)
    assert spike.start_step == 300
    assert spike.recovered
    assert spike.lost_steps == 340 - 251 + 1
    assert spike.lost_seconds == pytest.approx(90 * 2.0)
    assert spike.lost_device_hours == pytest.approx(90 * 2.0 / 3600 * 4)
    assert (spike.checkpoint_before, spike.checkpoint_after) == (250, 400)
    assert "had not come back when attempt 1 ended" in spike.message
    assert "Attempt 2 went back to step 251 and did 90 steps again" in spike.message
    assert "it did not happen again" in spike.message
    assert report.metrics["train/loss"].high < 5


def test_the_restart_itself_is_an_info_with_the_lost_steps():
    report = analyze(rolled_back_run())
    (restart,) = [e for e in report.events if e.kind == "restart"]
    assert (restart.severity, restart.start_step, restart.lost_steps) == ("info", 251, 90)
    assert "1.67 min after attempt 1 ended" in restart.message
    assert report.redone_steps == 90


def test_what_happens_again_after_the_rollback_stays_critical():
    report = analyze(rolled_back_run(again=True))
    assert [(e.kind, e.severity, e.attempt) for e in report.events if e.severity != "info"] == [
        ("divergence", "critical", 1),
        ("divergence", "critical", 2),
    ]
    assert "it happened again" in report.events[0].message


def test_a_resumed_run_that_did_not_come_as_far_proves_nothing():
    report = analyze(rolled_back_run(reach=290))
    assert (report.events[0].severity, report.events[0].recovered) == ("critical", False)
    assert "no later attempt came as far" in report.events[0].message


def test_a_healthy_resume_has_no_warning():
    one, two = np.arange(200), np.arange(150, 400)
    loss = falling(np.arange(400))
    run = make_run({1: {"loss": (one, loss[:200])}, 2: {"loss": (two, loss[150:])}})
    report = analyze(run)
    assert [e.kind for e in report.events] == ["restart"]
    assert report.steps.value == 399


def test_a_healthy_run():
    report = analyze(healthy())
    assert report.events == ()
    assert report.primary == "val/loss"
    assert report.evaluations == ("val/loss",)
    assert set(report.missing) == {
        *("commit", "clean tree", "command", "data", "environment", "hardware"),
    }


def test_every_kind_is_judged_or_says_why_not():
    judged = {j.kind: j for j in analyze(healthy()).judgements}
    assert tuple(judged) == KINDS
    assert judged["spike"].judged == ("train/loss", "val/loss")
    assert judged["nonfinite"].judged == ("train/loss", "val/loss", "lr")
    assert judged["seed_outlier"].why_not == "judged among siblings, on the group's page"
    assert all(bool(j.judged) != bool(j.why_not) for j in judged.values())


def test_events_come_in_the_order_of_their_severity():
    steps = np.arange(600)
    values = falling(steps)
    values[200:204] += 3
    values[550:] *= 4
    severities = [e.severity for e in analyze(make_run({1: {"loss": (steps, values)}})).events]
    assert severities == ["critical", "warning"]


def test_the_teams_metric_names_are_judged():
    steps = np.arange(300)
    values = falling(steps)
    values[200:205] += 4
    run = make_run({1: {"objective": (steps, values)}})
    assert analyze(run).events == ()
    report = analyze(run, AnalysisOptions(metrics={"loss": ("objective",)}))
    assert [e.kind for e in report.events] == ["spike"]
    assert report.primary == "objective"


def test_a_run_without_any_row():
    report = analyze(make_run({}))
    assert report.events == ()
    assert report.steps.why == "no row with a step was recorded"
    assert report.timing.elapsed_seconds.value is None
    assert report.cost.device_hours.value is None


def test_final_is_a_median_of_the_tail_and_the_last_value_of_a_few():
    metrics = analyze(healthy()).metrics
    run = healthy()
    tail = run.series["train/loss"].value[-32:]
    assert metrics["train/loss"].final == np.median(tail)
    assert metrics["train/loss"].final_points == 32
    assert metrics["val/loss"].final == run.series["val/loss"].value[-1]
    assert metrics["val/loss"].best_step in run.series["val/loss"].step


def test_step_time_and_throughput_by_hand():
    steps = np.arange(0, 1000, 10)
    run = make_run(
        {1: {"loss": (steps, falling(steps)), "tokens": (steps, steps * 512.0)}},
        seconds_per_step=0.5,
    )
    timing = analyze(run).timing
    assert timing.step_seconds_p50.value == pytest.approx(0.5)
    assert timing.steps_per_second.value == pytest.approx(2.0)
    assert timing.tokens.value == 990 * 512
    assert timing.tokens_per_second.value == pytest.approx(1024)


def test_a_step_time_whose_unit_the_clock_denies_is_not_used():
    steps = np.arange(100)
    run = make_run(
        {1: {"loss": (steps, falling(steps)), "step_time": (steps, np.full(100, 2000.0))}}
    )
    timing = analyze(run).timing
    assert timing.step_seconds_p50.value == pytest.approx(2.0)
    assert "step_time disagrees with the clock" in timing.step_seconds_p50.note


def test_no_unit_is_claimed_that_the_name_does_not_prove():
    steps = np.arange(100)
    run = make_run({1: {"loss": (steps, falling(steps)), "mfu": (steps, np.full(100, 0.4))}})
    metrics = analyze(run).metrics
    assert (metrics["loss"].unit, metrics["mfu"].unit) == ("", "")


def test_a_logged_step_time_is_preferred():
    steps = np.arange(100)
    run = make_run({1: {"loss": (steps, falling(steps)), "dt_ms": (steps, np.full(100, 250.0))}})
    timing = analyze(run).timing
    assert timing.step_seconds_p95.value == pytest.approx(0.25)
    assert timing.step_seconds_p95.note == "logged as dt_ms"


def test_downtime_is_elapsed_and_not_active():
    timing = analyze(rolled_back_run()).timing
    assert timing.elapsed_seconds.value == pytest.approx(timing.active_seconds.value + 100)


def test_parameters_are_logged_or_configured():
    logged = healthy(model=ModelFacts(parameters=124_000_000))
    assert analyze(logged).parameters.value == 124e6
    options = AnalysisOptions(parameters_key="config.model.width")
    assert analyze(healthy(), options).parameters.value == 64
    assert analyze(healthy()).parameters.why == "number of parameters not logged"


def test_differences_from_the_baseline():
    base = analyze(healthy())
    report = analyze(healthy(seed=1), baseline=base)
    assert report.differences == (("seed", 1, 0),)


def test_a_seed_set_differs_in_nothing_but_the_seed():
    runs = [healthy(seed=s) for s in range(3)]
    other = make_run(
        {1: {"val/loss": (np.arange(10), falling(np.arange(10)))}},
        run_id="other",
        config={"lr": 0.1, "seed": 0},
    )
    group = analyze_group([analyze(r) for r in [*runs, other]])
    assert len(group.slugs) == 4
    assert set(group.seed_set) == {r.slug for r in runs}
    metric = next(m for m in group.metrics if m.name == "val/loss")
    finals = [r.series["val/loss"].value[-1] for r in runs]
    assert (metric.n, metric.mean) == (3, pytest.approx(np.mean(finals)))
    assert metric.sd == pytest.approx(np.std(finals, ddof=1))


def test_a_single_run_is_no_seed_set():
    group = analyze_group([analyze(healthy())])
    assert (group.seed_set, group.metrics) == ((), ())


def test_steps_that_count_something_else_say_so():
    steps = np.arange(100)
    run = make_run(
        {1: {"loss": (steps, falling(steps))}}, provenance=Provenance(step_unit="samples")
    )
    assert (analyze(run).steps.value, analyze(run).steps.unit) == (99, "samples")


def test_the_same_run_gives_the_same_report():
    one, other = analyze(rolled_back_run()), analyze(rolled_back_run())
    assert one.events == other.events
    assert one.metrics == other.metrics
    assert one.cost == other.cost


def test_a_loss_logged_at_the_start_only_does_not_stand_for_the_run():
    early, late = np.arange(100), np.arange(0, 5000, 500)
    losses = {"loss": (early, falling(early)), "train/loss": (late, falling(late))}
    run = make_run({1: losses})
    report = analyze(run)
    assert report.primary == "train/loss"
    assert main_metric(report.metrics, "loss") == "train/loss"
    assert main_metric(report.metrics, "val_loss") is None
