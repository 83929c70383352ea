"""Events that training teams wrote down, found in the rows that their texts quote.

Sources (both Apache-2.0): bigscience-workshop/bigscience, train/tr11-176B-ml/chronicles.md, at
9e64edec2a (BLOOM); THUDM/GLM-130B, logs/main-log-en.md, at 212215c54f. Each test says which numbers
are quoted and which rows are constructed around them.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import START, make_run
from runpages import find_events
from runpages.analysis import analyze
from runpages.model import Checkpoint

# quoted: "2022-04-12 First lm loss spike", "Luckily it recovered in ~30 iterations"
BLOOM_STEPS = np.array([*range(31214, 31223), 31250, 31251])
BLOOM_LOSS = np.array(
    [
        *(2.198845, 2.220424, 2.595213, 2.241558, 2.345279, 5.098124),
        *(3.492029, 3.213059, 2.804948, 2.215699, 2.235667),
    ]
)
BLOOM_NORM = np.array(
    [0.242, 0.947, 2.390, 15.886, 145.119, 960.351, 353.201, 379.330, 650.246, 0.267, 0.205]
)
BLOOM_SECONDS = np.array(
    [106.46, 105.90, 106.40, 106.33, 107.53, 106.36, 106.30, 106.13, 106.44, 106.09, 106.13]
)
BLOOM_CHECKPOINTS = (31200, 31259)
"""Quoted: "The before and after checkpoints have been saved at"."""


def test_blooms_loss_spike_from_the_quoted_rows_alone():
    (event,) = find_events(BLOOM_STEPS, BLOOM_LOSS, metric="lm loss")
    assert (event.kind, event.start_step, event.peak_step) == ("spike", 31219, 31219)
    assert event.peak_value == 5.098124
    assert event.recovered
    assert event.end_step < 31250
    assert event.baseline_value == pytest.approx(2.23, abs=0.05)


def around_blooms_spike():
    """The quoted rows, with constructed ones of their level (2.2, 0.22, 106.2 s) around them."""
    rng = np.random.default_rng(31219)
    before, after = np.arange(30914, 31214), np.arange(31252, 31552)
    between = np.arange(31223, 31250)
    steps = np.concatenate([before, BLOOM_STEPS, after])
    quoted = slice(len(before), len(before) + len(BLOOM_STEPS))

    def filled(values, level, noise):
        out = level * (1 + noise * rng.standard_normal(len(steps)))
        out[quoted] = values
        return out

    loss = filled(BLOOM_LOSS, 2.21, 0.01)
    norm = filled(BLOOM_NORM, 0.22, 0.05)
    seconds = filled(BLOOM_SECONDS, 106.2, 0.004)
    # the text leaves the iterations between out ("[...]"): a straight way back
    at = np.searchsorted(steps, 31250)
    steps = np.insert(steps, at, between)
    loss = np.insert(loss, at, np.linspace(2.75, 2.22, len(between)))
    norm = np.insert(norm, at, np.geomspace(500, 0.3, len(between)))
    seconds = np.insert(seconds, at, np.full(len(between), 106.2))
    return steps, loss, norm, seconds


def test_blooms_spike_is_one_finding_led_by_the_gradient_between_its_checkpoints():
    steps, loss, norm, seconds = around_blooms_spike()
    metrics = {"lm loss": loss, "grad norm": norm, "elapsed time per iteration (s)": seconds}
    run = make_run(
        {1: {name: (steps, values) for name, values in metrics.items()}},
        seconds_per_step=106.2,
        checkpoints=tuple(Checkpoint(step=step) for step in BLOOM_CHECKPOINTS),
    )
    (event,) = analyze(run).events
    assert (event.kind, event.metric, event.recovered) == ("spike", "lm loss", True)
    # 31216 (2.595 after 2.220) is already out of the noise of 1 %
    assert 31216 <= event.start_step <= 31219
    assert (event.peak_step, event.peak_value) == (31219, 5.098124)
    assert event.end_step <= 31250
    ((name, lead),) = event.related
    assert name == "grad norm"
    assert event.start_step - lead in {31215, 31216, 31217}
    assert (event.checkpoint_before, event.checkpoint_after) == (31200, 31259)


def test_blooms_bad_node_is_a_slowdown():
    """Quoted: "sudden 5% drop in throughput", TFLOPs 149.10, 149.09, 147.58, 142.32, 141.09, samples
    per second 19.474, 19.473, 19.276, 18.589, 18.428, "and remained there".

    Constructed: the rows before and after them, at the quoted levels with a noise of 0.3 %.
    """
    rng = np.random.default_rng(5)
    quoted = np.array([19.474, 19.473, 19.276, 18.589, 18.428])
    rate = np.concatenate([np.full(300, 19.47), quoted, np.full(150, 18.43)])
    rate[:300] *= 1 + 0.003 * rng.standard_normal(300)
    rate[305:] *= 1 + 0.003 * rng.standard_normal(150)
    seconds = 2048 / rate  # the global batch over the samples a second: 105.2 s and 111.1 s
    assert seconds[0] == pytest.approx(105.2, abs=1)
    steps = 44_500 + np.arange(len(rate))
    (event,) = find_events(steps, seconds, metric="iteration-time")
    assert (event.kind, event.recovered) == ("slowdown", False)
    assert 44_800 <= event.start_step <= 44_806
    assert event.baseline_value == pytest.approx(105.2, abs=0.5)


def glm_loss(steps, *, seed):
    """Constructed: a level that the log does not give, with a noise of 1 %."""
    rng = np.random.default_rng(seed)
    return (2.6 - 0.3 * (steps - steps[0]) / 3000) * (1 + 0.01 * rng.standard_normal(len(steps)))


def test_glms_nan_at_22900():
    """Quoted: "New MIP data (English & Chinese) leads to NaN loss at 22900 step"; restart from 22800.

    Constructed: the loss up to there; the training after the restart, with other data.
    """
    one, two = np.arange(20_000, 22_931), np.arange(22_800, 23_600)
    first = glm_loss(one, seed=1)
    first[one >= 22_900] = np.nan
    second = glm_loss(np.concatenate([one[one < 22_800], two]), seed=2)[-len(two) :]
    run = make_run({1: {"loss": (one, first)}, 2: {"loss": (two, second)}}, devices=768)
    events = analyze(run).events
    assert [e.kind for e in events] == ["nonfinite", "restart"]
    (nan, restart) = events
    assert (nan.start_step, nan.attempt, nan.severity) == (22_900, 1, "warning")
    assert nan.lost_steps == 22_930 - 22_800 + 1
    assert "it did not happen again" in nan.message
    assert restart.start_step == 22_800


@pytest.mark.parametrize(
    ("explodes", "restarts", "ends"),
    [
        # quoted: "The loss-scale reduces drastically around 33710 step, and the loss explodes at
        # 33740 step"; "Restaring from 33600 step"
        (33_740, 33_600, 33_790),
        # quoted: "At 35250 step, the loss explodes again"; "Restarting from 35200 step"
        (35_250, 35_200, 35_300),
    ],
)
def test_glms_loss_explosions(explodes, restarts, ends):
    """Constructed: the loss before, its rise to 3 times the level until the run was stopped, and
    the training after the restart."""
    one, two = np.arange(32_000, ends), np.arange(restarts, ends + 500)
    first = glm_loss(one, seed=3)
    risen = one >= explodes
    first[risen] *= np.linspace(1.3, 3, int(risen.sum()))
    second = glm_loss(np.concatenate([one[one < restarts], two]), seed=4)[-len(two) :]
    alone = find_events(one, first)
    assert [(e.kind, e.severity, e.recovered) for e in alone] == [("divergence", "critical", False)]
    assert abs(alone[0].start_step - explodes) <= 3
    run = make_run({1: {"loss": (one, first)}, 2: {"loss": (two, second)}}, devices=768)
    (spike, restart) = analyze(run).events
    assert (spike.kind, spike.severity, restart.kind) == ("spike", "warning", "restart")
    assert abs(spike.start_step - explodes) <= 3
    assert spike.lost_steps == ends - restarts
    assert START < spike.start_time < run.end
