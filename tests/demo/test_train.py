from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from runpages.demo.train import FAMILY, Spec, _Data, _schedule, spec_of, train

SMALL = Spec(name="small", trackers=("rundir",), steps=160, batch=96)


def logged(folder, spec, metric="train/loss"):
    path = folder / "rundirs" / spec.name / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return np.array([float(row[metric]) for row in rows if metric in row])


def state(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    train(SMALL, folder)
    return folder


def test_loss_falls_on_text_it_was_trained_on_and_on_text_it_was_not(trained):
    loss = logged(trained, SMALL)
    held_out = logged(trained, SMALL, "val/loss")
    assert loss[0] > 3
    assert loss[-20:].mean() < 0.6 * loss[0]
    assert held_out[-1] < 0.6 * held_out[0]


def test_seeds_differ_and_the_same_seed_does_not(tmp_path):
    spec = replace(SMALL, steps=20)
    for folder, seed in (("one", 0), ("again", 0), ("other", 1)):
        train(replace(spec, seed=seed), tmp_path / folder)
    one, again, other = (logged(tmp_path / f, spec) for f in ("one", "again", "other"))
    assert np.array_equal(one, again)
    assert not np.isclose(one, other).any()


def test_resuming_from_a_checkpoint_gives_the_uninterrupted_run(trained, tmp_path):
    source = trained / "checkpoints" / SMALL.name
    target = tmp_path / "checkpoints" / SMALL.name
    target.mkdir(parents=True)
    shutil.copy(source / "step-00080.npz", target)
    train(replace(SMALL, trackers=()), tmp_path, resumed=True)
    whole, resumed = state(source / "step-00160.npz"), state(target / "step-00160.npz")
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert np.array_equal(value, resumed[name]), name


def test_a_damaged_stretch_of_data_makes_a_spike_that_passes(tmp_path):
    spec = replace(SMALL, bad_from=110, bad_steps=2)
    train(spec, tmp_path)
    loss, norm = logged(tmp_path, spec), logged(tmp_path, spec, "train/grad_norm")
    assert loss[110] > loss[80:110].max() + 1
    assert norm[110:112].max() > norm[80:110].max()
    assert loss[-20:].mean() < loss[80:110].mean()


def test_too_high_a_learning_rate_diverges(tmp_path):
    spec = replace(SMALL, lr=1.0, warmup=150, clip_norm=None)
    train(spec, tmp_path)
    loss = logged(tmp_path, spec)
    assert loss[-20:].mean() > loss[0] > loss.min()


def test_a_rolled_back_run_reads_other_data_in_place_of_the_damaged():
    spec = replace(SMALL, bad_from=10, bad_steps=5)
    first, second = _Data(spec, skip_bad=False), _Data(spec, skip_bad=True)
    healthy = _Data(replace(spec, bad_from=None), skip_bad=False)
    for step, inside in ((9, False), (10, True), (14, True), (15, False)):
        same = np.array_equal(first.batch(step)[0], second.batch(step)[0])
        assert same is not inside
        # what the first life would have read there had it been whole is left out as well
        assert np.array_equal(healthy.batch(step)[0], second.batch(step)[0]) is not inside


def test_the_learning_rate_warms_up_and_ends_at_a_tenth():
    rates = [_schedule(SMALL, step) for step in range(SMALL.steps)]
    assert rates[0] == SMALL.lr / SMALL.warmup
    assert max(rates) == SMALL.lr == rates[SMALL.warmup - 1]
    assert rates[-1] == pytest.approx(SMALL.lr / 10, rel=0.01)
    assert (np.diff(rates[SMALL.warmup :]) < 0).all()


def test_names_of_the_family_are_its_own():
    assert len({spec.name for spec in FAMILY}) == len(FAMILY)
    assert all(spec_of(spec.name) is spec for spec in FAMILY)
    assert {name for spec in FAMILY for name in spec.trackers} == {
        "wandb",
        "tensorboard",
        "rundir",
    }
