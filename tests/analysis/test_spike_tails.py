"""Spikes of long runs that are too many to be left out of the tail as a few outliers."""

from __future__ import annotations

import numpy as np

from analysis.builders import falling
from runpages import find_events


def starts(values):
    return [e.start_step for e in find_events(np.arange(len(values)), values) if e.kind == "spike"]


def test_spikes_of_many_sizes_do_not_make_a_tail_that_hides_the_smaller():
    values = falling(np.arange(6000), noise=0.005)
    begins = list(range(500, 5900, 180))
    sizes = np.geomspace(0.2, 8, len(begins))
    for begin, size in zip(begins, sizes, strict=True):
        values[begin : begin + 2] += size
    assert starts(values) == begins


def test_a_heavy_tail_without_a_gap_stays_noise():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        hard = (rng.random(6000) < 0.02) * rng.exponential(3.1, 6000)
        assert len(starts(2 + 0.05 * (rng.standard_normal(6000) + hard))) <= 1


def test_two_excursions_with_a_return_between_them_are_two():
    values = falling(np.arange(3000), noise=0.005)
    values[2000:2003] += 2
    values[2012:2016] += 2
    assert starts(values) == [2000, 2012]


def test_the_threshold_is_a_limit_that_the_peak_passed():
    passed = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        norms = 0.3 * np.exp(0.1 * rng.standard_t(3, 6000))
        for begin in range(1000, 5800, 400):
            # two rows that are each within the tail of single ones
            norms[begin : begin + 2] *= 4.5
        for event in find_events(np.arange(6000), norms, metric="grad_norm"):
            assert event.baseline_value < event.threshold <= event.peak_value
            passed += 1
    assert passed > 10
