"""What a link to a run's page unfurls to, in sites that MkDocs has built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from runpages import builder
from runpages.config import load_settings
from runpages.plugin.cards import with_card
from runs import write_rundir

NAME = 'a "quoted" <b>name</b> & more'


class Head(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.named: dict[str, str] = {}
        self.feed(text.partition("</head>")[0])

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            assert name not in self.named, f"{name} stands twice"
            self.named[name] = given.get("content", "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, str, str]:
    """(site, slug of a full run, slug of a light one)."""
    folder = tmp_path_factory.mktemp("cards")
    write_rundir(folder / "logs/light", steps=50, name="light")
    write_rundir(folder / "logs/full", steps=50, name=NAME)
    builder.write_project(folder, title="Our runs", locations=("logs",), settle_minutes=0)
    mkdocs = folder / "mkdocs.yml"
    mkdocs.write_text(mkdocs.read_text() + "\nsite_url: https://runs.example/team/\n")
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    slugs = builder.build(settings).written
    full = next(slug for slug in slugs if slug.startswith("full"))
    light = next(slug for slug in slugs if slug.startswith("light"))
    builder.build(
        replace(
            settings,
            site=replace(settings.site, full_runs=0),
            baseline=replace(settings.baseline, default=full),
        )
    )
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-f", str(mkdocs)]
    subprocess.run(command, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    return folder / "site", full, light


def head(site: Path, page: str) -> dict[str, str]:
    return Head((site / page / "index.html").read_text()).named


def test_a_full_run_shows_its_card(site):
    folder, full, _ = site
    named = head(folder, f"runs/{full}")
    image = named["og:image"]
    assert image == f"https://runs.example/team/runs/assets/runs/{full}/card.png"
    assert (folder / image.removeprefix("https://runs.example/team/")).is_file()
    assert (named["og:image:width"], named["og:image:height"]) == ("1200", "630")
    assert named["twitter:card"] == "summary_large_image"
    assert named["og:url"] == f"https://runs.example/team/runs/{full}/"


def test_names_are_text_however_they_look(site):
    folder, full, _ = site
    named = head(folder, f"runs/{full}")
    assert named["og:title"] == NAME
    assert NAME in named["og:image:alt"]
    assert re.match(r"Finished\. .*step", named["og:description"])
    assert named["description"] == named["og:description"]


def test_a_light_run_has_words_and_no_picture(site):
    folder, _, light = site
    named = head(folder, f"runs/{light}")
    assert named["og:title"] == "light"
    assert "og:image" not in named
    assert named["twitter:card"] == "summary"


def test_pages_of_the_team_are_left_alone(site):
    folder, _, _ = site
    assert "og:title" not in head(folder, ".")


def _page(source: str) -> SimpleNamespace:
    return SimpleNamespace(
        file=SimpleNamespace(src_uri=source), meta={"title": "x"}, title="x", canonical_url=None
    )


def test_without_an_address_there_is_no_picture(tmp_path):
    (tmp_path / "runs/assets/runs/a").mkdir(parents=True)
    (tmp_path / "runs/assets/runs/a/card.png").write_bytes(b"")
    told = {"site_name": "s", "section": "runs", "docs": tmp_path}
    bare = with_card("<head></head>", page=_page("runs/a.md"), site_url="", **told)
    assert "og:image" not in bare
    assert "og:url" not in bare
    full = with_card("<head></head>", page=_page("runs/a.md"), site_url="https://a.example", **told)
    assert 'content="https://a.example/runs/assets/runs/a/card.png"' in full


def test_tags_of_a_theme_or_plugin_of_the_teams_stay(tmp_path):
    given = '<head><meta property="og:title" content="own"></head>'
    told = {"site_name": "s", "section": "runs", "docs": tmp_path, "site_url": ""}
    assert with_card(given, page=_page("runs/a.md"), **told) == given
