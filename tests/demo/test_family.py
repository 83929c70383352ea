"""Part of the family as `runpages demo` trains it: real processes, real writers, real readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runpages import sniff
from runpages.demo import train_all
from runpages.demo.train import CHECKPOINT_EVERY, Spec, spec_of
from runpages.errors import RunpagesError, UsageError
from runpages.sources import open_source

NAMES = ("baseline", "killed-and-resumed", "rolled-back")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "logs"
    lines = []
    written = train_all(folder, report=lines.append, family=tuple(map(spec_of, NAMES)))
    assert sorted(line.split()[0] for line in lines) == sorted(NAMES)
    assert {path.name for path in written} == {"rundirs", "tensorboard", "wandb-offline"}
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    found = sniff(folder).runs
    return {(ref.kind, ref.name): open_source(ref.kind, str(folder)).read(ref) for ref in found}


def test_every_run_is_found_in_each_tracker_that_it_logs_to(runs):
    assert set(runs) == {
        ("wandb", "baseline"),
        ("tensorboard", "baseline"),
        ("tensorboard", "killed-and-resumed"),
        ("rundir", "rolled-back"),
    }


def test_two_trackers_of_one_run_hold_the_same_curve(runs):
    for metric in ("train/loss", "val/loss"):
        one = runs["wandb", "baseline"].series[metric]
        other = runs["tensorboard", "baseline"].series[metric]
        assert np.array_equal(one.step, other.step)
        # event files hold single precision
        assert one.value == pytest.approx(other.value, rel=1e-6)


def test_a_killed_run_did_the_steps_since_its_checkpoint_twice(runs):
    run = runs["tensorboard", "killed-and-resumed"]
    killed_at = spec_of("killed-and-resumed").killed_at
    resumed_at = killed_at // CHECKPOINT_EVERY * CHECKPOINT_EVERY
    loss = run.series["train/loss"]
    assert len(run.attempts) == 2
    assert loss.attempt(1).step[-1] == killed_at
    assert loss.attempt(2).step[0] == resumed_at
    assert len(loss.superseded.step) == killed_at - resumed_at + 1
    # the same data again gives the same losses
    again = loss.attempt(2).value[: len(loss.superseded.value)]
    assert np.array_equal(again, loss.superseded.value)


def test_a_rolled_back_spike_is_in_the_first_attempt_alone(runs):
    spec = spec_of("rolled-back")
    loss = runs["rundir", "rolled-back"].series["train/loss"]
    first, second = loss.attempt(1), loss.attempt(2)
    before = first.value[(first.step >= 400) & (first.step < spec.bad_from)]
    bad = first.value[first.step >= spec.bad_from]
    redone = second.value[(second.step >= spec.bad_from) & (second.step <= spec.killed_at)]
    assert bad.min() > before.max() + 1
    assert redone.max() < before.max() + 0.1
    assert second.step[0] < spec.bad_from


def test_a_folder_that_holds_something_is_left_alone(folder):
    with pytest.raises(UsageError, match="holds something already"):
        train_all(folder, report=print)


def test_a_demo_that_fails_leaves_no_folder_that_looks_complete(tmp_path):
    stranger = Spec(name="stranger", trackers=())
    with pytest.raises(RunpagesError, match="'stranger' failed"):
        train_all(tmp_path / "logs", report=print, family=(stranger,))
    assert not (tmp_path / "logs").exists()


def test_a_run_that_should_die_and_does_not_is_an_error(tmp_path):
    unscathed = replace(spec_of("baseline-seed1"), killed_at=5)
    with pytest.raises(RunpagesError, match="exit code 0"):
        train_all(tmp_path / "logs", report=print, family=(unscathed,))
