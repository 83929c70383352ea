from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze
from runpages.model import Price, Target


def reached(run, *targets, **options):
    wanted = tuple(Target(metric=metric, value=value) for metric, value in targets)
    return analyze(run, AnalysisOptions(targets=wanted, **options)).targets


def test_steps_time_tokens_and_cost_until_an_evaluation_passes():
    steps = np.arange(100, 1001, 100)
    values = np.array([4.0, 3.5, 3.2, 3.0, 2.9, 2.8, 2.7, 2.6, 2.5, 2.4])
    run = make_run(
        {1: {"val/loss": (steps, values), "tokens": (steps, steps * 512.0)}},
        seconds_per_step=3.6,
        device="NVIDIA A100-SXM4-80GB",
        devices=8,
    )
    price = Price(
        accelerator="A100", usd_per_device_hour=2.0, valid_from="2026-01-01", source_url="",
        kind="team price",
    )  # fmt: skip
    (found,) = reached(run, ("val/loss", 3.0), prices=(price,))
    assert found.step.value == 400
    assert found.seconds.value == pytest.approx(301 * 3.6)
    assert found.tokens.value == 400 * 512
    assert found.device_hours.value == pytest.approx(301 * 3.6 / 3600 * 8)
    assert found.usd.value == pytest.approx(2 * found.device_hours.value)


def test_a_dip_that_does_not_last_is_no_crossing():
    values = np.array([4.0, 3.5, 2.9, 3.4, 3.2, 2.9, 2.8, 2.7])
    run = make_run({1: {"val/loss": (np.arange(8), values)}})
    (found,) = reached(run, ("val/loss", 3.0))
    assert found.step.value == 5


def test_noise_does_not_cross_before_its_level_does():
    """The level passes 1.6 at step 60 ln(2.8 / 0.2) = 158; single points do so long before."""
    steps = np.arange(6400)
    rng = np.random.default_rng(5)
    values = 1.4 + 2.8 * np.exp(-steps / 600) + rng.normal(0, 0.15, 6400)
    (found,) = reached(make_run({1: {"loss": (steps, values)}}), ("loss", 1.6))
    level = 600 * np.log(2.8 / 0.2)
    assert np.flatnonzero(values <= 1.6)[0] < level - 400
    assert found.step.value == pytest.approx(level, abs=100)


def test_an_accuracy_rises_to_its_target():
    run = make_run({1: {"eval/acc": (np.arange(6), np.array([0.1, 0.3, 0.5, 0.52, 0.6, 0.61]))}})
    (found,) = reached(run, ("eval/acc", 0.5))
    assert found.step.value == 2


def test_a_role_stands_for_its_main_metric():
    steps = np.arange(50)
    run = make_run({1: {"val/loss": (steps, falling(steps))}})
    (found,) = reached(run, ("val_loss", 3.0))
    assert found.metric == "val/loss"
    assert found.step.known


@pytest.mark.parametrize(
    ("metric", "value", "why"),
    [
        ("loss", 0.1, "not reached"),
        ("nowhere", 1.0, "nowhere was not logged"),
        ("lr", 1.0, "whether lr should fall or rise is not known: give it a role under [metrics]"),
    ],
)
def test_a_target_that_was_not_reached_says_why(metric, value, why):
    steps = np.arange(100)
    run = make_run({1: {"loss": (steps, falling(steps)), "lr": (steps, np.ones(100))}})
    (found,) = reached(run, (metric, value))
    assert (found.step.value, found.step.why, found.usd.why) == (None, why, why)


def test_downtime_counts_as_time_and_not_as_device_hours():
    one, two = np.arange(100), np.arange(80, 300)
    values = 5 - np.arange(300) / 100
    run = make_run(
        {1: {"loss": (one, values[:100])}, 2: {"loss": (two, values[80:])}},
        seconds_per_step=36.0,
        devices=2,
    )
    (found,) = reached(run, ("loss", 3.0))
    assert found.step.value == 203  # blocks of 4 rows: that of 200 to 203 is the first
    assert found.seconds.value == pytest.approx(100 * 36 + 100 + (203 - 80 + 1) * 36)
    assert found.device_hours.value == pytest.approx((100 + 124) * 36 / 3600 * 2)


def test_a_target_reached_in_the_last_block_is_reached_at_the_end():
    steps = np.arange(655)  # blocks of 10 rows; the last holds the five that are left over
    values = np.where(steps < 641, 4.0, 2.0)
    (found,) = reached(make_run({1: {"loss": (steps, values)}}), ("loss", 3.0))
    assert found.step.value == 654
