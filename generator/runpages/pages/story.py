"""The run's story: one paragraph of at most five sentences, composed from facts only.

Each sentence is left out where its facts are not known; nothing known, nothing said.
"""

from __future__ import annotations

import math
from collections import Counter

from runpages import units
from runpages.model import Event, MetricSummary, Report

from .figures import unknown_losses
from .own_summary import finals
from .words import ROLE_WORDS, begun_anew, finding_title, of_planned, one_of

__all__ = ["story"]

_MUCH = 0.01
"""Part of its best value by which a metric must have got worse for the story to say so."""
_NOISE = 5 * 1.4826
"""The same in median absolute deviations of the last rows: 5 standard deviations of normal noise,
which the best of a million rows does not reach by chance."""
_FINALS = 2
_HOURS_MIN = 0.01
"""Device-hours that are worth a sentence."""


def story(report: Report) -> str:
    """What was trained, how it ended, what happened, what it cost; empty if nothing is known."""
    if not report.run.series:
        return "Nothing was recorded: the log holds no metric."
    if report.steps.value is None:
        return ""
    told = (_made(report), _ended(report), _happened(report), _interrupted(report), _cost(report))
    return " ".join(sentence for sentence in told if sentence)


def _made(report: Report) -> str:
    """`A GPT of 124 M parameters saw 10.0 B tokens up to step 19,072 in 2 h 34 min.`"""
    run = report.run
    model = run.model.architecture
    if report.parameters.value is not None:
        number, prefix = units.si(report.parameters.value)
        model = f"{model or 'model'} of {number} {prefix}".rstrip() + " parameters"
    article = "An" if model[:1].lower() in set("aeiou") else "A"
    who = f"{article} {model}" if model else "The run"
    step = f"{one_of(run.provenance.step_unit)} {units.count(report.steps.value or 0)}"
    if planned := of_planned(report):
        step += f" {planned}"
    running = run.state == "running"
    tokens = report.timing.tokens.value
    if tokens is not None:
        number, prefix = units.si(tokens)
        seen = f"{number} {prefix}".rstrip()
        did = f"{'has so far seen' if running else 'saw'} {seen} tokens"
        did += "" if run.provenance.step_unit == "tokens" else f" up to {step}"
    elif model:
        did = f"{'has so far been' if running else 'was'} trained to {step}"
    else:
        did = f"{'has so far reached' if running else 'reached'} {step}"
    elapsed = report.timing.elapsed_seconds.value
    lasted = f" in {units.duration(elapsed)}" if elapsed else ""
    return f"{who} {did}{lasted}{_where(report)}."


def _where(report: Report) -> str:
    made_of = report.run.hardware
    if not made_of.device or not made_of.devices:
        return ""
    return f" on {units.count(made_of.devices)} × {made_of.device}"


def _ended(report: Report) -> str:
    summary = report.metrics.get(report.primary or "")
    if summary is None:
        losses = unknown_losses(report)
        return f"It logged {losses}." if losses else ""
    if summary.final != summary.final:
        return f"{summary.name} holds no finite value."
    name = ROLE_WORDS.get(summary.role or "", summary.name)
    told = next((e for e in _weighty(report)), None)
    tells_best = told is not None and (told.kind, told.metric) == ("overfit", summary.name)
    if tells_best and report.baseline is None:
        return _scored(report).strip()  # the finding's own words tell the end, too
    text = f"{name} ended at {units.number(summary.final)}"
    if summary.final_points > 1:
        rows = "episodes" if summary.role == "reward" else "rows"
        text += f" (median of its last {units.count(summary.final_points)} {rows})"
    if _got_worse(summary) and not tells_best:
        at = units.count(summary.best_step or 0)
        text += f", after a best of {units.number(summary.best or 0.0)} at step {at}"
    return f"{text}{_against(report, summary)}.{_scored(report)}"


def _got_worse(summary: MetricSummary) -> bool:
    """Whether its end is worse than its best by more than its rows differ from each other."""
    best = summary.best
    if best is None or summary.best_step == summary.last_step or summary.role == "reward":
        return False  # the luckiest episode says nothing of the agent
    noise = _NOISE * summary.final_mad
    return abs(summary.final - best) > max(_MUCH * abs(best), noise)


def _scored(report: Report) -> str:
    """What the run was scored by after its training, as its own summary says."""
    told = [f"{name} {units.number(v)}" for name, v in finals(report) if name.startswith("final")]
    return f" Its own summary ends with {', '.join(told[:_FINALS])}." if told else ""


def _against(report: Report, summary: MetricSummary) -> str:
    """`, 0.1018 worse than the baseline nanogpt`; where that ran otherwise long, how long."""
    other = report.baseline.metrics.get(summary.name) if report.baseline else None
    if other is None or report.baseline is None:
        return ""
    if not all(map(math.isfinite, (summary.last, other.last, summary.final, other.final))):
        return ""  # the final value is one from before: a run that diverged would look better
    name = report.baseline.run.name
    change = summary.final - other.final
    size = _difference(summary.final, other.final)
    if not size.strip("0."):
        text = f", as the baseline {name}"
    elif summary.direction:
        worse = (change > 0) == (summary.direction == "lower")
        text = f", {size} {'worse' if worse else 'better'} than the baseline {name}"
    else:
        text = f", {size} {'above' if change > 0 else 'below'} the baseline {name}"
    if abs(other.last_step - summary.last_step) > _MUCH * max(summary.last_step, 1):
        text += f", which ran to step {units.count(other.last_step)}"
    return text


def _difference(one: float, other: float) -> str:
    """Without more decimals than four digits of the larger value have."""
    larger = max(abs(one), abs(other))
    if not 1e-4 <= larger < 1e4:
        return units.number(abs(one - other))
    return f"{abs(one - other):.{3 - math.floor(math.log10(larger))}f}"


def _weighty(report: Report) -> list[Event]:
    return [e for e in report.events if e.severity != "info" and e.kind != "restart"]


def _happened(report: Report) -> str:
    """The gravest finding in its own words, and how many more there are of which kind."""
    if not (weighty := _weighty(report)):
        return ""
    first, *more = weighty
    if not more:
        return first.message
    if len(more) == 1:
        kind, step = finding_title(more[0]), units.count(more[0].start_step)
        return f"{first.message} One more {more[0].severity}: {_small(kind)} at step {step}."
    kinds = Counter(_small(finding_title(e)) for e in more)
    counted = ", ".join(f"{units.count(n)} × {kind}" for kind, n in kinds.most_common(3))
    rest = "…" if len(kinds) > 3 else ""
    worse = "warnings or worse" if any(e.severity == "critical" for e in more) else "warnings"
    return f"{first.message} {units.count(len(more))} more {worse}: {counted}{rest}."


def _small(title: str) -> str:
    """In the middle of a sentence; `GPU` stays."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def _interrupted(report: Report) -> str:
    state = {"failed": "It failed", "crashed": "It crashed", "killed": "It was killed"}.get(
        report.run.state, ""
    )
    attempts = len(report.run.attempts)
    if attempts < 2:
        # the end told above is that of the last of its trainings alone
        return " ".join(f"{s}." for s in (begun_anew(report).capitalize(), state) if s)
    told = next((e.lost_steps for e in _weighty(report)), None)
    if report.redone_steps and told == report.redone_steps:
        return f"{state}." if state else ""  # the finding's own words have said it
    text = f"{state or 'It'} {'after' if state else 'took'} {units.count(attempts)} attempts"
    if report.redone_steps:
        lost = report.cost.lost_device_hours.value
        hours = f" ({units.number(lost, 3)} device-hours)" if lost else ""
        steps = "step was" if report.redone_steps == 1 else "steps were"
        text += f"; {units.count(report.redone_steps)} {steps} done again{hours}"
    return f"{text}."


def _cost(report: Report) -> str:
    hours, usd, price = report.cost.device_hours.value, report.cost.usd.value, report.cost.price
    if hours is None or hours < _HOURS_MIN:
        return ""
    text = f"It cost {units.number(hours, 3)} device-hours"
    if usd is not None and price is not None:
        text += f", {usd:,.2f} USD by {'the team' if price.kind == 'team' else 'a list'} price"
    return f"{text}."
