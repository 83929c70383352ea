"""`runpages compare`: runs and groups of runs side by side in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from runpages import builder
from runpages.analysis import Contender, compare, group_contender, run_contender, siblings
from runpages.archive import Archive
from runpages.config import Settings, load_settings
from runpages.errors import ArchiveError, UsageError
from runpages.model import Report, Run
from runpages.pages import comparison_json, group_slug

from .comparison import print_comparison
from .shell import config_option, emit, json_option, warn
from .show import find_slug

__all__ = ["compare_runs"]


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@click.option("--base", help="What the others are compared with; default: the first of RUNS.")
@click.option(
    "--seeds",
    is_flag=True,
    help="Each run stands for all runs of its project that differ from it in nothing but the seed.",
)
@config_option
@json_option
def compare_runs(
    runs: tuple[str, ...], base: str | None, seeds: bool, config: str, as_json: bool
) -> None:
    """Compare RUNS: slugs, beginnings of slugs, names of groups (their seeds) or of runs.

    Runs joined by commas are one set of seeds. A single run is compared with the pinned baseline.
    """
    settings = load_settings(config)
    names = list(dict.fromkeys((base, *runs) if base else runs))
    if len(names) == 1 and not base and settings.baseline.default:
        names.insert(0, settings.baseline.default)
    if len(names) < 2:
        raise UsageError("name two runs or groups to compare, or set [baseline] default")
    archive = settings.open_archive()
    kept = dict(_kept(archive))
    sides = [_contender(settings, archive, kept, name, seeds=seeds) for name in names]
    slugs = [side.slug for side in sides]
    if len(set(slugs)) < len(slugs):
        twice = next(slug for slug in slugs if slugs.count(slug) > 1)
        raise UsageError(f"{twice} is named twice: a run cannot be compared with itself")
    comparison = compare(sides[0], sides[1:])
    if as_json:
        emit("compare", comparison_json(comparison))
    else:
        print_comparison(comparison)


def _kept(archive: Archive) -> Iterator[tuple[str, Run]]:
    """Slug and run of everything that can be read; the rest is told, and matters if it is named."""
    for slug in archive.slugs():
        try:
            yield slug, archive.get(slug)
        except ArchiveError as error:
            warn(str(error))


def _contender(
    settings: Settings, archive: Archive, kept: Mapping[str, Run], name: str, *, seeds: bool
) -> Contender:
    group = [slug for slug, run in kept.items() if run.group == name]
    if group and name not in archive:
        return group_contender(name, group_slug(name), [_report(settings, s) for s in group])
    parts = [part.strip() for part in name.split(",") if part.strip()]
    if len(parts) > 1:
        slugs = dict.fromkeys(find_slug(archive, part) for part in parts)
        reports = [_report(settings, slug) for slug in slugs]
        short = f"{reports[0].run.name} and {len(reports) - 1} more"
        return group_contender(short, group_slug(name), reports)
    slug = find_slug(archive, name)
    if not seeds or slug not in kept:
        return run_contender(_report(settings, slug))
    run = kept[slug]
    alike = [s for s, other in kept.items() if s == slug or siblings(run, other)]
    return group_contender(run.name, slug, [_report(settings, s) for s in alike])


def _report(settings: Settings, slug: str) -> Report:
    return builder.report_of(settings, slug, with_baseline=False)
