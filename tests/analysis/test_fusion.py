"""One finding for one thing, what explains it and what it cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import START, falling, make_run
from runpages.analysis import analyze
from runpages.analysis.explain import Explanations
from runpages.analysis.fusion import fuse
from runpages.model import Event, LoggedEvent
from runpages.sources import Spool

STEPS = np.arange(1000)


def loss(**places):
    values = falling(STEPS)
    for at, height in places.items():
        values[int(at[1:]) :][:8] += height
    return values


def norm(**places):
    values = 0.3 * np.exp(0.1 * np.random.default_rng(5).standard_normal(1000))
    for at, factor in places.items():
        values[int(at[1:]) :][:8] *= factor
    return values


def events(metrics, **facts):
    run = make_run({1: {name: (STEPS, values) for name, values in metrics.items()}}, **facts)
    return analyze(run).events


def test_a_gradient_norm_that_leads_the_loss_is_one_finding_with_its_lead():
    (event,) = events({"train/loss": loss(s500=3), "grad_norm": norm(s496=20)})
    assert (event.kind, event.metric, event.start_step) == ("spike", "train/loss", 500)
    assert event.related == (("grad_norm", 4),)
    assert event.message.endswith("(also gradient norm, 4 steps before).")


def test_two_losses_are_one_finding():
    values = loss(s500=3)
    (event,) = events({"train/loss": values, "val/loss": values + 0.1})
    assert (event.metric, event.related) == ("train/loss", (("val/loss", 0),))
    assert "validation loss at the same step" in event.message


def test_a_validation_loss_evaluated_later_belongs_to_it():
    evals = np.arange(0, 1000, 25)
    run = make_run(
        {1: {"train/loss": (STEPS, loss(s500=3)), "val/loss": (evals, loss(s500=3)[evals])}}
    )
    (event,) = analyze(run).events
    assert event.related == (("val/loss", 0),)


def test_far_apart_they_are_two():
    found = events({"train/loss": loss(s500=3), "grad_norm": norm(s300=20)})
    assert {(e.kind, e.related) for e in found} == {("spike", ()), ("grad_explosion", ())}


def test_windows_are_in_steps_of_the_slower_metric():
    every = np.arange(0, 20_000, 20)
    run = make_run({1: {"train/loss": (every, loss(s500=3)), "grad_norm": (every, norm(s497=20))}})
    (event,) = analyze(run).events
    assert event.related == (("grad_norm", 60),)


def test_what_did_not_come_back_is_not_told_as_what_did():
    validation = falling(STEPS)
    validation[500:] *= 3
    found = events({"train/loss": loss(s500=3), "val/loss": validation})
    assert {(e.kind, e.metric) for e in found} == {
        ("spike", "train/loss"),
        ("divergence", "val/loss"),
    }


def test_values_that_become_nan_together_are_one_finding():
    values, gradients = loss(), norm()
    values[700:] = np.nan
    gradients[699:] = np.nan
    (event,) = events({"train/loss": values, "grad_norm": gradients})
    assert (event.kind, event.severity, event.metric) == ("nonfinite", "critical", "train/loss")
    assert event.related == (("grad_norm", 1),)


def test_a_time_and_its_rate_tell_one_stall_with_its_cost():
    seconds = np.full(1000, 2.0) * (1 + 0.01 * np.random.default_rng(0).random(1000))
    seconds[600] = 50
    times = START + np.cumsum(seconds)
    spool = Spool()
    spool.extend("train/loss", STEPS, times, loss())
    spool.extend("step_time", STEPS, times, seconds)
    spool.extend("tokens_per_second", STEPS, times, 1000 / seconds)
    run = make_run({1: {"train/loss": (STEPS, loss())}}, devices=16)
    (event,) = analyze(replace(run, series=spool.finish())).events
    assert (event.kind, event.start_step) == ("stall", 600)
    assert event.related == (("tokens_per_second", 0),)
    assert event.lost_seconds == pytest.approx(48, rel=0.02)
    assert event.lost_device_hours == pytest.approx(48 / 3600 * 16, rel=0.02)


def test_idle_devices_are_one_finding_and_their_hours_add_up():
    times = START + np.arange(0, 2000, 10.0)
    values = np.full(200, 95.0)
    values[100:150] = 0
    run = make_run(
        {1: {"train/loss": (STEPS, loss())}},
        power={f"system/gpu.{n}.gpu": (times, values) for n in range(8)},
        devices=8,
    )
    (event,) = analyze(run).events
    assert event.kind == "idle_device"
    assert len(event.related) == 7
    assert event.lost_device_hours == pytest.approx(8 * 490 / 3600)
    assert "and 4 more" in event.message


@pytest.mark.parametrize("devices", [None, 1])
def test_an_idle_device_that_may_not_be_the_runs_own_is_an_info_without_hours(devices):
    times = START + np.arange(0, 2000, 10.0)
    run = make_run(
        {1: {"train/loss": (STEPS, loss())}},
        power={
            "system/gpu.0.gpu": (times, np.full(200, 95.0)),
            "system/gpu.1.gpu": (times, np.zeros(200)),
        },
        devices=devices,
    )
    (event,) = analyze(run).events
    assert (event.kind, event.severity) == ("idle_device", "info")
    assert (event.lost_seconds, event.lost_device_hours) == (1990, None)


def test_a_spike_at_a_jump_of_the_rate_is_explained_and_an_info():
    rate = np.where(STEPS < 500, 1e-4, 1e-3)
    found = events({"train/loss": loss(s501=3), "lr": rate})
    spike = next(e for e in found if e.kind == "spike")
    assert spike.severity == "info"
    assert spike.explained_by == "lr went from 0.0001000 to 0.001000 at step 500"
    assert "Explained by: lr went" in spike.message
    far = events({"train/loss": loss(s700=3), "lr": rate})
    assert next(e for e in far if e.kind == "spike").explained_by == ""


def test_a_divergence_that_is_explained_stays_critical():
    values = loss()
    values[501:] *= 3
    found = events({"train/loss": values, "lr": np.where(STEPS < 500, 1e-4, 1e-2)})
    lost = next(e for e in found if e.kind == "divergence")
    assert (lost.severity, bool(lost.explained_by)) == ("critical", True)


@pytest.mark.parametrize(
    ("facts", "metrics", "words"),
    [
        ({}, {"batch_size": np.where(STEPS < 500, 256, 512)}, "batch_size went from 256.0"),
        (
            {"logged_events": (LoggedEvent(kind="data", text="stage 2: code", step=499),)},
            {},
            "stage 2: code (reported at step 499)",
        ),
    ],
)
def test_batch_and_data_explain_too(facts, metrics, words):
    (event,) = events({"train/loss": loss(s500=3), **metrics}, **facts)
    assert event.severity == "info"
    assert event.explained_by.startswith(words)


def test_a_spike_right_after_a_restart_is_explained_by_it():
    values = loss(s502=3)
    one, two = STEPS[:500], STEPS[500:]
    run = make_run({1: {"loss": (one, values[:500])}, 2: {"loss": (two, values[500:])}})
    spike = next(e for e in analyze(run).events if e.kind == "spike")
    assert (spike.explained_by, spike.severity) == ("restart at step 500", "info")


def test_epochs_that_were_asked_for_explain_repeated_data():
    values = falling(STEPS) - 0.2 * (STEPS // 230)
    (told,) = events({"train/loss": values}, config={"train": {"num_epochs": 4}})
    assert (told.kind, told.severity) == ("repeated_data", "info")
    assert "asks for 4.00 epochs" in told.explained_by
    (warned,) = events({"train/loss": values})
    assert warned.severity == "warning"


def plateau(start):
    return Event(
        id="plateau-1-0000", kind="plateau", metric="train/loss", role="loss", start_step=start,
        end_step=999, severity="warning", recovered=False,
    )  # fmt: skip


def test_a_plateau_of_an_annealed_schedule_is_no_finding():
    rate = np.where(STEPS < 600, 1e-3, 1e-5)
    run = make_run({1: {"train/loss": (STEPS, loss()), "lr": (STEPS, rate)}})
    run = analyze(run).run  # with roles
    assert fuse(run, [plateau(650)], ()) == []
    (kept,) = fuse(run, [plateau(250)], ())
    assert kept.kind == "plateau"
    assert Explanations(run, ()).window("train/loss") == 16


def test_evaluations_that_fall_with_the_loss_belong_to_it():
    evals = np.arange(0, 1000, 25)
    values = loss()
    values[500:580] += 3
    accuracy = 0.2 + 0.5 * evals / 1000
    accuracy[(evals >= 500) & (evals < 580)] = 0.1
    metrics = {"val/accuracy": (evals, accuracy), "test/accuracy": (evals, accuracy)}
    (event,) = analyze(make_run({1: {"train/loss": (STEPS, values), **metrics}})).events
    assert (event.kind, event.metric) == ("spike", "train/loss")
    assert {name for name, _ in event.related} == {"val/accuracy", "test/accuracy"}
    alone = analyze(make_run({1: {"train/loss": (STEPS, loss()), **metrics}})).events
    assert [(e.kind, len(e.related)) for e in alone] == [("drop", 1)]


def test_the_end_of_a_schedule_explains_nothing():
    rate = np.where(STEPS < 500, 1e-3 * 0.98**STEPS, 1e-9)
    found = events({"train/loss": loss(s500=3), "lr": rate})
    assert [(e.kind, e.explained_by) for e in found] == [("spike", "")]


def test_the_last_rows_of_a_decay_to_zero_explain_nothing():
    rows = np.arange(0, 960, 80)
    lr = (rows, 1e-3 * (1 - rows / 1000))
    run = make_run({1: {"train/loss": (STEPS, loss(s882=3)), "lr": lr}})
    spike = next(e for e in analyze(run).events if e.kind == "spike")
    assert spike.explained_by == ""


def test_a_rate_that_changed_after_the_event_did_not_cause_it():
    rate = np.where(STEPS < 502, 1e-4, 1e-3)
    spike = next(e for e in events({"train/loss": loss(s500=3), "lr": rate}) if e.kind == "spike")
    assert spike.explained_by == ""


def test_a_training_that_began_anew_is_nearer_than_a_rate_that_changed_before():
    rate = np.where(STEPS < 490, 1e-3, 1e-4)
    began = replace(plateau(500), kind="restart", end_step=500)
    shifted = replace(plateau(501), kind="level_shift", recovered=None)
    run = analyze(make_run({1: {"train/loss": (STEPS, loss()), "lr": (STEPS, rate)}})).run
    (told,) = (e for e in fuse(run, [began, shifted], ()) if e.kind == "level_shift")
    assert told.explained_by == "training began anew at step 500"


def test_what_the_model_did_is_told_before_what_the_machine_did():
    times = START + np.arange(0, 2000, 10.0)
    busy = np.where(np.arange(200) < 50, 0.0, 95.0)
    run = make_run(
        {1: {"train/loss": (STEPS, loss(s700=3))}}, power={"system/gpu.0.gpu": (times, busy)}
    )
    assert [e.kind for e in analyze(run).events] == ["spike", "idle_device"]


def test_what_changes_all_the_time_explains_nothing():
    sizes = np.random.default_rng(0).integers(200, 300, 1000)
    (event,) = events({"train/loss": loss(s500=3), "batch_size": sizes})
    assert event.explained_by == ""


@pytest.mark.parametrize("text", ["saved metadata", "mixed precision on", "phased out"])
def test_other_words_than_of_data_explain_nothing(text):
    note = LoggedEvent(kind="note", text=text, step=499)
    (event,) = events({"train/loss": loss(s500=3)}, logged_events=(note,))
    assert event.explained_by == ""
