"""Run pages of an earlier build that go into this one as they are.

MkDocs still knows them as pages: they stand in the sitemap, links and anchors lead to them, and
other plugins meet them with their title and front matter, in the same order as ever. Only their
Markdown is not rendered, and the theme's template is not asked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

import jinja2
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc

from .cache import KeptPage, PageCache
from .csp import inline_sources, with_policy
from .key import frame_key

__all__ = ["Reuse"]

_TEMPLATE = "runpages-kept.html"
"""In place of the theme's: our page comes in the event after it."""


class _KeptPage(Page):
    """A page that neither reads nor renders its Markdown, until it is told to."""

    def __init__(self, name: str, kept: KeptPage, file: File, config: MkDocsConfig) -> None:
        super().__init__(kept.title, file, config)
        self.name = name
        self.kept: KeptPage | None = kept

    def forget(self) -> None:
        """From now on this is a page like any other."""
        self.kept = None
        self.__dict__.pop("title", None)  # where there is none, MkDocs looks for it in the Markdown

    def read_source(self, config: MkDocsConfig) -> None:
        if self.kept is None:
            super().read_source(config)
            return
        self.markdown = ""
        self.meta = {**self.kept.meta, "template": _TEMPLATE}

    def render(self, config: MkDocsConfig, files: Files) -> None:
        if self.kept is None:
            super().render(config, files)
            return
        self.content = ""
        self.toc = get_toc([])
        self.present_anchor_ids = set(self.kept.anchors)


class Reuse:
    """The section's pages in one build: which are kept, and what is kept of the others."""

    def __init__(self, cache: PageCache, generated: Collection[str]) -> None:
        """`generated`: our own files below docs_dir. What a team wrote may include anything."""
        self._cache = cache
        self._generated = generated
        self._names: dict[str, str] = {}
        """Path of each page that can be kept -> its name in the cache."""
        self._metas: dict[str, dict[str, Any]] = {}
        """Front matter of the pages that are made anew."""
        self._frame = ""
        self._entries: list[Any] = []
        """The search's own list, and where the page at hand begins in it."""
        self._mark = 0
        self._warnings = _Warnings()
        self.written: dict[str, tuple[frozenset[str], int]] = {}
        """Path in the site of each kept page -> its scripts' sources for the policy, its bytes."""
        self.policy = cache.policy()
        """The last build's: most likely also this one's."""

    def choose(self, files: Files, config: MkDocsConfig) -> None:
        """Keep each page whose Markdown is as it was; not those that the navigation names, as they
        show their neighbours."""
        self._warnings.listen()
        in_nav = set(_strings(config.nav))
        for file in files.documentation_pages():
            uri, source = file.src_uri, file.abs_src_path
            if uri not in self._generated or uri in in_nav or source is None or file.page:
                continue
            with open(source, "rb") as stream:
                name = self._names[uri] = self._cache.name(uri, stream.read())
            kept = self._cache.get(name)
            if kept is not None:
                _KeptPage(name, kept, file, config)  # which is its file's page from now on

    def settle(
        self, env: jinja2.Environment, nav: Navigation, config: MkDocsConfig, files: Files
    ) -> list[Page]:
        """Once all pages are read and tell what others show of them: those to be read after all."""
        self._frame = frame_key(config, nav)
        self._entries = _search_entries(config)
        loaders: list[jinja2.BaseLoader] = [jinja2.DictLoader({_TEMPLATE: " "})]
        env.loader = jinja2.ChoiceLoader([*([env.loader] if env.loader else []), *loaders])
        placed = {page.file.src_uri for page in nav.pages}
        for uri in placed:
            self._names.pop(uri, None)
        wrong: list[Page] = []
        for file in files.documentation_pages():
            page = file.page
            if not isinstance(page, _KeptPage) or page.kept is None:
                continue
            if page.kept.frame != self._frame or file.src_uri in placed:
                page.forget()
                wrong.append(page)
        return wrong

    def begin(self) -> None:
        """MkDocs is about to read a page."""
        self._warnings.reset()

    def read(self, page: Page) -> None:
        """Its front matter, before plugins add to it."""
        uri = page.file.src_uri
        if uri in self._names and not _kept(page):
            with suppress(TypeError, ValueError):  # a date, for one, has no JSON
                meta = json.loads(json.dumps(dict(page.meta), allow_nan=False))
                if meta == page.meta:
                    self._metas[uri] = meta

    def rendered(self, page: Page) -> None:
        if self._warnings.seen and not _kept(page):  # to be told again in the next build
            self._names.pop(page.file.src_uri, None)

    def before_search(self) -> None:
        self._warnings.reset()
        self._mark = len(self._entries)

    def after_search(self, page: Page) -> None:
        if kept := _kept(page):
            self._entries[self._mark :] = kept.entries

    def finish(self, html: str, page: Page, *, carded: Callable[[str], str]) -> str:
        """The page as it is written. One that was made anew is put into the cache, without the card
        that `carded` adds: that depends on a file beside the page."""
        if isinstance(page, _KeptPage) and page.kept:
            html = with_policy(carded(self._cache.html(page.name)), self.policy)
            self.written[page.file.dest_uri] = frozenset(page.kept.scripts), len(html.encode())
            return html
        uri = page.file.src_uri
        told = self._warnings.seen or page.links_to_anchors  # what a next build has to tell, too
        if uri in self._names and uri in self._metas and not told:
            self._put(html.encode("utf-8", "xmlcharrefreplace").decode(), page)
        return carded(html)

    def _put(self, html: str, page: Page) -> None:
        uri = page.file.src_uri
        kept = KeptPage(
            frame=self._frame,
            title=page.title,
            meta=self._metas[uri],
            anchors=sorted(page.present_anchor_ids or ()),
            entries=self._entries[self._mark :],
            scripts=sorted(inline_sources(html, of_runs=True)),
        )
        self._cache.put(self._names[uri], kept, html)

    @property
    def made(self) -> int:
        """Pages that could have been kept and were made anew."""
        return len(self._metas)

    def end(self, policy: str) -> None:
        """The site is complete: what it does not need is no longer kept."""
        if policy != self.policy:
            self._cache.keep_policy(policy)
        self._cache.sweep()

    def close(self) -> None:
        self._warnings.close()


class _Warnings(logging.Handler):
    """Whether MkDocs or a plugin has warned since `reset`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen = False

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self.seen = True

    def reset(self) -> None:
        self.seen = False

    def listen(self) -> None:
        logging.getLogger("mkdocs").addHandler(self)

    def close(self) -> None:
        logging.getLogger("mkdocs").removeHandler(self)
        super().close()


def _kept(page: Page) -> KeptPage | None:
    return page.kept if isinstance(page, _KeptPage) else None


def _strings(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav.lstrip("/")
    elif isinstance(nav, Mapping):
        for one in nav.values():
            yield from _strings(one)
    elif isinstance(nav, list):
        for one in nav:
            yield from _strings(one)


def _search_entries(config: MkDocsConfig) -> list[Any]:
    """The list that the search plugin, Material's or MkDocs' own, is filling."""
    for plugin in config.plugins.values():
        index = getattr(plugin, "search_index", None)
        for name in ("entries", "_entries"):
            found = getattr(index, name, None)
            if isinstance(found, list):
                return found
    return []
