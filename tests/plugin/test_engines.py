"""The same Markdown in MkDocs, ProperDocs and Zensical; with and without our plugin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runpages import builder
from runpages.config import load_settings
from runpages.plugin.search import prepare_search
from runs import write_rundir, write_tensorboard

ENV = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    write_rundir(folder / "logs" / "spiked", spike=80, group="g")
    write_rundir(folder / "logs" / "healthy", group="g")
    write_tensorboard(folder / "logs" / "tb")
    builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    builder.build(settings)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def build(folder: Path, engine: str, config: str, site: str) -> Path:
    command = [sys.executable, "-m", engine, "build", "-f", config]
    if engine != "zensical":
        command += ["--strict", "-d", site]
        run(folder, *command)
        return folder / site
    run(folder, *command)
    return folder / "site"


def facts(site: Path) -> dict[str, tuple[int, int, int]]:
    """page -> (charts, findings, words of the summary)."""
    out = {}
    for page in sorted((site / "runs").rglob("index.html")):
        html = page.read_text()
        article = re.search(r"<article.*?</article>", html, re.DOTALL).group()
        out[page.relative_to(site).as_posix()] = (
            article.count('class="rp-svg"'),
            len(re.findall(r'id="event-', article)),
            len(re.sub(r"<[^>]+>", " ", article).split()),
        )
    return out


@pytest.fixture(scope="module")
def by_mkdocs(project):
    return facts(build(project, "mkdocs", "mkdocs.yml", "by-mkdocs"))


def test_mkdocs_builds_strictly(by_mkdocs):
    lists = [page for page in by_mkdocs if page.startswith("runs/by/")]
    assert len(by_mkdocs) - len(lists) == 3 + len(("index", "browse", "compare"))
    kinds = {page.split("/")[2] for page in lists}
    assert kinds == {"index.html", "group", "month", "project"}
    assert max(charts for charts, _, _ in by_mkdocs.values()) >= 3


def test_properdocs_builds_the_same(project, by_mkdocs):
    assert facts(build(project, "properdocs", "mkdocs.yml", "by-properdocs")) == by_mkdocs


def test_zensical_builds_as_many_pages_and_charts(project, by_mkdocs):
    found = facts(build(project, "zensical", "mkdocs.yml", "site"))
    assert found.keys() == by_mkdocs.keys()
    assert {k: v[:2] for k, v in found.items()} == {k: v[:2] for k, v in by_mkdocs.items()}


def test_the_pages_are_complete_without_our_plugin(project, by_mkdocs):
    text = (project / "mkdocs.yml").read_text()
    (project / "plain.yml").write_text(text.replace("  - runpages\n", ""))
    site = build(project, "mkdocs", "plain.yml", "plain")
    assert facts(site) == by_mkdocs
    html = next((site / "runs").glob("spiked*/index.html")).read_text()
    assert "assets/rp/rp.css" in html
    assert "assets/rp/rp.js" in html


def test_the_plugin_adds_style_and_script_to_a_site_that_names_neither(project):
    minimal = "site_name: x\ntheme: {name: material, font: false}\nplugins: [search, runpages]\n"
    minimal += (
        "markdown_extensions: [attr_list, md_in_html, tables]\nnav: [index.md, runs/index.md]\n"
    )
    (project / "minimal.yml").write_text(minimal)
    site = build(project, "mkdocs", "minimal.yml", "minimal")
    html = next((site / "runs").glob("spiked*/index.html")).read_text()
    assert html.count("assets/rp/rp.css") == 1
    assert html.count("assets/rp/rp.js") == 1


def test_the_plugin_says_when_the_archive_is_newer(project, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(
        project, copy, ignore=shutil.ignore_patterns("by-*", "site", "plain", "minimal")
    )
    write_rundir(copy / "logs" / "another")
    builder.pull(load_settings(copy / "runpages.toml"))
    command = [sys.executable, "-m", "mkdocs", "build", "-f", "mkdocs.yml"]
    done = run(copy, *command)
    assert "archive is newer" in done.stderr


def test_no_page_loads_anything_from_elsewhere(project, by_mkdocs):
    for page in (project / "by-mkdocs/runs").rglob("index.html"):
        article = re.search(r"<article.*?</article>", page.read_text(), re.DOTALL).group()
        assert "<script" not in article
        assert not re.search(r"\son\w+=", article)
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", article)


@pytest.fixture
def built(tmp_path) -> Path:
    """A site that has the two files which the theme's search is known by."""
    worker = tmp_path / "assets/javascripts/workers/search.0123.min.js"
    worker.parent.mkdir(parents=True)
    worker.write_text("theirs")
    (tmp_path / "search").mkdir()
    (tmp_path / "search/search_index.json").write_text('{"config": {}, "docs": []}')
    return worker


def test_the_search_script_is_prepared_once(project, built):
    settings = load_settings(project / "runpages.toml")
    prepare_search(built.parents[3], settings)
    once = built.read_text()
    prepare_search(built.parents[3], settings)
    assert once.startswith("/**")
    assert once.endswith("theirs")
    assert built.read_text() == once


def test_a_site_without_a_search_script_stays_as_it_is(project, tmp_path):
    prepare_search(tmp_path, load_settings(project / "runpages.toml"))
    assert list(tmp_path.iterdir()) == []
