"""Pages of withdrawn runs: a link that somebody has kept says why there is nothing any more."""

from __future__ import annotations

from collections.abc import Mapping

from runpages import markup
from runpages.config import Settings
from runpages.redact import redact_text

__all__ = ["tombstones"]

_EVERYTHING = ("*",)
_PAGE = """\
---
title: {title}
hide: [navigation, toc]
search: {{exclude: true}}
---

<header class="rp-head rp-page"><p class="rp-head__crumb"><a href="../">Runs</a></p>\
<h1>{slug}</h1></header>

<p class="rp-lede">This run was withdrawn: {reason}</p>
"""


def tombstones(withdrawn: Mapping[str, str], settings: Settings) -> dict[str, bytes]:
    """Path below the section -> Markdown. `withdrawn`: slug -> reason.

    Nothing is known any more of a withdrawn run but its slug. Where `[publish] include` leaves runs
    out, nobody can tell whether this one ever had a page, and it gets none.
    """
    if settings.publish.include != _EVERYTHING:
        return {}
    return {
        f"{slug}.md": _PAGE.format(
            title=markup.yaml(f"{slug}, withdrawn"),
            slug=markup.text(slug),
            reason=markup.text(redact_text(reason)[0]),
        ).encode()
        for slug, reason in withdrawn.items()
    }
