"""compare: a run or a set of seeds against others, with the tests that the runs allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runpages.model import (
    KINDS,
    Comparison,
    FigureRow,
    FindingRow,
    Findings,
    MetricRow,
    Quantity,
    Report,
    Side,
    SideValue,
    main_metric,
)

from .comparability import Caution, cautions
from .contenders import Contender
from .differences import differences
from .roles import direction_of
from .seeds import TOLD, count_members, labels, set_warnings, shared_metrics, unfinished
from .statistics import TTest, hedges_g, holm, paired_t, spread, welch_t
from .verdict import verdict_sentence

__all__ = ["COMPARED_FIGURES", "compare"]

_NORMAL_95 = 1.959964
"""The normal distribution's .975 quantile."""
_LONE = "one run: no variance known"
COMPARED_FIGURES: tuple[tuple[str, str | None, Callable[[Report], Quantity]], ...] = (
    ("steps", None, lambda r: r.steps),
    ("tokens", None, lambda r: r.timing.tokens),
    ("parameters", None, lambda r: r.parameters),
    ("tokens_per_second", "higher", lambda r: r.timing.tokens_per_second),
    ("step_seconds_p50", "lower", lambda r: r.timing.step_seconds_p50),
    ("mfu_percent", "higher", lambda r: r.utilization.mfu),
    ("goodput_percent", "higher", lambda r: r.goodput.percent),
    ("elapsed_seconds", "lower", lambda r: r.timing.elapsed_seconds),
    ("device_hours", "lower", lambda r: r.cost.device_hours),
    ("energy_kwh", "lower", lambda r: r.cost.energy_kwh),
    ("usd", "lower", lambda r: r.cost.usd),
)
"""Name as in run.json, better direction, where it stands. They are told, not tested."""


def compare(base: Contender, others: Sequence[Contender]) -> Comparison:
    """Each of `others` against `base`; all of them have at least one report.

    Final values are those of the effective curves. Two sides of at least two runs each are
    tested: paired where both hold the same seeds, each once, else by Welch. All tests of the
    comparison are adjusted together (Holm).
    """
    everyone = (base, *others)
    rows: list[MetricRow] = []
    warnings = _lone(everyone) + [text for side in everyone for text in _own_warnings(side)]
    for other in others:
        pair = {base.slug: base.reports, other.slug: other.reports}
        but_seeds = base.is_group or other.is_group
        met = cautions(
            base.reports,
            other.reports,
            names=(base.name, other.name),
            differences=differences(pair, but_seeds=but_seeds),
        )
        warnings += [caution.text for caution in met]
        warnings += _unpaired(base, other)
        rows += _rows(base, other, met)
        warnings += _uncounted((base, other), rows)
    rows = _adjusted(rows)
    by_slug = {side.slug: side.reports for side in everyone}
    tests = sum(row.p.known for row in rows)
    return Comparison(
        base=base.slug,
        sides=tuple(_side(contender) for contender in everyone),
        verdicts={o.slug: _verdict(base, o, rows, tests) for o in others},
        metrics=tuple(rows),
        tests=tests,
        figures=tuple(_figure(base, everyone, *figure) for figure in COMPARED_FIGURES),
        findings=_findings(everyone),
        differences=differences(by_slug, but_seeds=any(c.is_group for c in everyone)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _side(contender: Contender) -> Side:
    return Side(
        slug=contender.slug,
        name=contender.name,
        members=tuple(r.run.slug for r in contender.reports),
        seeds=tuple(r.run.seed for r in contender.reports),
        is_group=contender.is_group,
    )


def _lone(sides: Sequence[Contender]) -> list[str]:
    names = [side.name for side in sides if len(side.reports) == 1]
    if not names:
        return []
    each = "one run each" if len(names) > 1 else "one run"
    told = "a difference cannot be told from seed noise by these runs alone"
    return [f"{each} of {', '.join(names)}: {told}"]


def _own_warnings(side: Contender) -> list[str]:
    if len(side.reports) == 1:
        return [*side.warnings, *unfinished(side.reports)]
    told = set_warnings(side.reports) if not side.mixed else unfinished(side.reports)
    return [*side.warnings, *(f"{side.name}: {sentence}" for sentence in told)]


def _unpaired(base: Contender, other: Contender) -> list[str]:
    """Which seeds are missing on a side, where that is all that keeps the sides from pairing."""
    seeds = [{r.run.seed for r in side.reports if r.run.seed is not None} for side in (base, other)]
    shared = seeds[0] & seeds[1]
    if not shared or seeds[0] == seeds[1] or min(map(len, seeds)) < 2:
        return []
    return [
        f"{absent.name} has no run of seed {', '.join(map(str, sorted(lone)))}: no pairs are made"
        for absent, lone in ((other, seeds[0] - shared), (base, seeds[1] - shared))
        if lone
    ]


def _uncounted(sides: Sequence[Contender], rows: Sequence[MetricRow]) -> list[str]:
    """A sentence for each run of a group that lacks a metric that others of it have."""
    out = []
    for side in sides:
        if not side.is_group:
            continue
        names = labels(side.reports)
        for row in rows:
            found = row.values.get(side.slug)
            for slug, why in found.missing.items() if found and found.n else ():
                out.append(f"{side.name}: {names[slug]} does not count for {row.name}: {why}")
    return out


def _rows(base: Contender, other: Contender, met: Sequence[Caution]) -> list[MetricRow]:
    names = [
        *shared_metrics(base.reports, roles=TOLD),
        *shared_metrics(other.reports, roles=TOLD),
    ]
    return [_row(name, base, other, met) for name in dict.fromkeys(names)]


def _row(name: str, base: Contender, other: Contender, met: Sequence[Caution]) -> MetricRow:
    counted = [count_members(side.reports, name) for side in (base, other)]
    values = {
        side.slug: _metric_value(side, name, *found)
        for side, found in zip((base, other), counted, strict=True)
    }
    role = next(r.metrics[name].role for s in (base, other) for r in s.reports if name in r.metrics)
    means = [values[side.slug].value for side in (base, other)]
    test, why = _test(base, other, [found for found, _ in counted])
    effect = hedges_g(*(list(found.values()) for found, _ in counted)) if test else None
    return MetricRow(
        name=name,
        role=role,
        direction=direction_of(role),
        run=other.slug,
        values=values,
        delta=_minus(means[1], means[0]),
        ci95=test.ci95 if test else None,
        p=Quantity(value=test.p) if test else Quantity.unknown(why),
        p_holm=Quantity.unknown(why),
        effect=Quantity.unknown(why) if effect is None else Quantity(value=effect),
        method=test.method if test else "",
        df=test.df if test else None,
        sampling95=_sampling(name, base, other, means),
        void=next((caution.text for caution in met if role in caution.voids), ""),
    )


def _metric_value(
    side: Contender, name: str, found: Mapping[str, float], missing: Mapping[str, str]
) -> SideValue:
    if not found:
        told = dict.fromkeys(missing.values())
        unknown = Quantity.unknown("; ".join(told) or "not logged")
        return SideValue(value=unknown, n=0, sd=Quantity.unknown("no value"), missing=missing)
    unit = next(r.metrics[name].unit for r in side.reports if name in r.metrics)
    return _value(list(found.values()), unit, missing)


def _value(found: Sequence[float], unit: str, missing: Mapping[str, str]) -> SideValue:
    made = spread(found)
    sd = Quantity.unknown(_LONE) if made.sd is None else Quantity(value=made.sd, unit=unit)
    return SideValue(value=Quantity(value=made.mean, unit=unit), n=made.n, sd=sd, missing=missing)


def _minus(one: Quantity, other: Quantity) -> Quantity:
    if one.value is None or other.value is None:
        return Quantity.unknown("not known on both sides", one.unit)
    return Quantity(value=one.value - other.value, unit=one.unit)


def _test(
    base: Contender, other: Contender, found: Sequence[Mapping[str, float]]
) -> tuple[TTest | None, str]:
    """The test that these values allow, or why there is none."""
    if not all(found):
        return None, "not known on both sides"
    lone = [side.name for side, values in zip((base, other), found, strict=True) if len(values) < 2]
    if lone:
        return None, _LONE if len(lone) == 2 else f"{lone[0]} is one run: its variance is not known"
    if base.mixed or other.mixed:
        return None, base.mixed or other.mixed
    seeds = [_by_seed(side, values) for side, values in zip((base, other), found, strict=True)]
    if seeds[0] and seeds[0].keys() == seeds[1].keys():
        test = paired_t(*([one[seed] for seed in sorted(one)] for one in seeds))
    else:
        test = welch_t(*(list(values.values()) for values in found))
    return test, "" if test else "the values do not vary"


def _sampling(
    name: str, base: Contender, other: Contender, means: Sequence[Quantity]
) -> tuple[float, float] | None:
    """Difference +- 1.96 sqrt(se1² + se2²) of two single runs.

    Too wide where both saw the same examples, as their errors then go together.
    """
    sides = (base, other)
    if any(len(side.reports) > 1 for side in sides) or not all(mean.known for mean in means):
        return None
    errors = [side.reports[0].metrics[name].standard_error for side in sides]
    delta = _minus(means[1], means[0]).value
    if errors[0] is None or errors[1] is None or delta is None:
        return None
    half = _NORMAL_95 * math.hypot(errors[0], errors[1])
    return delta - half, delta + half


def _by_seed(side: Contender, values: Mapping[str, float]) -> dict[int, float]:
    """Seed -> value; empty unless each value has a seed of its own."""
    seeds = {r.run.slug: r.run.seed for r in side.reports}
    known = {seed: values[slug] for slug in values if (seed := seeds[slug]) is not None}
    return known if len(known) == len(values) else {}


def _adjusted(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """All rows; those with a test have their p adjusted for all tests."""
    adjusted = iter(holm([row.p.value for row in rows if row.p.value is not None]))
    return [
        replace(row, p_holm=Quantity(value=next(adjusted))) if row.p.known else row for row in rows
    ]


def _verdict(base: Contender, other: Contender, rows: Sequence[MetricRow], tests: int) -> str:
    own = {row.name: row for row in rows if row.run == other.slug}
    candidates = [
        main_metric(r.metrics, role) for role in ("val_loss", "loss") for r in base.reports
    ]
    chosen = next((own[n] for n in candidates if n in own and own[n].delta.known), None)
    chosen = chosen or next((row for row in own.values() if row.delta.known), None)
    told = verdict_sentence(chosen, base=base.name, other=other.name, tests=tests)
    return told + _went_wrong(base, other)


def _went_wrong(base: Contender, other: Contender) -> str:
    """What no test of final values says: that a side broke where the other did not."""
    broken = {
        side.slug: [e for r in side.reports for e in r.events if e.severity == "critical"]
        for side in (base, other)
    }
    for side, calm in ((base, other), (other, base)):
        found = broken[side.slug]
        if found and not broken[calm.slug]:
            first = min(found, key=lambda e: e.start_step)
            many = (
                f"{len(found)} critical findings, the first a" if len(found) > 1 else "a critical"
            )
            kind = first.kind.replace("_", " ")
            return f" {side.name} has {many} {kind} at step {first.start_step:,}."
    return ""


def _figure(
    base: Contender,
    everyone: Sequence[Contender],
    name: str,
    direction: str | None,
    read: Callable[[Report], Quantity],
) -> FigureRow:
    values, unit = {}, ""
    for side in everyone:
        quantities = {r.run.slug: read(r) for r in side.reports}
        unit = next((q.unit for q in quantities.values() if q.known and q.unit), unit)
        missing = {slug: q.why or "not logged" for slug, q in quantities.items() if not q.known}
        found = [q.value for q in quantities.values() if q.value is not None]
        if found:
            values[side.slug] = _value(found, unit, missing)
        else:
            why = Quantity.unknown("; ".join(dict.fromkeys(missing.values())))
            values[side.slug] = SideValue(
                value=why, n=0, sd=Quantity.unknown("no value"), missing=missing
            )
    first = values[base.slug].value
    return FigureRow(
        name=name,
        unit=unit,
        direction=direction,
        values=values,
        deltas={s.slug: _minus(values[s.slug].value, first) for s in everyone if s is not base},
    )


def _findings(everyone: Sequence[Contender]) -> tuple[FindingRow, ...]:
    rows = []
    for kind in KINDS:
        values = {side.slug: _found(side, kind) for side in everyone}
        if any(found.count for found in values.values()):
            rows.append(FindingRow(kind=kind, values=values))
    return tuple(rows)


def _found(side: Contender, kind: str) -> Findings:
    events = [[e for e in report.events if e.kind == kind] for report in side.reports]
    steps = sorted({event.start_step for own in events for event in own})
    judged = [j for r in side.reports for j in r.judgements if j.kind == kind]
    unjudged = [j.why_not for j in judged if j.why_not]
    return Findings(
        count=sum(map(len, events)),
        runs=sum(bool(own) for own in events),
        steps=tuple(steps[:5]),
        why=unjudged[0] if judged and len(unjudged) == len(judged) else "",
    )
