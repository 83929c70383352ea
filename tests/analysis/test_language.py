from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze
from runpages.model import ModelFacts

STEPS = np.arange(0, 1000, 100)
LOSS = 3.0 + np.exp(-STEPS / 200)


def figures(metrics=None, config=None, *, parameters=None, **options):
    run = make_run(
        {1: metrics or {"val/loss": (STEPS, LOSS)}},
        config=config or {},
        model=ModelFacts(parameters=parameters),
    )
    return analyze(run, AnalysisOptions(**options)).figures


def test_no_perplexity_unless_the_loss_is_known_to_be_in_nats():
    found = figures()
    assert found.perplexity.why == (
        "not known whether val/loss is in nats: set loss_unit under [model]"
    )
    assert found.bits_per_byte.why == found.perplexity.why


@pytest.mark.parametrize(("unit", "base"), [("nats", math.e), ("bits", 2.0)])
def test_perplexity_in_the_unit_that_the_team_states(unit, base):
    assert figures(loss_unit=unit).perplexity.value == pytest.approx(base ** LOSS[-1])


def test_bits_per_byte():
    found = figures(loss_unit="nats", bytes_per_token=4.5)
    assert found.bits_per_byte.value == pytest.approx(LOSS[-1] / (math.log(2) * 4.5))
    keyed = figures(
        config={"data": {"ratio": 4.5}},
        loss_unit="nats",
        bytes_per_token="config.data.ratio",
    )
    assert keyed.bits_per_byte.value == found.bits_per_byte.value


def test_bits_per_byte_needs_the_tokeniser():
    assert "set bytes_per_token" in figures(loss_unit="nats").bits_per_byte.why
    absent = figures(loss_unit="nats", bytes_per_token="config.x").bits_per_byte
    assert absent.why == "config.x holds no number of bytes a token"


def test_a_perplexity_that_was_logged_beside_it_proves_nats():
    metrics = {"val/loss": (STEPS, LOSS), "val/ppl": (STEPS, np.exp(LOSS))}
    found = figures(metrics).perplexity
    assert found.value == pytest.approx(math.exp(LOSS[-1]))
    assert "as val/ppl proves" in found.note


def test_a_perplexity_of_something_else_proves_nothing():
    metrics = {"val/loss": (STEPS, LOSS), "val/ppl": (STEPS, 1.02 * np.exp(LOSS))}
    assert figures(metrics).perplexity.value is None


def test_chinchilla_multiple_and_training_compute():
    """Chinchilla itself: 70 B parameters on 1.4 T tokens for Gopher's budget of 5.76e23 FLOP
    (arXiv 2203.15556, section 4), of which 6 N D is 2 % more."""
    metrics = {"loss": (STEPS, LOSS), "tokens": (STEPS, STEPS / STEPS[-1] * 1.4e12)}
    found = figures(metrics, parameters=70_000_000_000)
    assert found.chinchilla_multiple.value == pytest.approx(1.0)
    assert found.training_flop.value == pytest.approx(5.76e23, rel=0.025)


@pytest.mark.parametrize(
    ("config", "parameters", "why"),
    [
        ({}, None, "number of parameters not logged"),
        ({"lora_r": 8}, 7_000, "low-rank fine-tuning: most weights get no gradient"),
        ({"num_experts": 8}, 7_000, "mixture of experts: active parameters not logged"),
    ],
)
def test_no_multiple_of_parameters_that_are_not_known(config, parameters, why):
    metrics = {"loss": (STEPS, LOSS), "tokens": (STEPS, 100.0 * STEPS)}
    assert figures(metrics, config, parameters=parameters).chinchilla_multiple.why == why


def test_the_active_parameters_count_in_a_mixture():
    metrics = {"loss": (STEPS, LOSS), "tokens": (STEPS, 100.0 * STEPS)}
    config = {"num_experts": 8, "active_params": 450}
    found = figures(metrics, config, parameters=7_000).chinchilla_multiple
    assert found.value == pytest.approx(90_000 / 20 / 450)


def test_tokens_a_productive_second_leave_the_downtime_out():
    one, two = np.arange(200), np.arange(200, 400)
    run = make_run(
        {
            1: {"loss": (one, falling(one)), "tokens": (one, one * 512.0)},
            2: {"loss": (two, falling(two)), "tokens": (two, two * 512.0)},
        }
    )
    report = analyze(run)
    value = report.figures.tokens_per_productive_second.value
    assert value == pytest.approx(399 * 512 / report.goodput.productive_seconds.value)
    assert value == pytest.approx(256, rel=0.01)
