"""`runpages compare`: runs and groups of runs side by side in the terminal."""

from __future__ import annotations

from collections.abc import Mapping

import click

from runpages import builder
from runpages.analysis import Contender, compare, group_contender, run_contender
from runpages.archive import Archive
from runpages.config import Settings, load_settings
from runpages.errors import UsageError
from runpages.pages import comparison_json, group_slug

from .comparison import print_comparison
from .shell import config_option, emit, json_option
from .show import find_slug

__all__ = ["compare_runs"]


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@click.option("--base", help="What the others are compared with; default: the first of RUNS.")
@config_option
@json_option
def compare_runs(runs: tuple[str, ...], base: str | None, config: str, as_json: bool) -> None:
    """Compare RUNS: slugs, beginnings of slugs, names of groups (their seeds) or of runs.

    A single run is compared with the pinned baseline.
    """
    settings = load_settings(config)
    names = list(dict.fromkeys((base, *runs) if base else runs))
    if len(names) == 1 and not base and settings.baseline.default:
        names.insert(0, settings.baseline.default)
    if len(names) < 2:
        raise UsageError("name two runs or groups to compare, or set [baseline] default")
    archive = Archive(settings.archive_path)
    groups = _groups(archive)
    sides = [_contender(settings, archive, groups, name) for name in names]
    slugs = [side.slug for side in sides]
    if len(set(slugs)) < len(slugs):
        twice = next(slug for slug in slugs if slugs.count(slug) > 1)
        raise UsageError(f"{twice} is named twice: a run cannot be compared with itself")
    comparison = compare(sides[0], sides[1:])
    if as_json:
        emit("compare", comparison_json(comparison))
    else:
        print_comparison(comparison)


def _groups(archive: Archive) -> dict[str, list[str]]:
    """Group -> slugs of its runs."""
    groups: dict[str, list[str]] = {}
    for slug in archive.slugs():
        if group := archive.get(slug).group:
            groups.setdefault(group, []).append(slug)
    return groups


def _contender(
    settings: Settings, archive: Archive, groups: Mapping[str, list[str]], name: str
) -> Contender:
    if name in groups and name not in archive.slugs():
        reports = [builder.report_of(settings, s, with_baseline=False) for s in groups[name]]
        return group_contender(name, group_slug(name), reports)
    slug = find_slug(archive, name)
    return run_contender(builder.report_of(settings, slug, with_baseline=False))
