"""What the detectors say of the suite's runs, and their score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runpages.analysis import analyze
from runpages.analysis.detect import find_events
from runpages.model import Event

from .case import Case
from .matching import match
from .plan import PLAN, cases
from .rules import RULES, events_of
from .run_events import healthy_run
from .tally import Tally

__all__ = ["JUDGED", "judged", "judged_kinds", "score"]


def judged_kinds() -> frozenset[str]:
    """Kinds of events that this version looks for."""
    run = healthy_run(np.random.default_rng(0), 60).run
    if run is None:
        raise AssertionError
    told = analyze(run).judgements
    return frozenset(j.kind for j in told if j.why_not != "not judged by this version")


JUDGED = tuple(name for name in PLAN if name.partition("+")[0] in judged_kinds())
"""Rows of the plan whose kind is looked for."""


def judged(case: Case) -> tuple[Event, ...]:
    """What is reported of a case."""
    if case.run is not None:
        return analyze(case.run).events
    return find_events(case.steps, case.values, metric=case.metric)


def score(
    names: Sequence[str], *, seeds: Sequence[int], runs: int, lengths: Sequence[str]
) -> tuple[Tally, dict[str, Tally]]:
    """Tally of the detectors; and of them and each published rule on the runs made for spikes."""
    own, rules = Tally(), {name: Tally() for name in ("runpages", *RULES)}
    for seed in seeds:
        for name in names:
            for purpose, length, case in cases(name, seed=seed, runs=runs, lengths=tuple(lengths)):
                told = match(case, judged(case))
                own.add(purpose, length, told)
                if name == "spike":
                    rules["runpages"].add(purpose, length, told)
                    for title, rule in RULES.items():
                        rules[title].add(purpose, length, match(case, events_of(case, rule)))
    return own, rules
