"""A content security policy in every page of the built site: what no page had is not executed.

The theme's own inline scripts are allowed by their SHA-256 (W3C CSP Level 3); a script that came
out of a run is in nobody's list. It stands in a <meta>, as static hosts such as GitHub Pages send
no headers of a site's own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from runpages.archive import write_atomically

__all__ = ["inline_sources", "with_policy", "write_policy"]

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_ARTICLE = re.compile(r"<article\b.*?</article\s*>", re.DOTALL | re.IGNORECASE)
_PLACE = re.compile(r"<meta\s+charset=[^>]*>", re.IGNORECASE)
_TYPE = re.compile(r"""\btype\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)
_EXECUTED = frozenset({"", "text/javascript", "application/javascript", "module"})
_OWN = 'http-equiv="Content-Security-Policy"'
_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' {hashes}; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_META = f'<meta {_OWN} content="{_POLICY}">'
"""Material and Plotly set styles; Plotly's pictures are data and blobs; Pagefind is WebAssembly."""


def write_policy(
    site: Path,
    section: str,
    *,
    known: Mapping[str, frozenset[str]] | None = None,
    given: str = "",
) -> str:
    """Write one policy into every page below `site`; the <meta> that holds it.

    One for all, as instant navigation keeps that of the page it began on. Of pages below `section`,
    which hold text of runs, no script inside the article is allowed. Pages that have a policy
    already are left alone, but for `known` ones (path in the site -> its sources): those have the
    <meta> `given`, and are opened only if that is not the one.
    """
    known = known or {}
    pages = {}
    for name in _pages(site, section):
        if name not in known:
            text = _read(site / name)
            if with_policy(text, _META) != text:
                pages[site / name] = text
    sources: set[str] = set().union(*known.values())
    for path, text in pages.items():
        sources |= inline_sources(text, of_runs=path.relative_to(site).parts[0] == section)
    meta = _META.format(hashes=" ".join(sorted(sources)))
    if meta != given:
        for path in (site / name for name in known):
            pages[path] = _read(path).replace(given, "", 1)
    for path, text in pages.items():
        changed = with_policy(text, meta)
        write_atomically(path, changed.encode("utf-8", "surrogateescape"), durable=False)
    return meta


def with_policy(html: str, meta: str) -> str:
    """The page with the policy's <meta> where it holds for all that follows, if it has none."""
    if not meta or _OWN in html:
        return html
    return _PLACE.sub(lambda found: found[0] + meta, html, count=1)


def _pages(site: Path, section: str) -> Iterator[str]:
    """Paths in the site. Not below the folders of runs' data: four times as many as there are
    pages."""
    root, data = f"{site}{os.sep}", str(site / section / "assets/runs")
    for folder, folders, names in os.walk(site):
        folders[:] = sorted(name for name in folders if os.path.join(folder, name) != data)
        inside = f"{folder}{os.sep}".removeprefix(root).replace(os.sep, "/")
        yield from (f"{inside}{name}" for name in sorted(names) if name.endswith(".html"))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def inline_sources(html: str, *, of_runs: bool) -> set[str]:
    """Sources of the scripts that a browser would execute where they stand; none of a page that
    has a policy of its own, or no place for one."""
    if _OWN in html or not _PLACE.search(html):
        return set()
    return _inline(_ARTICLE.sub("", html) if of_runs else html)


def _inline(html: str) -> set[str]:
    out = set()
    for attributes, body in _SCRIPT.findall(html):
        kind = _TYPE.search(attributes)
        if (
            re.search(r"\bsrc\s*=", attributes)
            or (kind[1].lower() if kind else "") not in _EXECUTED
        ):
            continue
        digest = hashlib.sha256(body.encode("utf-8", "surrogateescape")).digest()
        out.add(f"'sha256-{base64.b64encode(digest).decode()}'")
    return out
