"""A run that spikes, is rolled back and passes, as a run directory on the disk."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from runpages import log
from runpages.analysis import analyze
from runpages.sources import open_source, sniff


def healthy_loss(step: int, noise: random.Random) -> float:
    return 1.5 + 2 * math.exp(-step / 80) + 0.02 * noise.random()


@pytest.fixture
def report(tmp_path):
    """400 steps, the loss up from 380 on; killed; back to 300 and on to 600 in peace."""
    noise = random.Random(1)
    first = log.start(tmp_path / "run", device="NVIDIA H100 80GB HBM3", devices=8)
    for step in range(400):
        up = 0.3 * (step - 379) if step >= 380 else 0.0
        first.metrics(step, {"train/loss": healthy_loss(step, noise) + up, "tokens": step * 1000})
        if step % 100 == 99:
            first.checkpoint(step, f"checkpoints/{step}.npz")
    first.finish("killed", "loss spike")
    with log.start(tmp_path / "run", device="NVIDIA H100 80GB HBM3", devices=8) as second:
        for step in range(300, 600):
            values = {"train/loss": healthy_loss(step, noise), "tokens": step * 1000}
            second.metrics(step, values)
    (ref,) = sniff(tmp_path).runs
    return analyze(open_source(ref.kind, str(tmp_path)).read(ref))


def test_the_spike_is_a_finding_of_its_attempt_with_what_it_cost(report):
    (spike,) = [e for e in report.events if e.kind != "restart"]
    assert (spike.kind, spike.metric, spike.attempt) == ("spike", "train/loss", 1)
    assert abs(spike.start_step - 380) <= 2
    assert spike.severity == "warning"
    assert spike.lost_steps == 100
    assert spike.lost_seconds is not None
    assert spike.lost_seconds > 0
    assert spike.lost_device_hours == pytest.approx(spike.lost_seconds / 3600 * 8)
    assert spike.checkpoint_before == 299
    assert spike.start_step in [step for step, _ in spike.evidence]
    assert "Attempt 2 went back to step 300 and did 100 steps again" in spike.message
    (restart,) = [e for e in report.events if e.kind == "restart"]
    assert (restart.start_step, restart.lost_steps) == (300, 100)


def test_the_figures_come_from_the_redo(report):
    summary = report.metrics["train/loss"]
    series = report.run.series["train/loss"]
    redo = series.attempt(2)
    assert summary.final == np.median(redo.value[-32:])
    assert summary.superseded == 100
    assert summary.last_step == 599
    assert max(series.value[series.step >= 300]) < 2
    assert report.steps.value == 599
    assert report.redone_steps == 100
    assert report.timing.tokens.value == 599_000
