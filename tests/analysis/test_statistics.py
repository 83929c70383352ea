"""Statistics of small samples against published tables and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runpages.analysis.statistics import hedges_g, holm, paired_t, spread, welch_t
from runpages.analysis.student import p_two_sided, t_quantile

# Student, Biometrika 6 (1908) 1, hours of sleep gained; what R's t.test() prints for its data set
# `sleep` stands beside each test
SLEEP_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SLEEP_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
# Lakens, Frontiers in Psychology 4 (2013) 863, table 1: ratings of two films
FILM_1 = (9, 7, 8, 9, 8, 9, 9, 10, 9, 9)
FILM_2 = (9, 6, 7, 8, 7, 9, 8, 8, 8, 7)


@pytest.mark.parametrize(
    ("df", "p", "t"),
    # NIST/SEMATECH e-Handbook 1.3.6.7.2, upper critical values
    [
        (1, 0.975, 12.706),
        (2, 0.975, 4.303),
        (4, 0.975, 2.776),
        (9, 0.95, 1.833),
        (10, 0.995, 3.169),
        (30, 0.975, 2.042),
        (100, 0.999, 3.174),
    ],
)
def test_quantiles_are_those_of_the_printed_table(df, p, t):
    assert round(t_quantile(p, df=df), 3) == t
    assert t_quantile(1 - p, df=df) == pytest.approx(-t_quantile(p, df=df), rel=1e-12)


def test_one_degree_of_freedom_is_the_cauchy_distribution():
    for t in (1e-6, 0.3, 1.0, 7.0, 1e4):
        assert p_two_sided(t, df=1) == pytest.approx(2 / math.pi * math.atan(1 / t), rel=1e-12)


def test_two_degrees_of_freedom_have_a_closed_form():
    for t in (0.1, 1.0, 4.303, 50.0):
        exact = 2 / (t * t + 2) / (1 + t / math.sqrt(t * t + 2))
        assert p_two_sided(t, df=2) == pytest.approx(exact, rel=1e-12)


def test_distribution_and_quantiles_are_scipys():
    scipy_stats = pytest.importorskip("scipy.stats")
    for df in (0.7, 1.5, 3, 7.3, 17.776, 99, 999):
        for t in (1e-3, 0.5, 2.1, 6.0, 40.0):
            assert p_two_sided(-t, df=df) == pytest.approx(2 * scipy_stats.t.sf(t, df), rel=1e-10)
        for p in (1e-5, 0.025, 0.4, 0.9, 0.9995):
            assert t_quantile(p, df=df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=1e-10)


@pytest.mark.parametrize("df", [0, -1, math.nan])
def test_degrees_of_freedom_must_be_positive(df):
    with pytest.raises(ValueError, match="must be positive"):
        p_two_sided(1.0, df=df)


@pytest.mark.parametrize("p", [0, 1, math.nan])
def test_a_quantile_of_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(p, df=3)


def test_welch_is_what_r_prints_of_the_sleep_data():
    # t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p-value = 0.07939,
    # 95 percent confidence interval: -3.3654832  0.2054832 (R subtracts the other way round)
    found = welch_t(SLEEP_2, SLEEP_1)
    assert round(found.t, 4) == -1.8608
    assert round(found.df, 3) == 17.776
    assert round(found.p, 5) == 0.07939
    assert found.ci95 == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert found.delta == pytest.approx(-1.58)


def test_the_paired_test_is_what_r_prints_of_the_sleep_data():
    # t.test(extra ~ group, data = sleep, paired = TRUE): t = -4.0621, df = 9, p-value = 0.002833,
    # 95 percent confidence interval: -2.4598858 -0.7001142
    found = paired_t(SLEEP_2, SLEEP_1)
    assert round(found.t, 4) == -4.0621
    assert found.df == 9
    assert round(found.p, 6) == 0.002833
    assert found.ci95 == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_the_paired_test_is_the_one_that_lakens_prints_for_two_films():
    found = paired_t(FILM_2, FILM_1)  # t(9) = 4.74, p = .001, 95 % interval [0.52, 1.48]
    assert round(found.t, 2) == 4.74
    assert round(found.p, 3) == 0.001
    assert tuple(round(limit, 2) for limit in found.ci95) == (0.52, 1.48)


def test_the_effect_size_is_the_one_that_lakens_prints_for_two_films():
    # Hedges's g_s = 1.08, and as g_av for the same ratings taken as pairs
    assert round(hedges_g(FILM_2, FILM_1), 2) == 1.08
    assert hedges_g(FILM_1, FILM_2) == -hedges_g(FILM_2, FILM_1)


def test_the_small_sample_correction_is_the_exact_one():
    # J(10) = gamma(5) / (sqrt(5) gamma(4.5)) = .92275 (Hedges and Olkin, Statistical Methods for
    # Meta-Analysis, 1985); the pooled sd of these samples is 1 and their means differ by 1
    one = np.array([-1.0, -1, 0, 0, 1, 1]) / math.sqrt(0.8)
    assert hedges_g(one, one + 1) == pytest.approx(0.922746, abs=1e-6)


def test_holm_on_a_worked_example():
    # www.geeksforgeeks.org/data-science/holm-bonferroni-method/: of .01 .04 .03 .005 at .05 the
    # first and the last are rejected; adjusted as R's p.adjust(method = "holm") does
    adjusted = holm((0.01, 0.04, 0.03, 0.005))
    assert adjusted == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert [p < 0.05 for p in adjusted] == [True, False, False, True]


def test_holm_never_exceeds_one_and_keeps_a_lone_test():
    assert holm((0.9, 0.8)) == (1.0, 1.0)
    assert holm((0.04,)) == (0.04,)
    assert holm(()) == ()


@pytest.mark.parametrize("test", [welch_t, paired_t])
def test_one_run_a_side_has_no_test(test):
    assert test((1.0,), (2.0,)) is None
    assert hedges_g((1.0,), (2.0, 3.0)) is None


@pytest.mark.parametrize("test", [welch_t, paired_t])
def test_values_that_do_not_vary_have_no_test(test):
    assert test((0.1 + 0.2, 0.3), (2.0, 2.0)) is None
    assert hedges_g((1.0, 1.0), (2.0, 2.0)) is None


def test_pairs_need_samples_of_one_length():
    with pytest.raises(ValueError, match="one length, not 2 and 3"):
        paired_t((1, 2), (1, 2, 3))


def test_welch_keeps_its_level_and_its_interval_covers():
    rng = np.random.default_rng(20261130)
    rejected = covered = 0
    for _ in range(2000):
        found = welch_t(rng.normal(0, 1, 3), rng.normal(1, 4, 5))
        covered += found.ci95[0] <= 1 <= found.ci95[1]
        rejected += welch_t(rng.normal(0, 1, 5), rng.normal(0, 3, 5)).p < 0.05
    assert 0.93 < covered / 2000 < 0.98
    assert 0.03 < rejected / 2000 < 0.07


# authors' own tables: (values of the single runs, mean, sd, decimals, where)
TABLES = {
    "parameter-golf, bits per byte of seeds 1337, 42, 2024": (
        # openai/parameter-golf, records/track_10min_16mb/
        # 2026-03-31_ParallelResiduals_MiniDepthRecurrence/submission.json
        (1.10658225, 1.10774252, 1.10443581), 1.10625353, 0.00167769, 8,
    ),
    "parameter-golf, nats of the same seeds": (
        (1.86841284, 1.87037189, 1.86478866), 1.86785780, 0.00283270, 8,
    ),
    "modded-nanogpt, U-net of value embeddings": (
        # github.com/KellerJordan/modded-nanogpt/pull/45: torch.std_mean prints .0013 and 3.2774
        (3.2772, 3.2756, 3.2784, 3.2783), 3.2774, 0.0013, 4,
    ),
}  # fmt: skip

# KellerJordan/modded-nanogpt, records/track_1_short/2024-12-10_MFUTweaks: last val_loss of each of
# the 40 logs, in the order of their names. Its README asks for a mean of at most 3.28.
MFU_TWEAKS = (
    3.2756, 3.2753, 3.2758, 3.2794, 3.2772, 3.2824, 3.2758, 3.2789, 3.2785, 3.2759,
    3.2792, 3.2808, 3.2740, 3.2797, 3.2764, 3.2793, 3.2752, 3.2792, 3.2771, 3.2810,
    3.2765, 3.2760, 3.2767, 3.2777, 3.2828, 3.2777, 3.2790, 3.2773, 3.2798, 3.2819,
    3.2812, 3.2756, 3.2813, 3.2796, 3.2776, 3.2807, 3.2798, 3.2810, 3.2831, 3.2781,
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_mean_and_sd_are_the_authors_own(name):
    values, mean, sd, decimals = TABLES[name]
    found = spread(values)
    assert round(found.mean, decimals) == mean
    assert round(found.sd, decimals) == sd
    assert found.n == len(values)


def test_forty_repeats_of_one_recipe():
    found = spread(MFU_TWEAKS)
    assert (found.n, round(found.mean, 4), round(found.sd, 4)) == (40, 3.2785, 0.0024)
    # t(.975, 39) = 2.0227 (NIST table); .002363 / sqrt(40) = .0003737
    assert found.ci95 == pytest.approx((3.277747, 3.279258), abs=2e-6)


def test_one_value_has_no_spread():
    found = spread((2.5,))
    assert (found.n, found.mean, found.sd, found.ci95) == (1, 2.5, None, None)
