"""The run page: a Report turned into values ready to print, in the order a reviewer asks.

Each section of the page has its module, which gives the values that its part of the template
prints; what needs files beside the page gives those too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runpages import markup, units
from runpages.model import Report

from .charts import build_charts
from .checkpoints import checkpoints_section
from .comparable import comparable_file
from .document import run_file
from .evaluations import evaluations_section
from .findings import findings_section
from .header import header_section
from .notes import notes_section
from .own_summary import own_summary_section
from .provenance import provenance_section
from .reproduce import reproduce_section
from .resources import resources_section
from .room import LIGHT
from .samples import samples_section
from .search_words import search_section
from .templating import render_template
from .timeline import timeline

__all__ = ["Page", "render"]

_SECTIONS = (
    header_section,
    search_section,
    findings_section,
    evaluations_section,
    own_summary_section,
    resources_section,
    reproduce_section,
    checkpoints_section,
    provenance_section,
    notes_section,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the site."""

    markdown: str
    files: Mapping[str, bytes]
    """Path relative to docs_dir -> bytes, of everything the page needs beside itself."""
    finer: frozenset[str] = frozenset()
    """Those of the files that a site keeps of full runs only; the page is the same without."""


def render(report: Report, *, section: str = "runs", templates: Path | None = None) -> Page:
    """The run's Markdown and data files; a pure function of the report and the templates.

    `templates` is a folder of a team's own, which come before ours.
    """
    run = report.run
    folder = f"{section}/assets/runs/{run.slug}"
    own = {"run.json": markup.json_bytes(run_file(report)), "compare.json": comparable_file(report)}
    samples, media, older = samples_section(report, room=LIGHT.without(own))
    own |= media
    charts = build_charts(
        report, room=LIGHT.without(own), finer_bytes=sum(map(len, older.values()))
    )
    own |= {**charts.files, **older}
    values: dict[str, object] = {
        "data": f"../assets/runs/{run.slug}",
        "timeline": timeline(report),
        "charts": charts.charts,
        "more": charts.more,
        "uncharted": units.count(charts.uncharted) if charts.uncharted else "",
        "absent": charts.absent,
        "no_step": charts.no_step,
        "no_tokens": charts.no_tokens,
        "no_time": charts.no_time,
        **samples,
    }
    for part in _SECTIONS:
        values |= part(report)
    return Page(
        markdown=_tidy(render_template("run.md.jinja", templates, **values)),
        files={f"{folder}/{name}": data for name, data in own.items()},
        finer=frozenset(f"{folder}/{name}" for name in charts.finer | older.keys()),
    )


def _tidy(text: str) -> str:
    """One newline at the end."""
    return text.rstrip() + "\n"
