"""What is said of interruptions, and what of a log that cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.builders import falling, make_run
from runpages.analysis import analyze
from runpages.model import LoggedEvent
from runpages.pages.timeline import timeline

STEPS = np.arange(0, 600)


def told(run):
    report = analyze(run)
    return timeline(report).lede, report.cost.lost_device_hours


def test_a_log_that_begins_at_the_start_was_never_interrupted():
    lede, lost = told(make_run({1: {"loss": (STEPS, falling(STEPS))}}))
    assert lede == "One attempt, never interrupted."
    assert (lost.value, lost.note) == (0.0, "no step was done twice")


def test_a_log_of_every_hundredth_step_begins_at_the_start():
    steps = np.arange(100, 9000, 100)
    assert told(make_run({1: {"loss": (steps, falling(steps))}}))[1].value == 0.0


def test_a_log_that_begins_late_says_so():
    lede, lost = told(make_run({1: {"loss": (STEPS + 30_000, falling(STEPS))}}))
    why = "the log begins at step 30,000: what was before is not in it"
    assert lede == f"One attempt in the log; {why}."
    assert (lost.value, lost.why) == (None, why)


def test_parts_that_were_put_into_one_file_tell_no_restart():
    run = make_run({1: {"loss": (STEPS, falling(STEPS))}})
    run = replace(run, provenance=replace(run.provenance, parts_joined=True))
    lede, lost = told(run)
    assert "restarts are not told" in lede
    assert lost.value is None


def test_a_step_that_was_logged_twice_is_told():
    steps = np.sort(np.append(STEPS, 300))
    lede, lost = told(make_run({1: {"loss": (steps, falling(np.arange(601)))}}))
    assert lede == "One attempt in the log; step 300 was logged twice with different values."
    assert lost.value is None


def test_a_log_that_was_resumed_says_so():
    note = LoggedEvent(kind="resumed", text="Resuming from checkpoint ckpt.pt")
    run = make_run({1: {"loss": (STEPS, falling(STEPS))}}, logged_events=(note,))
    assert told(run)[0] == "One attempt in the log; the log says that it was resumed."


def test_a_training_that_began_anew_is_told_of_the_one_attempt():
    values = np.concatenate([falling(np.arange(300)), falling(np.arange(300), seed=1)])
    lede, _ = told(make_run({1: {"loss": (STEPS, values)}}))
    assert lede == "One attempt in the log; training began anew at step 300."
