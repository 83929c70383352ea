"""The only way foreign text reaches a page, or a comment in a review.

HTML escaping alone does not protect Markdown: `[x](javascript:...)` or `{ onclick=... }` need no
angle bracket. So every ASCII character but letters, digits and the space becomes a numeric entity.
The result is inert and reads the same in Markdown text, headings, table cells, attributes and raw
HTML. Measured by parser on rendered fragments (tests/test_markup.py): 120 collected attack strings
in 12 places, none active, none changing the tags around it.

Code hosts go on where Markdown ends: they look through the *rendered* text for @names, #numbers and
addresses (gjtorikian/html-pipeline lib/html_pipeline/node_filter; GitLab lib/banzai/filter), so
that an entity is no help. They leave code alone, and what a word joiner parts is no reference.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import markdown
import nh3

__all__ = [
    "Safe",
    "chat_text",
    "comment_code",
    "comment_text",
    "csv_cell",
    "finalize",
    "json_bytes",
    "json_number",
    "notes",
    "plotly_text",
    "pre",
    "text",
    "url",
    "yaml",
]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACES = re.compile(r"\r\n|[\t\n\v\f\r\x85\u2028\u2029]")
_BREAKS = re.compile(r"\r\n|[\n\v\f\r\x85\u2028\u2029]")
_NONCHARACTERS = "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 but tab and line feed, which come in by `_BREAKS`
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls
    f"\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]"
)
_ENCODED = re.compile(r"[^A-Za-z0-9 \x80-\U0010ffff]")
_ENCODED_TITLE = re.compile(r"[^A-Za-z0-9 \-._/+,:=\x80-\U0010ffff]")
_ENTITIES = {chr(code): f"&#{code};" for code in range(128)}
_JOINER = "\N{WORD JOINER}"
_REFERENCES = re.compile(r"[@#!$%^~&:](?=[\w/\"{\[])|\bwww(?=\.)|\bGH-(?=\d)", re.IGNORECASE)
"""Where a code host or a chat would begin a link, a mention or a picture of its own."""
_MARKDOWN = re.compile(r"[\\`*_\[\]<>&|~$]")
"""What means something in the middle of a line of CommonMark, GitHub's or GitLab's Markdown."""
_CHAT = re.compile(r"<(?=\S)")
_TAG = re.compile(r"(<(?:\"[^\"]*\"|[^\"<>])*>)")


class Safe(str):
    """Text that may be printed as it stands. Only this module and `pages` make it."""

    __slots__ = ()


def _clean(value: object) -> str:
    """One line without control characters, lone surrogates, noncharacters and bidi controls."""
    return _FORBIDDEN.sub(_REPLACEMENT, _SPACES.sub(" ", str(value)))


def _clean_lines(value: object) -> str:
    """The same with tabs kept and each line break one line feed."""
    return _FORBIDDEN.sub(_REPLACEMENT, _BREAKS.sub("\n", str(value)))


def _entities(plain: str) -> str:
    return _ENCODED.sub(lambda match: _ENTITIES[match.group()], plain)


def text(value: object) -> Safe:
    """For running text, headings, table cells, link text and quoted attributes; one line."""
    return Safe(_entities(_clean(value)))


def pre(value: object) -> Safe:
    """For the inside of `<pre>`: each line break is written `&#10;`, as a blank line ends HTML."""
    return Safe(_entities(_clean_lines(value)))


def yaml(value: object) -> Safe:
    """A quoted YAML (and JSON) string whose text is entity-encoded: titles are printed as HTML.

    No Markdown is read in a title, so the marks that names are made of stay: a search index takes
    the title as it stands here, and would not find `lr-sweep` in `lr&#45;sweep`.
    """
    encoded = _ENCODED_TITLE.sub(lambda match: _ENTITIES[match.group()], _clean(value))
    return Safe(json.dumps(encoded, ensure_ascii=False))


def comment_text(value: object) -> Safe:
    """For running text and table cells of a comment, never at the beginning of its line."""
    parted = _REFERENCES.sub(lambda match: match.group() + _JOINER, _clean(value).strip())
    return Safe(_MARKDOWN.sub(lambda match: "\\" + match.group(), parted))


def comment_code(value: object) -> Safe:
    """A name or a value as inline code of a comment, in a table or outside.

    `|` becomes its double, U+2223: how a table takes one that stands in code differs by host.
    """
    plain = _clean(value).strip().replace("|", "\N{DIVIDES}")
    if not plain:
        return Safe("(empty)")
    fence = "`" * (1 + max(map(len, re.findall("`+", plain)), default=0))
    space = " " if plain[0] == "`" or plain[-1] == "`" else ""
    return Safe(f"{fence}{space}{plain}{space}{fence}")


def chat_text(value: object) -> Safe:
    """For a plain line in a chat: nobody is called by it (`@here`, Slack's `<!channel>`)."""
    parted = _REFERENCES.sub(lambda match: match.group() + _JOINER, _clean(value).strip())
    return Safe(_CHAT.sub("<" + _JOINER, parted))


def url(value: object) -> Safe:
    """The address if it is http(s) with a host, else `#`; to be put in a quoted attribute."""
    address = str(value).strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or re.search(r"[\x00-\x20\\<>\"\x7f-\x9f]", address):
        return Safe("#")
    return text(address)


def plotly_text(value: object) -> str:
    """For titles and hover text in Plotly, which reads some HTML and, with MathJax, `$`."""
    plain = _clean(value)
    for character in "&<>$":
        plain = plain.replace(character, f"&#{ord(character)};")
    return plain


def json_number(value: float) -> float | str:
    """The number, or the name that strict JSON needs for NaN and infinities."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _strict(value: object) -> object:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def json_bytes(value: object) -> bytes:
    """Strict JSON for a file: NaN and infinities by name, `<`, `>` and `&` escaped, stable."""
    encoded = json.dumps(_strict(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return encoded.encode("ascii")


def csv_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    cell = str(value)
    try:
        float(cell)
    except ValueError:
        return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
    return cell


def finalize(value: object) -> Safe:
    """What Jinja prints for `{{ value }}`. None is a mistake of ours, not a word for the page."""
    if isinstance(value, Safe):
        return value
    if value is None:
        raise TypeError("a template printed None; say 'n/a' and why instead")
    return text(value)


def notes(source: str) -> Safe:
    """Markdown written by people of the team: rendered, then reduced to harmless HTML.

    One line, since a blank line would end the HTML block it stands in. Its words are encoded as by
    `text`, so that none of them is Markdown to the pass that builds the site.
    """
    rendered = nh3.clean(
        markdown.markdown(_clean_lines(source), extensions=["tables"]),
        tags={"a", "b", "blockquote", "br", "code", "em", "h4", "h5", "h6", "hr", "i", "li", "ol",
              "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"},
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="nofollow noopener noreferrer",
    )  # fmt: skip
    return Safe(
        "".join(
            part.replace("\n", "&#10;").replace("{", "&#123;")
            if _TAG.fullmatch(part)
            else _entities(html.unescape(part))
            for part in _TAG.split(rendered)
        )
    )
