"""The words and number formats of pages: one place, so that all pages say it alike.

Everything returned is plain text; templates encode it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from runpages import units
from runpages.model import Quantity, Report, Run

__all__ = [
    "Delta",
    "Figure",
    "between",
    "config_value",
    "cut",
    "joined",
    "kind_words",
    "metric_label",
    "plural",
    "quantity_text",
    "role_words",
    "severity_mark",
    "shown",
    "shown_metric",
    "state_words",
]

_ROLES = {
    "val_loss": "Validation loss",
    "loss": "Training loss",
    "grad_norm": "Gradient norm",
    "lr": "Learning rate",
    "tokens": "Tokens",
    "tokens_per_second": "Throughput",
    "step_seconds": "Step time",
    "step_milliseconds": "Step time",
    "gpu_power": "Device power",
    "gpu_util": "Device use",
    "gpu_memory": "Device memory",
}
_KINDS = {
    "nonfinite": "not finite",
    "spike": "spike",
    "divergence": "divergence",
    "level_shift": "level shift",
    "grad_explosion": "explosion",
    "grad_vanishing": "vanishing",
}
_STATES = {
    "finished": ("finished", "check", "good"),
    "failed": ("failed", "cross", "crit"),
    "crashed": ("crashed", "cross", "crit"),
    "killed": ("killed", "square", "warn"),
    "ended": ("ended, no end marker", "square", ""),
    "running": ("running when it was read", "play", "info"),
}
_MARKS = {"critical": ("critical", "crit"), "warning": ("warning", "warn"), "info": ("info", "info")}
_LONG = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its unit, or why there is none."""

    value: str
    unit: str = ""
    why: str = ""
    note: str = ""

    @property
    def known(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A difference with its direction in words; `mood` is good, bad or empty."""

    text: str
    word: str
    mood: str


def plural(count: float, noun: str, many: str = "") -> str:
    """`1 step`, `2,000 steps`."""
    return f"{units.count(count)} {noun if count == 1 else many or noun + 's'}"


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def cut(value: str, length: int = _LONG) -> str:
    """At most `length` characters, saying so."""
    return value if len(value) <= length else f"{value[:length]}… ({units.count(len(value))} characters)"


def severity_mark(severity: str) -> tuple[str, str]:
    """(icon, class) of a severity."""
    return _MARKS[severity]


def state_words(run: Run) -> tuple[str, str, str]:
    """(words, icon, class) of the state."""
    return _STATES[run.state]


def kind_words(kind: str) -> str:
    """`level shift`."""
    return _KINDS.get(kind, kind.replace("_", " "))


def role_words(role: str | None, name: str) -> str:
    """What a metric is called where its role says enough, else its logged name."""
    return _ROLES.get(role or "", name)


def metric_label(report: Report, name: str) -> str:
    """The role's word if no other metric plays it, else the logged name."""
    if name not in report.run.series:
        return name
    role = report.run.series.info(name).role
    alone = role is not None and len(report.run.series.with_role(role)) == 1
    return role_words(role, name) if alone else name




def shown(quantity: Quantity) -> Figure:
    """Number and unit apart, as a key figure wants them."""
    value = quantity.value
    if value is None:
        return Figure(value="n/a", why=quantity.why or "not logged")
    if not math.isfinite(value):
        return Figure(value=units.number(value), unit=quantity.unit, note=quantity.note)
    if quantity.unit == "s":
        return Figure(value=units.duration(value), note=quantity.note)
    if quantity.unit == "steps":
        return Figure(value=units.count(value), note=quantity.note)
    if quantity.unit in {"tokens", "tok/s", "parameters"}:
        number, prefix = units.si(value)
        unit = "" if quantity.unit in {"tokens", "parameters"} else quantity.unit
        return Figure(value=number, unit=f"{prefix} {unit}".strip(), note=quantity.note)
    if quantity.unit == "USD":
        amount = f"{value:,.2f}" if value >= 0.01 or value == 0 else units.number(value, 2)
        return Figure(value=amount, unit="USD", note=quantity.note)
    return Figure(value=units.number(value, 3), unit=quantity.unit, note=quantity.note)


def shown_metric(value: float | None, unit: str = "", *, why: str = "") -> Figure:
    """A metric's value with five significant digits."""
    if value is None or (why and math.isnan(value)):
        return Figure(value="n/a", why=why or "not logged")
    return Figure(value=units.number(value, 5 if 0.1 <= abs(value) < 1e4 else 4), unit=unit)


def quantity_text(quantity: Quantity) -> str:
    """Number and unit in one, or `n/a why`."""
    figure = shown(quantity)
    return f"{figure.value} {figure.unit or figure.why}".strip()


def between(own: float, base: float, direction: str | None) -> Delta:
    """How far `own` is above (▲) or below (▼) `base`, and whether that is better."""
    if not (math.isfinite(own) and math.isfinite(base)):
        return Delta(text="", word="not comparable: a value is not finite", mood="")
    if own == base:
        return Delta(text="=", word="same", mood="")
    arrow = "▲" if own > base else "▼"
    text = f"{arrow} {units.number(abs(own - base), 3)}"
    if direction is None:
        return Delta(text=text, word="higher" if own > base else "lower", mood="")
    better = (own < base) == (direction == "lower")
    return Delta(text=text, word="better" if better else "worse", mood="good" if better else "bad")


def config_value(value: object) -> str:
    """A setting as it is shown; a side that lacks it says so."""
    if value is None:
        return "not set"
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return cut(str(value), 240)
