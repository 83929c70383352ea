"""The generated suite in its small form: floors that leave room for seeds.

The whole suite is benchmarks/generated.py; its figures stand in docs/reference/findings.md.
"""

from __future__ import annotations

import pytest

from suite.judging import JUDGED, score

SEED = 7
RUNS = 16
LENGTHS = ("40-400", "1k", "10k")

FLOORS = {
    # kind: (precision, recall)
    "nonfinite": (0.97, 0.97),
    "spike": (0.60, 0.80),
    "divergence": (0.90, 0.90),
    "slowdown": (0.90, 0.80),
    "stall": (0.85, 0.90),
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
    assert own.truths[kind] >= 30
    assert own.precision(kind) >= least_precision
    assert own.recall(kind) >= least_recall


def test_healthy_runs_give_few_alarms(outcome):
    runs, alarms, more = outcome[0].false_alarms()
    assert runs >= 150
    assert alarms <= 0.15 * runs
    assert more <= 0.05 * runs


def test_what_lies_below_the_floor_is_not_reported(outcome):
    reports = [n for counts in outcome[0].below.values() for n in counts]
    assert len(reports) >= 60
    assert sum(n > 0 for n in reports) <= 0.1 * len(reports)


def test_spikes_are_told_better_than_by_published_rules(outcome):
    own, rules = outcome
    f1 = {name: _f1(tally) for name, tally in rules.items()}
    assert len(f1) == 5
    assert _f1(own) > max(f1.values()) + 0.15


def _f1(tally) -> float:
    precision, recall = tally.precision("spike") or 0.0, tally.recall("spike") or 0.0
    return 2 * precision * recall / max(1e-9, precision + recall)
