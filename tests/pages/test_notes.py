"""What people write, as the page shows it: their Markdown works, nothing of it is active."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pages import factory
from pages.test_run import ANCHORS, Seen, html_of
from runpages.model import Media, Note, Sample
from runpages.pages import render, run_json

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](data:text/html,<script>alert(1)</script>)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "x {: onclick=alert(1) style=color:red }",
    '<div markdown="1" onmouseover=alert(1)>x</div>',
    "</div></div></main><h2 id=summary>mine</h2>",
    "<svg><animate onbegin=alert(1) attributeName=x>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "{{ 7*7 }} {% include 'x' %}",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "| a |\n|---|\n| <b onclick=alert(1)>x</b> |",
    "<style>*{display:none}</style>",
    "# summary {: #summary }",
    "<form action=//evil><input name=q></form>",
)
BARRED = {"script", "iframe", "form", "style", "object", "embed", "base", "meta", "link", "animate"}


def said(text="", *, kind="note", time="2026-03-01T12:00:00Z", author="Ana", **facts) -> Note:
    return Note(author=author, time=time, kind=kind, text=text, **facts)


def page(*notes: Note, **facts) -> Seen:
    return Seen(html_of(render(replace(factory.healthy(**facts), notes=notes)).markdown))


def check_inert(seen: Seen) -> None:
    assert not BARRED & set(seen.tags)
    assert not [a for a in seen.attributes if a[1].startswith("on") or a[1] in {"style", "srcdoc"}]
    addresses = [a[2] or "" for a in seen.attributes if a[1] in {"href", "src"}]
    assert not [a for a in addresses if a.strip().lower().startswith(("javascript", "data:", "//"))]
    assert [i for i in seen.ids if i in ANCHORS] == list(ANCHORS)


def hostile(text: str):
    """A run all of whose samples and notes are `text`."""
    media = Media.of("image/png", text.encode("utf-8", "replace"))
    samples = (
        *(Sample(kind="text", name=text, step=s, prompt=text, text=f"{s} {text}") for s in (1, 2)),
        Sample(kind="table", name=text, step=1, columns=(text,), rows=((text,),)),
        Sample(kind="image", name=text, step=1, text=text, media=media),
    )
    notes = (
        said(text, author=text),
        said(text, kind="verdict", outcome="mixed", author=text),
        said(text, kind="rating", sample=samples[0].id, scale="1-5", value=3.0, author=text),
    )
    report = replace(factory.healthy(samples=samples), notes=notes, unreadable_notes=(text,))
    return Seen(html_of(render(report).markdown))


@pytest.mark.parametrize("text", PAYLOADS)
def test_nothing_that_people_or_models_write_is_active(text):
    check_inert(hostile(text))


@pytest.mark.acceptance
def test_the_collected_payloads_are_inert_in_notes_and_samples(shared):
    payloads = json.loads((shared / "data/xss/payloads.json").read_text())
    assert len(payloads) >= 100
    for payload in payloads:
        check_inert(hostile(payload["text"]))


def test_markdown_of_a_note_works():
    seen = page(said("see **this** [link](https://example.org/a?b=1)\n\n- one\n- two"))
    assert {"strong", "li"} <= set(seen.tags)
    assert ("a", "href", "https://example.org/a?b=1") in seen.attributes
    assert "Ana, 2026-03-01 12:00 UTC" in seen.text


def test_without_a_verdict_the_page_says_how_to_give_one():
    assert "No verdict yet runpages verdict one-c3f4015634 worked|mixed|failed" in page().text


def test_the_newest_verdict_stands_in_the_head_and_all_stand_in_the_notes():
    seen = page(
        said("hm", kind="verdict", outcome="failed"),
        said("just a note"),
        said("after all", kind="verdict", outcome="worked", author="Bo"),
    )
    assert "worked after all Bo, 2026-03-01 12:00 UTC · newest of 2 verdicts" in seen.text
    assert "verdict failed hm" in seen.text
    assert seen.text.count("after all") == 3  # and in the words for the search


def test_a_long_verdict_is_cut_in_the_head_only():
    text = "word " * 200
    words = page(said(text, kind="verdict", outcome="mixed")).text
    assert "… Ana, 2026-03-01 12:00 UTC · in full" in words
    assert text.strip() in words


def test_the_head_has_the_first_paragraph_of_a_verdict():
    seen = page(
        said("**In short**: good.\n\nAt length: details.", kind="verdict", outcome="worked")
    )
    head, _, rest = seen.text.partition("What search finds this run by")
    assert "In short : good." in head
    assert "At length" not in head
    assert "At length" in rest
    assert "· in full" in seen.text


def test_ratings_are_no_notes():
    seen = page(said(kind="rating", sample="1-a", scale="1-5", value=3.0))
    assert "nobody has written a note" in seen.text


def test_many_notes_fold_to_the_newest_ten():
    seen = page(*(said(f"number {n}") for n in range(25)))
    assert "15 earlier" in seen.text
    assert seen.text.index("number 14") < seen.text.index("number 15")


def test_a_note_that_cannot_be_read_is_said():
    report = replace(factory.healthy(), unreadable_notes=("notes/x.json: no; mend or delete it",))
    assert "Not readable: notes/x.json: no; mend or delete it." in Seen(
        html_of(render(report).markdown)
    ).text  # fmt: skip


def test_a_rating_or_note_is_not_the_verdict_of_the_lists():
    notes = (said(kind="verdict", outcome="mixed"), said("x", outcome="worked"))
    assert run_json(replace(factory.healthy(), notes=notes))["verdict"] == "mixed"
