"""What the site's search knows of a run: one short entry, which the page itself shows folded.

Everything else of a run page is kept out of the index, so that a search is answered by what a run
is and not by its tables. The words stand on the page, since Material, properdocs and zensical all
index what a page shows and nothing else.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from runpages import markup
from runpages.analysis.summary import flatten
from runpages.model import Report

from .own_summary import finals
from .sample_groups import grouped
from .words import finding_title, title_of

__all__ = ["notations", "search_section"]

_MOST = 24
"""Settings of an entry; of those without a word of `_KEY_SETTING` only as many as fill `_FEW`."""
_FEW = 12
_LONGEST_SETTING = 48
_ID = 200
_NAMES = 16
"""Tags, datasets, evaluations."""
_NOTES = 6
_NOTE = 240
_SAMPLES = 4
_PROMPT = 80
_SAMPLE = 160
_KEY_SETTING = re.compile(
    r"(^|[._/-])(lr|learning_?rate|optim\w*|batch\w*|bsz|weight_?decay|wd|warm_?up\w*|sched\w*|"
    r"layers?|n_?layers?|num_layers|hidden\w*|d_?model|dim|width|depth|heads?|n_?heads?|context\w*|"
    r"block_size|seq\w*|vocab\w*|dropout|precision|dtype|amp|bf16|fp16|seed|steps|max_?steps|"
    r"iters|epochs|num_epochs|beta\w*|eps\w*|clip\w*|grad_?clip|z_?loss\w*|momentum|loss|model\w*|"
    r"arch\w*|tokenizer|dataset\w*|rank|alpha|temperature|gamma|accum\w*)($|[._/-])",
    re.IGNORECASE,
)
"""What readers search a run by, as a whole part of a setting's name."""
_ALSO = {
    "divergence": "diverged",
    "nonfinite": "NaN, Inf",
    "spike": "spiked, spikes",
    "near_oom": "OOM",
    "restart": "restarted, resumed",
    "overfit": "overfitting, overfit",
    "grad_explosion": "exploding gradients",
    "grad_vanishing": "vanishing gradients",
    "stall": "stalled",
    "slowdown": "slowed, slower",
    "idle_device": "idle GPU",
}
"""Other words that readers have for a kind: the search compares words, not their meaning."""
_PLAIN_PLACES = 12
"""Decimal places up to which a number is also written out."""
_FEW_DIGITS = 4
"""Digits of a number that people write in more than one way."""
_LARGE = 4
"""From 10**_LARGE on such a number is also written with its exponent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    label: str
    words: str


def search_section(report: Report) -> dict[str, object]:
    """Values for the template, ready to print: the lines that hold anything."""
    told = {
        "Run": _identity(report),
        "Data": _listed(f"{d.name} {d.version}".strip() for d in report.run.datasets),
        "Settings": ", ".join(_settings(report.run.config)),
        "Findings": _findings(report),
        "Evaluations": _listed((*report.evaluations, *(name for name, _ in finals(report)))),
        "Notes": " ".join(_notes(report)),
        "Samples": " ".join(_samples(report)),
    }
    return {"search": [_Words(label=key, words=words) for key, words in told.items() if words]}


def notations(value: object) -> str:
    """A number as people write it: `0.0003 3e-4 3e-04`; other values as they are.

    A search compares words, and logs, papers and settings do not write a number alike.
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    try:
        number = Decimal(str(value)).normalize()
    except InvalidOperation:
        return str(value)
    digits = "".join(map(str, number.as_tuple().digits))
    if not number.is_finite() or not number or len(digits) > _FEW_DIGITS:
        return str(value)
    power = number.adjusted()
    mantissa = ("-" if number < 0 else "") + digits[0] + ("." + digits[1:] if digits[1:] else "")
    told = [f"{number:f}"] if power >= -_PLAIN_PLACES else []
    if power < 0 or power >= _LARGE:
        told.append(f"{mantissa}e{power}")
    if -10 < power < 0:  # as C and Python print an exponent
        told.append(f"{mantissa}e-0{-power}")
    return " ".join(told)


def _identity(report: Report) -> str:
    run = report.run
    told = [
        "" if run.name == title_of(run) else run.name,
        run.ref.run_id[:_ID],
        run.slug,
        f"project {run.ref.project}" if run.ref.project else "",
        f"group {run.group}" if run.group else "",
        f"tags {_listed(run.tags)}" if run.tags else "",
        f"commit {run.code.commit}" if run.code.commit else "",
        f"model {run.model.architecture}" if run.model.architecture else "",
        f"by {run.author}" if run.author else "",
        run.state,
    ]
    return ", ".join(part for part in told if part)


def _listed(names: Iterator[str] | tuple[str, ...]) -> str:
    return ", ".join(list(dict.fromkeys(name for name in names if name))[:_NAMES])


def _settings(config: Mapping[str, object]) -> list[str]:
    """`lr 0.0003 3e-4`; by the last part of its name where no other setting shares it."""
    flat = {
        key: value
        for key, value in flatten(dict(config)).items()
        if isinstance(value, str | int | float) and _telling(str(value))
    }
    known = [key for key in flat if _KEY_SETTING.search(key)][:_MOST]
    others = [key for key in flat if not _KEY_SETTING.search(key)]
    chosen = [*known, *others[: max(0, _FEW - len(known))]]
    ends = Counter(_end(key) for key in chosen)
    return [
        f"{_end(key) if ends[_end(key)] == 1 else key} {notations(flat[key])}" for key in chosen
    ]


def _telling(value: str) -> bool:
    return 0 < len(value) <= _LONGEST_SETTING and not value.startswith("/")


def _end(key: str) -> str:
    return re.split(r"[./]", key)[-1] or key


def _findings(report: Report) -> str:
    titles: dict[str, str] = {}
    for event in report.events:
        also = _ALSO.get(event.kind, "")
        told = f"{event.severity}; {also}" if also else event.severity
        title = finding_title(event)
        titles.setdefault(title, f"{title} ({told})")
    return ", ".join(titles.values())


def _notes(report: Report) -> Iterator[str]:
    """Newest first, the newest verdict before all; at last what was logged with the run."""
    spoken = [note for note in reversed(report.notes) if note.kind != "rating"]
    for note in sorted(spoken, key=lambda note: note.kind != "verdict")[:_NOTES]:
        yield _cut(f"{note.outcome} {_read(note.text)}", _NOTE)
    if report.run.description:
        yield _cut(report.run.description, _NOTE)


def _read(source: str) -> str:
    """What a reader sees of a note's Markdown."""
    return html.unescape(re.sub(r"<[^>]*>", " ", markup.notes(source)))


def _samples(report: Report) -> Iterator[str]:
    """The beginning of the newest text of each of the first prompts."""
    for (_, _, prompt, _), by_step in list(grouped(report.run).items())[:_SAMPLES]:
        text = list(by_step.values())[-1][0].text
        if prompt or text:
            yield f"{_cut(prompt, _PROMPT)} {_cut(text, _SAMPLE)}".strip()


def _cut(text: str, most: int) -> str:
    """One line that ends with a whole word."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " …"
