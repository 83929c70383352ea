"""The MkDocs plugin: a convenience on top of pages that are complete without it.

It adds our style sheet and script, keeps run pages out of the navigation, makes the search fit
runs and their number, says in each page what the card of a link shows, writes the content security
policy, and warns when the archive holds runs
that the pages do not show yet. It writes nothing below docs_dir.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority
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

__all__ = ["RunpagesConfig", "RunpagesPlugin"]

log = logging.getLogger("mkdocs.plugins.runpages")


class RunpagesConfig(Config):
    """Options under `plugins: - runpages:` in mkdocs.yml."""

    enabled = config_options.Type(bool, default=True)
    """Switch the plugin off, for instance with `!ENV`."""
    config = config_options.Type(str, default="runpages.toml")
    """Settings file, relative to mkdocs.yml."""


class RunpagesPlugin(BasePlugin[RunpagesConfig]):
    settings: Settings
    serving = False

    def on_startup(self, *, command: str, dirty: bool) -> None:  # noqa: ARG002
        self.serving = command == "serve"

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        if not self.config.enabled:
            return config
        base = Path(config.config_file_path or "mkdocs.yml").parent
        try:
            self.settings = settings = load_settings(base / self.config.config)
            section = settings.site.section
            add_assets(config, section)
            for sentence in stale(settings.section_path, Archive(settings.archive_path)):
                log.warning(sentence)
        except RunpagesError as error:
            raise PluginError(f"runpages: {error}") from error
        return config

    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        if not self.config.enabled:
            return output
        return with_card(
            output,
            page,
            site_url=config.site_url or "",
            site_name=config.site_name,
            section=self.settings.site.section,
            docs=Path(config.docs_dir),
        )

    @event_priority(-100)  # behind the search plugin, which writes its index in the same event
    def on_post_build(self, *, config: MkDocsConfig) -> None:
        if self.config.enabled:
            try:
                prepare_search(Path(config.site_dir), self.settings)
                if self.settings.site.csp and not self.serving:  # which adds a script of its own
                    write_policy(Path(config.site_dir), self.settings.site.section)
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
