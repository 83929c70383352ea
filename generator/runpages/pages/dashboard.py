"""The dashboard of a project: best value over time, months with their cost, what needs a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runpages import units
from runpages.markup import Safe, text

from .listing import REGRESSION, Entry, known
from .svg import ticks
from .table import told_apart

__all__ = ["Board", "dashboard", "has_baseline", "needs_verdict", "regressed"]

_LISTED = 10
"""Runs of each list; the browse page shows all."""
_W, _H = 1000, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Values ready to print."""

    figures: tuple[tuple[str, str, str], ...]
    """(label, value, note)."""
    chart: Safe
    metric: str
    records: tuple[dict[str, str], ...]
    """The runs that were the best so far, newest first."""
    months: tuple[dict[str, Any], ...]
    needing: tuple[dict[str, str], ...]
    needing_count: str
    worse: tuple[dict[str, str], ...]
    worse_count: str
    """Empty where no run can be compared with a pinned baseline."""
    limit: str


def needs_verdict(row: Entry) -> bool:
    """Whether nobody has judged a run that is over."""
    return not row["verdict"] and row["state"] != "running"


def regressed(row: Entry) -> bool:
    """Whether it is worse than the pinned baseline by more than REGRESSION."""
    change = known(row["regression"])
    return change is not None and change > REGRESSION


def has_baseline(rows: Sequence[Entry]) -> bool:
    """Whether any of them can be compared with a pinned baseline."""
    return any(known(row["regression"]) is not None for row in rows)


def dashboard(newest: Sequence[Entry], *, up: str) -> Board:
    """Of the runs of one project, newest first; `up` leads from the page to the section."""
    apart = dict(zip((row["slug"] for row in newest), told_apart(newest), strict=True))

    def link(row: Entry) -> dict[str, str]:
        return {
            "href": f"{up}{row['slug']}/",
            "name": row["name"],
            "apart": apart[row["slug"]],
        }

    metric, tried = _tried(newest)
    best = _records(tried)
    needing = [row for row in newest if needs_verdict(row)]
    worse = sorted(
        (row for row in newest if regressed(row)), key=lambda r: (-r["regression"], r["slug"])
    )
    return Board(
        figures=_figures(newest),
        chart=_chart(tried, best),
        metric=metric,
        records=tuple(
            {**link(row), "value": units.number(row["value"], 5), "day": units.day(at)}
            for at, row in best[::-1][:_LISTED]
        ),
        months=_months(newest),
        needing=tuple({**link(row), "why": _why(row)} for row in needing[:_LISTED]),
        needing_count=units.count(len(needing)),
        worse=tuple(
            {**link(row), "why": f"{units.percent(row['regression'], 2)} % worse"}
            for row in worse[:_LISTED]
        ),
        worse_count=units.count(len(worse)) if has_baseline(newest) else "",
        limit=f"{100 * REGRESSION:g} %",
    )


def _why(row: Entry) -> str:
    found = [f"{n} {severity}" for severity, n in row["events"].items() if n]
    return f"{row['state']}, {', '.join(found) or 'no findings'}"


def _tried(rows: Sequence[Entry]) -> tuple[str, list[tuple[float, Entry]]]:
    """The metric that most runs are judged by, and (time of the end, run) of its finite values."""
    names = Counter(row["metric"] for row in rows if row["metric"] and row["direction"])
    if not names:
        return "", []
    metric = min(names, key=lambda name: (-names[name], name))
    tried = [
        (at, row)
        for row in rows
        if row["metric"] == metric
        and known(row["value"]) is not None
        and (at := _ended(row)) is not None
    ]
    return metric, sorted(tried, key=lambda pair: (pair[0], pair[1]["slug"]))


def _ended(row: Entry) -> float | None:
    end = known(row["end"])
    return known(row["start"]) if end is None else end


def _records(tried: Sequence[tuple[float, Entry]]) -> list[tuple[float, Entry]]:
    """Those that were better than all before them."""
    out: list[tuple[float, Entry]] = []
    for at, row in tried:
        sign = -1 if row["direction"] == "lower" else 1
        if not out or sign * row["value"] > sign * out[-1][1]["value"]:
            out.append((at, row))
    return out


def _figures(rows: Sequence[Entry]) -> tuple[tuple[str, str, str], ...]:
    weighted = _weighted(rows)
    spent = sum(seconds for seconds, _ in weighted)
    goodput, told = "n/a", "no run tells it"
    if spent:
        goodput = f"{units.number(sum(s * share for s, share in weighted) / spent, 3)} %"
        told = f"by elapsed time, of {units.count(len(weighted))} runs that tell it"
    return (
        ("Runs", units.count(len(rows)), _states(rows)),
        ("Device-hours", *_total(rows, "device_hours", lambda v: units.number(v, 3))),
        ("Cost, USD", *_total(rows, "usd", lambda v: units.number(v, 3))),
        ("Goodput", goodput, told),
    )


def _weighted(rows: Sequence[Entry]) -> list[tuple[float, float]]:
    pairs = [(known(row["elapsed_seconds"]), known(row["figures"]["goodput"])) for row in rows]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _states(rows: Sequence[Entry]) -> str:
    counts = Counter(row["state"] for row in rows)
    return ", ".join(f"{units.count(n)} {state}" for state, n in sorted(counts.items()))


def _total(rows: Sequence[Entry], name: str, shown: Callable[[float], str]) -> tuple[str, str]:
    """The sum of what is known, and of how many runs it is: the rest is not counted as nothing."""
    values = [v for row in rows if (v := known(row["figures"][name])) is not None]
    note = f"of {units.count(len(values))} of {units.count(len(rows))} runs"
    return (shown(sum(values)), note) if values else ("n/a", "no run tells it")


def _months(rows: Sequence[Entry]) -> tuple[dict[str, Any], ...]:
    """By the month in which runs began, newest first; a bar for the device-hours."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        start = known(row["start"])
        if start is not None:
            found[datetime.fromtimestamp(start, UTC).strftime("%Y-%m")].append(row)
    hours = {
        month: sum(known(r["figures"]["device_hours"]) or 0.0 for r in several)
        for month, several in found.items()
    }
    most = max(hours.values(), default=0.0) or 1.0
    return tuple(_month(m, found[m], hours[m] / most) for m in sorted(found, reverse=True))


def _month(name: str, rows: Sequence[Entry], share: float) -> dict[str, Any]:
    hours, hours_note = _total(rows, "device_hours", lambda v: units.number(v, 3))
    usd, usd_note = _total(rows, "usd", lambda v: units.number(v, 3))
    bar = Safe(
        '<svg class="rp-bar-svg" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="8"/></svg>'
    )
    return {
        "name": name,
        "href": f"../../month/{name}/",
        "runs": units.count(len(rows)),
        "bar": bar,
        "hours": hours,
        "hours_note": hours_note,
        "usd": usd,
        "usd_note": usd_note,
    }


def _chart(tried: Sequence[tuple[float, Entry]], best: Sequence[tuple[float, Entry]]) -> Safe:
    """Every run a dot at its end, the best so far as steps. The axis covers the best three
    quarters of the values and all records: a diverged run would flatten the rest."""
    if len(tried) < 2 or tried[0][0] == tried[-1][0]:
        return Safe("")
    lower = tried[0][1]["direction"] == "lower"
    ordered = sorted((float(row["value"]) for _, row in tried), reverse=not lower)
    edge = ordered[max(1, 3 * len(ordered) // 4) - 1]
    values = [edge, ordered[0], *(float(row["value"]) for _, row in best)]
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or abs(high) * 0.05 or 1.0
    low, high = low - pad, high + pad
    first, last = tried[0][0], tried[-1][0]

    def place(at: float, value: float) -> tuple[float, float]:
        height = min(max((value - low) / (high - low), 0.0), 1.0)
        return _W * (at - first) / (last - first), _H * (1 - height)

    dots = "".join("M{:.0f} {:.0f}h0".format(*place(at, float(row["value"]))) for at, row in tried)
    steps = "M{:.0f} {:.0f}".format(*place(*_point(best[0])))
    for one in best[1:]:
        steps += "H{:.0f}V{:.0f}".format(*place(*_point(one)))
    parts = ['<svg class="rp-svg" role="img" aria-label="Best value over time">']
    for value in (v for v in ticks(low, high) if low <= v <= high):
        y = f"{100 * (1 - (value - low) / (high - low)):.1f}%"
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        label = text(units.number(value))
        parts.append(f'<text x="-8" y="{y}" dy=".35em" text-anchor="end">{label}</text>')
    for x, anchor, at in (("0%", "start", first), ("100%", "end", last)):
        day = text(units.day(at))
        parts.append(f'<text x="{x}" y="100%" dy="1.35em" text-anchor="{anchor}">{day}</text>')
    parts.append(
        f'<svg viewBox="0 0 {_W} {_H}" preserveAspectRatio="none" width="100%" height="100%">'
        f'<path class="dot base" stroke-linecap="round" d="{dots}"/>'
        f'<path class="run" d="{steps}H{_W}"/></svg></svg>'
    )
    return Safe("".join(parts))


def _point(one: tuple[float, Entry]) -> tuple[float, float]:
    return one[0], float(one[1]["value"])
