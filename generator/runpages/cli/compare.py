"""`runpages compare`: runs and groups of runs side by side in the terminal."""

from __future__ import annotations

import click

from runpages.analysis import compare
from runpages.config import load_settings
from runpages.errors import UsageError
from runpages.pages import comparison_json

from .comparison import print_comparison
from .shell import config_option, emit, json_option
from .sides import kept_runs, side_of

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
    kept = dict(kept_runs(archive))
    sides = [side_of(settings, archive, kept, name, seeds=seeds) for name in names]
    slugs = [side.slug for side in sides]
    if len(set(slugs)) < len(slugs):
        twice = next(slug for slug in slugs if slugs.count(slug) > 1)
        raise UsageError(f"{twice} is named twice: a run cannot be compared with itself")
    comparison = compare(sides[0], sides[1:])
    if as_json:
        emit("compare", comparison_json(comparison))
    else:
        print_comparison(comparison)
