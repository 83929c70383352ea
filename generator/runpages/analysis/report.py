"""analyze: everything a run page says, from one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runpages.model import (
    KINDS,
    SEVERITIES,
    Event,
    Judgement,
    MetricSummary,
    Quantity,
    Report,
    Run,
    main_metric,
)

from .attempts import (
    Transition,
    find_transitions,
    restart_events,
    rolled_back,
    rows_of_attempt,
    with_checkpoints,
)
from .cost import analyze_cost
from .detect import DETECTORS, find_events
from .differences import same
from .evaluations import with_standard_error
from .goodput import analyze_goodput
from .language import analyze_model
from .mfu import analyze_utilization
from .options import AnalysisOptions
from .reproduce import analyze_reproduction
from .roles import EVALUATIONS, LOSSES, chosen_by, role_of
from .summary import flatten, summarize
from .targets import reach_targets
from .timing import analyze_timing

__all__ = ["analyze"]

_START_UP_ROWS = 8
"""As many rows of a resumed attempt may be slow: it compiles, fills caches, restores."""
_MOST_CHECKPOINTS = 60
"""The newest; values at them are told."""
_PARAMETER_KEYS = ("n_params", "num_params", "parameters", "n_parameters", "model.n_params")


def analyze(
    run: Run, options: AnalysisOptions | None = None, *, baseline: Report | None = None
) -> Report:
    """Judge a run. Detectors look at every attempt, figures at the effective curve.

    `baseline` is the report of the pinned baseline. Nothing but the arguments enters.
    """
    options = options or AnalysisOptions()
    run = _roled(run, options)
    transitions = find_transitions(run)
    metrics = _summaries(run, options)
    primary = _primary(metrics)
    events = _events(run, transitions, options, primary or "")
    timing, parameters = analyze_timing(run), _parameters(run, options)
    goodput = analyze_goodput(run)
    cost = analyze_cost(run, options.prices, options.energy, options.accelerators)
    return Report(
        run=run,
        events=events,
        metrics=metrics,
        timing=timing,
        goodput=goodput,
        utilization=analyze_utilization(run, timing, parameters, options.accelerators),
        cost=cost,
        judgements=_judgements(run),
        steps=_steps(run),
        redone_steps=sum(t.lost_steps for t in transitions),
        parameters=parameters,
        figures=analyze_model(
            run,
            metrics,
            primary,
            timing=timing,
            goodput=goodput,
            parameters=parameters,
            loss_unit=options.loss_unit,
            bytes_per_token=options.bytes_per_token,
        ),
        targets=reach_targets(run, metrics, cost, options.targets),
        evaluations=tuple(
            i.name for i in run.series.infos if i.role in EVALUATIONS and i.axis == "step"
        ),
        primary=primary,
        baseline=baseline,
        differences=_differences(run, baseline),
        reproduction=analyze_reproduction(run),
    )


def _summaries(run: Run, options: AnalysisOptions) -> dict[str, MetricSummary]:
    """Of every metric; values at steps only of losses and evaluations."""
    counted = run.series.with_role("tokens")
    tokens = run.series[counted[0]] if counted else None
    steps = sorted({*options.at_steps, *(c.step for c in run.checkpoints[-_MOST_CHECKPOINTS:])})
    out = {}
    for info in run.series.whole:
        on_steps = info.axis == "step" and not info.counter
        told = steps if on_steps and info.role in LOSSES | EVALUATIONS else []
        summary = summarize(run.series[info.name], tokens=tokens if on_steps else None, at=told)
        if summary is not None:
            out[info.name] = with_standard_error(summary, run, options.examples)
    return out


def _roled(run: Run, options: AnalysisOptions) -> Run:
    return replace(run, series=run.series.roled(role_of, first=chosen_by(options.metrics)))


def _primary(metrics: Mapping[str, MetricSummary]) -> str | None:
    return main_metric(metrics, "val_loss") or main_metric(metrics, "loss")


def _events(
    run: Run, transitions: Sequence[Transition], options: AnalysisOptions, primary: str
) -> tuple[Event, ...]:
    found: list[Event] = []
    for info in run.series.whole:
        if info.axis == "step":
            found += _events_of(run, info.name, options)
    told = [_with_rollback(run, event, found, transitions) for event in found]
    losses = run.series.with_role("loss")
    told += restart_events(transitions, losses[0] if losses else primary)
    told = [with_checkpoints(event, run.checkpoints) for event in told]
    order = {severity: -number for number, severity in enumerate(SEVERITIES)}
    told.sort(key=lambda e: (order[e.severity], e.start_step, e.attempt, e.kind, e.metric))
    return tuple(told)


def _with_rollback(
    run: Run, event: Event, found: Sequence[Event], transitions: Sequence[Transition]
) -> Event:
    ends = [last for number, (_, last) in run.series.spans.items() if number > event.attempt]
    return rolled_back(
        event,
        transitions,
        later=[e for e in found if e.attempt > event.attempt],
        reached=max(ends, default=None),
    )


def _events_of(run: Run, name: str, options: AnalysisOptions) -> list[Event]:
    series = run.series[name]
    numbers = sorted({int(number) for number in series.recorded.attempt})
    out: list[Event] = []
    for number in numbers:
        rows, first = rows_of_attempt(series, number)
        events = find_events(
            rows.step,
            rows.value,
            times=rows.time,
            metric=name,
            role=series.role,
            attempt=number,
            options=options.detectors,
        )
        # what lies before this attempt's own rows was told of the attempt that recorded it
        own = rows.step[rows.step >= first][:_START_UP_ROWS]
        out += [
            e
            for e in events
            if number == numbers[0]
            or ((e.peak_step or e.start_step) >= first and not _starting_up(e, own))
        ]
    return out


def _starting_up(event: Event, first_rows: NDArray[np.int64]) -> bool:
    """Whether it is the slow start of a resumed attempt."""
    return event.kind == "stall" and event.start_step <= int(first_rows[-1])


def _judgements(run: Run) -> tuple[Judgement, ...]:
    roles = {i.name: i.role for i in run.series.whole if i.axis == "step"}
    table = {d.kind: d for d in DETECTORS}
    out = []
    for kind in KINDS:
        if kind == "restart":
            why = "" if run.attempts else "attempts are not known"
            out.append(Judgement(kind=kind, judged=tuple(roles) if not why else (), why_not=why))
        elif kind not in table:
            out.append(Judgement(kind=kind, judged=(), why_not="not judged by this version"))
        else:
            wanted = table[kind].roles
            judged = tuple(n for n, r in roles.items() if wanted is None or r in wanted)
            why = "" if judged else f"no metric plays {' or '.join(sorted(wanted or {'any role'}))}"
            out.append(Judgement(kind=kind, judged=judged, why_not=why))
    return tuple(out)


def _steps(run: Run) -> Quantity:
    if not run.series.spans:
        return Quantity.unknown("no row with a step was recorded", "steps")
    last = max(
        int(run.series[i.name].step[-1])
        for i in run.series.whole
        if i.axis == "step" and len(run.series[i.name])
    )
    unit = run.provenance.step_unit or "steps"
    return Quantity(value=float(last), unit=unit, note="last recorded step")


def _parameters(run: Run, options: AnalysisOptions) -> Quantity:
    if run.model.parameters is not None:
        return Quantity(value=float(run.model.parameters), unit="parameters", note="logged")
    flat = flatten(dict(run.config))
    asked = options.parameters_key.removeprefix("config.")
    for key in (asked,) if asked else _PARAMETER_KEYS:
        value = flat.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return Quantity(value=float(value), unit="parameters", note=f"config.{key}")
    return Quantity.unknown("number of parameters not logged", "parameters")


def _differences(run: Run, baseline: Report | None) -> tuple[tuple[str, object, object], ...]:
    if baseline is None:
        return ()
    own, other = flatten(dict(run.config)), flatten(dict(baseline.run.config))
    keys = sorted({*own, *other})
    return tuple(
        (key, own.get(key), other.get(key))
        for key in keys
        if key not in own or key not in other or not same(own[key], other[key])
    )
