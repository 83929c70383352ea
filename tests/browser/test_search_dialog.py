"""Pagefind behind the theme's own dialog, in a site below a path: keys, results, changes, policy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pages.test_search_tokens import FORMS
from runpages import builder
from runpages.archive import Archive
from runpages.config import load_settings
from runpages.pages.templating import template_folder
from runs import backdate, write_rundir

pytestmark = pytest.mark.browser

PREFIX = "team/docs"
RESULTS = ".md-search-result__item"
STRICT = "script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'"


class _Handler(SimpleHTTPRequestHandler):
    policy = ""

    def end_headers(self) -> None:
        if _Handler.policy:
            self.send_header("Content-Security-Policy", _Handler.policy)
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class Project:
    """A project of a few runs, of which 2 are enough for Pagefind, and its site."""

    def __init__(self, folder: Path, site: Path, address: str) -> None:
        self.folder, self.site, self.address = folder, site, address
        builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
        text = (folder / "runpages.toml").read_text()
        text = text.replace("[site]\n", "[site]\npagefind_from = 2\n")
        (folder / "runpages.toml").write_text(text)
        config = folder / "mkdocs.yml"
        config.write_text(f"site_url: {address}\n{config.read_text()}")  # for instant navigation
        (folder / "docs/guide.md").write_text("# Guide\n\nHow to book the heliotrope cluster.\n")

    def add(self, name: str, *, days: int = 0, **facts: Any) -> None:
        logs = write_rundir(self.folder / "logs" / name, name=name, steps=40, **facts)
        if days:
            backdate(logs, days * 86_400)
        builder.pull(load_settings(self.folder / "runpages.toml"))

    def withdraw(self, name: str) -> None:
        archive = Archive(self.folder / "archive")
        (slug,) = (slug for slug in archive.slugs() if archive.get(slug).name == name)
        archive.withdraw(slug, "by mistake")

    def build(self) -> None:
        builder.build(load_settings(self.folder / "runpages.toml"))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(self.site)]
        env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
        subprocess.run(command, cwd=self.folder, env=env, check=True)

    def shards(self) -> dict[str, str]:
        """Name -> digest, as the browser is told."""
        index = json.loads((self.site / "search/search_index.json").read_text())
        assert index["docs"] == []
        return {name: digest for name, digest, _ in index["config"]["shards"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("served")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/{PREFIX}/"
        made = Project(tmp_path_factory.mktemp("dialog"), root / PREFIX, address)
        made.add("amber-basin", config={"lr": 3e-4})
        made.add("quiet-harbor", days=400, config={"lr": 3e-3, "note": "<img src=x onerror=x>"})
        made.build()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def page(project, browser) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{project.address}runs/by/")
    yield page
    context.close()


def ask(page: Any, text: str, *, key: str = "/") -> None:
    """Opens the dialog by a key and types."""
    page.wait_for_load_state("networkidle")
    page.keyboard.press(key)
    page.wait_for_function("() => document.activeElement.matches('.md-search__input')")
    page.keyboard.type(text)


def typed(page: Any, text: str, *, key: str = "/") -> list[str]:
    """Titles of the results, as somebody sees them who opens the dialog by a key."""
    ask(page, text, key=key)
    page.wait_for_selector(RESULTS)
    page.wait_for_load_state("networkidle")
    return [title.strip() for title in page.locator(f"{RESULTS} h1").all_inner_texts()]


@pytest.mark.parametrize("key", ["/", "s", "f"])
def test_the_keys_of_the_theme_open_it(page, key):
    assert typed(page, "3e-4", key=key)[0] == "amber-basin"


def test_bundles_of_two_times_answer_as_one(page, project):
    assert len([name for name in project.shards() if name[:2] == "20"]) == 2
    assert set(typed(page, "lr")) >= {"amber-basin", "quiet-harbor"}


def test_the_team_s_own_pages_are_found(page):
    assert typed(page, "heliotrope")[0] == "Guide"


def test_words_of_a_run_are_text_and_the_query_is_marked(page):
    typed(page, "onerror")
    assert page.locator(f"{RESULTS} img").count() == 0
    assert "<img src=x onerror=x>" in page.locator(RESULTS).first.inner_text()
    assert page.locator(f"{RESULTS} mark").first.inner_text() == "onerror"


def test_a_result_is_opened_without_loading_the_site_anew(page):
    page.evaluate("window.stays = true")
    typed(page, "quiet-harbor")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("quiet-harbor"))
    page.wait_for_function(
        "() => document.querySelector('h1').textContent.includes('quiet-harbor')"
    )
    assert page.evaluate("window.stays") is True
    page.wait_for_timeout(300)
    assert typed(page, "amber-basin")[0] == "amber-basin"


def test_a_page_loads_nothing_of_it_before_somebody_searches(project, browser):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{project.address}runs/by/")
    page.wait_for_load_state("networkidle")
    page.close()
    assert asked
    assert not [url for url in asked if "search/pagefind" in url]


@pytest.fixture
def under(project, browser) -> Iterator[Callable[[str], list[str]]]:
    """What a worker finds for a query where every answer of the server carries a policy."""
    contexts = []

    def ask(policy: str) -> list[str]:
        _Handler.policy = policy
        contexts.append(browser.new_context())  # nothing cached without the policy
        page = contexts[-1].new_page()
        page.goto(f"{project.address}runs/by/")
        return page.evaluate(ASK, "3e-4")

    yield ask
    _Handler.policy = ""
    for context in contexts:
        context.close()


# the theme's inline scripts are not ours to allow, so the worker is asked without its dialog
def test_it_works_under_a_policy_that_allows_webassembly(under):
    assert under(STRICT) == ["amber-basin"]


def test_under_a_policy_that_forbids_webassembly_it_says_why(under):
    assert under(STRICT.replace(" 'wasm-unsafe-eval'", "")) == ["The search could not start"]


ASK = """async text => {
  const settings = JSON.parse(document.querySelector("#__config").textContent);
  const base = new URL(settings.base + "/", location.href);
  const worker = new Worker(new URL(settings.search, location.href));
  const answer = message => new Promise(done => {
    worker.onmessage = event => done(event.data);
    worker.postMessage(message);
    setTimeout(() => done({ data: { items: [[{ title: "no answer" }]] } }), 20000);
  });
  const index = await (await fetch(new URL("search/search_index.json", base))).json();
  await answer({ type: 0, data: index });
  const { data } = await answer({ type: 2, data: text });
  worker.terminate();
  return data.items.map(([first]) => first.title.replace(/<[^>]*>/g, ""));
}"""


def test_the_browser_s_words_are_those_of_the_index(page):
    rule = (template_folder() / "plugin/search-words.js").read_text()
    told = page.evaluate(f"texts => {{ {rule}; return texts.map(wordsOf); }}", list(FORMS))
    assert dict(zip(FORMS, told, strict=True)) == FORMS


def test_a_new_run_is_found_and_a_withdrawn_one_is_not(project, page):
    before = project.shards()
    project.add("zebra-crossing", config={"lr": 1e-3})
    project.build()
    after = project.shards()
    changed = {name for name in before if before[name] != after[name]}
    assert len({name for name in changed if name[:2] == "20"}) == 1
    page.reload()
    assert typed(page, "zebra")[0] == "zebra-crossing"
    project.withdraw("zebra-crossing")
    project.build()
    assert project.shards() == before
    page.reload()
    ask(page, "zebra")
    page.get_by_text("No matching documents").wait_for()
    assert page.locator(RESULTS).count() == 0
