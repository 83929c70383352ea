from __future__ import annotations

import html
import json
import math
import re
import sys
import time
import unicodedata
from html.parser import HTMLParser

import markdown
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runpages import markup

EXTENSIONS = ["attr_list", "md_in_html", "tables", "def_list", "admonition", "toc", "pymdownx.details", "pymdownx.superfences", "pymdownx.inlinehilite", "abbr", "footnotes"]  # fmt: skip
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
    "definition": ("term\n:   {}", markup.text),
    "attribute list": ('x\n{{: title="{}" }}', markup.text),
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


def assert_text(place: str, payload: str) -> None:
    """The payload is shown, and does nothing, not even to the tags around it."""
    template, escape = PLACES[place]
    found = rendered(template, escape(payload))
    # a payload of spaces or of nothing has the tags of an empty place
    word = "harmless" if payload.strip() else payload
    harmless = rendered(template, "https://a.example/" if escape is markup.url else word)
    assert found.active == []
    assert found.tags == harmless.tags
    if place not in {"attribute", "href", "attribute list"}:
        clean = (markup._clean_lines if place == "pre" else markup._clean)(payload)
        flat = re.sub(r"\s+", " ", clean).strip()
        assert flat in re.sub(r"\s+", " ", "".join(found.words))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_attack_stays_text(place, payload):
    assert_text(place, payload)


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
        for place in PLACES:
            assert_text(place, payload)
    print(f"{len(strings)} payloads x {len(PLACES)} places: 0 active")


@given(st.text())
def test_text_is_inert_and_reads_back(value):
    escaped = markup.text(value)
    assert not re.search(r"[^A-Za-z0-9 &#;\x80-\U0010ffff]", escaped)
    assert html.unescape(escaped) == markup._clean(value)


@given(st.text())
def test_a_yaml_value_is_one_string(value):
    loaded = yaml.safe_load(f"title: {markup.yaml(value)}\n")
    assert html.unescape(loaded["title"]) == markup._clean(value)
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


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_title_in_the_front_matter_stays_text(payload):
    title = yaml.safe_load(f"title: {markup.yaml(payload)}\n")["title"]
    reader = Reader()
    reader.feed(f"<title>{title}</title><h1>{title}</h1><p>{title}</p>")
    reader.close()
    assert [tag for tag, _ in reader.tags] == ["title", "h1", "p"]
    assert reader.words[-1] == markup._clean(payload)


def test_what_cannot_be_shown_is_replaced():
    """Each code point against the rule in words: controls, surrogates, noncharacters, bidi."""
    bidi = {0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    spaces = {*range(9, 14), 0x85, 0x2028, 0x2029}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        gone = (
            code in bidi
            or code & 0xFFFE == 0xFFFE
            or 0xFDD0 <= code <= 0xFDEF
            or unicodedata.category(character) in {"Cc", "Cs"}
        )
        expected = " " if code in spaces else "\ufffd" if gone else character
        assert markup._clean(character) == expected, hex(code)


def test_a_console_keeps_tabs_and_counts_line_ends_once():
    assert html.unescape(markup.pre("a\tb\r\nc\rd\n\ne\u2028f")) == "a\tb\nc\nd\n\ne\nf"
    assert html.unescape(markup.text("a\tb\r\nc")) == "a b c"


@given(st.text())
def test_pre_is_one_inert_line_that_reads_back(value):
    escaped = markup.pre(value)
    assert not re.search(r"[^A-Za-z0-9 &#;\x80-\U0010ffff]", escaped)
    assert html.unescape(escaped) == markup._clean_lines(value)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_note_survives_the_second_markdown_pass(payload):
    escaped = re.sub(r"([\\`*_{}\[\]()#+.!|:~-])", r"\\\1", payload)
    for source in (payload, escaped):
        shown = markup.notes(source)
        assert not re.search(r"[\n{}`]", shown)
        for template in (
            '<blockquote class="rp-note"><p>x</p>{}</blockquote>',
            '<div markdown="1">\n{}\n</div>',
        ):
            assert rendered(template, shown).active == []


def test_a_note_that_reads_like_markdown_after_rendering_stays_words():
    shown = markup.notes(r"\[x](javascript:alert(1)) \*y\*")
    again = rendered("{}\n{{: .x }}", str(shown).removeprefix("<p>").removesuffix("</p>"))
    assert not any(tag in {"a", "em"} for tag, _ in again.tags)
    assert "[x](javascript:alert(1)) *y*" in "".join(again.words)


def test_code_in_a_note_keeps_its_lines():
    shown = markup.notes("    a\n\n    b {x}")
    assert html.unescape(shown) == "<pre><code>a\n\nb {x}\n</code></pre>"


def test_what_plotly_reads_as_html_or_mathjax_is_encoded():
    assert markup.plotly_text("<b>&$x$\n") == "&#60;b&#62;&#38;&#36;x&#36; "


@pytest.mark.parametrize(("value", "shown"), [(3, "3"), (1.5, "1&#46;5"), ("<b>", "&#60;b&#62;")])
def test_a_template_prints_values_as_text(value, shown):
    assert markup.finalize(value) == shown


def test_safe_text_is_not_encoded_twice():
    once = markup.text("<b>")
    assert markup.finalize(once) is once


def test_many_cells_are_quick():
    cells = [f"train/loss_{n} = {n / 7:.4f}" for n in range(20_000)]
    begin = time.process_time()
    for cell in cells:
        markup.text(cell)
    assert time.process_time() - begin < 2


COMMENTED = [
    *PAYLOADS,
    "@octocat and @org/team, a@b.example",
    "#123 o/r#5 GH-12 !7 ~bug %3 $9 &4 ^alert#1 gl-12",
    "https://evil.example/x www.evil.example ftp://evil.example mailto:a@b.example",
    "a\\|b | c \\\\| d",
    "`` ` ``` `",
    "` x",
    "<!channel> <@U123> @here",
    "/close\n/merge",
    "- [x] done\n1. one",
    "**bold** _it_ ~~x~~ \\*a\\*",
]
_HOST = re.compile(
    r"(^|\W)@[a-z0-9]|(^|[^\w])([a-z]+/[a-z]+)?[#!~%$&^][\w\"]|https?://|www\.|gh-\d", re.IGNORECASE
)
"""What hosts look for in rendered text outside code, roughly and rather too much."""


def _rendered(text: str) -> tuple[str, str, set[str]]:
    """Words outside code, words in code, tags; by a CommonMark parser with tables."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    out, coded, tags = [], [], set()
    for token in parser.parse(text):
        tags.add(token.type)
        for inner in token.children or ():
            tags.add(inner.type)
            (coded if inner.type == "code_inline" else out).append(inner.content)
    return "\n".join(out), "".join(coded), tags


FORMS = {
    "line": "Result: {} end",
    "cell": "| a | b |\n|---|---|\n| {} | c |",
    "link": "[{}](<https://a.example/>)",
}


@pytest.mark.parametrize("payload", COMMENTED)
@pytest.mark.parametrize("place", FORMS)
def test_text_in_a_comment_is_read_as_text(place, payload):
    form = FORMS[place]
    plain = _rendered(form.format("plain"))[2]
    words, _, tags = _rendered(form.format(markup.comment_text(payload)))
    assert tags <= plain
    shown = markup._clean(payload).strip()
    assert shown in words.replace("\n", "").replace("\u2060", "")
    assert not _HOST.search(words)


@pytest.mark.parametrize("payload", COMMENTED)
@pytest.mark.parametrize("place", FORMS)
def test_a_name_in_a_comment_is_code_and_nothing_else(place, payload):
    form = FORMS[place]
    plain = _rendered(form.format("`plain`"))
    words, coded, tags = _rendered(form.format(markup.comment_code(payload)))
    assert (words, tags) == (plain[0], plain[2])
    assert coded == markup._clean(payload).strip().replace("|", "\u2223")


def test_a_name_of_nothing_is_said_to_be_empty():
    assert markup.comment_code("  ") == "(empty)"


@pytest.mark.parametrize("payload", ["<!channel> x", "@here", "<@U123>", "see #general", "a\n@all"])
def test_nobody_is_called_in_a_chat(payload):
    said = markup.chat_text(payload)
    assert not re.search(r"@\w|<[!@#]|#\w", said)
    assert "\n" not in said


@pytest.mark.acceptance
def test_no_collected_payload_is_active_in_a_comment(shared):
    payloads = json.loads((shared / "data/xss/payloads.json").read_bytes())
    assert len(payloads) > 100
    for payload in payloads:
        for form in FORMS.values():
            for made in (markup.comment_text, markup.comment_code):
                plain = _rendered(form.format(made("plain")))[2]
                words, _, tags = _rendered(form.format(made(payload["text"])))
                assert tags <= plain, payload
                assert not _HOST.search(words), payload
