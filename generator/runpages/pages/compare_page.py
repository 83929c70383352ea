"""compare.md: one page for all comparisons; rp-compare.js fills it from the runs' compare.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runpages import markup, units
from runpages.analysis.comparability import TOPICS
from runpages.analysis.compare import COMPARED_FIGURES
from runpages.analysis.differences import OUTPUT_KEYS, SEED_KEY
from runpages.analysis.seeds import TOLD
from runpages.model import KINDS

from .comparison import FIGURE_LABELS
from .run import Page
from .templating import render_template
from .words import CAUSE_WORDS, group_slug

__all__ = ["comparing_rules", "render_compare"]

_SHOWN = {units.count: "count", units.number: "number", units.duration: "duration"}
"""How a figure is written -> the name of the same function in rp-units.js."""
_MOST_GROUPS = 100


def render_compare(groups: Mapping[str, int]) -> Page:
    """The page without any comparison: `groups` (name -> runs) are those that have a page."""
    many = [(name, n) for name, n in groups.items() if n > 1]
    largest = sorted(many, key=lambda item: (-item[1], item[0]))
    text = render_template(
        "compare.md.jinja",
        title=markup.yaml("Compare runs"),
        groups=[
            {
                "name": name,
                "href": f"../by/group/{group_slug(name)}/",
                "runs": f"{units.count(n)} runs",
            }
            for name, n in largest[:_MOST_GROUPS]
        ],
        more=units.count(len(many) - _MOST_GROUPS) if len(many) > _MOST_GROUPS else "",
    )
    return Page(markdown=text.rstrip() + "\n", files={})


def comparing_rules() -> dict[str, Any]:
    """What the script has to know to judge as `runpages compare` does: one table for both."""
    return {
        "schema": "runpages.comparing/1",
        "figures": [
            [name, FIGURE_LABELS[name][0], direction, _SHOWN[FIGURE_LABELS[name][1]]]
            for name, direction, _ in COMPARED_FIGURES
        ],
        "topics": [
            {
                "what": topic.what,
                "keys": topic.keys.pattern,
                "ending": topic.ending,
                "voids": sorted(topic.voids),
            }
            for topic in TOPICS
        ],
        "told": sorted(TOLD),
        "kinds": list(KINDS),
        "causes": CAUSE_WORDS,
        "seed": SEED_KEY.pattern,
        "outputs": sorted(OUTPUT_KEYS),
    }
