"""Templates of a team's own, before ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import factory
from pages.test_run import ANCHORS, ATTACK, Seen, html_of
from runpages.errors import ConfigError
from runpages.pages import render
from runpages.pages.templating import template_folder

EXTENDS = '{% extends "runpages/run.md.jinja" %}\n'


def page(folder: Path, template: str, **facts) -> Seen:
    (folder / "run.md.jinja").write_text(template)
    return Seen(html_of(render(factory.healthy(**facts), templates=folder).markdown))


def test_a_block_is_replaced_and_the_others_stay(tmp_path):
    seen = page(
        tmp_path, EXTENDS + "{% block samples %}\n## Our samples {: #samples }\n{% endblock %}"
    )
    assert "Our samples" in seen.text
    assert seen.text.count("no sample was logged") == 1  # in the timeline
    assert [i for i in seen.ids if i in ANCHORS] == list(ANCHORS)


def test_a_block_is_extended(tmp_path):
    seen = page(tmp_path, EXTENDS + "{% block notes %}{{ super() }}\n\nMore.\n{% endblock %}")
    assert "nobody has written a note" in seen.text
    assert seen.text.endswith("More.")


def test_a_template_that_changes_nothing_changes_no_byte(tmp_path):
    (tmp_path / "run.md.jinja").write_text(EXTENDS)
    own = render(factory.rolled_back(), templates=tmp_path)
    assert own == render(factory.rolled_back())


def test_what_a_run_holds_is_encoded_in_a_template_of_a_team_too(tmp_path):
    template = (
        EXTENDS + "{% block notes %}\n\n## Notes {: #notes }\n\n<p>{{ name }}</p>\n{% endblock %}"
    )
    seen = page(tmp_path, template, name=ATTACK)
    assert "script" not in seen.tags
    assert not [a for a in seen.attributes if a[1].startswith("on")]


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{% block notes %}{{ nothing }}{% endblock %}", "'nothing' is undefined"),
        ("{% block notes %}", "run.md.jinja:2: Unexpected end of template"),
        ("{% block notes %}{{ name | safe }}{% endblock %}", "No filter named 'safe'"),
        ("{% block notes %}{% include 'absent.jinja' %}{% endblock %}", "absent.jinja"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_file(tmp_path, template, sentence):
    with pytest.raises(ConfigError) as caught:
        page(tmp_path, EXTENDS + template)
    assert sentence in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_every_section_is_a_block_and_documented():
    blocks = re.findall(r"{% block (\w+) %}", (template_folder() / "run.md.jinja").read_text())
    assert blocks == ["sections", ANCHORS[0], "search", *ANCHORS[1:]]
    documented = (Path(__file__).parents[2] / "docs/reference/look.md").read_text()
    assert [b for b in blocks if f"| `{b}` |" not in documented] == []
    colours = set(re.findall(r"(--rp-[a-z]+)", (template_folder() / "assets/rp.css").read_text()))
    assert len(colours) >= 15
    assert [c for c in colours if c not in documented] == []
