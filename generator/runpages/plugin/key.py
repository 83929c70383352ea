"""What every page of a site depends on beside its own Markdown, as one digest.

Paths within the project stand in it relative to mkdocs.yml, so that a cache made elsewhere fits.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import mkdocs
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import BasePlugin
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

import runpages

__all__ = ["frame_key", "site_key"]

_PLACES = frozenset({"config_file_path", "config_file", "docs_dir", "site_dir", "dev_addr"})
_PLACES |= {"watch", "strict"}
"""Settings that no page shows."""
_ELSEWHERE = frozenset({"plugins", "hooks", "theme"})
"""Settings that are described apart."""
_DEPTH = 8
_FILE_MAX_BYTES = 10_000_000
"""A file that a setting names and that is larger is told by its size."""
_ENGINE = (
    "mkdocs",
    "properdocs",
    "markdown",
    "jinja2",
    "markupsafe",
    "pygments",
    "pymdown-extensions",
)
_GROUPS = (
    "mkdocs.plugins",
    "mkdocs.themes",
    "properdocs.plugins",
    "properdocs.themes",
    "markdown.extensions",
)
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OWN = "runpages"


def site_key(config: MkDocsConfig) -> str:
    """Digest of settings, theme, overrides, hooks, plugins, extensions and their versions."""
    project = Path(config.config_file_path or "mkdocs.yml").resolve().parent
    theme = {"name": config.theme.name, "settings": dict(config.theme)}
    told = [
        ["settings", _settings(config, project)],
        ["given", [_shown(one, project) for one in config.user_configs]],
        ["theme", _plain(theme, project)],
        ["plugins", [_plugin(name, one, project) for name, one in config.plugins.items()]],
        ["files", dict(_files(config, project))],
        ["packages", _versions(config)],
        ["engine", mkdocs.__name__, mkdocs.__version__],  # properdocs runs under this name, too
        ["python", list(sys.version_info[:3])],
    ]
    return _digest(told)


def frame_key(config: MkDocsConfig, nav: Navigation) -> str:
    """Digest of what pages show of other pages, and of settings that plugins changed meanwhile.

    To be asked for once all pages are read: they tell their titles.
    """
    project = Path(config.config_file_path or "mkdocs.yml").resolve().parent
    return _digest([_settings(config, project), [_item(item) for item in nav.items]])


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _settings(config: MkDocsConfig, project: Path) -> Any:
    return _shown({k: v for k, v in config.items() if k not in _ELSEWHERE}, project)


def _shown(settings: Mapping[str, Any], project: Path) -> Any:
    return _plain({k: v for k, v in settings.items() if k not in _PLACES}, project)


def _item(item: Any) -> Any:
    """A page, section or link of the navigation as the theme may show it."""
    meta = item.meta if isinstance(item, Page) else {}
    url = getattr(item, "url", None)
    return [item.title, url, meta, [_item(child) for child in item.children or ()]]


def _plugin(name: str, plugin: Any, project: Path) -> Any:
    if isinstance(plugin, ModuleType):
        return [name, "hook"]
    kind = type(plugin)
    settings = _plain(getattr(plugin, "config", None), project)
    return [name, kind.__module__, kind.__qualname__, settings]


def _plain(value: object, project: Path, depth: int = 0) -> Any:
    """`value` as JSON that is the same in another process and at another place."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | Path):
        return str(value).replace(str(project), ".")
    if depth > _DEPTH:
        return type(value).__qualname__
    if isinstance(value, Mapping):
        return [[str(k), _plain(v, project, depth + 1)] for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(one, project, depth + 1) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_plain(one, project, depth + 1), default=str) for one in value)
    named = value if isinstance(value, type) or callable(value) else type(value)
    name = f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"
    return [name, _plain(getattr(value, "__dict__", None), project, depth + 1)]


def _files(config: MkDocsConfig, project: Path) -> Iterator[tuple[str, str]]:
    """Path -> digest of the team's own files that pages are made with."""
    paths: set[Path] = set()
    for folder in map(Path, config.theme.dirs):
        if not _installed(folder):
            paths.update(path for path in folder.rglob("*") if path.is_file())
    for hook in config.plugins.values():
        if isinstance(hook, ModuleType) and hook.__file__:
            paths.update(Path(hook.__file__).parent.glob("*.py"))  # and what it may import
    for module in _modules(config):
        place = Path(getattr(sys.modules.get(module), "__file__", None) or "")
        if place.suffix == ".py" and not _installed(place):
            paths.update(place.parent.rglob("*.py") if place.name == "__init__.py" else [place])
    docs = Path(config.docs_dir)
    paths.update(docs.glob(".meta.yml"), docs.glob("*/.meta.yml"), docs.glob("*/*/.meta.yml"))
    paths.update(_named_files(config, project))
    for path in sorted(paths):
        yield _relative(path, project), _content(path)


def _relative(path: Path, project: Path) -> str:
    resolved = path.resolve()
    if resolved.is_relative_to(project):
        return resolved.relative_to(project).as_posix()
    return path.name


def _content(path: Path) -> str:
    size = path.stat().st_size
    if size > _FILE_MAX_BYTES:
        return f"{size} bytes"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _installed(path: Path) -> bool:
    """Whether its package's version tells what is in it."""
    return bool({"site-packages", "dist-packages"} & set(path.parts))


def _named_files(config: MkDocsConfig, project: Path) -> Iterator[Path]:
    """Files that settings of extensions and plugins name: abbreviations, data, modules."""
    settings = [plugin.config for plugin in _plugins(config)]
    names = set(_strings([config.mdx_configs, *settings]))
    bases = config.mdx_configs.get("pymdownx.snippets", {}).get("base_path", ())
    folders = [project, Path(config.docs_dir)]
    folders += [project / str(base) for base in ([bases] if isinstance(bases, str) else bases)]
    for name in names:
        if not 0 < len(name) < 256 or "\0" in name:
            continue
        for folder in folders:
            for path in (folder / name, folder / f"{name}.py"):
                if path.is_file():
                    yield path


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)


def _modules(config: MkDocsConfig) -> set[str]:
    """Top-level modules of plugins and Markdown extensions."""
    names = {type(plugin).__module__ for plugin in _plugins(config)}
    names.update(
        one if isinstance(one, str) else type(one).__module__ for one in config.markdown_extensions
    )
    return {name.partition(".")[0].partition(":")[0] for name in names}


def _plugins(config: MkDocsConfig) -> list[BasePlugin[Any]]:
    """All but hooks and ours, whose settings tell the builder's pages, not the frame."""
    found = [one for one in config.plugins.values() if not isinstance(one, ModuleType)]
    return [one for one in found if not type(one).__module__.startswith(_OWN)]


def _versions(config: MkDocsConfig) -> dict[str, str]:
    """Of the packages that make pages, and of all that they need."""
    points = [point for group in _GROUPS for point in entry_points(group=group)]
    theme = {p.module for p in points if p.name == config.theme.name and "themes" in p.group}
    wanted = {name.partition(".")[0] for name in theme} | _modules(config)
    owners = {
        point.dist.name
        for point in points
        if point.dist and wanted & {point.module.partition(".")[0], point.name}
    }
    found = {_OWN: f"{runpages.__version__} {_own_sources()}"}
    waiting = [*_ENGINE, *wanted, *owners]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found[name], needed = _version(name)
        waiting.extend(needed)
    return dict(sorted(found.items()))


def _version(name: str) -> tuple[str, Iterable[str]]:
    """Version and requirements without those of extras; empty where it is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return "", ()
    always = (one for one in found.requires or () if "extra ==" not in one)
    needed = (_REQUIREMENT.match(one) for one in always)
    return found.version, [one[0] for one in needed if one]


def _own_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
