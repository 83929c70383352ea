"""The review's comment: what it says, how long it is, and that run text stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pages import factory
from runpages.analysis import compare, run_contender
from runpages.model import Note
from runpages.review import Links, as_markdown, as_text, brief

LINKS = Links(url="https://runs.example/site/")
HOSTILE = "@team #1 [x](javascript:alert(1)) <img src=x> | `a` https://evil.example\n/close \u202e"


def told(report, base=None, *, links=LINKS):
    met = compare(run_contender(base), [run_contender(report)]) if base else None
    return brief(report, met, links=links)


@pytest.fixture(scope="module")
def spiked():
    return factory.rolled_back()


@pytest.fixture(scope="module")
def base():
    return factory.healthy(name="base", run_id="base", config={"lr": 0.1})


def test_the_outcome_stands_first(spiked, base):
    lines = as_markdown(told(spiked, base)).splitlines()
    assert lines[0].startswith("### Run [`rolled back`](<https://runs.example/site/runs/one-")
    assert "finished, 1 warning, 1 info" in lines[0]
    assert lines[2] == "**No verdict yet**"
    assert lines[4].startswith("Result: No verdict on rolled back: train/loss is ")


def test_a_verdict_is_quoted_with_its_author(spiked):
    said = Note(
        author="@eve", time="2026-01-02", kind="verdict", outcome="failed", text="*bad*\n#1"
    )
    text = as_markdown(told(replace(spiked, notes=(said,))))
    assert "**Verdict: failed**: \\*bad\\* #\u20601 (`@eve`)" in text


def test_each_metric_has_a_difference_with_its_direction(spiked, base):
    (row,) = [r for r in as_markdown(told(spiked, base)).splitlines() if "`train/loss`" in r]
    assert re.fullmatch(
        r"\| `train/loss` ↓ \| [\d.]+ \| [\d.]+ \| [▲▼] [\d.]+ (better|worse) \|", row
    )


def test_links_go_to_the_page_its_anchors_and_the_compare_page(spiked, base):
    text = as_markdown(told(spiked, base))
    page = f"https://runs.example/site/runs/{spiked.run.slug}/"
    event = spiked.events[0].id
    pair = f"runs={spiked.run.slug},{base.run.slug}&base={base.run.slug}"
    for href in (page, f"{page}#findings", f"{page}#event-{event}", f"{page}#reproduce",
                 f"https://runs.example/site/runs/compare/?{pair}"):  # fmt: skip
        assert f"](<{href}>)" in text


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://a.example/>)x", "not a url"])
def test_without_an_address_there_are_no_links(spiked, base, url):
    text = as_markdown(told(spiked, base, links=Links(url=url)))
    assert "](" not in text
    assert "`rolled back`" in text


def test_a_run_alone_has_no_base_and_no_differences(spiked):
    text = as_markdown(told(spiked))
    assert "difference" not in text
    assert "train/loss ended at" in text


def test_what_is_not_known_has_its_reason(spiked):
    assert re.search(r"\| cost, USD ↓ \| n/a: \w+", as_markdown(told(spiked)))


def test_no_more_than_eight_metrics_and_the_rest_is_counted():
    columns = {f"eval/task{n}/acc": factory.rows(0, 50, lambda s: s / 50) for n in range(11)}
    report = factory.report({"train/loss": factory.rows(0, 50, factory.falling), **columns})
    text = as_markdown(told(report))
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) == 8
    assert "| 4 more on the page |" in text


def test_a_reward_is_told_though_it_is_not_compared(base):
    report = factory.report({"rollout/episode_return": factory.rows(0, 50, float)}, run_id="agent")
    assert report.primary == "rollout/episode_return"
    rows = [r for r in as_markdown(told(report, base)).splitlines() if "episode_return" in r]
    assert re.fullmatch(
        r"\| `rollout/episode_return` ↑ \| [\d.]+ \| not compared \| n/a \|", rows[0]
    )


def test_one_reason_for_both_sides_stands_once(spiked, base):
    (row,) = [r for r in as_markdown(told(spiked, base)).splitlines() if "cost, USD" in r]
    assert re.fullmatch(r"\| cost, USD ↓ \| n/a: [\w ,]+ \| n/a \| n/a \|", row)


def test_what_both_sides_recorded_stands_before_what_one_lacks(base):
    report = factory.healthy(run_id="own", config={"a_new": 1, "lr": 0.2},
                             environment={"python": "3.11"})  # fmt: skip
    keys = [key for key, _, _ in told(report, base).differences]
    assert keys == ["config.lr", "config.a_new", "environment.python"]


@pytest.fixture(scope="module")
def hostile():
    """Names and settings that are long and mean something to every reader of Markdown."""
    metric = f"eval/{HOSTILE * 4}/accuracy"
    columns = {f"{metric}{n}": factory.rows(0, 50, lambda s: s / 50) for n in range(12)}
    columns["train/loss"] = factory.rows(0, 50, lambda s: 9.0 if s == 30 else factory.falling(s))
    sides = []
    for name in ("one", "two"):
        config = {f"{HOSTILE}{n}": f"{name} {HOSTILE * 3}" for n in range(30)}
        sides.append(factory.report(columns, name=HOSTILE * 3, run_id=name, config=config))
    said = Note(
        author=HOSTILE, time="2026-01-02", kind="verdict", outcome="worked", text=HOSTILE * 9
    )
    return replace(sides[0], notes=(said,)), sides[1]


@pytest.mark.parametrize("form", [as_markdown, as_text])
def test_it_is_never_longer_than_4000_characters(form, hostile):
    links = Links(url="https://runs.example/" + "long/" * 30)
    assert len(form(told(*hostile, links=links))) <= 4000


@pytest.mark.parametrize("most", [300, 700, 1500, 2500])
def test_shorter_ones_end_with_a_whole_line(hostile, most):
    text = as_markdown(told(*hostile), most=most)
    assert len(text) <= most
    assert text.endswith("\n")


def test_foreign_text_makes_no_link_no_mention_and_no_block(hostile):
    from markdown_it import MarkdownIt

    text = as_markdown(told(*hostile))
    hrefs, words = [], []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        assert token.type not in {"html_block", "fence", "code_block", "blockquote_open"}
        for inner in token.children or ():
            assert inner.type not in {"html_inline", "image"}
            hrefs += [inner.attrs["href"]] if inner.type == "link_open" else []
            words += [inner.content] if inner.type == "text" else []
    assert all(href.startswith("https://runs.example/site/runs/") for href in hrefs)
    assert not re.search(r"@\w|#\d|https?://|\u202e", "".join(words))
    own = ("###", "**", "Result: ", "Read with care:", "- ", "| ", "[", "Findings", "What differs")
    assert all(not line or line.startswith(own) for line in text.splitlines())


def test_a_chat_is_called_by_nothing_that_a_run_says(hostile):
    text = as_text(told(*hostile))
    assert not re.search(r"@\w|<[!@#]", text)
    assert all(line.startswith(("Run ", "Verdict", "Result", "Read", "- ", "http"))
               for line in text.splitlines())  # fmt: skip
