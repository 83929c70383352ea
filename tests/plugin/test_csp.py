"""The policy of a built site: the theme's scripts and no others."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from runpages.plugin.csp import write_policy

HEAD = '<!doctype html><html><head><meta charset="utf-8"><title>x</title>'


def source(body: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    pages = {
        "index.html": f"{HEAD}<script>theme(1)</script></head><article><script>ours()</script>",
        "runs/a/index.html": f"{HEAD}<script>theme(2)</script></head><body>"
        "<article class=md-content><script>hostile()</script></article>"
        '<script type="application/json">{"a": 1}</script><script src="x.js"></script>',
        "about/index.html": HEAD + '<meta http-equiv="Content-Security-Policy" content="own">',
    }
    for name, text in pages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_what_the_theme_wrote_is_allowed_on_every_page(site):
    write_policy(site, "runs")
    for name in ("index.html", "runs/a/index.html"):
        text = (site / name).read_text()
        assert text.index("Content-Security-Policy") < text.index("<script")
        assert source("theme(1)") in text
        assert source("theme(2)") in text


def test_a_script_in_the_article_of_a_run_is_not_allowed(site):
    write_policy(site, "runs")
    text = (site / "runs/a/index.html").read_text()
    assert source("hostile()") not in text
    assert source("ours()") in text  # the team's own page


def test_data_and_files_need_no_hash(site):
    write_policy(site, "runs")
    assert (site / "index.html").read_text().count("sha256-") == 3


def test_a_policy_of_the_teams_own_stays(site):
    before = (site / "about/index.html").read_bytes()
    write_policy(site, "runs")
    assert (site / "about/index.html").read_bytes() == before


def test_a_second_time_changes_nothing(site):
    write_policy(site, "runs")
    before = (site / "index.html").read_bytes()
    write_policy(site, "runs")
    assert (site / "index.html").read_bytes() == before
