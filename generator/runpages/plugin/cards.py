"""What a link to a page of ours unfurls to: OpenGraph (ogp.me) and Twitter's card, in its head.

Front matter of ours is encoded already; of a page that somebody else wrote it need not be, so that
it is decoded and encoded once more: MkDocs prints titles as they come.
"""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import urljoin

from mkdocs.structure.pages import Page

__all__ = ["with_card"]

_WIDTH, _HEIGHT = 1200, 630


def with_card(
    output: str, *, page: Page, site_url: str, site_name: str, section: str, docs: Path
) -> str:
    """`output` with the tags before `</head>`; unchanged for pages outside of `section`.

    The picture is that of a full run's page (`[site] full_runs`), and needs `site_url`, as
    crawlers follow no relative address.
    """
    source = page.file.src_uri
    head = output.find("</head>")
    if not source.startswith(f"{section}/") or head < 0 or 'property="og:title"' in output[:head]:
        return output
    title = str(page.meta.get("title") or page.title or site_name)
    named = {"og:type": "article", "og:title": title, "og:site_name": site_name}
    if about := str(page.meta.get("description") or ""):
        named["og:description"] = about
    slug = source.removeprefix(f"{section}/").removesuffix(".md")
    picture = f"{section}/assets/runs/{slug}/card.png"
    has_picture = bool(site_url) and "/" not in slug and (docs / picture).is_file()
    if page.canonical_url and site_url:
        named["og:url"] = page.canonical_url
    if has_picture:
        named |= {
            "og:image": urljoin(site_url.rstrip("/") + "/", picture),
            "og:image:type": "image/png",
            "og:image:width": str(_WIDTH),
            "og:image:height": str(_HEIGHT),
            "og:image:alt": f"Card of the run {html.unescape(title)}",
        }
    tags = [f'<meta property="{name}" content="{_encoded(v)}">' for name, v in named.items()]
    card = "summary_large_image" if has_picture else "summary"
    tags.append(f'<meta name="twitter:card" content="{card}">')
    return f"{output[:head]}{''.join(tags)}{output[head:]}"


def _encoded(words: str) -> str:
    return html.escape(html.unescape(words), quote=True)
