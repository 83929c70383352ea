"""The MkDocs plugin: a convenience on top of pages that are complete without it.

It adds our style sheet and script, keeps run pages out of the navigation, makes the search fit
runs and their number, says in each page what the card of a link shows, writes the content security
policy, reuses pages that did not change, and warns when the archive holds runs that the pages do
not show yet. It writes nothing below docs_dir.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, CombinedEvent, event_priority
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from pathspec.gitignore import GitIgnoreSpec

from runpages.archive import Archive
from runpages.builder import archive_state, read_generated
from runpages.builder.assets import SCRIPT, STYLE
from runpages.config import Settings, load_settings
from runpages.errors import RunpagesError

from .cards import with_card
from .csp import write_policy
from .search import prepare_search
from .site import Site
from .sitemap import Dates, undate_gzip

__all__ = ["RunpagesConfig", "RunpagesPlugin"]

log = logging.getLogger("mkdocs.plugins.runpages")


class RunpagesConfig(Config):
    """Options under `plugins: - runpages:` in mkdocs.yml."""

    enabled = config_options.Type(bool, default=True)
    """Switch the plugin off, for instance with `!ENV`."""
    config = config_options.Type(str, default="runpages.toml")
    """Settings file, relative to mkdocs.yml."""
    reuse = config_options.Type(bool, default=True)
    """Reuse pages of the last build, and build beside the site that is there."""


class RunpagesPlugin(BasePlugin[RunpagesConfig]):
    settings: Settings
    building = False
    """`mkdocs build` or `gh-deploy`; not `serve`, nor `--dirty`, which have ways of their own."""
    serving = False
    site: Site | None = None
    dates: Dates

    def on_startup(self, *, command: str, dirty: bool) -> None:
        self.serving = command == "serve"
        self.building = command in {"build", "gh-deploy"} and not dirty

    @event_priority(100)  # others may take the site's folder from here
    def _on_config_first(self, config: MkDocsConfig) -> MkDocsConfig:
        if not self.config.enabled:
            return config
        with _told():
            base = Path(config.config_file_path or "mkdocs.yml").parent
            self.settings = load_settings(base / self.config.config)
            self.dates = Dates(self.settings)
            if self.building and self.config.reuse:
                self.site = Site(config, self.settings)
        return config

    def _on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        if self.config.enabled:
            add_assets(config, self.settings.site.section)
        return config

    on_config = CombinedEvent(_on_config_first, _on_config)

    @event_priority(-100)  # a hook may run `runpages build` in this event
    def on_pre_build(self, *, config: MkDocsConfig) -> None:  # noqa: ARG002
        if self.config.enabled:
            with _told():
                if self.site:
                    self.site.begin()
                archive = Archive(self.settings.archive_path)
                for sentence in stale(self.settings.section_path, archive):
                    log.warning(sentence)

    @event_priority(-100)
    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        if self.site:
            with _told():
                self.site.choose(files, config)
        return files

    @event_priority(-100)
    def on_nav(self, nav: Navigation, *, config: MkDocsConfig, files: Files) -> Navigation:  # noqa: ARG002
        if self.site:
            self.site.nav = nav
        return nav

    @event_priority(100)  # others are to find all pages read
    def on_env(
        self, env: jinja2.Environment, *, config: MkDocsConfig, files: Files
    ) -> jinja2.Environment:
        if self.site:
            self.site.settle(env, config, files)
        return env

    @event_priority(100)
    def on_pre_page(self, page: Page, *, config: MkDocsConfig, files: Files) -> Page:  # noqa: ARG002
        if self.site:
            self.site.reuse.begin()
        return page

    @event_priority(100)
    def on_page_markdown(
        self,
        markdown: str,
        *,
        page: Page,
        config: MkDocsConfig,  # noqa: ARG002
        files: Files,  # noqa: ARG002
    ) -> str:
        if self.site:
            self.site.reuse.read(page)
        return markdown

    @event_priority(-100)
    def on_page_content(
        self,
        html: str,
        *,
        page: Page,
        config: MkDocsConfig,  # noqa: ARG002
        files: Files,  # noqa: ARG002
    ) -> str:
        if self.site:
            self.site.reuse.rendered(page)
        return html

    @event_priority(100)
    def _before_search(self, context: Any, **_: Any) -> Any:
        if self.site:
            self.site.reuse.before_search()
        return context

    @event_priority(-100)
    def _after_search(self, context: Any, *, page: Page, **_: Any) -> Any:
        if self.site:
            self.site.reuse.after_search(page)
        return context

    on_page_context = CombinedEvent(_before_search, _after_search)

    @event_priority(-100)
    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        if not self.config.enabled:
            return output
        carded = partial(
            with_card,
            page=page,
            site_url=config.site_url or "",
            site_name=config.site_name,
            section=self.settings.site.section,
            docs=Path(config.docs_dir),
        )
        return self.site.reuse.finish(output, page, carded=carded) if self.site else carded(output)

    def on_template_context(self, context: Any, *, template_name: str, **_: Any) -> Any:
        if self.config.enabled and template_name == "sitemap.xml":
            self.dates.put(context["pages"])
        return context

    def on_post_template(self, output_content: str, *, template_name: str, **_: Any) -> str:
        if self.config.enabled and template_name == "sitemap.xml":
            self.dates.restore()
        return output_content

    @event_priority(-100)  # behind the search plugin, which writes its index in the same event
    def on_post_build(self, *, config: MkDocsConfig) -> None:
        if not self.config.enabled:
            return
        built = Path(config.site_dir)
        with _told():
            undate_gzip(built)
            prepare_search(built, self.settings)
            policy = ""
            if self.settings.site.csp and not self.serving:  # which adds a script of its own
                known = self.site.known() if self.site else {}
                given = self.site.reuse.policy if self.site else ""
                section = self.settings.site.section
                policy = write_policy(built, section, known=known, given=given)
            if self.site:
                self.site.complete(policy)

    def on_build_error(self, *, error: Exception) -> None:  # noqa: ARG002
        if self.site:
            self.site.failed = True

    def on_shutdown(self) -> None:
        if self.site:
            with _told():
                self.site.end()


@contextmanager
def _told() -> Iterator[None]:
    """Our errors as MkDocs prints them, without a traceback."""
    try:
        yield
    except RunpagesError as error:
        raise PluginError(f"runpages: {error}") from error


def add_assets(config: MkDocsConfig, section: str) -> None:
    """Style, script and the rule that run pages are not in the navigation, each once."""
    style, script = f"{section}/{STYLE}", f"{section}/{SCRIPT}"
    if style not in config.extra_css:
        config.extra_css.append(style)
    if script not in [str(item) for item in config.extra_javascript]:
        config.extra_javascript.append(script)
    own = GitIgnoreSpec.from_lines([f"/{section}/*"])
    config.not_in_nav = config.not_in_nav + own if config.not_in_nav else own


def stale(section: Path, archive: Archive) -> list[str]:
    """One sentence if the pages do not show what the archive holds."""
    generated = read_generated(section)
    if not generated.files:
        return [f"{section}: no run pages yet; `runpages build` writes them"]
    if archive.location.is_dir() and generated.archive != archive_state(archive):
        return ["the archive is newer than the run pages; `runpages build` brings them up to date"]
    return []
