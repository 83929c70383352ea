"""The words of pages and the small values that templates print.

Everything here is plain text; templates encode it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from runpages import units
from runpages.model import SEVERITIES, Event, Judgement, Quantity, Report, Run

__all__ = [
    "CAUSE_WORDS",
    "ROLE_WORDS",
    "SEVERITY_CLASS",
    "Chip",
    "Fact",
    "begun_anew",
    "event_counts",
    "fact",
    "finding_chips",
    "finding_title",
    "group_slug",
    "kind_words",
    "of_planned",
    "one_of",
    "part_of_plan",
    "quantity",
    "state_chip",
    "title_of",
]

SEVERITY_CLASS = {"critical": "crit", "warning": "warn", "info": "info"}
CAUSE_WORDS = {
    "restart_gaps": "Between attempts",
    "redone": "Steps done again",
    "startup": "Start-up",
    "evaluation": "Evaluation",
    "checkpoint": "Checkpoints",
    "periodic": "Periodic, not named",
    "data_wait": "Waiting for data",
    "other": "Stalls and other",
}
ROLE_WORDS = {
    "loss": "Loss",
    "val_loss": "Validation loss",
    "reward": "Reward",
    "lr": "Learning rate",
    "grad_norm": "Gradient norm",
    "tokens_per_second": "Throughput",
    "tokens_per_second_per_device": "Throughput per device",
    "step_seconds": "Step time",
    "step_milliseconds": "Step time",
    "data_seconds": "Data time",
    "compute_seconds": "Compute time",
    "gpu_util": "Device utilisation",
    "gpu_memory": "Device memory",
    "gpu_power": "Device power",
}
"""What a reader calls a metric of this role; others go by their name as logged."""
_TITLE_PARTS = 4
_GENERIC = re.compile(
    r"(trial|version|run|seed|fold|study|attempt|train(ing)?|log|loss|lightning|tensorboard|csv|"
    r"metrics?|measurements?|eval(uation)?|output|stdout|console|result|progress|history|monitor)s?"
    r"([-_ #.]*(trial|run|seed|log|loss|out|state|history|metric|\d+)s?)*(\.[a-z]{2,5})?",
    re.IGNORECASE,
)
"""Names of files, folders and trials that any run could have."""
_KIND_WORDS = {
    "nonfinite": "non-finite value",
    "level_shift": "level shift",
    "overfit": "over-fitting",
    "grad_explosion": "gradient explosion",
    "grad_vanishing": "vanishing gradient",
    "idle_device": "idle device",
    "gpu_underuse": "GPU under-used",
    "data_bottleneck": "data bottleneck",
    "memory_growth": "memory growth",
    "near_oom": "nearly out of memory",
    "lr_mismatch": "learning rate mismatch",
    "repeated_data": "repeated data",
    "seed_outlier": "seed outlier",
    "missing_data": "missing data",
}
"""What a reader calls a kind where its own name is no word; others go by their name."""
_OF_A_ROLE = frozenset(
    {
        *("nonfinite", "spike", "divergence", "level_shift", "plateau", "drop"),
        *("slowdown", "stall", "jitter"),
    }
)
"""Kinds that are said of a metric; the others say by themselves what they are about."""
_OF_LOSSES = frozenset({"spike", "divergence"})
"""Kinds that are looked for in losses."""
_NEARLY_ALL = 0.995
_STATES = {
    "finished": ("finished", "good"),
    "failed": ("failed", "crit"),
    "crashed": ("crashed", "crit"),
    "killed": ("killed", "warn"),
    "ended": ("ended, not said how", "ended"),
    "running": ("still running when it was read", "running"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A word with a sign: rp.css gives each style its colour and its shape."""

    style: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A label and its value, or why there is none."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    why: str = ""
    """Why there is no value; empty when there is one."""
    href: str = ""
    """Address of our own making, relative to the page."""
    mono: bool = False


def fact(
    label: str, value: str, *, why: str = "not logged", href: str = "", mono: bool = False
) -> Fact:
    """A text; an empty one is absent."""
    return Fact(label=label, value=value, why="" if value else why, href=href, mono=mono)


def quantity(
    label: str, given: Quantity, *, value: str = "", unit: str = "", note: str = ""
) -> Fact:
    """A quantity. `value` and `unit` replace its own words where another format reads better."""
    if given.value is None:
        return Fact(label=label, value="", why=given.why or "not logged")
    return Fact(
        label=label,
        value=value or units.number(given.value),
        unit=(unit or given.unit).strip(),
        note=note or given.note,
    )


def begun_anew(report: Report) -> str:
    """`training began anew at steps 80,000, 160,000` inside one attempt; empty where it did not."""
    anew = sorted({event.start_step for event in report.events if event.kind == "restart"})
    if not anew:
        return ""
    places = ", ".join(units.count(step) for step in anew[:3])
    more = f" and {units.count(len(anew) - 3)} more" if len(anew) > 3 else ""
    return f"training began anew at step{'s' * (len(anew) > 1)} {places}{more}"


def one_of(unit: str) -> str:
    """`epoch` of `epochs`, `sample of the clock` of `samples of the clock`; `step` of nothing."""
    if " or " in unit:  # what the log leaves open
        return " or ".join(one_of(part) for part in unit.split(" or "))
    name, of, rest = unit.partition(" of ")
    one = name.removesuffix("es") if name.endswith("ches") else name.removesuffix("s")
    return f"{one}{of}{rest}" or "step"


def part_of_plan(report: Report) -> str:
    """`16 %` of a run that stopped before its planned end; empty where it did not or none is known.

    The first step may have the number 0 and the last need not be logged: what is nearly all is all.
    """
    done, planned = report.steps.value, report.planned_steps.value
    if done is None or planned is None or done >= min(_NEARLY_ALL * planned, planned - 1):
        return ""
    return f"{units.percent(done / planned, 2)} %"


def of_planned(report: Report) -> str:
    """`of 252,780 planned steps (16 %)`; empty where no plan is known."""
    planned = report.planned_steps.value
    if report.steps.value is None or planned is None:
        return ""
    unit = report.run.provenance.step_unit or "steps"
    part = part_of_plan(report)
    return f"of {units.count(planned)} planned {unit}{f' ({part})' if part else ''}"


def kind_words(kind: str) -> str:
    """A kind of finding in the middle of a sentence."""
    return _KIND_WORDS.get(kind, kind.replace("_", " "))


def title_of(run: Run) -> str:
    """The run's name; where that is a word that any run could have (`trial_1`, `train_log`), the
    end of its id from the last part on that says something, of two to four parts."""
    if not _says_nothing(run.name.rpartition("/")[2]):
        return run.name
    path, mark, number = run.ref.run_id.partition("#")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    for count in range(2, min(len(parts), _TITLE_PARTS) + 1):
        told = parts[-count:]
        if not all(map(_says_nothing, told)):
            told[-1] = told[-1].removesuffix(PurePosixPath(told[-1]).suffix)
            return "/".join(told) + (f" #{number}" if mark else "")
    return run.name


def _says_nothing(part: str) -> bool:
    return _GENERIC.fullmatch(part) is not None


def event_counts(events: Iterable[Event]) -> dict[str, int]:
    """Severity -> number of findings, most severe first."""
    counts = dict.fromkeys(reversed(SEVERITIES), 0)
    for event in events:
        counts[event.severity] += 1
    return counts


def finding_title(event: Event) -> str:
    """`Loss spike`, `Over-fitting`, `Restart`."""
    if event.kind == "grad_explosion" and event.recovered and event.start_step == event.end_step:
        return "Gradient norm spike"
    kind = kind_words(event.kind)
    role = ROLE_WORDS.get(event.role or "", "") if event.kind in _OF_A_ROLE else ""
    title = f"{role} {kind}".strip()
    return title[0].upper() + title[1:]


def finding_chips(counts: Mapping[str, int], judgements: Sequence[Judgement] = ()) -> list[Chip]:
    """One chip a severity that occurs; a single one where none does.

    It is green only where a loss, or what stands for it, was judged: of a log in which next to
    nothing could be judged, nothing found is no good news.
    """
    chips = []
    for severity, style in SEVERITY_CLASS.items():
        number = counts.get(severity, 0)
        if number:
            many = "s" if number > 1 and severity == "warning" else ""
            chips.append(Chip(style=style, words=f"{units.count(number)} {severity}{many}"))
    if chips:
        return chips
    judged = [judgement.kind for judgement in judgements if judgement.judged]
    if not judgements:
        return [Chip(style="good", words="no findings")]
    style = "good" if _OF_LOSSES & set(judged) else "ended"
    return [
        Chip(style=style, words=f"no findings, {len(judged)} of {len(judgements)} kinds judged")
    ]


def state_chip(report: Report) -> Chip:
    """The state in words, and where it ended before its plan. A state that no log claims is not
    coloured, nor is the end of a run green that went critically wrong."""
    words, style = _STATES[report.run.state]
    if report.run.state in {"finished", "ended"}:
        part = part_of_plan(report)
        words = f"{report.run.state} at {part} of its plan" if part else words
        worst = any(event.severity == "critical" for event in report.events)
        style = "ended" if part or worst else style
    return Chip(style=style, words=words)


def group_slug(name: str) -> str:
    """The group's name in URLs: at most 40 readable characters, then 6 hex digits of its sha256."""
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:6]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{readable}-{digest}" if readable else f"group-{digest}"
