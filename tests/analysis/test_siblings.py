"""What only siblings tell: hard batches and seed outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import analyze, analyze_group
from runpages.analysis.outliers import seed_outliers
from runpages.model import GroupMetric

STEPS = np.arange(2000)


def sibling(seed, *, hard=(), height=1.2, metric="train/loss", **metrics):
    values = falling(STEPS, seed=seed)
    for step in hard:
        values[step] += height
    return analyze(
        make_run(
            {1: {metric: (STEPS, values), **{n: (STEPS, v) for n, v in metrics.items()}}},
            run_id=f"r{seed}",
            seed=seed,
            config={"lr": 1e-3, "seed": seed},
            group="g",
        )
    )


def batches(reports):
    return [(b.metric, b.first_step, len(b.slugs)) for b in analyze_group(reports).hard_batches]


def test_steps_at_which_all_stick_out_are_hard_batches():
    group = analyze_group([sibling(seed, hard=(700, 1500)) for seed in range(4)])
    assert [(b.first_step, len(b.slugs), b.recorded) for b in group.hard_batches] == [
        (700, 4, 4),
        (1500, 4, 4),
    ]
    assert group.hard_batches[0].height == pytest.approx(1 + 1.2 / 1.4, rel=0.1)


def test_a_spike_of_one_run_is_none():
    reports = [sibling(seed, hard=(700,) if seed == 0 else ()) for seed in range(4)]
    assert batches(reports) == []


def test_two_of_four_are_enough_and_one_of_three_is_not():
    assert batches([sibling(s, hard=(700,) if s < 2 else ()) for s in range(4)]) == [
        ("train/loss", 700, 2)
    ]
    reports = [sibling(s, hard=(300 + 200 * s,)) for s in range(3)]
    assert batches(reports) == []


def test_two_noisy_curves_agree_by_chance():
    reports = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        values = falling(STEPS, seed=seed) + 0.6 * (rng.random(2000) < 0.1)
        run = make_run({1: {"loss": (STEPS, values)}}, run_id=f"r{seed}", group="g")
        reports.append(analyze(run))
    assert batches(reports) == []


def test_what_lasts_is_how_the_runs_took_it():
    reports = []
    for seed in range(3):
        values = falling(STEPS, seed=seed)
        values[900:960] += 1.2
        run = make_run({1: {"loss": (STEPS, values)}}, run_id=f"r{seed}", group="g")
        reports.append(analyze(run))
    assert batches(reports) == []


def test_what_their_common_schedule_explains_is_none():
    rate = np.where(STEPS < 700, 1e-4, 1e-3)
    assert batches([sibling(seed, hard=(700,), lr=rate) for seed in range(4)]) == []


def metric(*values):
    return GroupMetric(
        name="val/loss",
        direction="lower",
        n=len(values),
        mean=float(np.mean(values)),
        sd=None,
        values={f"r{n}": value for n, value in enumerate(values)},
    )


def test_of_five_one_must_be_far_by_score_and_by_interval():
    # median 2.0, MAD 0.1: a score of 3.5 at 2.519. The others have mean 2 and sd 0.0816;
    # t at 1 - 0.01 / 5 / 2 with 3 degrees of freedom is 10.215: 10.215 * 0.0816 * sqrt(1.25) = 0.9324
    (found,) = seed_outliers([metric(1.9, 2.0, 2.0, 2.1, 2.95)])
    assert (found.slug, found.n) == ("r4", 5)
    assert found.high == pytest.approx(2.9324, abs=2e-4)
    assert seed_outliers([metric(1.9, 2.0, 2.0, 2.1, 2.9)]) == ()


def test_equal_values_with_one_apart():
    (found,) = seed_outliers([metric(2, 2, 2, 2, 2, 2.6)])
    # the others do not differ at all; mean deviation 0.1: a score of 3.5 at 2 + 3.5 * 0.1253
    assert found.high == pytest.approx(2 + 3.5 * 1.253314 * 0.1)
    assert seed_outliers([metric(2, 2, 2, 2, 2)]) == ()


def test_like_seeds_seldom_have_an_outlier():
    noise = np.random.default_rng(7)
    for n in (5, 10, 40):
        sets = [seed_outliers([metric(*noise.normal(3, 0.01, n))]) for _ in range(400)]
        assert sum(map(bool, sets)) <= 12


def test_the_prediction_interval_of_four_by_hand():
    # the others 1.9, 2.0, 2.1: mean 2, sd 0.1; 9.925 * 0.1 * sqrt(1 + 1/3) = 1.146
    (found,) = seed_outliers([metric(1.9, 2.0, 2.1, 3.2)])
    assert found.slug == "r3"
    assert found.high == pytest.approx(2 + 9.925 * 0.1 * math.sqrt(4 / 3), rel=1e-4)
    assert seed_outliers([metric(1.9, 2.0, 2.1, 3.1)]) == ()


def test_three_need_a_great_distance_and_two_tell_nothing():
    # 63.657 * sd 0.0141 * sqrt(1.5) = 1.10
    assert [o.slug for o in seed_outliers([metric(2.0, 2.02, 3.2)])] == ["r2"]
    assert seed_outliers([metric(2.0, 2.02, 3.0)]) == ()
    assert seed_outliers([metric(2.0, 9.0)]) == ()
    assert seed_outliers([metric(2.0, 2.0, math.nan, 9.0)]) == ()


def test_a_group_names_the_run_that_is_unlike_its_siblings():
    evals = np.arange(0, 2000, 100)
    reports = []
    for seed in range(6):
        values = falling(evals, seed=seed, noise=0.001) + (0.4 if seed == 3 else 0)
        run = make_run(
            {1: {"val/loss": (evals, values), "step_time": (evals, 1.0 + (seed == 2) + 0 * evals)}},
            run_id=f"r{seed}",
            seed=seed,
            config={"seed": seed},
            group="g",
        )
        reports.append(analyze(run))
    group = analyze_group(reports)
    assert [(o.metric, o.slug) for o in group.outliers] == [("val/loss", reports[3].run.slug)]
