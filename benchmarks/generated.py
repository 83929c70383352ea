"""The detectors on generated runs with known events, beside five published rules for spikes.

usage: generated.py [--seed N ...] [--runs N] [--kind KIND ...] [--length LENGTH ...] [--json]

Half of the runs are healthy. Prints precision and recall by kind, by size (multiples of the floor
that the documentation names), by duration in steps and by rows logged; false alarms in healthy
runs; reports of events below the floor, of which there should be none; which kind was taken for
which. The default seed was not used while detectors were written: try changes with another.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from runpages.analysis.detect import DETECTORS, find_events
from runpages.model import Event
from suite.case import Case
from suite.matching import match
from suite.plan import LENGTHS, PLAN, cases
from suite.printing import print_report
from suite.rules import RULES, events_of
from suite.tally import Tally

JUDGED = frozenset(d.kind for d in DETECTORS)
DEFAULT_SEED = 20261130


def judged(case: Case) -> tuple[Event, ...]:
    """What the detectors report of a case."""
    return find_events(case.steps, case.values, metric=case.metric)


def score(
    kinds: Sequence[str], *, seeds: Sequence[int], runs: int, lengths: Sequence[str]
) -> tuple[Tally, dict[str, Tally]]:
    """Tallies of the detectors, and of each published rule on the runs made for spikes."""
    own, rules = Tally(), {name: Tally() for name in RULES}
    for seed in seeds:
        for kind in kinds:
            for purpose, length, case in cases(kind, seed=seed, runs=runs, lengths=tuple(lengths)):
                own.add(purpose, length, match(case, judged(case)))
                if kind == "spike":
                    for name, rule in RULES.items():
                        rules[name].add(purpose, length, match(case, events_of(case, rule)))
    return own, rules


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[DEFAULT_SEED])
    parser.add_argument("--runs", type=int, default=60, help="runs of a kind and length")
    parser.add_argument("--kind", nargs="+", choices=list(PLAN), default=list(PLAN))
    parser.add_argument("--length", nargs="+", choices=list(LENGTHS), default=list(LENGTHS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kinds = [kind for kind in asked.kind if kind in JUDGED]
    own, rules = score(kinds, seeds=asked.seed, runs=asked.runs, lengths=asked.length)
    skipped = [kind for kind in asked.kind if kind not in JUDGED]
    if asked.json:
        document = {
            "schema": "runpages.generated/1",
            "seeds": asked.seed,
            "not_judged": skipped,
            "detectors": own.as_json(),
            "rules": {name: tally.as_json() for name, tally in rules.items()},
        }
        print(json.dumps(document, indent=1))
        return
    print_report(own, rules, not_judged=skipped)


if __name__ == "__main__":
    main()
