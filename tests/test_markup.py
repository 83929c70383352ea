from __future__ import annotations

import html
import json
import math
import re
from html.parser import HTMLParser

import markdown
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runpages import markup

EXTENSIONS = ["attr_list", "md_in_html", "tables", "admonition", "toc", "pymdownx.details", "pymdownx.superfences", "pymdownx.inlinehilite", "abbr", "footnotes"]  # fmt: skip
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](x){ onerror=alert(1) }",
    "*x*{ onmouseover=alert(1) }",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    "{{7*7}}{% import os %}{#",
    '--8<-- "/etc/passwd"',
    "```html\n<script>alert(1)</script>\n```",
    "| a | b |\n|---|---|\n| <b> | c |",
    '!!! note "<img src=x onerror=alert(1)>"',
    "&lt;script&gt;",
    "&#60;script&#62;",
    "'\"><svg/onload=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "\u202eevil\u2066\u061c",
    "a\x00b\x1b[31mc",
    "$\\href{javascript:alert(1)}{x}$",
    "line\r\n\r\n# heading\n===\n",
    "`code`<b>",
    "*[HTML]: <b>x</b>",
    "[^1]\n\n[^1]: <script>",
    "++ctrl+alt++ ==mark== ~~x~~",
    "\ud800 lone",
    ":smile: @user #1",
]
PLACES = {
    "paragraph": ("{}", markup.text),
    "heading": ("## {} {{: #a }}", markup.text),
    "cell": ("| a | b |\n|---|---|\n| {} | c |", markup.text),
    "link text": ("[{}](https://a.example/)", markup.text),
    "raw html": ('<div class="x">\n<p>{}</p>\n</div>', markup.text),
    "attribute": ('<p title="{}">x</p>', markup.text),
    "href": ('<a href="{}">x</a>', markup.url),
    "pre": ("<pre><code>{}</code></pre>", markup.pre),
    "admonition title": ('!!! note "{}"\n    x', markup.text),
    "summary": ('??? note "{}"\n    x', markup.text),
}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []
        self.active: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs if name != "id"))))
        if tag in {"script", "iframe", "object", "embed", "svg", "img", "style", "link", "meta"}:
            self.active.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith(
                ("javascript:", "data:")
            ):
                self.active.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        self.words.append(data)


def rendered(template: str, value: str) -> Reader:
    reader = Reader()
    reader.feed(markdown.markdown(template.format(value), extensions=EXTENSIONS))
    reader.close()
    return reader


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_attack_stays_text(place, payload):
    template, escape = PLACES[place]
    found = rendered(template, escape(payload))
    harmless = rendered(template, "harmless" if escape is not markup.url else "https://a.example/")
    assert found.active == []
    assert found.tags == harmless.tags
    if place not in {"attribute", "href"}:
        shown = "".join(found.words)
        newline = "\n" if place == "pre" else " "
        clean = markup._clean(payload, newline)
        flat = re.sub(r"\s+", " ", clean).strip()
        assert flat in re.sub(r"\s+", " ", shown)


def test_these_attacks_would_work_unescaped():
    """The test above can fail: raw payloads do become active."""
    active = [
        p
        for p in PAYLOADS
        for template, _ in PLACES.values()
        if rendered(template.replace("{}", "{}"), p).active
    ]
    assert len(active) > 30


@pytest.mark.acceptance
def test_the_collected_payloads_stay_text(shared):
    payloads = json.loads((shared / "data/xss/payloads.json").read_text())
    strings = [
        p if isinstance(p, str) else p.get("payload", "")
        for p in (payloads if isinstance(payloads, list) else payloads["payloads"])
    ]
    assert len(strings) > 50
    for payload in strings:
        for template, escape in PLACES.values():
            assert rendered(template, escape(payload)).active == []
    print(f"{len(strings)} payloads x {len(PLACES)} places: 0 active")


@given(st.text())
def test_text_is_inert_and_reads_back(value):
    escaped = markup.text(value)
    assert not re.search(r"[^A-Za-z0-9 &#;\x80-\U0010ffff]", escaped)
    assert html.unescape(escaped) == markup._clean(value, " ")


@given(st.text())
def test_a_yaml_value_is_one_string(value):
    loaded = yaml.safe_load(f"title: {markup.yaml(value)}\n")
    assert html.unescape(loaded["title"]) == markup._clean(value, " ")
    assert "{" not in markup.yaml(value)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//host/x",
        "http:///x",
        "https://",
        "vbscript:x",
        "https://a b/",
        "http://[",
        "",
    ],
)
def test_only_web_addresses_become_links(address):
    assert markup.url(address) == "#"


def test_a_web_address_survives():
    address = "https://wandb.ai/team/p/runs/1?workspace=user-x#files"
    assert html.unescape(markup.url(address)) == address


def test_json_is_strict_and_cannot_close_a_script():
    data = markup.json_bytes({"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": "</script>"})
    assert b"</script" not in data
    assert json.loads(data) == {"a": "NaN", "b": ["Infinity", "-Infinity", 1.5], "c": "</script>"}


def test_a_template_cannot_print_none():
    with pytest.raises(TypeError, match="n/a"):
        markup.finalize(None)


def test_notes_keep_formatting_and_lose_scripts():
    shown = markup.notes(
        "**bold** [x](javascript:alert(1)) <script>alert(1)</script>\n\nsecond {{7*7}}"
    )
    assert "<strong>bold</strong>" in shown
    assert "script" not in shown
    assert "\n" not in shown
    assert "{" not in shown


@pytest.mark.parametrize(
    ("cell", "safe"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-3.5", "-3.5"), ("-x", "'-x"), ("ok", "ok")],
)
def test_no_cell_is_a_formula(cell, safe):
    assert markup.csv_cell(cell) == safe
