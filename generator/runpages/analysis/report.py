"""analyze: everything a run page says, from one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runpages.model import (
    MetricSummary,
    Quantity,
    Report,
    Run,
    Timing,
    Utilization,
    main_metric,
)

from .attempts import (
    find_transitions,
)
from .cost import analyze_cost
from .evaluations import with_standard_error
from .events import find_run_events
from .goodput import analyze_goodput
from .language import analyze_model
from .mfu import analyze_utilization
from .options import AnalysisOptions
from .planned import planned_steps
from .reproduce import analyze_reproduction
from .roles import EVALUATIONS, LOSSES, chosen_by, role_of
from .summary import flatten, summarize
from .targets import reach_targets
from .timing import analyze_timing

__all__ = ["analyze"]

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
    events, judgements = find_run_events(run, transitions, options, primary or "")
    timing, parameters = analyze_timing(run), _parameters(run, options)
    goodput = analyze_goodput(run)
    utilization = analyze_utilization(run, timing, parameters, options.accelerators)
    metrics = _with_units(metrics, timing, utilization)
    steps = _steps(run)
    cost = analyze_cost(run, options.prices, options.energy, options.accelerators)
    return Report(
        run=run,
        events=events,
        metrics=metrics,
        timing=timing,
        goodput=goodput,
        utilization=utilization,
        cost=cost,
        judgements=judgements,
        steps=steps,
        planned_steps=planned_steps(run, steps),
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


def _with_units(
    metrics: dict[str, MetricSummary], timing: Timing, utilization: Utilization
) -> dict[str, MetricSummary]:
    """Units that no name proves, of what the figures took in them: the time of a step, the MFU."""
    p50, mfu = timing.step_seconds_p50, utilization.logged
    taken = {
        name: "s"
        for name, summary in metrics.items()
        if summary.role == "step_seconds" and p50.note.startswith(f"logged as {name}")
    }
    if mfu.unit:
        mine = (name for name, summary in metrics.items() if summary.role == "mfu")
        taken |= {name: mfu.unit for name in mine if f" {name}," in mfu.note}
    return {
        name: replace(summary, unit=taken[name]) if name in taken and not summary.unit else summary
        for name, summary in metrics.items()
    }


def _roled(run: Run, options: AnalysisOptions) -> Run:
    return replace(run, series=run.series.roled(role_of, first=chosen_by(options.metrics)))


def _primary(metrics: Mapping[str, MetricSummary]) -> str | None:
    """Of a run without a loss the agent's reward, else an evaluation."""
    found = (main_metric(metrics, role) for role in ("val_loss", "loss", "reward", "eval"))
    return next((name for name in found if name), None)


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
