"""The run page: a Report turned into values ready to print, in the order a reviewer asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from runpages import markup, units
from runpages.analysis.summary import flatten
from runpages.markup import Safe
from runpages.model import Event, Provenance, Quantity, Report

from .charts import build_charts, event_chart
from .document import run_json
from .figures import delta, key_figures, story
from .samples import sample_groups, samples_file
from .templating import render_template
from .timeline import timeline
from .words import (
    CAUSE_WORDS,
    SEVERITY_CLASS,
    Chip,
    Fact,
    event_counts,
    fact,
    finding_chips,
    group_slug,
    quantity,
    state_chip,
)

__all__ = ["Page", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the site."""

    markdown: str
    files: Mapping[str, bytes]
    """Path relative to docs_dir -> bytes, of everything the page needs beside itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    id: str
    chip: Chip
    title: str
    tail: str
    steps: str
    elapsed: str
    size: str
    recovered: str
    message: str
    chart: Safe
    metric: str
    rows: tuple[tuple[str, str, bool], ...]
    facts: tuple[Fact, ...]
    href: str


def render(report: Report, *, section: str = "runs") -> Page:
    """The run's Markdown and data files; a pure function of the report."""
    run = report.run
    folder = f"{section}/assets/runs/{run.slug}"
    charts = build_charts(report)
    files = {f"{folder}/run.json": markup.json_bytes(run_json(report))}
    files |= {f"{folder}/{name}": data for name, data in charts.files.items()}
    samples, media = sample_groups(run)
    if run.samples:
        files[f"{folder}/samples.json"] = samples_file(run)
        files |= {f"{folder}/{name}": data for name, data in media.items()}
    counts = event_counts(report.events)
    findings = [_finding(report, event) for event in report.events]
    verdicts = [note for note in report.notes if note.outcome]
    values = {
        "title": markup.yaml(run.name),
        "name": run.name,
        "project": run.ref.project or run.ref.source,
        "state": state_chip(run),
        "chips": finding_chips(counts) if run.series else [],
        "facts": _facts(report),
        "incomplete": run.incomplete,
        "story": story(report),
        "verdict": verdicts[-1] if verdicts else None,
        "figures": key_figures(report),
        "findings": findings,
        "judged": _judged(report),
        "not_judged": _not_judged(report),
        "timeline": timeline(report),
        "charts": charts.charts,
        "more": charts.more,
        "absent": charts.absent,
        "no_step": charts.no_step,
        "no_tokens": charts.no_tokens,
        "no_time": charts.no_time,
        "data": f"../assets/runs/{run.slug}",
        "evaluations": _evaluations(report),
        "samples": samples,
        "sample_count": len(run.samples),
        "timing": _timing(report),
        "utilization": _utilization(report),
        "doubt": report.utilization.doubt,
        "goodput": _goodput(report),
        "cost": _cost(report),
        "price": _price(report),
        "differences": _differences(report),
        "baseline": report.baseline.run if report.baseline else None,
        "config": _config(report),
        "command": run.command,
        "reproduce": _reproduce(report),
        "missing": tuple(report.missing.items()),
        "checkpoints": _checkpoints(report),
        "provenance": _provenance(report),
        "sentences": _sentences(report),
        "metrics": _metrics(report),
        "files": tuple((name, units.bytes_text(size)) for name, size in run.provenance.files),
        "notes": [(n.author, n.time, n.kind, markup.notes(n.text)) for n in report.notes],
        "lineage": _lineage(report),
        "description": run.description,
        "console": _console(run.console),
    }
    return Page(markdown=_tidy(render_template("run.md.jinja", **values)), files=files)


def _tidy(text: str) -> str:
    """One newline at the end."""
    return text.rstrip() + "\n"


def _facts(report: Report) -> list[Fact]:
    run = report.run
    group = f"../by/group/{group_slug(run.group)}/" if run.group else ""
    started = units.timestamp(run.start) if run.start is not None else ""
    parameters = ""
    if report.parameters.value is not None:
        number, prefix = units.si(report.parameters.value)
        parameters = f"{number}{prefix} parameters"
    model = ", ".join(part for part in (run.model.architecture, parameters) if part)
    commit = run.code.commit[:10] + (" + changes" if run.code.dirty else "")
    baseline = report.baseline.run if report.baseline else None
    facts = [
        fact("Started", started, why="no clock in the log"),
        fact("Model", model),
        fact("Commit", commit if run.code.commit else "", mono=True),
        fact("Author", run.author),
        fact("Source", f"{run.ref.kind}, {run.ref.source}"),
    ]
    if group:
        facts.append(fact("Group", run.group, href=group))
    if baseline:
        facts.insert(0, fact("Baseline", baseline.name, href=f"../{baseline.slug}/"))
    return facts


def _finding(report: Report, event: Event) -> _Finding:
    what = {"restart": "Restart", "nonfinite": "Non-finite values"}.get(
        event.kind, event.kind.replace("_", " ").capitalize()
    )
    metric = event.metric if event.kind != "restart" else ""
    if len(report.run.attempts) > 1:
        tail = f"{metric}, attempt {event.attempt}" if metric else f"attempt {event.attempt}"
    else:
        tail = metric
    steps = units.count(event.start_step)
    if event.end_step != event.start_step:
        steps += f"–{units.count(event.end_step)}"
    return _Finding(
        id=f"event-{event.id}",
        chip=Chip(style=SEVERITY_CLASS[event.severity], words=event.severity),
        title=what,
        tail=tail,
        steps=steps,
        elapsed=_since_start(report, event),
        size=_size(event),
        recovered=_recovered(event),
        message=event.message,
        chart=event_chart(report, event),
        metric=metric,
        rows=tuple(
            (units.count(s), units.number(v, 6), s == event.peak_step) for s, v in event.evidence
        ),
        facts=_event_facts(event),
        href=f"?x={event.start_step}..{event.end_step}",
    )


def _since_start(report: Report, event: Event) -> str:
    if event.start_time is None or report.run.start is None:
        return "n/a"
    return units.duration(event.start_time - report.run.start)


def _size(event: Event) -> str:
    if event.kind == "restart":
        return f"{units.count(event.lost_steps or 0)} steps redone"
    if event.peak_value is None or event.kind == "nonfinite":
        return "NaN or Inf"
    peak = units.number(event.peak_value)
    if event.baseline_value and math.isfinite(event.peak_value):
        ratio = event.peak_value / event.baseline_value
        if ratio > 0:
            return f"{peak} = {units.number(ratio, 2)} × level"
    return peak


def _recovered(event: Event) -> str:
    if event.kind == "restart":
        return "resumed"
    if event.lost_steps is not None:
        return f"rolled back, {units.count(event.lost_steps)} steps lost"
    if event.recovered:
        after = event.end_step - event.start_step + 1
        return "next step" if after <= 1 else f"after {units.count(after)} steps"
    return "no"


def _event_facts(event: Event) -> tuple[Fact, ...]:
    facts = []
    if event.baseline_value is not None:
        facts.append(fact("Level before", units.number(event.baseline_value)))
    if event.threshold is not None:
        facts.append(fact("Threshold", units.number(event.threshold)))
    if event.lost_steps is not None:
        facts.append(fact("Lost steps", units.count(event.lost_steps)))
    if event.lost_seconds is not None:
        facts.append(fact("Lost time", units.duration(event.lost_seconds)))
    if event.lost_device_hours is not None:
        facts.append(fact("Lost device-hours", units.number(event.lost_device_hours, 3)))
    before, after = event.checkpoint_before, event.checkpoint_after
    facts.append(
        fact(
            "Checkpoint before",
            "" if before is None else f"step {units.count(before)}",
            why="none logged",
        )
    )
    facts.append(
        fact(
            "Checkpoint after",
            "" if after is None else f"step {units.count(after)}",
            why="none logged",
        )
    )
    return tuple(facts)


def _judged(report: Report) -> str:
    done = [j.kind.replace("_", " ") for j in report.judgements if j.judged]
    return ", ".join(done)


def _not_judged(report: Report) -> list[tuple[str, str]]:
    by_reason: dict[str, list[str]] = {}
    for judgement in report.judgements:
        if not judgement.judged:
            by_reason.setdefault(judgement.why_not, []).append(judgement.kind.replace("_", " "))
    return [(", ".join(kinds), why) for why, kinds in by_reason.items()]


def _evaluations(report: Report) -> list[dict[str, str]]:
    out = []
    for name in report.evaluations:
        summary = report.metrics.get(name)
        if summary is None:
            continue
        other = report.baseline.metrics.get(name) if report.baseline else None
        best = "n/a"
        if summary.best is not None and summary.best_step is not None:
            best = f"{units.number(summary.best)} at {units.count(summary.best_step)}"
        out.append(
            {
                "name": name,
                "value": units.number(summary.final),
                "unit": summary.unit,
                "rows": units.count(summary.points),
                "baseline": units.number(other.final) if other else "",
                "difference": delta(summary, report),
                "best": best,
            }
        )
    return out


def _timing(report: Report) -> list[Fact]:
    timing = report.timing

    def seconds(label: str, given: Quantity) -> Fact:
        value = given.value
        return quantity(
            label, given, value="" if value is None else units.duration(value), unit=" "
        )

    rate = timing.tokens_per_second
    number, prefix = units.si(rate.value, 4) if rate.value is not None else ("", "")
    return [
        seconds("Elapsed", timing.elapsed_seconds),
        seconds("In attempts", timing.active_seconds),
        seconds("Step time, median", timing.step_seconds_p50),
        seconds("Step time, 95th percentile", timing.step_seconds_p95),
        seconds("Step time, 99th percentile", timing.step_seconds_p99),
        quantity("Throughput", rate, value=number, unit=f"{prefix} tok/s".strip()),
        quantity("Goodput", report.goodput.percent),
        quantity("MFU", report.utilization.mfu, value=_short(report.utilization.mfu)),
        quantity("HFU", report.utilization.hfu, value=_short(report.utilization.hfu)),
    ]


def _short(given: Quantity) -> str:
    return "" if given.value is None else units.number(given.value, 3)


def _utilization(report: Report) -> list[str]:
    """How the MFU came about, or what the run said of it itself."""
    found = report.utilization
    out = []
    if found.mfu.known:
        source = ""
        if found.accelerator and found.accelerator.source_url:
            given = (found.accelerator.source_url, found.accelerator.as_of)
            source = f" by {', '.join(part for part in given if part)}"
        out.append(f"MFU = tokens/s × {found.formula} / ({found.denominator})")
        out.append(f"tokens/s: {found.tokens}; peak in {found.dtype}{source}")
    if found.logged.value is not None:
        value = f"{units.number(found.logged.value, 3)} {found.logged.unit}".strip()
        out.append(f"The run logged {value} itself: {found.logged.note}")
    return out


def _goodput(report: Report) -> list[dict[str, str]]:
    """Where the elapsed time went; without a goodput only the causes that are known and cost."""
    found = report.goodput
    elapsed = report.timing.elapsed_seconds.value
    if not elapsed:
        return []
    rows = [("Productive", found.productive_seconds)]
    rows += [(CAUSE_WORDS[b.cause], b.seconds) for b in found.badput]
    if not found.percent.known:
        rows = [(name, seconds) for name, seconds in rows if seconds.value]
    return [
        {
            "name": name,
            "time": "n/a" if q.value is None else units.duration(q.value),
            "share": "n/a" if q.value is None else f"{units.percent(q.value / elapsed)} %",
            "note": q.why or q.note,
        }
        for name, q in rows
    ]


def _cost(report: Report) -> list[Fact]:
    cost = report.cost
    usd = "" if cost.usd.value is None else f"{cost.usd.value:,.2f}"
    return [
        quantity("Device-hours", cost.device_hours),
        quantity("Device-hours on redone steps", cost.lost_device_hours),
        quantity("Energy", cost.energy_kwh),
        quantity("Cost", cost.usd, value=usd),
    ]


def _price(report: Report) -> str:
    price = report.cost.price
    if price is None or report.cost.usd.value is None:
        return ""
    source = f", {price.source_url}" if price.source_url else ""
    return (
        f"{price.kind}: {price.usd_per_device_hour:g} USD a device-hour for {price.accelerator}, "
        f"valid from {price.valid_from}{source}"
    )


def _shown(value: object) -> str:
    return "n/a" if value is None else str(value)[:300]


def _differences(report: Report) -> list[tuple[str, str, str]]:
    return [(key, _shown(own), _shown(other)) for key, own, other in report.differences[:200]]


def _config(report: Report) -> list[tuple[str, str]]:
    return [(key, _shown(value)) for key, value in flatten(dict(report.run.config)).items() if key][
        :1000
    ]


def _reproduce(report: Report) -> list[Fact]:
    run = report.run
    dirty = {True: "with changes that are not in it", False: "clean tree", None: ""}[run.code.dirty]
    data = ", ".join(
        " ".join(p for p in (d.name, d.version, d.digest[:16]) if p) for d in run.datasets
    )
    environment = ", ".join(f"{k} {v}" for k, v in run.environment.items())
    made_of = run.hardware
    many = f"{made_of.devices} × " if made_of.device and made_of.devices else ""
    hardware = ", ".join(
        part
        for part in (
            f"{many}{made_of.device}",
            made_of.cpu,
            f"{made_of.cpu_count} CPU cores" if made_of.cpu_count else "",
            f"on {', '.join(made_of.hosts[:4])}" if made_of.hosts else "",
        )
        if part
    )
    return [
        Fact(
            label="Commit",
            value=run.code.commit,
            note=dirty,
            why="" if run.code.commit else "not logged",
            mono=True,
        ),
        fact("Seed", "" if run.seed is None else str(run.seed)),
        fact("Data", data),
        fact("Environment", environment),
        fact("Hardware", hardware),
    ]


def _checkpoints(report: Report) -> list[dict[str, str]]:
    warned = [e.start_step for e in report.events if e.severity != "info"]
    steps = [c.step for c in report.run.checkpoints]
    last_good = {max((s for s in steps if s < at), default=None) for at in warned}
    out = []
    for checkpoint in report.run.checkpoints[-60:]:
        metrics = ", ".join(f"{k} {units.number(v)}" for k, v in checkpoint.metrics.items())
        size = checkpoint.size_bytes
        out.append(
            {
                "step": units.count(checkpoint.step),
                "attempt": str(checkpoint.attempt),
                "metrics": metrics or "n/a",
                "size": units.bytes_text(size) if size is not None else "n/a",
                "path": checkpoint.path or "n/a",
                "mark": "last before a finding" if checkpoint.step in last_good else "",
            }
        )
    return out


def _provenance(report: Report) -> list[Fact]:
    found = report.run.provenance
    expected = f" of {units.count(found.records_expected)}" if found.records_expected else ""
    damaged = "none"
    if found.records_damaged:
        damaged = f"{units.count(found.records_damaged)} ({units.bytes_text(found.bytes_damaged)})"
    redacted = (
        ", ".join(f"{n} by rule {rule}" for rule, n in found.redactions.items()) or "none found"
    )
    whole = report.run.series.whole
    points = sum(info.points for info in whole)
    return [
        fact("Reader", found.reader),
        fact("Records read", f"{units.count(found.records_read)}{expected}"),
        fact("Damaged records", damaged),
        fact("Points", f"{units.count(points)} in {units.count(len(whole))} metrics"),
        *([fact("Ranks", _ranks(found))] if found.ranks_seen else []),
        fact("Step", found.step_source),
        fact("Secrets redacted", redacted),
    ]


def _ranks(found: Provenance) -> str:
    seen = units.count(len(found.ranks_seen))
    if found.ranks_expected is None:
        logs = f"{seen} logs, one a rank" if len(found.ranks_seen) > 1 else "1 log"
        return f"{logs}; world size not stated"
    return f"{seen} of {units.count(found.ranks_expected)} wrote a log"


def _sentences(report: Report) -> list[str]:
    found = report.run.provenance
    return [*report.run.incomplete, *found.warnings, *found.lossy]


def _metrics(report: Report) -> list[tuple[str, ...]]:
    out = []
    for info in report.run.series.whole:
        summary = report.metrics.get(info.name)
        if summary is None:
            out.append((info.name, info.role or "none", units.count(info.points), *["n/a"] * 6))
            continue
        best = units.number(summary.best) if summary.best is not None else "n/a"
        out.append(
            (
                info.name,
                info.role or "none",
                units.count(info.points),
                units.count(summary.superseded),
                units.count(summary.nonfinite),
                units.number(summary.first),
                units.number(summary.final),
                best,
                f"{units.number(summary.low)} to {units.number(summary.high)}",
            )
        )
    return out


def _lineage(report: Report) -> list[Fact]:
    run = report.run
    group = f"../by/group/{group_slug(run.group)}/" if run.group else ""
    return [
        fact("Group", run.group, why="none", href=group),
        fact("Parent", run.parent, why="none recorded"),
        fact("Tags", ", ".join(run.tags), why="none"),
        *(Fact(label=link.label, value=link.url, href=markup.url(link.url)) for link in run.links),
    ]


def _console(console: str) -> Safe | None:
    lines = console.rstrip().splitlines()[-80:]
    return markup.pre("\n".join(line[:400] for line in lines)) if lines else None
