from __future__ import annotations

import math

import numpy as np
import pytest

from runpages.demo.corpus import ALPHABET, decode, encode, make_text
from runpages.demo.model import CONTEXT, AdamW, CharModel, clip


@pytest.fixture
def batch():
    chance = np.random.default_rng(3)
    size = len(ALPHABET)
    return chance.integers(0, size, (32, CONTEXT)), chance.integers(0, size, 32)


def test_the_text_is_the_same_for_the_same_seed_and_uses_the_alphabet():
    text = make_text(1)
    assert text == make_text(1)
    assert text != make_text(2)
    assert 80_000 < len(text) < 160_000
    assert decode(encode(text)) == text


@pytest.mark.parametrize("name", ["embedding", "hidden", "hidden_bias", "output", "output_bias"])
def test_gradients_are_those_of_finite_differences(batch, name):
    model = CharModel(0)
    # differences of single precision would drown in rounding
    model.weights = {key: w.astype(np.float64) for key, w in model.weights.items()}
    _, gradient = model.gradients(*batch)
    flat = model.weights[name].reshape(-1)
    slopes = gradient[name].reshape(-1)
    steepest = np.argsort(-abs(slopes))[:5]
    others = np.random.default_rng(1).integers(0, len(flat), 5)
    for place in (*steepest, *others):
        before = flat[place]
        flat[place] = before + 1e-5
        above = model.loss(*batch)
        flat[place] = before - 1e-5
        below = model.loss(*batch)
        flat[place] = before
        assert slopes[place] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-8)


def test_weights_stay_single_precision(batch):
    model = CharModel(0)
    optimiser = AdamW(model.weights)
    _, gradient = model.gradients(*batch)
    clip(gradient, 0.1)
    optimiser.update(model.weights, gradient, 1e-3)
    assert {w.dtype for w in model.weights.values()} == {np.dtype(np.float32)}


def test_an_untrained_model_knows_about_nothing(batch):
    assert CharModel(0).loss(*batch) == pytest.approx(math.log(len(ALPHABET)), abs=0.5)


def test_clipping_gives_the_norm_before_and_keeps_the_direction(batch):
    _, gradient = CharModel(0).gradients(*batch)
    before = {name: slope.copy() for name, slope in gradient.items()}
    norm = clip(gradient, None)
    for name, slope in gradient.items():
        assert np.array_equal(slope, before[name])
    assert clip(gradient, norm / 4) == norm
    assert clip(gradient, None) == pytest.approx(norm / 4, rel=1e-5)
    for name, slope in gradient.items():
        assert slope == pytest.approx(before[name] / 4, rel=1e-5)


def test_a_gradient_that_is_not_finite_is_left_as_it_is():
    gradient = {"w": np.array([np.nan, 1.0], dtype=np.float32)}
    assert math.isnan(clip(gradient, 1.0))
    assert gradient["w"][1] == 1.0
