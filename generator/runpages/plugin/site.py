"""One build of the site: beside the one that is there, with the pages that have not changed."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from pathlib import Path

import jinja2
from mkdocs.commands.build import _populate_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation

from runpages.archive import locked
from runpages.builder import read_generated
from runpages.config import Settings
from runpages.errors import LockedError

from .assets import link_assets
from .cache import PageCache
from .fresh import FreshSite
from .key import site_key
from .reuse import Reuse

__all__ = ["Site"]

log = logging.getLogger("mkdocs.plugins.runpages")


class Site:
    """From `begin` to `end` no other build works in the project, nor `runpages build`."""

    nav: Navigation
    reuse: Reuse

    def __init__(self, config: MkDocsConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._lock = ExitStack()
        self._wanted = config.site_dir
        self._complete = False
        self.failed = False
        fresh = FreshSite(Path(self._wanted))
        self._fresh = fresh if fresh.possible() else None
        if self._fresh:
            config.site_dir = str(self._fresh.folder)

    def begin(self) -> None:
        folder = self._settings.site_cache_path
        try:
            self._lock.enter_context(locked(folder))
        except LockedError:
            log.info("Waiting for another build of this project to end")
            self._lock.enter_context(locked(folder, wait=True))
        if self._fresh:
            self._fresh.begin()
            log.info("The site takes the place of %s when it is complete", self._wanted)

    def choose(self, files: Files, config: MkDocsConfig) -> None:
        section = self._settings.site.section
        listed = read_generated(self._settings.section_path).files
        generated = {f"{section}/{path}" for path in listed}
        name = Path(config.config_file_path or "mkdocs.yml").name
        cache = PageCache(self._settings.site_cache_path / name, site_key(config))
        self.reuse = Reuse(cache, generated)
        self.reuse.choose(files, config)
        link_assets(files, f"{section}/assets/runs/", generated=generated)

    def settle(self, env: jinja2.Environment, config: MkDocsConfig, files: Files) -> None:
        for page in self.reuse.settle(env, self.nav, config, files):
            _populate_page(page, config, files)

    def known(self) -> dict[str, frozenset[str]]:
        """Scripts of the kept pages that nobody has touched since they were written."""
        site = self._config.site_dir
        written = self.reuse.written
        return {
            path: scripts
            for path, (scripts, size) in written.items()
            if os.stat(f"{site}/{path}").st_size == size
        }

    def complete(self, policy: str) -> None:
        log.info("Run pages: %d reused, %d made", len(self.reuse.written), self.reuse.made)
        self.reuse.end(policy)
        self._complete = True

    def end(self) -> None:
        """Publish what is complete; `config` names the site's own folder again, for `gh-deploy`."""
        self._config.site_dir = self._wanted
        if hasattr(self, "reuse"):
            self.reuse.close()
        if self._fresh:
            if self._complete and not self.failed:
                self._fresh.publish()
            else:
                self._fresh.discard()
        self._lock.close()
