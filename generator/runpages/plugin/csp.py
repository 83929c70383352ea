"""A content security policy in every page of the built site: what no page had is not executed.

The theme's own inline scripts are allowed by their SHA-256 (W3C CSP Level 3); a script that came
out of a run is in nobody's list. It stands in a <meta>, as static hosts such as GitHub Pages send
no headers of a site's own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from runpages.archive import write_atomically

__all__ = ["write_policy"]

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
"""Material and Plotly set styles; Plotly's pictures are data and blobs; Pagefind is WebAssembly."""


def write_policy(site: Path, section: str) -> int:
    """Write one policy into every page below `site`; the number of pages.

    One for all, as instant navigation keeps that of the page it began on. Of pages below `section`,
    which hold text of runs, no script inside the article is allowed. Pages that have a policy
    already are left alone.
    """
    pages = {}
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if _OWN not in text and _PLACE.search(text):
            pages[path] = text
    hashes: set[str] = set()
    for path, text in pages.items():
        runs = path.relative_to(site).parts[0] == section
        hashes |= _inline(_ARTICLE.sub("", text) if runs else text)
    policy = _POLICY.format(hashes=" ".join(sorted(hashes)))
    meta = f'<meta {_OWN} content="{policy}">'
    for path, text in pages.items():
        changed = _PLACE.sub(lambda found: found[0] + meta, text, count=1)
        write_atomically(path, changed.encode("utf-8", "surrogateescape"), durable=False)
    return len(pages)


def _inline(html: str) -> set[str]:
    """Sources of the scripts that a browser would execute where they stand."""
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
