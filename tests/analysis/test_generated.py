"""The generated suite in its small form: floors that leave room for seeds.

The whole suite is benchmarks/generated.py; its figures stand in docs/reference/findings.md.
"""

from __future__ import annotations

import pytest

from suite.judging import JUDGED, score

SEED = 7
RUNS = 10
LENGTHS = ("40-400", "1k", "10k")

FLOORS = {
    # kind: (precision, recall)
    "nonfinite": (0.95, 0.95),
    "spike": (0.60, 0.75),
    "divergence": (0.90, 0.90),
    "level_shift": (0.90, 0.80),
    "plateau": (0.70, 0.80),
    "drop": (0.90, 0.85),
    "overfit": (0.90, 0.85),
    "grad_explosion": (0.55, 0.85),
    "grad_vanishing": (0.75, 0.75),
    "slowdown": (0.90, 0.80),
    "stall": (0.90, 0.90),
    "jitter": (0.85, 0.90),
    "idle_device": (0.95, 0.90),
    "gpu_underuse": (0.95, 0.80),
    "memory_growth": (0.90, 0.85),
    "near_oom": (0.95, 0.95),
    "repeated_data": (0.90, 0.60),
    "missing_data": (0.95, 0.95),
    "data_bottleneck": (0.95, 0.95),
    "straggler": (0.90, 0.75),
    "lr_mismatch": (0.65, 0.85),
    "restart": (0.95, 0.95),
}


@pytest.fixture(scope="module")
def outcome():
    return score(JUDGED, seeds=[SEED], runs=RUNS, lengths=LENGTHS)


def test_every_kind_that_is_judged_has_a_floor():
    assert set(FLOORS) == {name.partition("+")[0] for name in JUDGED}


@pytest.mark.parametrize("kind", FLOORS)
def test_events_are_found_and_named(outcome, kind):
    own, _ = outcome
    least_precision, least_recall = FLOORS[kind]
    assert own.truths[kind] >= 20
    assert own.precision(kind) >= least_precision
    assert own.recall(kind) >= least_recall


def test_healthy_runs_give_few_alarms(outcome):
    runs, alarms, more = outcome[0].false_alarms()
    assert runs >= 0.5 * (runs + sum(outcome[0].truths.values()) / 2)
    assert alarms <= 0.10 * runs
    assert more <= 0.03 * runs


def test_what_lies_below_the_floor_is_not_reported(outcome):
    reports = [n for counts in outcome[0].below.values() for n in counts]
    assert len(reports) >= 100
    assert sum(reports) <= 0.05 * len(reports)


def test_spikes_are_told_better_than_by_published_rules(outcome):
    f1 = {name: _f1(tally) for name, tally in outcome[1].items()}
    assert len(f1) == 6
    assert f1.pop("runpages") > max(f1.values()) + 0.15


def _f1(tally) -> float:
    precision, recall = tally.precision("spike") or 0.0, tally.recall("spike") or 0.0
    return 2 * precision * recall / max(1e-9, precision + recall)
